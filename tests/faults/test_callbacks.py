"""Callbacks that raise, that call back, that close: ``on_fail`` is told once, and nothing waits for itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from leadscomm import Client, ConnectionLost, Server
from tests.connections.cable import Cable
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until
from tests.faults.conftest import TRANSPORTS

COUNT = 100
OPTIONS = "reliable=1"


@contextmanager
def pair(transport: str, server_told: Recorder, client_told: Recorder) -> Iterator[tuple[Server, Client]]:
    """Both in this program."""
    with ExitStack() as stack:
        if transport == "serial":
            cable = stack.enter_context(Cable())
            server = stack.enter_context(Server(f"serial://{cable.a}?{OPTIONS}", server_told))
            dialled = f"serial://{cable.b}?{OPTIONS}"
        else:
            server = stack.enter_context(Server(f"{transport}://127.0.0.1:0?{OPTIONS}", server_told))
            dialled = f"{transport}://127.0.0.1:{server.port()}?{OPTIONS}"
        yield server, stack.enter_context(Client(dialled, client_told))


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_raises(transport: str) -> None:
    """The message counts as dealt with, and the next one comes."""

    def react(service: Any, msg: bytes) -> None:
        raise ValueError(msg.decode())

    there, here = Recorder(react), Recorder()
    with pair(transport, there, here) as (_, client):
        here.wait("connect")
        for number in range(COUNT):
            client.send(b"%d" % number)
        failures = there.wait("fail", COUNT)
        assert there.of("receive") == [b"%d" % number for number in range(COUNT)]
    assert [str(error) for error in failures] == [str(number) for number in range(COUNT)]
    assert there.of("fail") == failures
    assert here.of("fail") == []


def test_raises_everywhere(transport: str) -> None:
    class Raising(Recorder):
        def note(self, kind: str, what: Any) -> None:
            super().note(kind, what)
            if kind != "initialize":
                raise ValueError(kind)

    there, here = Raising(), Recorder()
    with pair(transport, there, here) as (_, client):
        here.wait("connect")
        client.send(b"one")
        client.send(b"two")
        there.wait("receive", 2)
    assert there.wait("disconnect")
    kinds = [str(error) for error in there.of("fail")]
    assert kinds == ["connect", "receive", "receive", "disconnect"]


def test_answers_inside(transport: str) -> None:
    """Each message brings forth another on the other side, and a few besides, both ways at once."""

    def react(service: Any, msg: bytes) -> None:
        left = int(msg)
        if left:
            service.sender.send(b"%d" % (left - 1))
            service.sender.send(b"0")

    there, here = Recorder(react), Recorder(react)
    with pair(transport, there, here) as (_, client):
        here.wait("connect")
        for _ in range(10):
            client.send(b"%d" % COUNT)
        there.wait("receive", 10 * COUNT)
        here.wait("receive", 10 * COUNT)
    assert there.of("fail") == here.of("fail") == []


@pytest.mark.parametrize("close", [lambda service: service.sender.close(), lambda service: service.close()])
def test_closes_inside(transport: str, close: Callable[[Any], None]) -> None:
    """What came before is dealt with; nothing is delivered behind it."""

    def react(service: Any, msg: bytes) -> None:
        if msg == b"bye":
            close(service)

    there, here = Recorder(), Recorder(react)
    with pair(transport, there, here) as (server, client):
        here.wait("connect")
        connection = there.wait("connect")[0]
        with suppress(ConnectionLost):  # it may have closed already
            for message in (b"one", b"bye", b"never"):
                server.send(message, to=connection)
        here.wait("disconnect")
        assert here.of("receive") == [b"one", b"bye"]
        there.wait("disconnect")
        client.close()


def test_closed_by_another_thread_while_it_is_stuck(transport: str) -> None:
    """``close`` is bounded, also while a callback does not return."""
    free, stuck = threading.Event(), threading.Event()

    def react(service: Any, msg: bytes) -> None:
        stuck.set()
        free.wait(PATIENCE_S)

    there, here = Recorder(react), Recorder()
    with pair(transport, there, here) as (server, client):
        here.wait("connect")
        client.send(b"stay")
        assert stuck.wait(PATIENCE_S)
        server.close(timeout=0.2)
        free.set()
        wait_until(lambda: not server.running())
        client.close(timeout=0.2)
