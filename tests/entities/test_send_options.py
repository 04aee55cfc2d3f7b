"""What is for sessions, where there is none: it works where the words make sense, and is otherwise refused by name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from leadscomm import (
    Client,
    LocalProtocolError,
    Node,
    OutboxFull,
    Server,
    connect,
)
from tests.connections.transports import accepted, listening
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until

FOR_SESSIONS: list[dict[str, Any]] = [{"lane": 0}, {"lane": 4}, {"lifetime": 1.0}, {"latest": "pose"}]
PLAIN = [
    "tcp://127.0.0.1:0",
    "tcp://127.0.0.1:0?framing=cobs",
    "udp://127.0.0.1:0",
    "loop://a",
    "fault://dup=0/loop://b",
]
Sends = Callable[..., None]


def check_refused(send: Sends, why: str) -> None:
    for how in FOR_SESSIONS:
        with pytest.raises(LocalProtocolError, match=f"{why}.*{next(iter(how))}"):
            send(b"refused", **how)


@pytest.mark.parametrize("place", PLAIN)
def test_a_plain_connection_takes_a_timeout_and_names_the_rest(place: str) -> None:
    told, back = Recorder(), Recorder()
    with Server(place, told) as server, Client(server.endpoint, back) as client:
        client.send(b"hello")  # with UDP there is no connection before
        told.wait("receive", 1)
        (to,) = server.connections()
        assert client.connection is not None
        ways: list[Sends] = [client.connection.send, client.send]
        answers: list[Sends] = [to.send, lambda msg, **how: server.send(msg, to, **how), server.broadcast]
        for send in (*ways, *answers):
            check_refused(send, "has no session, which")
            send(b"within a second", timeout=1)
            send(b"at once", timeout=0)
        assert told.wait("receive", 5)[1:] == [b"within a second", b"at once"] * 2
        assert back.wait("receive", 6) == [b"within a second", b"at once"] * 3


def test_a_connection_alone_too() -> None:
    with listening("tcp://127.0.0.1:0") as listener:
        line = connect(f"tcp://127.0.0.1:{listener.port()}")
        peer = accepted(listener)
        check_refused(line.send, "has no session, which")
        line.send(b"within a second", timeout=1)
        assert peer.receive(PATIENCE_S) == b"within a second"
        line.close()
        peer.close()


def test_the_timeout_is_the_one_that_is_waited_for() -> None:
    """The peer takes nothing; inside a callback nothing is waited for at all."""
    small = "outbox=64K&send_timeout=60"
    with (
        listening("tcp://127.0.0.1:0") as listener,
        Client(f"tcp://127.0.0.1:{listener.port()}?{small}", Recorder()) as client,
    ):
        peer = accepted(listener)
        with pytest.raises(OutboxFull, match=r"timeout=0\.01 s"):
            while True:
                client.send(b"x" * 30_000, timeout=0.01)
        peer.abort()
        peer._close()


def test_sessions_take_them_in_a_broadcast_as_well() -> None:
    told = Recorder()
    with Server("tcp://127.0.0.1:0?reliable=1", Recorder()) as server, Client(server.endpoint, told) as client:
        wait_until(lambda: server.num_connections() == 1 and client.connection is not None)
        for how in (*FOR_SESSIONS, {"timeout": 1}):
            server.broadcast(b"to all", **how)
        assert told.wait("receive", 5) == [b"to all"] * 5
        with pytest.raises(LocalProtocolError, match="durable="):
            server.send(b"x", "arm")


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals")
def test_a_board_has_a_timeout_alone() -> None:
    from tests.connections.wire_board import WireBoard

    told = Recorder()
    with WireBoard() as board, Client(f"serial://{board.port}?reliable=1", told) as client:
        told.wait("connect")
        check_refused(client.send, "speaks the compact profile, as boards do, and has no")
        client.send(b"within a second", timeout=1)
        wait_until(lambda: board.heard == [b"within a second"])


def test_a_node_takes_them_all() -> None:
    told = Recorder()
    with (
        Node("base", listen=["tcp://127.0.0.1:0"], callback=Recorder()) as base,
        Node("arm", connect=[f"tcp://127.0.0.1:{base.port()}"], callback=told),
    ):
        wait_until(lambda: base.peers() == ("arm",))
        for how in (*FOR_SESSIONS, {"timeout": 0}):
            base.send(b"x", "arm", **how)
            base.broadcast(b"y", **how)
        assert len(told.wait("receive", 10)) == 10
