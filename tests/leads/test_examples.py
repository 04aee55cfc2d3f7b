"""What LEADS's documentation shows, in our words, and with ports that are free."""

from __future__ import annotations

import threading

from typing_extensions import override

from leadscomm import (
    Callback,
    Client,
    ConnectionBase,
    L,
    Server,
    Service,
    create_client,
    create_server,
    start_client,
    start_server,
)
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until


class Logging(Callback):
    """Says everything to the logger."""

    def __init__(self) -> None:
        super().__init__()
        self.over = threading.Event()

    @override
    def on_initialize(self, service: Service) -> None:
        L.info("ready")

    @override
    def on_connect(self, service: Service, connection: ConnectionBase) -> None:
        L.info("hello,", connection)

    @override
    def on_receive(self, service: Service, msg: bytes) -> None:
        L.info(msg.decode())

    @override
    def on_fail(self, service: Service, error: Exception) -> None:
        L.error(repr(error))
        self.over.set()

    @override
    def on_disconnect(self, service: Service, connection: ConnectionBase) -> None:
        L.info("goodbye,", connection)
        self.over.set()


def said(printed: str) -> list[str]:
    return [line.rpartition("] ")[2] for line in printed.splitlines()]


def test_a_port_is_not_taken_before_the_start():
    one, other = create_server(9000), create_server(9000)
    assert (one.port(), other.port()) == (9000, 9000)
    assert create_client(9000).port() == 9000


def test_a_server_with_a_callback(capsys):
    callback = Logging()
    server: Server = create_server(0, callback=callback)
    assert start_server(server, True) is server
    client = start_client("127.0.0.1", create_client(server.port()), True)
    client.send(b"how do you do")
    client.close()
    assert callback.over.wait(PATIENCE_S)
    server.close()
    lines = said(capsys.readouterr().out)
    assert lines[0] == "ready"
    assert lines[1].startswith("hello, 127.0.0.1:")
    assert lines[2:] == ["how do you do", lines[1].replace("hello", "goodbye")]


def test_a_client_with_a_callback(capsys):
    callback = Logging()
    with create_server(0) as server:
        client: Client = create_client(server.port(), callback=callback)
        assert start_client("localhost", client, True) is client
        wait_until(lambda: server.num_connections() == 1)
        server.broadcast(b"to everybody")
        server.close()
        assert callback.over.wait(PATIENCE_S)
    assert [line.partition(",")[0] for line in said(capsys.readouterr().out)] == [
        "ready",
        "hello",
        "to everybody",
        "goodbye",
    ]


def test_a_failure_reaches_the_callback(capsys):
    callback = Logging()
    with create_server(0) as server:
        start_server(create_server(server.port(), callback))
    assert callback.over.is_set()
    assert "in use" in capsys.readouterr().out


def test_counting_and_closing_while_another_thread_runs_the_server():
    heard = Recorder()
    server = create_server(0, heard)
    thread = threading.Thread(target=start_server, args=(server,))
    thread.start()
    heard.wait("initialize")
    with create_client(server.port()), create_client(server.port()):
        wait_until(lambda: server.num_connections() == 2)
        server.close()
        assert server.num_connections() == 0
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    server.close()  # once more does no harm
    server.broadcast(b"nobody hears it")


def test_a_client_that_blocks_returns_when_its_server_goes():
    heard = Recorder()
    with create_server(0, heard) as server:
        told = Recorder()
        client = create_client(server.port(), told)
        thread = threading.Thread(target=start_client, args=("127.0.0.1", client))
        thread.start()
        told.wait("connect")
        client.send(b"x")
        heard.wait("receive")
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    client.close()
