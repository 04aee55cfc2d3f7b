"""Transports that raise what none should: that ends their own conversation, with a report, and nobody else's."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from leadscomm import Client, CommError, DeliveryError, Server
from leadscomm.connections.sockets import tcp
from leadscomm.connections.sockets.tcp import TcpConnection
from leadscomm.entities.running import acceptor
from tests.entities.recorder import Recorder, wait_until

ERRORS = [ValueError("closed file"), RuntimeError(), struct.error("no"), MemoryError(), RecursionError()]
PLACES = ["_read", "_write", "_close", "tick", "set_blocking", "shut_sending", "abort", "open", "more", "fileno"]


class Wrong(TcpConnection):
    """Works until it is told what to raise, and where."""

    raises: dict[str, Exception] = {}  # noqa: RUF012 - set by the test

    def _at(self, place: str) -> None:
        if self.accepted and place in Wrong.raises and self.address[1] in Wrong.ports:
            raise Wrong.raises[place]

    ports: set[int] = set()  # noqa: RUF012


def _raising(place: str) -> Any:
    original = getattr(TcpConnection, place)

    def method(self: Wrong, *args: Any) -> Any:
        if place == "_close":
            original(self, *args)  # otherwise the test would leak its socket
        self._at(place)
        return original(self, *args)

    return method


for _place in PLACES:
    setattr(Wrong, _place, _raising(_place))


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    monkeypatch.setattr(tcp, "TcpConnection", Wrong)
    died: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    Wrong.raises, Wrong.ports = {}, set()
    try:
        with ExitStack() as stack:
            yield stack
    finally:
        Wrong.raises = {}
    assert not died, died


def three(stack: ExitStack, url: str = "tcp://127.0.0.1:0") -> tuple[Server, Recorder, list[Client], list[Recorder]]:
    """A server with three clients, of which the second one's connection is to be the bad one."""
    heard, told = Recorder(), [Recorder() for _ in range(3)]
    server = stack.enter_context(Server(url, heard))
    clients = []
    for number, callback in enumerate(told):
        clients.append(stack.enter_context(Client(server.endpoint, callback, reconnect=False)))
        wait_until(lambda number=number: server.num_connections() == number + 1)  # type: ignore[misc]
    Wrong.ports = {server.connections()[1].address[1]} if hasattr(server.connections()[1], "address") else set()
    return server, heard, clients, told


def goes_on(server: Server, clients: list[Client], told: list[Recorder], heard: Recorder) -> None:
    """The others are served as before: broadcast to, sent to in bursts, and heard."""
    before = [len(callback.of("receive")) for callback in told]
    server.broadcast(b"to all")
    for client, callback, count in zip(clients, told, before, strict=True):
        if callback is not told[1]:
            callback.wait("receive", count + 1)
            assert callback.of("receive")[count:] == [b"to all"]
            known = len(heard.of("receive"))
            for _ in range(50):
                client.send(b"heard")
            heard.wait("receive", known + 50)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("place", ["_read", "_write"])
def test_reading_and_writing(
    place: str, pooled: bool, error: Exception, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptor, "OWN_THREADS", 0 if pooled else 8)
    server, heard, clients, told = three(stack)
    Wrong.raises = {place: error}
    if place == "_read":
        clients[1].send(b"wake up")
    else:
        for _ in range(200):  # a burst: the flusher writes too
            server.broadcast(b"burst")
    wait_until(lambda: server.num_connections() == 2)
    told[1].wait("disconnect")
    reports = [one for one in heard.of("fail") if one.__cause__ is error]
    assert reports
    assert all(isinstance(one, CommError) for one in reports)
    assert len(heard.of("disconnect")) == 1
    if place == "_write":
        wait_until(lambda: any(isinstance(one, DeliveryError) for one in heard.of("fail")))
        for number in (0, 2):  # once, and in order
            assert told[number].wait("receive", 200) == [b"burst"] * 200
    goes_on(server, clients, told, heard)
    server.close()
    assert not server.running()


@pytest.mark.parametrize("place", ["_close", "shut_sending", "abort", "more", "fileno"])
def test_the_end_of_a_conversation(place: str, stack: ExitStack) -> None:
    error = ValueError("on purpose")
    server, heard, clients, told = three(stack)
    (bad,) = (one for one in server.connections() if one.address[1] in Wrong.ports)
    Wrong.raises = {place: error}
    bad.close()
    clients[1].close()
    wait_until(lambda: server.num_connections() == 2)
    heard.wait("disconnect")
    goes_on(server, clients, told, heard)


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("place", ["open", "set_blocking", "tick", "fileno"])
def test_the_beginning_of_a_conversation(
    place: str, pooled: bool, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, heard, clients, told = three(stack)
    monkeypatch.setattr(acceptor, "OWN_THREADS", 0 if pooled else 8)
    Wrong.raises = {place: ValueError("on purpose")}
    Wrong.ports = set(range(1 << 16)) - {one.address[1] for one in server.connections()}
    fourth = stack.enter_context(Client(server.endpoint, Recorder(), reconnect=False))
    wait_until(lambda: any("on purpose" in str(one) for one in heard.of("fail")))
    Wrong.raises = {}
    fourth.close()
    goes_on(server, clients, told, heard)
    with Client(server.endpoint, Recorder()) as fifth:
        fifth.send(b"welcome again")
        wait_until(lambda: b"welcome again" in heard.of("receive"))


@pytest.mark.parametrize("place", ["_read", "_write"])
def test_a_line_of_a_session(place: str, stack: ExitStack) -> None:
    """The session goes on over the next one."""
    heard = Recorder()
    server = stack.enter_context(Server("tcp://127.0.0.1:0?reliable=1", heard))
    client = stack.enter_context(Client(server.endpoint, Recorder()))
    client.send(b"0")
    heard.wait("receive")
    (session,) = server.connections()
    Wrong.ports = {session.lines[0].connection.address[1]}
    Wrong.raises = {place: ValueError("on purpose")}
    for number in range(1, 50):
        client.send(b"%d" % number)
    assert heard.wait("receive", 50) == [b"%d" % number for number in range(50)]
    wait_until(lambda: any("on purpose" in str(one) for one in heard.of("fail")))
    assert not heard.of("disconnect")
