"""What peers call themselves does nothing to a terminal or a log."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import pytest

from leadscomm import Client, Server
from leadscomm.protocol.framing.cobs import CobsFraming
from leadscomm.protocol.session.handshake import welcome_of
from leadscomm.protocol.session.wire import parse
from leadscomm.sessions.terms import Terms
from tests.cli.program import PATIENCE_S, Program
from tests.entities.recorder import Recorder

EVIL = "\x1b]0;owned\x07\x1b[2J\r\n+ admin\u202e"
SHOWN = "�]0;owned��[2J��+ admin�"


def introduce(port: int) -> socket.socket:
    """Begin a session under a name that no option takes."""
    line = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
    framing, offer = CobsFraming("crc-32"), Terms(name=EVIL).offer()
    line.sendall(b"\0" + framing.encode(offer.hello()))
    said = None
    while said is None:
        said = next((each for each in map(welcome_of, map(parse, framing.feed(line.recv(65536)))) if each), None)
    line.sendall(framing.encode(offer.hello(echo=said.epoch)))  # which shows that the answer was heard
    return line


@pytest.mark.parametrize("command", ["serve", "node"])
def test_commands_show_it_harmless(tmp_path: Path, command: str) -> None:
    place = "tcp://127.0.0.1:0"
    if command == "node":
        path = tmp_path / "base.toml"
        path.write_text(f'[node]\nname = "base"\nlisten = ["{place}"]\n')
    with Program(command, f"{place}?reliable=1" if command == "serve" else path) as program:
        port = int(program.out.see(r"listen\S* on \S+?:(\d+)")[1])
        with introduce(port):
            program.out.see(r"^\+ �\]0;owned��\[2J��\+ admin�")
        assert "\x1b" not in str(program.out) + str(program.err)
        assert "\n+ admin" not in str(program.out) + str(program.err)


def test_logs_errors_and_names_have_it_harmless(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    told = Recorder()
    with Server("tcp://127.0.0.1:0?reliable=1", told) as server, introduce(server.port()):
        told.wait("connect", 1)
        (connection,) = server.connections()
        assert SHOWN in str(connection)
        assert connection.name == SHOWN  # type: ignore[attr-defined]
    assert "\x1b" not in caplog.text
    assert SHOWN in caplog.text


def test_a_stream_of_such_a_name_gets_a_file_of_a_plain_one(tmp_path: Path) -> None:
    class Taking(Recorder):
        def on_stream(self, service: object, connection: object, stream: object) -> None:
            self.note("stream", stream.save_into(tmp_path))  # type: ignore[attr-defined]

    source, told = tmp_path / "source", Taking()
    source.write_bytes(b"x")
    with Server("tcp://127.0.0.1:0?reliable=1", told) as server, Client(server.endpoint, Recorder()) as client:
        client.send_file(source, name=EVIL)
        assert told.of("stream") == [tmp_path / "_]0;owned__[2J__+ admin_"]


def test_lines_from_powershell_begin_behind_its_mark(tmp_path: Path) -> None:
    told = Recorder()
    with Server("tcp://127.0.0.1:0", told) as server, Program("connect", server.endpoint) as program:
        program.write(b"\xef\xbb\xbfhello\n\xef\xbb\xbfagain\n")
        program.end_input()
        assert told.wait("receive", 2) == [b"hello", b"\xef\xbb\xbfagain"]
