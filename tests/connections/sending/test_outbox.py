"""Outboxes by themselves: their bounds with many senders, their end while others send, and transports that raise."""

from __future__ import annotations

import struct
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from leadscomm import ConnectionLost, DeliveryError, LocalProtocolError, OutboxFull
from leadscomm.connections.sending import writing
from leadscomm.connections.sending.bound import MESSAGE_BYTES
from leadscomm.connections.sending.outbox import Outbox
from leadscomm.connections.sending.writer import Flusher, Waiting, Writer
from leadscomm.protocol.framing import LengthFraming

LIMIT = 1 << 18
SENDERS = 6


class Deaf(Writer):
    """Takes nothing, or raises what it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error or BlockingIOError()
        self.aborted = 0

    def _write(self, data: bytes | memoryview) -> int:
        raise self.error

    def _wait_writable(self, timeout: float) -> bool:
        return False

    def abort(self) -> None:
        self.aborted += 1


class NoFlusher(Flusher):
    """Nobody who ever writes."""

    def wake(self, outbox: Waiting) -> None: ...

    def call_later(self, delay: float, call: Callable[[], None]) -> None: ...

    def watch(self, outbox: Waiting) -> None: ...


class Endless(Writer):
    """Takes everything, as UDP does, while another sender goes on sending."""

    def __init__(self, more: int) -> None:
        self.outbox: Outbox | None = None
        self.more = more

    def _write(self, data: bytes | memoryview) -> int:
        if self.more and self.outbox is not None:
            self.more -= 1
            self.outbox._queue.append(b"more")
        return len(data)

    def _wait_writable(self, timeout: float) -> bool:
        return True

    def abort(self) -> None: ...


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def outbox_of(writer: Writer, policy: str = "block", **how: Any) -> tuple[Outbox, list[Exception]]:
    told: list[Exception] = []
    outbox = Outbox(writer, how.pop("framing", None) or LengthFraming())
    settings = {"flusher": NoFlusher(), "outbox": LIMIT, "send_timeout": 0.0, "overflow": policy, "report": told.append}
    outbox.configure(**{**settings, **how})
    return outbox, told


def held(outbox: Outbox) -> int:
    queue = list(outbox._queue)
    return sum(map(len, queue)) + MESSAGE_BYTES * len(queue)


def all_at_once(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("size", [0, 1, 200, 10_000])
@pytest.mark.parametrize("policy", ["block", "drop_oldest", "drop_newest"])
def test_many_senders_keep_to_the_bound(policy: str, size: int, switching: None) -> None:
    """Each message is queued, reported or refused; never more than the limit waits."""
    outbox, told = outbox_of(Deaf(), policy)
    count = 3 * LIMIT // (size + MESSAGE_BYTES) // SENDERS
    refused: list[int] = []
    worst = 0

    def send() -> None:
        nonlocal worst
        raised = 0
        for number in range(count):
            try:
                outbox.send(bytes(size))
            except OutboxFull:
                raised += 1
            if number % 50 == 0:
                worst = max(worst, held(outbox))
        refused.append(raised)

    all_at_once([send] * SENDERS)
    # What senders do not see of each other's is a small part of what is left.
    assert max(worst, held(outbox)) <= LIMIT + LIMIT // 8 + SENDERS * (size + MESSAGE_BYTES)
    assert outbox._held() == pytest.approx(held(outbox), abs=size + 1 + outbox._pending)
    dropped = sum(len(error.messages) for error in told if isinstance(error, DeliveryError))
    assert len(outbox.abandon()) + dropped + sum(refused) == SENDERS * count


@pytest.mark.parametrize("step", ["due", "resume", "flush"])
def test_nobody_is_kept_writing_by_a_peer_that_takes_everything(step: str) -> None:
    """The flusher has timers and other peers, a reader has to read, and a sender to return."""
    writer = Endless(more=500_000)
    outbox, _ = outbox_of(writer)
    outbox._queue.append(b"first")
    writer.outbox = outbox
    getattr(outbox, step)()
    assert writer.more
    assert outbox.waiting  # the rest is the flusher's


class AtOnce(NoFlusher):
    """So quick that it comes before whoever has called it goes on."""

    def wake(self, outbox: Waiting) -> None:
        outbox.due()


@pytest.mark.parametrize("joins", [True, False])
@pytest.mark.parametrize("step", ["due", "resume", "flush", "put", "send"])
def test_what_is_left_for_the_flusher_is_written_however_quick_that_is(
    step: str, joins: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who leaves the rest to it has let go of the writing by then; otherwise each would rely on the other."""
    monkeypatch.setattr(writing, "TURN_S", -1.0)  # enough for one turn after every block
    monkeypatch.setattr(LengthFraming, "joins", joins)
    writer = Endless(more=50)
    writer.outbox = outbox = outbox_of(writer, flusher=AtOnce())[0]
    if step == "put":
        outbox.put([b"first", b"second"], outbox._framing.encode_all([b"first", b"second"]))
    elif step == "send":
        outbox.send(b"first")
    else:
        outbox._queue += [b"first", b"second"]
        getattr(outbox, step)()
    assert not writer.more
    assert outbox.drained()


