"""`leadscomm log`: what comes, with the time, as lines and as a table."""

from __future__ import annotations

import csv
import io
import socket
from datetime import datetime

from leadscomm import Callback, create_client, create_server
from tests.cli.program import Program, run


class Greeting(Callback):
    def on_connect(self, service, connection):
        for message in (b"one", b'two, "quoted"', b"\x00"):
            connection.send(message)


def test_a_table_of_what_comes():
    with create_server(0, Greeting()) as server:
        code, out, err = run("log", server.port(), "--csv", "--count", 3)
    head, *rows = csv.reader(io.StringIO(out))
    assert code == 0
    assert head == ["time", "peer", "message"]
    assert [row[2] for row in rows] == ["one", 'two, "quoted"', r"\x00"]
    assert {row[1] for row in rows} == {f"127.0.0.1:{server.port()}"}
    assert all(datetime.fromisoformat(row[0]).tzinfo for row in rows)
    assert f"+ 127.0.0.1:{server.port()}" in err


def test_lines_of_several_peers():
    with Program("log", 0, "--serve", "--hex", "--count", 2) as program:
        port = program.err.see(r"listening on tcp://127.0.0.1:(\d+)")[1]
        for message in (b"hi", b"ho"):
            with create_client(int(port), Callback()) as client:
                client.send(message)
                program.out.see(rf": {message.hex(' ')}$")
        assert program.wait() == 0


def test_a_port_that_is_taken_ends_it():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, out, err = run("log", taken.getsockname()[1], "--serve")
    assert (code, out) == (1, "")
    assert "is in use" in err
