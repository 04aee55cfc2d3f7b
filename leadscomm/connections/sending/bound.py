"""Messages that wait for a peer: bounded in bytes, with what happens when there are too many."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from leadscomm.connections.sending.writer import Writer, here
from leadscomm.connections.waiting import Interrupted, Waiters, enter, interrupted
from leadscomm.errors import ConnectionLost, DeliveryError, LocalProtocolError, OutboxFull

OUTBOX_BYTES: Final = 8 * 1024 * 1024
SEND_TIMEOUT_S: Final = 5.0
BLOCK_BYTES: Final = 64 * 1024
"""From here on a sender writes by itself instead of gathering more."""
MESSAGE_BYTES: Final = 41
"""What the interpreter needs for a message besides its bytes; it counts, or a million small ones would be free."""
TAKE_BYTES: Final = 4 * BLOCK_BYTES
"""How much of a long queue is encoded at a time."""
POLICIES: Final = ("block", "drop_oldest", "drop_newest", "disconnect")
UNSEEN: Final = 8
"""So many senders may count without seeing what the others count."""
DROP_SHARE: Final = 8
"""``drop_oldest`` makes room for a few messages at a time, at most this part of the outbox: a report for each would be
too many."""


class Backlog:
    """The messages that wait, and the policy for too many.

    :param writer: the peer, for error texts and for being disconnected.
    :ivar closed: nothing is accepted any more.
    :ivar error: why, if it is not that the conversation was closed.
    """

    _lacks: ClassVar[str] = "has no session, which {} is for: give both sides reliable=1, or leave it out"
    """What to say of options that mean nothing here."""
    __slots__ = (
        "_blocked",
        "_bytes",
        "_changed",
        "_counted",
        "_front",
        "_pending",
        "_queue",
        "_room",
        "_writer",
        "closed",
        "error",
        "limit",
        "policy",
        "report",
        "timeout",
    )

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.limit = OUTBOX_BYTES
        self.timeout = SEND_TIMEOUT_S
        self.policy = "block"
        self.report: Callable[[Exception], None] | None = None
        self.closed = False
        self.error: Exception | None = None
        self._queue: list[bytes] = []
        # The first messages of _queue were counted, exactly. Of those behind them senders keep a count without a lock,
        # which may be too low where several of them send: it only says when somebody has to look and count.
        self._counted = 0
        self._bytes = 0  # of the messages that were counted
        self._pending = 0  # bytes that have come since
        self._room = BLOCK_BYTES  # _pending may grow to this before send() has to look
        self._blocked = False  # the peer takes nothing at the moment
        self._front = threading.Lock()  # held for an instant, to count, and while messages leave the front of _queue
        self._changed = Waiters()

    def _count(self) -> None:
        """Count what has come since the last time. Under ``_front``."""
        self._pending = 0
        new = self._queue[self._counted :]
        self._bytes += sum(map(len, new))
        self._counted += len(new)

    def _cut(self, count: int) -> list[bytes]:
        """Take messages off the front of the queue. Under ``_front``."""
        batch = self._queue[:count]
        del self._queue[:count]
        if count < self._counted:
            self._counted -= count
            self._bytes -= sum(map(len, batch))
        else:
            self._counted = self._bytes = self._pending = 0
        return batch

    def _put_back(self, batch: list[bytes]) -> None:
        """Put back what :meth:`_cut` has taken. Under ``_front``."""
        self._queue[:0] = batch
        self._counted += len(batch)
        self._bytes += sum(map(len, batch))

    def _taken(self, most: int = TAKE_BYTES) -> list[bytes]:
        """Take the front of the queue: all of it, or about ``most`` bytes.

        :raises Interrupted: what was interrupted is at it.
        """
        if not enter(self._front):
            raise Interrupted
        try:
            count = len(self._queue)
            if self._bytes + self._pending > most:
                self._count()
                count = max(1, self._counted * most // max(1, self._bytes))
            return self._cut(count)
        finally:
            self._front.release()

    def _held(self) -> int:
        """How many bytes wait, with what the interpreter needs for each message."""
        return self._bytes + self._pending + MESSAGE_BYTES * len(self._queue)

    def backlog(self) -> tuple[int, int]:
        """How many messages wait, and how many bytes that is. Any thread."""
        return len(self._queue), self._held()

    def _fits(self, size: int) -> bool:
        """Whether ``size`` bytes more may wait; a message always may if nothing else does."""
        return not self._queue or self._held() + size <= self.limit

    def _squeezed_in(self, messages: list[bytes], anyway: bool = False) -> bool:
        """Queue messages if there is room for them, which nobody else can take meanwhile; whether they were queued.

        :param anyway: there need not be.
        """
        counted = enter(self._front)
        try:
            if counted:
                self._count()
            fits = anyway or self._fits(_size(messages))
            if fits:
                self._queue += messages
                if counted:
                    self._count()
        finally:
            if counted:
                self._front.release()
        self._look_soon()
        return fits

    def _wait_for_room(self, message: bytes) -> None:
        """Queue a message as soon as there is room for it."""
        if here.inside is not None:
            seconds, waited = 0.0, "inside a callback send does not wait"
        elif interrupted(self):
            seconds, waited = 0.0, "in the middle of another send, which was interrupted for it, send does not wait"
        else:
            seconds, waited = self.timeout, f"{self.timeout:g} s (send_timeout) went by"
        queued = False

        def squeeze() -> bool:
            nonlocal queued
            queued = not self.closed and self._squeezed_in([message])
            return queued or self.closed

        if not self._wait(squeeze, seconds):
            raise OutboxFull(
                f"{self._writer} takes nothing: {self._held()} bytes wait and outbox={self.limit}; {waited}; "
                "send less, raise outbox, or choose overflow=drop_oldest"
            )
        if not queued:
            raise self.late()

    def _wait_at_most(self, size: int, timeout: float) -> None:
        """Wait for room, where that is what is done at the bound; not inside a callback.

        :raises OutboxFull: there was none in time.
        """
        if self.policy != "block" or self._fits(size):
            return
        seconds = 0.0 if here.inside is not None or interrupted(self) else timeout
        if not self._wait(lambda: self._fits(size) or self.closed, seconds):
            raise OutboxFull(
                f"{self._writer} takes nothing: outbox={self.limit} is full, and timeout={timeout:g} s went by; send "
                "less, or raise outbox"
            )

    def _check_lacking(self, others: Mapping[str, object]) -> None:
        """:raises LocalProtocolError: something was given that is for sessions."""
        given = [name for name, value in others.items() if value is not None]
        if given:
            raise LocalProtocolError(f"{self._writer} {self._lacks.format(', '.join(given))}")

    def _overflow(self, messages: list[bytes]) -> bool:
        """Apply a policy that loses something. Whether ``messages`` were queued."""
        if self.policy == "drop_newest":
            self._tell(
                DeliveryError(f"{self._writer} is slow: dropped {said_of(messages)} (overflow=drop_newest)", messages)
            )
            return False
        if self.policy == "drop_oldest":
            self._displace(messages)
            return True
        error = OutboxFull(
            f"{self._writer} was disconnected: it let more than outbox={self.limit} bytes gather; "
            "read faster there, send less, raise outbox, or choose overflow=drop_oldest"
        )
        self._refuse(error)
        self._tell(error)
        self._writer.abort()
        return False

    def _displace(self, messages: list[bytes]) -> None:
        """Queue messages in the place of the oldest ones."""
        dropped: list[bytes] = []
        while not self._squeezed_in(messages):  # others may take the room meanwhile
            oldest = self._drop(self._excess(_size(messages)))
            dropped += oldest
            if not oldest and self._squeezed_in(messages, anyway=True):
                break
        self._tell_dropped(dropped)

    def _tell_dropped(self, messages: list[bytes]) -> None:
        if messages:
            self._tell(DeliveryError(f"{self._writer} is slow: dropped the oldest {said_of(messages)}", messages))

    def _excess(self, size: int) -> int:
        """How many bytes have to go so that ``size`` bytes have room, and some that will follow."""
        return self._held() + size - self.limit + min(BLOCK_BYTES, self.limit // DROP_SHARE)

    def _drop(self, excess: int) -> list[bytes]:
        """Take at least ``excess`` bytes off the front of the queue. Nothing is dropped in the middle of a call that
        was interrupted while it did the same."""
        if not enter(self._front):
            return []
        try:
            self._count()
            queue, count = self._queue, 0
            while count < len(queue) and excess > 0:
                excess -= len(queue[count]) + MESSAGE_BYTES
                count += 1
            return self._cut(count)
        finally:
            self._front.release()

    def _tell(self, error: Exception) -> None:
        if self.report is not None:
            self.report(error)

    def _wait(self, done: Callable[[], bool], seconds: float) -> bool:
        """Wait until ``done()`` or writing has failed; False when ``seconds`` went by."""
        return self._changed.wait_for(lambda: self.error is not None or done(), seconds)

    def _notify(self) -> None:
        self._changed.notify_all()

    def _look_soon(self) -> None:
        """Have ``send`` look after things before the limit can be reached: by empty messages, of which the interpreter
        needs the most, and, where they gather, by several senders who do not see each other's."""
        share = MESSAGE_BYTES * (UNSEEN if self._blocked else 1)
        self._room = min(BLOCK_BYTES, max(0, self.limit - self._held()) // share)
        if self.closed:  # perhaps only since a moment ago
            self._room = -1

    def _refuse(self, error: Exception | None) -> None:
        """Accept nothing more."""
        if not self.closed:
            self.closed = True
            self._room = -1
        if error is not None and self.error is None:
            self.error = error

    def late(self) -> Exception:
        """What is raised to whoever sends after the end."""
        if isinstance(self.error, OutboxFull):
            return self.error
        lost = ConnectionLost(
            f"the conversation with {self._writer} is over" + (f": {self.error}" if self.error else "")
        )
        lost.__cause__ = self.error
        return lost


def _size(messages: list[bytes]) -> int:
    """What messages occupy."""
    return sum(map(len, messages)) + MESSAGE_BYTES * len(messages)


def said_of(messages: list[bytes]) -> str:
    """How many messages that are, for people."""
    return "1 message" if len(messages) == 1 else f"{len(messages)} messages"