def test_without_a_flusher_all_is_written() -> None:
    writer = Endless(more=20_000)
    outbox = writer.outbox = Outbox(writer, LengthFraming())
    outbox.send(b"first")
    assert not writer.more
    assert outbox.drained()


def test_what_is_sent_while_it_ends_is_sent_raised_or_reported() -> None:
    for _ in range(10):
        outbox, told = outbox_of(Deaf(), "block", outbox=1 << 30)
        outbox.send(b"first")
        outbox.waiting = True  # the flusher's business
        sent, left = [0] * 3, []

        def send(index: int, outbox: Outbox = outbox, sent: list[int] = sent) -> None:
            try:
                while True:
                    outbox.send(b"%d" % index)
                    sent[index] += 1
            except ConnectionLost:
                pass

        def end(outbox: Outbox = outbox, left: list[bytes] = left) -> None:
            while not outbox._queue:
                pass
            left += outbox.abandon()

        all_at_once([end, *(partial(send, index) for index in range(3))])
        reported = sum(len(error.messages) for error in told if isinstance(error, DeliveryError))
        assert len(left) + reported == 1 + sum(sent)
        assert not outbox._queue


class Wrong(Exception):
    """What no transport should raise."""


@pytest.mark.parametrize("error", [ValueError("closed file"), RuntimeError(), struct.error(), MemoryError(), Wrong()])
def test_whatever_a_transport_raises_ends_the_conversation_with_a_report(error: Exception) -> None:
    writer = Deaf(error)
    outbox, told = outbox_of(writer)
    outbox.send(b"lost")
    assert writer.aborted == 1
    (failure,) = told
    assert isinstance(failure, ConnectionLost)
    assert failure.__cause__ is error
    with pytest.raises(ConnectionLost):
        outbox.send(b"too late")
    assert outbox.abandon() == [b"lost"]


class Fails(LengthFraming):
    """A framing of somebody's own."""

    def encode_all(self, messages: Any) -> bytes:
        if b"bad" in messages:
            raise struct.error("no")
        return super().encode_all(messages)


def test_a_framing_that_fails_at_a_message_is_told_to_its_sender() -> None:
    outbox, told = outbox_of(Deaf(), framing=Fails())
    with pytest.raises(LocalProtocolError, match="cannot encode"):
        outbox.send(b"bad")
    assert not told


def test_a_framing_that_fails_at_what_waits_ends_the_conversation() -> None:
    writer = Deaf()
    outbox, told = outbox_of(writer, framing=Fails())
    outbox._squeezed_in([b"good", b"bad"])
    outbox.flush()
    assert writer.aborted == 1
    assert isinstance(told[0].__cause__, struct.error)
    assert outbox.abandon() == [b"good", b"bad"]


class Raced(Outbox):
    """Another thread comes in between a look and what follows it."""

    raced = 0

    def drained(self) -> bool:
        if self.raced < 3:
            self.raced += 1
            thread = threading.Thread(target=self.flush)
            thread.start()
            thread.join()
        return super().drained()


def test_one_thread_alone_calls_what_waits_for_the_last_byte() -> None:
    outbox = Raced(Deaf(), LengthFraming())
    called: list[int] = []
    outbox.when_drained(lambda: called.append(1))
    outbox.flush()
    assert called == [1]
    assert outbox.raced == 3
