"""What is over leaves the memory at once: nothing of it waits for the garbage collector."""

from __future__ import annotations

import gc
import io
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from leadscomm import Callback, Client, ConnectionBase, Node, Server, Service, connect
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until

PLACES = (
    "tcp://127.0.0.1:0",
    "udp://127.0.0.1:0",
    "loop://over",
    "tcp://127.0.0.1:0?reliable=1",
    "udp://127.0.0.1:0?reliable=1",
    "loop://over?reliable=1",
    "fault://drop=0/tcp://127.0.0.1:0?reliable=1",
)


class Heard(Callback):
    """Remembers that something happened, and nothing of what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.connected, self.received, self.failed, self.left = (threading.Event() for _ in range(4))

    def on_connect(self, service: Service, connection: ConnectionBase) -> None:
        self.connected.set()

    def on_receive(self, service: Service, msg: bytes) -> None:
        self.received.set()

    def on_fail(self, service: Service, error: Exception) -> None:
        self.failed.set()

    def on_disconnect(self, service: Service, connection: ConnectionBase) -> None:
        self.left.set()


class Echo(Callback):
    def on_receive(self, service: Service, msg: bytes) -> None:
        service.sender.send(msg)

    def on_stream(self, service: Service, connection: ConnectionBase, stream: Any) -> None:
        stream.accept(io.BytesIO())


def talk(place: str) -> None:
    """A client greets, and leaves."""
    told = Heard()
    with Server(place, Echo()) as server, Client(server.endpoint, told) as client:
        assert told.connected.wait(PATIENCE_S)
        client.send(b"hello")
        assert told.received.wait(PATIENCE_S)
        if "reliable" in place:
            client.send_stream(io.BytesIO(bytes(10_000)))


def lose(place: str) -> None:
    """The server leaves, and the client finds nobody any more."""
    told = Heard()
    server = Server(place, Echo()).start(True)
    with Client(server.endpoint, told, reconnect_min=0.01) as client:
        assert told.connected.wait(PATIENCE_S)
        client.send(b"hello")
        assert told.received.wait(PATIENCE_S)
        server.close()
        assert told.failed.wait(PATIENCE_S)


def alone(place: str) -> None:
    """Nobody runs the client's connection."""
    with Server(place, Echo()) as server:
        connection = connect(server.endpoint)
        connection.send(b"hello")
        assert connection.receive(PATIENCE_S) == b"hello"
        connection.close()


def meet(place: str) -> None:
    """Nodes, one of which dials."""
    told = Heard()
    with Node("a", listen=[place], callback=Echo()) as a, Node("b", connect=[a.listens[0]], callback=told) as b:
        assert told.connected.wait(PATIENCE_S)
        b.send(b"hello", to="a")
        assert told.received.wait(PATIENCE_S)


@contextmanager
def collector_at_rest() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def waiting_for_the_collector(scenario: Callable[[str], None], place: str) -> set[str]:
    """What of leadscomm a scenario leaves to the garbage collector."""
    with collector_at_rest():
        scenario(place)
        wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("leadscomm")])
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        kinds = {type(found) for found in gc.garbage}
        return {kind.__qualname__ for kind in kinds if kind.__module__.startswith("leadscomm.")}


@pytest.mark.parametrize("place", PLACES)
def test_a_conversation(place: str) -> None:
    assert waiting_for_the_collector(talk, place) == set()


@pytest.mark.parametrize("place", ["tcp://127.0.0.1:0", "tcp://127.0.0.1:0?reliable=1"])
@pytest.mark.parametrize("scenario", [lose, alone])
def test_one_that_is_lost_and_one_that_nobody_runs(scenario: Callable[[str], None], place: str) -> None:
    assert waiting_for_the_collector(scenario, place) == set()


def test_nodes() -> None:
    assert waiting_for_the_collector(meet, "tcp://127.0.0.1:0") == set()


@pytest.mark.parametrize("place", ["tcp://127.0.0.1:0", "tcp://127.0.0.1:0?reliable=1"])
def test_a_server_that_goes_on_keeps_nothing_of_who_has_left(place: str) -> None:
    heard = Heard()
    with collector_at_rest(), Server(place, heard) as server:
        with Client(server.endpoint, reconnect=False) as client:
            client.send(b"hello")
            assert heard.received.wait(PATIENCE_S)
            gone = [weakref.ref(connection) for connection in server.connections()]
        assert heard.left.wait(PATIENCE_S)
        wait_until(lambda: [there() for there in gone] == [None])


def test_what_was_not_acknowledged_is_not_kept() -> None:
    """The program still holds the connection."""
    heard, told = Recorder(), Recorder()
    with Server("tcp://127.0.0.1:0?reliable=1", heard) as server:
        client = Client(server.endpoint, told, patience=0.1, dead_after=0.1, reconnect_min=60).start(True)
        (connection,) = told.wait("connect")
        assert server._acceptor is not None
        server._acceptor.interrupt()
        (line,) = connection.lines
        line.connection.abort()
        client.send(bytes(100_000))
        (error,) = [e for e in told.wait("fail", 2) if hasattr(e, "messages")]
        assert error.messages == (bytes(100_000),)
        told.wait("disconnect")
        client.close()
        assert connection.session.outgoing.unacknowledged() == connection.outbox.left == []
        assert connection.stats().queued_messages == 0
        assert str(connection)
