"""The timer that many ask for and the flusher alone arms."""

from __future__ import annotations

import heapq
import itertools
import socket
import threading
import time
from collections.abc import Callable

import pytest

from leadscomm.connections.sending.writer import Flusher, Waiting
from leadscomm.connections.timer import Reminder
from leadscomm.entities.running.flusher import FlusherThread
from tests.entities.recorder import PATIENCE_S, wait_until
from tests.entities.watched import Watched


class Clockwork(Flusher):
    """A flusher that is turned by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def wake(self, outbox: Waiting) -> None: ...

    def watch(self, outbox: Waiting) -> None: ...

    def call_later(self, delay: float, call: Callable[[], None]) -> None:
        heapq.heappush(self.heap, (self.now + delay, next(self._order), call))

    def turn_until(self, now: float) -> None:
        while self.heap and self.heap[0][0] <= now:
            when, _, call = heapq.heappop(self.heap)
            self.now = max(self.now, when)
            call()
        self.now = now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clockwork:
    return Clockwork(monkeypatch)


def test_it_calls_once_at_the_earliest_instant(clock: Clockwork) -> None:
    called: list[float] = []
    timer = Reminder(lambda: called.append(clock.now))
    for when in (5.0, 2.0, 3.0):
        timer.ask(when, clock)
    clock.turn_until(10.0)
    assert called == [2.0]
    timer.ask(12.0, clock)
    clock.turn_until(20.0)
    assert called == [2.0, 12.0]


def test_a_late_instant_does_not_take_the_place_of_an_early_one_that_was_asked_at_the_same_time(
    clock: Clockwork,
) -> None:
    """Both look before either has armed anything."""
    called: list[float] = []
    timer = Reminder(lambda: called.append(clock.now))
    timer.ask(1.0, clock)
    timer.ask(0.002, clock)
    timer.ask(1.0, clock)
    clock.turn_until(2.0)
    assert called == [0.002]


def test_the_flusher_holds_few_entries_however_often_it_is_asked(clock: Clockwork) -> None:
    """An acknowledgement is due 2 ms after each message, and the next look at the session a second later."""
    timer = Reminder(lambda: timer.ask(clock.now + 1.0, clock))
    for _ in range(2000):
        timer.ask(clock.now + 0.002, clock)
        clock.turn_until(clock.now + 0.003)
        assert len(clock.heap) <= 3


def test_it_waits_at_least_so_long(clock: Clockwork) -> None:
    called: list[float] = []
    timer = Reminder(lambda: called.append(clock.now), least=0.5)
    timer.ask(0.0, clock)
    clock.turn_until(0.4)
    assert not called
    clock.turn_until(0.5)
    assert called == [0.5]


def test_it_calls_nothing_once_it_is_stopped(clock: Clockwork) -> None:
    called: list[float] = []
    timer = Reminder(lambda: called.append(clock.now))
    timer.ask(1.0, clock)
    timer.stop()
    clock.turn_until(2.0)
    assert not called


def test_many_threads_ask_and_each_is_heard() -> None:
    """After each asking there is a call that comes behind it."""
    flusher = FlusherThread("test")
    flusher.start()
    calls = itertools.count(1)
    called = 0

    def call() -> None:
        nonlocal called
        called = next(calls)

    timer = Reminder(call)

    def ask(pause: float) -> None:
        for _ in range(200):
            before = called
            timer.ask(time.monotonic() + pause, flusher)
            if pause < 1:
                wait_until(lambda before=before: called > before)  # type: ignore[misc]

    threads = [threading.Thread(target=ask, args=(pause,)) for pause in (0.0001, 0.0002, 60.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert len(flusher._timers) + len(flusher._planned) < 20
    flusher.stop(1.0)


def test_an_outbox_that_always_has_more_keeps_neither_timers_nor_others_waiting() -> None:
    flusher = FlusherThread("test")
    flusher.start()
    called = threading.Event()
    ours, theirs = socket.socketpair()
    other = Watched(flusher, ours.fileno())
    try:
        flusher.wake(Watched(flusher))
        flusher.call_later(0.0, called.set)
        assert called.wait(PATIENCE_S)
        flusher.watch(other)
        assert other.resumed.wait(PATIENCE_S)
    finally:
        flusher.stop(1.0)
        ours.close()
        theirs.close()
