"""What one connection has still to send: batched, bounded in bytes, never holding up anybody but its own sender.

How a message travels. :meth:`Outbox.send` appends to a list; that append is the whole price of a message in a burst. The list is turned
into one block and written

* by the sender itself, while it has *tokens* left (a lone message leaves at once) or once a block's worth has gathered;
* by the flusher thread of the service otherwise, as soon as it gets to run.

Nothing waits for a timer, so a burst costs one system call per block and a lone message costs no delay.

The list is appended to without a lock (``list.append`` and ``del list[:n]`` are atomic in CPython); only the writing itself is under
``_writing``, which is never waited for: who finds it taken leaves his message to its holder, and the holder looks again after it
has let go. The byte count of the list may therefore be off by a block for a moment; it is put right whenever a block is taken.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Final

from leadscomm.errors import ConnectionLost, DeliveryError, OutboxFull
from leadscomm.protocol.framing import Framing, SeparatorFraming, plain

BLOCK_BYTES: Final = 64 * 1024
"""From here on a sender writes by itself instead of gathering more."""
TAKE_BYTES: Final = 4 * BLOCK_BYTES
"""How much of a long queue is encoded at a time."""
OUTBOX_BYTES: Final = 8 * 1024 * 1024
SEND_TIMEOUT_S: Final = 5.0
ABANDON_S: Final = 1.0
"""How long the end of a connection waits for a write that does not return (a transport that cannot be interrupted)."""
PACE_S: Final = 20e-6
"""A sender that is slower than this writes each message by itself; a faster one gains from batches. Two may follow each other."""
GRACE_S: Final = 2e-3
"""How long a sender waits for a peer that takes no more before it leaves the rest to the flusher."""
POLICIES: Final = ("block", "drop_oldest", "drop_newest", "disconnect")


class _Here(threading.local):
    """What the present thread is doing."""

    inside: object = None
    """Whose callback it runs; inside one it must not wait for a peer."""


here: Final = _Here()


class Flusher(ABC):
    """The thread that writes what senders left behind."""

    @abstractmethod
    def wake(self, outbox: Outbox) -> None:
        """Call ``outbox.flush()`` soon. Any thread; must not block."""

    @abstractmethod
    def watch(self, outbox: Outbox) -> None:
        """Call ``outbox.resume()`` once its connection takes bytes again. Any thread; must not block."""


class Writer(ABC):
    """What an outbox writes to: the sending half of a connection."""

    __slots__ = ()

    @abstractmethod
    def _write(self, data: bytes | memoryview) -> int:
        """Take some of ``data``; return how many bytes. ``BlockingIOError``: not one at the moment."""

    @abstractmethod
    def _wait_writable(self, timeout: float) -> bool:
        """Wait until bytes are taken again, at most ``timeout`` seconds; whether they are."""

    def fileno(self) -> int | None:
        """A handle that can be polled, or None: then writing waits by itself."""
        return None

    @abstractmethod
    def abort(self) -> None:
        """End the conversation at once, so that the thread that reads it finds its end."""


class Outbox:
    """The queue of messages on their way to one peer.

    Without a flusher every :meth:`send` writes by itself and waits for the peer; with one it leaves the rest to the flusher.

    :param writer: where the blocks go.
    :param framing: makes blocks of messages.
    """

    __slots__ = (
        "__weakref__",
        "_batch",
        "_blocked",
        "_blocks",
        "_changed",
        "_flusher",
        "_front",
        "_framing",
        "_last",
        "_on_drained",
        "_pending",
        "_queue",
        "_room",
        "_next",
        "_upstream",
        "_upstream_flush",
        "_waiting",
        "_written",
        "_writer",
        "_writing",
        "closed",
        "error",
        "limit",
        "policy",
        "report",
        "timeout",
    )

    def __init__(self, writer: Writer, framing: Framing) -> None:
        self._writer = writer
        self._framing = framing
        self.limit = OUTBOX_BYTES
        self.timeout = SEND_TIMEOUT_S
        self.policy = "block"
        self.report: Callable[[Exception], None] | None = None
        """Told of what was dropped; called by the sending thread, with no lock held."""
        self._upstream: Sequence[bytes] = ()
        self._upstream_flush: Callable[[], None] = _nothing
        self.closed = False
        self.error: Exception | None = None
        self._flusher: Flusher | None = None
        self._queue: list[bytes] = []
        self._pending = 0  # bytes in _queue
        self._room = BLOCK_BYTES  # _pending may grow to this before send() has to look
        self._waiting = False  # the flusher knows of us
        self._blocked = False  # the peer takes nothing at the moment
        self._blocks: deque[bytes | memoryview] = deque()
        self._batch: list[bytes] = []  # the messages of _blocks
        self._written = 0  # bytes of _blocks that have gone
        self._last: bytes | None = None  # goes behind everything else
        self._writing = threading.Lock()  # held while writing, never waited for
        self._front = threading.Lock()  # held while messages leave the front of _queue, for an instant
        self._changed: threading.Condition | None = None  # made by the first who waits
        self._on_drained: Callable[[], None] | None = None
        self._next = 0.0  # when the next message may leave by itself, as perf_counter() counts

    @staticmethod
    def of(writer: Writer, framing: Framing) -> Outbox:
        """The outbox that suits ``framing`` best."""
        if isinstance(framing, SeparatorFraming) and len(framing.separator) == 1:
            return _SeparatorOutbox(writer, framing)
        return Outbox(writer, framing)

    def configure(
        self,
        *,
        flusher: Flusher | None,
        outbox: int,
        send_timeout: float,
        overflow: str,
        report: Callable[[Exception], None],
    ) -> None:
        """Put the outbox to work for a service."""
        self._flusher = flusher
        self.limit = outbox
        self.timeout = send_timeout
        self.policy = overflow
        self.report = report

    def follow(self, upstream: Sequence[bytes], flush: Callable[[], None]) -> None:
        """Before anything is sent, call ``flush`` if ``upstream`` is not empty: what waits there was sent before."""
        self._upstream = upstream
        self._upstream_flush = flush

    # Sending ---------------------------------------------------------------------------------------------------------

    def send(self, message: bytes) -> None:
        """Queue one message, and write it if that is due. Any thread.

        :raises LocalProtocolError: the framing cannot carry it.
        :raises ConnectionLost: the conversation is over.
        :raises OutboxFull: the peer did not make room within ``timeout`` seconds (at once inside a callback).
        """
        if type(message) is not bytes:
            message = plain(message)
        self._framing.check(message)
        if self._upstream:
            self._upstream_flush()
        size = len(message) + 1
        if not self._waiting and size < BLOCK_BYTES and not self._queue and self._alone(message):
            return
        pending = self._pending + size
        if pending > self._room:
            pending = self._make_room(message)
            if not pending:
                return
        self._queue.append(message)
        self._pending = pending
        if not self._waiting:
            self._push()

    def put(self, messages: list[bytes], block: bytes | None, size: int) -> None:
        """Queue messages of a broadcast; ``block`` is their encoding. Never waits, never raises.

        A peer that lets more than ``limit`` bytes gather is dealt with as the policy says; "block" then means "disconnect".
        """
        if block is not None and not self._queue and not self._blocks and self._writing.acquire(blocking=False):
            try:
                if not self._queue and not self._blocks and not self.closed:
                    self._batch, self._written = messages, 0
                    self._blocks.append(block)
                    messages = []
                    self._write_out()
            finally:
                self._writing.release()
        if messages:
            if self.closed or (
                self._pending and self._pending + size > self.limit and not self._overflow(messages, size)
            ):
                return
            self._queue.extend(messages)
            self._pending += size
        if self._queue and not self._waiting:
            self.flush()

    def send_last(self, frame: bytes) -> None:
        """Queue a ready frame behind everything else, unchecked, and accept no more. Does not wait."""
        self._refuse(None)
        self._last = frame
        if not self._blocked:
            self._waiting = False
            self.flush()

    def _alone(self, message: bytes) -> bool:
        """Write one message by itself, if it is due and nothing is before it; whether it was taken care of."""
        now = perf_counter()
        after = self._next
        if after - now > PACE_S or not self._writing.acquire(blocking=False):
            return False
        try:
            if self._queue or self._blocks or self._blocked or self.closed:
                return False
            self._next = (after if after > now else now) + PACE_S
            self._batch, self._written = [message], 0
            self._blocks.append(self._frame(message))
            self._write_out(True)
        finally:
            self._writing.release()
        if self._queue:
            self.flush()  # somebody found the lock taken
        return True

    def _frame(self, message: bytes) -> bytes:
        return self._framing.encode_all([message])

    def _push(self) -> None:
        """Write now, or have it written."""
        if self.closed:
            raise self._late()
        flusher = self._flusher
        if flusher is None:
            self.flush()
            self._wait_until_written()
        elif self._pending >= BLOCK_BYTES:
            self.flush(patient=True)
        else:
            self._waiting = True
            flusher.wake(self)

    def flush(self, patient: bool = False) -> None:
        """Write what is queued, as far as the peer takes it. Any thread.

        :param patient: wait up to GRACE_S for the peer (never inside a callback).
        """
        while (self._queue or self._blocks or self._last) and not self._blocked:
            if not self._writing.acquire(blocking=False):
                return  # its holder looks again after letting go
            try:
                self._write_out(patient)
            finally:
                self._writing.release()
        if self._on_drained is not None and self.drained():
            callback, self._on_drained = self._on_drained, None
            callback()

    def due(self) -> None:
        """What the flusher calls after :meth:`Flusher.wake`."""
        if not self._blocked:
            self._waiting = False  # before the taking: who appends after it asks anew
            self.flush()

    def resume(self) -> None:
        """The peer takes bytes again. Called by the flusher."""
        self._room = -1 if self.closed else BLOCK_BYTES
        self._waiting = False
        self._blocked = False
        self.flush()

    def _write_out(self, patient: bool = False) -> None:
        """Write blocks until nothing is left or the peer takes no more. Under ``_writing``."""
        blocks = self._blocks
        while True:
            if not blocks:
                if self._queue:
                    self._take()
                elif self._last:
                    blocks.append(self._last)
                    self._last = None
                else:
                    self._batch = []
                    break
            block = blocks[0]
            try:
                count = self._writer._write(block)
            except BlockingIOError:
                count = 0
            except OSError as error:
                self._refuse(error)
                self._blocked = True  # for good: nothing is tried any more, and abandon() tells what is left
                break
            self._written += count
            if count == len(block):
                blocks.popleft()
                continue
            if count:
                blocks[0] = memoryview(block)[count:]
            if patient and here.inside is None and self._writer._wait_writable(GRACE_S):
                continue
            self._blocked = self._waiting = True
            if not self.closed:
                self._room = self.limit
            if self._flusher is not None:
                self._flusher.watch(self)
            break
        self._notify()

    def _take(self) -> None:
        """Make blocks of the front of the queue. Under ``_writing``, with no blocks left."""
        batch = self._batch = self._taken()
        self._written = 0
        framing = self._framing
        if not framing.joins:
            self._blocks.extend(map(framing.encode, batch))
        elif len(batch) == 1 and len(batch[0]) >= BLOCK_BYTES:
            self._blocks.extend(framing.encode_parts(batch[0]))
        elif batch:
            self._blocks.append(framing.encode_all(batch))

    def _taken(self) -> list[bytes]:
        """Take the front of the queue: all of it, or about TAKE_BYTES."""
        queue = self._queue
        with self._front:
            count = len(queue)
            if self._pending > TAKE_BYTES:
                count = max(1, count * TAKE_BYTES // self._pending)
            batch = queue[:count]
            del queue[:count]
            self._pending = max(0, self._pending - sum(map(len, batch)) - count) if queue else 0
        return batch

    # When the peer does not take it ----------------------------------------------------------------------------------

    def _make_room(self, message: bytes) -> int:
        """See to it that ``message`` may be queued; return what ``_pending`` then is, or 0 for "do not"."""
        if self.closed:
            raise self._late()
        if not self._blocked:
            self.flush(patient=True)
            if self._flusher is None:
                self._wait_until_written()
        size = len(message) + 1
        if self._pending and self._pending + size > self.limit:
            if self.policy == "block":
                self._wait_for_room(size)
            elif not self._overflow([message], size):
                if self.closed:
                    raise self._late()
                return 0
        return self._pending + size

    def _wait_for_room(self, size: int) -> None:
        seconds = 0.0 if here.inside else self.timeout
        if not self._wait(lambda: self._pending + size <= self.limit or not self._pending, seconds):
            raise OutboxFull(
                f"{self._writer} takes nothing: {self._pending} bytes wait for it and more than outbox={self.limit} may not"
                + (
                    "; inside a callback send does not wait"
                    if here.inside
                    else f", {seconds:g} s (send_timeout) went by"
                )
                + "; send less, raise outbox, or choose overflow=drop_oldest"
            )
        if self.closed:
            raise self._late()

    def _overflow(self, messages: list[bytes], size: int) -> bool:
        """Apply a policy that loses something. Whether ``messages`` may be queued."""
        if self.policy == "drop_newest":
            self._tell(
                DeliveryError(f"{self._writer} is slow: dropped {_count(messages)} (overflow=drop_newest)", messages)
            )
            return False
        if self.policy == "drop_oldest":
            with self._front:
                count = 0
                excess = self._pending + size - self.limit
                while count < len(self._queue) and excess > 0:
                    excess -= len(self._queue[count]) + 1
                    count += 1
                dropped = self._queue[:count]
                del self._queue[:count]
                self._pending = max(0, self._pending - sum(map(len, dropped)) - count)
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

    def _tell(self, error: Exception) -> None:
        if self.report is not None:
            self.report(error)

    def _wait(self, done: Callable[[], bool], seconds: float) -> bool:
        """Wait until ``done()`` or the end of the conversation; False when ``seconds`` went by."""
        if self._changed is None:
            self._changed = threading.Condition()
        with self._changed:
            return self._changed.wait_for(lambda: self.error is not None or done(), seconds)

    def _wait_until_written(self) -> None:
        """Without a flusher: the sender itself waits for its peer."""
        deadline = perf_counter() + self.timeout
        while self._blocked and self.error is None:
            if not self._writer._wait_writable(max(0.0, deadline - perf_counter())):
                error = OutboxFull(f"{self._writer} took nothing for {self.timeout:g} s (send_timeout)")
                self._refuse(error)
                self._writer.abort()
            else:
                self.resume()
        if self.error is not None:
            raise self._late()

    # The end ---------------------------------------------------------------------------------------------------------

    def _refuse(self, error: Exception | None) -> None:
        """Accept nothing more."""
        if not self.closed:
            self.closed = True
            self.error = error
            self._room = -1

    def _late(self) -> ConnectionLost:
        why = f": {self.error}" if self.error else ""
        lost = ConnectionLost(f"the conversation with {self._writer} is over{why}")
        lost.__cause__ = self.error
        return lost

    def waiting(self) -> bool:
        """Whether something waits for the flusher though the peer would take it."""
        return self._waiting and not self._blocked

    def fileno(self) -> int | None:
        """What to poll until the peer takes bytes again."""
        return self._writer.fileno()

    def drained(self) -> bool:
        """Whether nothing is left to write."""
        return not (self._queue or self._blocks or self._last)

    def when_drained(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once, as soon as nothing is left to write (at once, if so now). By whichever thread wrote the last."""
        self._on_drained = callback
        self.flush()

    def drain(self, timeout: float) -> bool:
        """Wait until everything is written, at most ``timeout`` seconds; whether it is."""
        self.flush()
        deadline = perf_counter() + timeout
        if self._flusher is None:
            while (
                self._blocked
                and self.error is None
                and self._writer._wait_writable(max(0.0, deadline - perf_counter()))
            ):
                self.resume()
            return self.drained()
        self._wait(self.drained, timeout)
        return self.drained()

    def abandon(self) -> list[bytes]:
        """End it; return the messages that were not written whole, oldest first. Waits for a writer at work, not for the peer."""
        self._refuse(None)
        held = self._writing.acquire(timeout=ABANDON_S)
        left: list[bytes] = []
        ends = 0
        for message in self._batch if self._blocks else ():
            ends += len(self._framing.encode_all([message]))
            if ends > self._written:
                left.append(message)
        left += self._queue
        self._blocks.clear()
        self._batch = []
        del self._queue[:]
        self._pending = 0
        self._blocked = True
        self._on_drained = self._last = None
        if held:
            self._writing.release()
        self._notify()
        return left

    def _notify(self) -> None:
        if self._changed is not None:
            with self._changed:
                self._changed.notify_all()


