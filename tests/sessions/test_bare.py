"""Sessions that no entity runs: one thread sends, another receives, and each does the other's work meanwhile."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from leadscomm import Server, connect
from leadscomm.sessions import timers
from leadscomm.sessions.bare import BareSession
from leadscomm.sessions.outbox import LaneOutbox
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until

TCP = "tcp://127.0.0.1:0?reliable=1"


@contextmanager
def connected(heard: Recorder) -> Iterator[tuple[Server, BareSession]]:
    with Server(TCP, heard) as server:
        connection = connect(f"tcp://127.0.0.1:{server.port()}?reliable=1")
        assert isinstance(connection, BareSession)
        wait_until(lambda: server.num_connections() == 1)
        try:
            yield server, connection
        finally:
            connection.close()


def test_what_has_left_has_left_whatever_another_thread_has_to_send_by_then(monkeypatch: pytest.MonkeyPatch) -> None:
    heard, has_left, looks = Recorder(), LaneOutbox._has_left, []

    def at_first(outbox: LaneOutbox) -> bool:
        looks.append(has_left(outbox))
        return looks[-1] and looks.count(True) == 1  # the receiver has an acknowledgement to send by the second look

    with connected(heard) as (_, connection):
        monkeypatch.setattr(LaneOutbox, "_has_left", at_first)
        connection.send(b"message")
        assert heard.wait("receive") == [b"message"]


def test_a_sender_that_has_read_ahead_enough_goes_on_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread, which receives, may make room again."""
    monkeypatch.setattr(timers, "AHEAD", 1)
    with connected(Recorder()) as (server, connection):
        server.broadcast(b"first")
        assert connection.run_until(lambda: bool(connection._inbox), PATIENCE_S)
        server.broadcast(b"second")
        looks = itertools.count()
        assert connection.run_until(lambda: next(looks) > 20, PATIENCE_S)
        assert [connection.receive(PATIENCE_S), connection.receive(PATIENCE_S)] == [b"first", b"second"]
