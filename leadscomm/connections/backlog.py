"""Messages that wait for a peer: bounded in bytes, with what happens when there are too many."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from leadscomm.connections.writer import Writer, here
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
_MAKING: Final = threading.Lock()


class Backlog:
    """The messages that wait, and the policy for too many.

    :param writer: the peer, for error texts and for being disconnected.
    :ivar closed: nothing is accepted any more.
    :ivar error: why, if it is not that the conversation was closed.
    """

    _lacks: ClassVar[str] = "has no session, which {} is for: give both sides reliable=1, or leave it out"
    """What to say of options that mean nothing here."""
    __slots__ = (
        "_changed",
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
        self._pending = 0  # bytes in _queue
        self._room = BLOCK_BYTES  # _pending may grow to this before send() has to look
        self._front = threading.Lock()  # held for an instant, while messages leave the front of _queue
        self._changed: threading.Condition | None = None  # made by the first who waits

    def _taken(self) -> list[bytes]:
        """Take the front of the queue: all of it, or about TAKE_BYTES."""
        queue = self._queue
        with self._front:
            count = len(queue)
            if self._pending > TAKE_BYTES:
                count = max(1, count * TAKE_BYTES // self._pending)
            batch = queue[:count]
            del queue[:count]
            self._pending = max(0, self._pending - sum(map(len, batch))) if queue else 0
        return batch

    def _held(self) -> int:
        """How many bytes wait, with what the interpreter needs for each message."""
        return self._pending + MESSAGE_BYTES * len(self._queue)

    def backlog(self) -> tuple[int, int]:
        """How many messages wait, and how many bytes that is. Any thread."""
        return len(self._queue), self._held()

    def _fits(self, size: int) -> bool:
        """Whether ``size`` bytes more may wait; a message always may if nothing else does."""
        return not self._queue or self._held() + size <= self.limit

    def _wait_for_room(self, size: int) -> None:
        inside = here.inside is not None
        if not self._wait(lambda: self._fits(size), 0 if inside else self.timeout):
            waited = "inside a callback send does not wait" if inside else f"{self.timeout:g} s (send_timeout) went by"
            raise OutboxFull(
                f"{self._writer} takes nothing: {self._held()} bytes wait and outbox={self.limit}; {waited}; "
                "send less, raise outbox, or choose overflow=drop_oldest"
            )
        if self.closed:
            raise self.late()

    def _wait_at_most(self, size: int, timeout: float) -> None:
        """Wait for room, where that is what is done at the bound; not inside a callback.

        :raises OutboxFull: there was none in time.
        """
        if self.policy != "block" or self._fits(size):
            return
        if not self._wait(lambda: self._fits(size) or self.closed, 0.0 if here.inside is not None else timeout):
            raise OutboxFull(
                f"{self._writer} takes nothing: outbox={self.limit} is full, and timeout={timeout:g} s went by; send "
                "less, or raise outbox"
            )

    def _check_lacking(self, others: Mapping[str, object]) -> None:
        """:raises LocalProtocolError: something was given that is for sessions."""
        given = [name for name, value in others.items() if value is not None]
        if given:
            raise LocalProtocolError(f"{self._writer} {self._lacks.format(', '.join(given))}")

    def _overflow(self, messages: list[bytes], size: int) -> bool:
        """Apply a policy that loses something. Whether ``messages`` may be queued."""
        if self.policy == "drop_newest":
            self._tell(
                DeliveryError(f"{self._writer} is slow: dropped {_count(messages)} (overflow=drop_newest)", messages)
            )
            return False
        if self.policy == "drop_oldest":
            dropped = self._drop(self._held() + size - self.limit)
            self._tell(DeliveryError(f"{self._writer} is slow: dropped the oldest {_count(dropped)}", dropped))
            return True
        error = OutboxFull(
            f"{self._writer} was disconnected: it let more than outbox={self.limit} bytes gather; "
            "read faster there, send less, raise outbox, or choose overflow=drop_oldest"
        )
        self._refuse(error)
        self._tell(error)
        self._writer.abort()
        return False

    def _drop(self, excess: int) -> list[bytes]:
        """Take at least ``excess`` bytes off the front of the queue."""
        queue = self._queue
        with self._front:
            count = 0
            while count < len(queue) and excess > 0:
                excess -= len(queue[count]) + MESSAGE_BYTES
                count += 1
            dropped = queue[:count]
            del queue[:count]
            self._pending = max(0, self._pending - sum(map(len, dropped)))
        return dropped

    def _tell(self, error: Exception) -> None:
        if self.report is not None:
            self.report(error)

    def _wait(self, done: Callable[[], bool], seconds: float) -> bool:
        """Wait until ``done()`` or writing has failed; False when ``seconds`` went by."""
        with _MAKING:
            if self._changed is None:
                self._changed = threading.Condition()
        with self._changed:
            return self._changed.wait_for(lambda: self.error is not None or done(), seconds)

    def _notify(self) -> None:
        if self._changed is not None:
            with self._changed:
                self._changed.notify_all()

    def _look_at(self, pending: int) -> None:
        """Have ``send`` look after things once ``pending`` bytes wait."""
        self._room = pending
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


def _count(messages: list[bytes]) -> str:
    return "1 message" if len(messages) == 1 else f"{len(messages)} messages"
