"""What one connection has still to send: batched, bounded in bytes, never holding up anybody but its own sender.

How a message travels. A lone message is written by its sender at once. In a burst :meth:`Outbox.send` only appends to
a list, and the list is turned into one block and written

* by the sender itself, once a block's worth has gathered;
* by the flusher thread of the service otherwise, as soon as it gets to run.

A burst costs one system call a block, and a lone message no delay; only the tail of a burst waits a moment
(``BURST_S``), because a flusher that is woken in the middle of one takes the interpreter from the sender.

The list is appended to without a lock (``list.append`` and ``del list[:n]`` are atomic in CPython); only the writing
itself is under ``_writing``, which is never waited for: who finds it taken leaves his message to its holder, and the
holder looks again after it has let go. Senders count what they append without a lock, too low perhaps; near its bound
the list is counted exactly, and appended to, under a lock that is held for an instant.

``send`` may be called by a signal handler that interrupts another ``send``, or a finalizer that does: it finds
``_writing`` taken then, and leaves its message to the one that was interrupted, or to the flusher.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from time import perf_counter
from typing import Final

from leadscomm.connections.sending.bound import BLOCK_BYTES, MESSAGE_BYTES
from leadscomm.connections.sending.writer import Flusher, Gone, Writer, forget_frames
from leadscomm.connections.sending.writing import Writing
from leadscomm.connections.waiting import Waiters, enter, interrupted
from leadscomm.errors import ConnectionLost, DeliveryError
from leadscomm.protocol.framing import Framing, plain

PACE_S: Final = 20e-6
"""A sender that is slower than this writes each message by itself; a faster one gains from batches. Two may follow
each other."""
ABANDON_S: Final = 1.0
"""How long the end of a connection waits for a write that does not return (a transport that cannot be interrupted)."""


class Outbox(Writing):
    """The queue of messages on their way to one peer.

    Without a flusher every :meth:`send` writes by itself and waits for the peer; with one it leaves the rest to the
    flusher.

    :param writer: where the blocks go.
    :param framing: makes blocks of messages.
    :ivar begun: of the messages that it was abandoned with, how many had been sent in part; they are the first ones.
    """

    __slots__ = (
        "_abandoned",
        "_next",
        "_upstream",
        "_upstream_flush",
        "begun",
        "heir",
    )

    def __init__(self, writer: Writer, framing: Framing) -> None:
        super().__init__(writer, framing)
        self.begun = 0
        self._upstream: Sequence[bytes] = ()
        self._upstream_flush: Callable[[], None] = _nothing
        self.heir: Callable[[bytes], None] | None = None
        """Once closed: what takes the messages of those who still hold our ``send``."""
        self._abandoned = False  # nothing is written any more
        self._next = 0.0  # when the next message may leave by itself, as perf_counter() counts

    def configure(
        self,
        *,
        flusher: Flusher | None,
        outbox: int,
        send_timeout: float,
        overflow: str,
        report: Callable[[Exception], None],
    ) -> None:
        """Put the outbox to work for a service.

        :param flusher: who writes what is left behind.
        :param outbox: how many bytes may gather.
        :param send_timeout: seconds that :meth:`send` waits for room.
        :param overflow: one of :data:`POLICIES`.
        :param report: told of what was dropped; called by the sending thread, must not block.
        """
        self._flusher = flusher
        self.limit = outbox
        self.timeout = send_timeout
        self.policy = overflow
        self.report = report
        self._look_soon()

    def follow(self, upstream: Sequence[bytes], flush: Callable[[], None]) -> None:
        """Before anything is sent, call ``flush`` if ``upstream`` is not empty: what waits there was sent before."""
        self._upstream = upstream
        self._upstream_flush = flush

    # Sending ---------------------------------------------------------------------------------------------------------

    def send(
        self,
        message: bytes,
        lane: int | None = None,
        lifetime: float | None = None,
        latest: Hashable | None = None,
        timeout: float | None = None,
    ) -> None:
        """Send one message, now or with those that follow. Any thread.

        :param lane: is for sessions, as ``lifetime`` and ``latest`` are: see :meth:`LaneOutbox.send`.
        :param timeout: seconds to wait for room, instead of ``send_timeout``.
        :raises LocalProtocolError: the framing cannot carry it; or something is for sessions, and this is none.
        :raises ConnectionLost: the conversation is over.
        :raises OutboxFull: the peer did not make room within ``timeout`` seconds (at once inside a callback).
        """
        if lane is not None or lifetime is not None or latest is not None or timeout is not None:
            self._send_as(message, timeout, lane=lane, lifetime=lifetime, latest=latest)
            return
        if type(message) is not bytes:
            message = plain(message)
        self._framing.check(message)
        if self._upstream:
            self._upstream_flush()
        size = len(message) + 1
        if not self.waiting and not self._queue and size < BLOCK_BYTES and self._alone(message, self._frame(message)):
            return
        pending = self._pending + size
        if pending > self._room:
            self._look(message)
            return
        self._queue.append(message)
        self._pending = pending
        if not self.waiting:
            self._push(message)

    def _send_as(self, message: bytes, timeout: float | None, **others: object) -> None:
        """:meth:`send` with more than a message."""
        self._check_lacking(others)
        before, seconds = self.timeout, timeout or 0.0
        if self._flusher is None:
            self.timeout = seconds  # the sender waits by himself, until it is written
        else:
            self._wait_at_most(len(message) + MESSAGE_BYTES, seconds)
        try:
            self.send(message)
        finally:
            self.timeout = before

    def put(self, messages: list[bytes], block: bytes | None) -> None:
        """Queue messages of a broadcast; ``block`` is their encoding. Never waits, never raises.

        A peer that lets more than ``limit`` bytes gather is dealt with as the policy says; "block" then means
        "disconnect".
        """
        if block is not None and not self._queue and not self._blocks and self._writing.acquire(blocking=False):
            if self._queue or self._blocks or self.closed:
                self._writing.release()
            else:
                self._load(messages, (block,))
                messages = []
                self._write_and_let_go()
        if messages:
            if self.closed or not (self._squeezed_in(messages) or self._overflow(messages)):
                return
            if self.closed:  # since then
                self._sweep(None)
        self._look_again()

    def send_last(self, frame: bytes) -> None:
        """Queue a ready frame behind everything else, unchecked, and accept no more. Does not wait."""
        if self._upstream:
            self._upstream_flush()
        self._refuse(None)
        self._last = frame
        if not self._blocked:
            self.waiting = False
            self.flush()

    def _alone(self, message: bytes, frame: bytes) -> bool:
        """Write one message by itself, if it is due and nothing is before it; whether it was taken care of.

        :param frame: the message as it goes out.
        """
        now = perf_counter()
        after = self._next
        if after - now > PACE_S or not self._writing.acquire(blocking=False):
            return False
        going_on = True
        try:
            if self._queue or self._blocks or self._blocked or self.closed:
                return False
            self._next = (after if after > now else now) + PACE_S
            try:
                count = self._writer._write(frame)
            except Exception:
                count = 0  # found out again, and dealt with, below
            if count != len(frame):
                self._load((message,), (memoryview(frame)[count:],), count)
                going_on = self._write_out(patient=True)
        finally:
            self._writing.release()
            if not going_on:
                self._leave()
        if self._queue or self._blocks or self._last is not None or self._on_drained:
            self._look_again()
        if self._flusher is None and self._blocked:
            self._wait_until_written()
        return True

    def _push(self, message: bytes) -> None:
        """Write now what was queued, or have it written.

        :param message: the last of it.
        """
        if self.closed:
            self._sweep(message)
        elif self._flusher is None:
            self.flush()
            self._wait_until_written()
        elif self._pending >= BLOCK_BYTES:
            self.flush(patient=True)
        else:
            self.waiting = True
            if self.closed:  # since a moment ago: then nobody may rely on the flusher
                self._sweep(message)
            else:
                self._flusher.wake(self)

    def _sweep(self, message: bytes | None) -> None:
        """Something was queued although the outbox is closed, since just a moment ago: take it back. What others have
        left behind after the end is reported.

        :param message: the caller's own. If it is not there any more, it was sent, or reported.
        :raises ConnectionLost: it was there.
        """
        self.waiting = False
        if not enter(self._front):
            return  # what was interrupted is at it
        try:
            self._count()
            own = next((index for index, other in enumerate(self._queue) if other is message), None)
            if own is not None:
                self._bytes -= len(self._queue.pop(own))
                self._counted -= 1
            left = self._cut(len(self._queue)) if self._abandoned else []
        finally:
            self._front.release()
        if left:
            self._tell(DeliveryError(f"{len(left)} message(s) to {self._writer} came too late to be sent", left))
        if own is not None:
            raise self.late()

    def _look(self, message: bytes) -> None:
        """Queue a message when much waits already: write, wait for room or make some."""
        if self.closed:
            self._look_again()  # who writes the last may just have found _writing taken, by our looking
            if self.heir is None:
                raise self.late()
            self.heir(message)
            return
        if not self._blocked:
            self._burst = True
            self.flush(patient=True)
            if self._flusher is None:
                self._wait_until_written()
        if not self._squeezed_in([message]):
            if self.policy == "block":
                self._wait_for_room(message)
            elif not self._overflow([message]):
                if self.closed:
                    raise self.late()
                return
        if not self.waiting:
            self._push(message)

    # The end ---------------------------------------------------------------------------------------------------------

    def drain(self, timeout: float) -> bool:
        """Wait until everything is written, at most ``timeout`` seconds; whether it is."""
        self.flush()
        if self._flusher is not None:
            self._wait(self.drained, timeout)
            return self.drained()
        deadline = perf_counter() + timeout
        while self._blocked and self.error is None:
            if not self._can_wait(max(0.0, deadline - perf_counter())):
                break
            self.resume()
        return self.drained()

    def part(self) -> None:
        """After :meth:`abandon`: let go of the connection and of whoever ran it."""
        self._writer = Gone(str(self._writer))
        self._upstream, self._upstream_flush = (), _nothing
        self.report = None
        forget_frames(self.error)

    def abandon(self) -> list[bytes]:
        """End it; return the messages that were not written whole, oldest first. Waits for a writer at work, not for
        the peer."""
        self._refuse(None)
        held = self._writing.acquire(timeout=0 if interrupted(self) else ABANDON_S)
        self.waiting = False  # senders who come too late have to see for themselves
        self._abandoned = True
        left: list[bytes] = []
        ends = 0
        for message in self._batch if self._blocks else ():
            begins, ends = ends, ends + self._size_of(message)
            if ends > self._written:
                left.append(message)
                self.begun += begins < self._written
        counted = enter(self._front)
        left += self._cut(len(self._queue))
        if counted:
            self._front.release()
        self._blocks = []
        self._batch = ()
        self._blocked = True
        self._last = None
        self._on_drained.clear()
        if held:
            self._writing.release()
        self._notify()
        return left

    def disown(self) -> None:
        """This process was forked, and what waits is its parent's: it is not sent, nor anything else. Waits for nobody:
        no other thread is left."""
        self._refuse(ConnectionLost("it belongs to the process that was forked; make a connection of your own"))
        self.heir = self._last = None
        self._on_drained.clear()
        self._abandoned = self._blocked = True
        self._blocks, self._batch = [], ()
        self._queue.clear()
        self._front = threading.Lock()
        self._changed = Waiters()


def _nothing() -> None: ...