class _SeparatorOutbox(Outbox):
    """:class:`Outbox` for a separator of one byte: the same ``send``, with the framing's check written out.

    A call costs as much as all the rest of ``send``; this is the LEADS wire, and the path of most messages.
    """

    __slots__ = ("_limit", "_mark", "_separator")

    def __init__(self, writer: Writer, framing: SeparatorFraming) -> None:
        super().__init__(writer, framing)
        self._mark = framing.separator
        self._separator = framing.separator[0]
        self._limit = framing.max_message

    def send(self, message: bytes) -> None:
        if type(message) is not bytes:
            message = plain(message)
        size = len(message)
        if self._separator in message or size > self._limit or size == 10:
            self._framing.check(message)
        if self._upstream:
            self._upstream_flush()
        if not self._waiting and size < BLOCK_BYTES and not self._queue and self._alone(message):
            return
        pending = self._pending + size + 1
        if pending > self._room:
            pending = self._make_room(message)
            if not pending:
                return
        self._queue.append(message)
        self._pending = pending
        if not self._waiting:
            self._push()

    def _frame(self, message: bytes) -> bytes:
        return message + self._mark


def _nothing() -> None: ...


def _count(messages: list[bytes]) -> str:
    return "1 message" if len(messages) == 1 else f"{len(messages)} messages"
