"""The writing half of an outbox: blocks made of what waits, written as far as the peer takes them."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from typing import Final

from leadscomm.connections.losses import odd
from leadscomm.connections.sending.bound import BLOCK_BYTES, Backlog
from leadscomm.connections.sending.writer import Flusher, Writer, here
from leadscomm.connections.waiting import Interrupted
from leadscomm.errors import CommError, LocalProtocolError, OutboxFull
from leadscomm.protocol.framing import Framing

_log = logging.getLogger("leadscomm")
BURST_S: Final = 500e-6
"""How often the flusher looks whether a burst, whose blocks its sender writes, is over."""
GRACE_S: Final = 2e-3
"""How long a sender waits for a peer that takes no more before it leaves the rest to the flusher."""
TURN_S: Final = 20e-3
"""How long one thread writes what others go on to send. A datagram is always taken, so that nothing else would end it,
and the flusher has other peers and timers, a reader has to read, and a sender to return."""


class Writing(Backlog):
    """What waits, and who writes it. One thread at a time does; the others leave it to that one.

    :param writer: where the blocks go.
    :param framing: makes blocks of messages.
    """

    __slots__ = (
        "_batch",
        "_blocks",
        "_burst",
        "_claimed",
        "_flusher",
        "_framing",
        "_last",
        "_on_drained",
        "_writing",
        "_written",
        "waiting",
    )

    def __init__(self, writer: Writer, framing: Framing) -> None:
        super().__init__(writer)
        self._framing = framing
        self._flusher: Flusher | None = None
        self.waiting = False
        """What is queued is the flusher's business already."""
        self._burst = False  # a sender has written a block by itself, and more is coming
        self._claimed = False  # a sender waits to do the writing
        self._blocks: list[bytes | memoryview] = []  # encoded, not yet written, the next one last
        self._batch: Sequence[bytes] = ()  # the messages of _blocks
        self._written = 0  # bytes of _batch that have gone
        self._last: bytes | None = None  # goes behind everything else
        self._writing = threading.Lock()  # held while writing, never waited for
        self._on_drained: list[Callable[[], None]] = []  # one at most; a list, so that one thread alone takes it out

    def fileno(self) -> int | None:
        """What to poll until the peer takes bytes again."""
        return self._writer.fileno()

    def drained(self) -> bool:
        """Whether nothing is left to write."""
        return not (self._queue or self._blocks or self._last)

    def when_drained(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once, as soon as nothing is left to write (at once, if so now). By whichever thread wrote
        the last."""
        self._on_drained[:] = [callback]
        self.flush()

    def flush(self, patient: bool = False) -> None:
        """Write what is queued, as far as the peer takes it. Any thread.

        :param patient: wait up to GRACE_S for the peer (never inside a callback).
        """
        while (self._queue or self._blocks or self._last) and not self._blocked:
            if not self._writing.acquire(blocking=False) and not (patient and self._claim()):
                return  # its holder looks again after letting go
            if not self._write_and_let_go(patient) or self._claimed:
                return
        if self._on_drained and self.drained():
            try:
                callback = self._on_drained.pop()
            except IndexError:
                return  # another thread was quicker
            callback()

    def _claim(self) -> bool:
        """Take the writing over from whoever is at it, if he is done soon; whether it was taken.

        In a burst the sender writes best by itself: a flusher would get the interpreter back for an instant every 5 ms.
        """
        self._claimed = True
        try:
            if self._writing.acquire(timeout=GRACE_S):
                return True
        finally:
            self._claimed = False
        if not self.waiting:
            self._leave()  # whoever was at it may have left the rest to us
        return False

    def _leave(self) -> None:
        """Leave the rest to the flusher."""
        if self._flusher is not None:
            self.waiting = True
            self._flusher.wake(self)

    def due(self) -> None:
        """The flusher's answer to ``wake``."""
        if self._burst and self._flusher is not None:
            self._burst = False
            self._flusher.call_later(BURST_S, self.due)
        elif not self._blocked:
            self.waiting = False  # before the taking: who appends after it asks anew
            self.flush()

    def resume(self) -> None:
        """The flusher's answer to ``watch``: the peer takes bytes again."""
        if self.error is None:
            self._look_soon()
            self.waiting = self._blocked = False
            self.flush()

    def _write_and_let_go(self, patient: bool = False) -> bool:
        """As :meth:`_write_out`, and then let go of ``_writing``. What is left for another thread is left to the
        flusher only then: before, it would find ``_writing`` taken, and rely on this thread."""
        going_on = True
        try:
            going_on = self._write_out(patient)
        finally:
            self._writing.release()
            if not going_on:
                self._leave()
        return going_on

    def _write_out(self, patient: bool = False) -> bool:
        """Write until nothing is left or the peer takes no more. Under ``_writing``.

        :return: False: the rest is for another thread, since it cannot be written now, in the middle of what was
            interrupted, or this was enough for one turn.
        """
        over = perf_counter() + TURN_S
        while not self._blocked:
            try:
                if not self._blocks and not self._filled():
                    break
                block = self._blocks[-1]
                count = self._writer._write(block)
            except Interrupted:
                return False
            except BlockingIOError:
                count = 0
            except OSError as error:  # its reader finds the end too, behind what the peer has said before
                self._give_up(error)
                break
            except Exception as error:
                self._fail(error)
                break
            self._written += count
            if count == len(block):
                self._blocks.pop()
                if perf_counter() > over and self._flusher is not None:
                    self._notify()
                    return False
                continue
            if count:
                self._blocks[-1] = memoryview(block)[count:]
            if not (patient and here.inside is None and self._can_wait(GRACE_S)):
                self._block()
        self._notify()
        return True

    def _can_wait(self, timeout: float) -> bool:
        """Wait for the peer; whether it takes bytes again."""
        try:
            return self._writer._wait_writable(timeout)
        except Exception:  # writing tells what is wrong
            return False

    def _give_up(self, error: Exception) -> None:
        """Nothing can be written any more; :meth:`abandon` tells what is left."""
        self._refuse(error)
        self._blocked = True

    def _fail(self, error: Exception) -> None:
        """The transport or the framing has raised what none should: the conversation ends, with a report of why."""
        failure = odd(str(self._writer), error)
        self._give_up(failure)
        self._tell(failure)
        try:
            self._writer.abort()
        except Exception:
            _log.exception("%s could not be ended", self._writer)

    def _block(self) -> None:
        """The peer takes no more for now: leave the rest to the flusher."""
        self._blocked = True
        self.waiting = not self.closed
        self._look_soon()
        if self._flusher is not None:
            self._flusher.watch(self)

    def _filled(self) -> bool:
        """As :meth:`_fill`. A framing that fails at something ends the conversation."""
        try:
            return self._fill()
        except Interrupted:
            raise
        except Exception as error:
            with self._front:
                self._put_back(list(self._batch))
            self._batch = ()
            self._fail(error)
            return False

    def _fill(self) -> bool:
        """Make blocks of the front of the queue; whether there is anything to write. Under ``_writing``, with no
        blocks left."""
        framing = self._framing
        if self._queue:
            batch = self._batch = self._taken()
            self._look_soon()
            if not framing.joins:
                self._load(batch, map(framing.encode, batch))
            elif len(batch) == 1 and len(batch[0]) >= BLOCK_BYTES:
                self._load(batch, framing.encode_parts(batch[0]))
            elif batch:
                self._load(batch, (framing.encode_all(batch),))
        elif self._last:
            self._load((), (self._last,))
            self._last = None
        else:
            self._batch = ()
        return bool(self._blocks)

    def _load(self, batch: Sequence[bytes], blocks: Iterable[bytes | memoryview], written: int = 0) -> None:
        self._blocks = [*blocks]
        self._blocks.reverse()
        self._batch, self._written = batch, written

    def _wait_until_written(self) -> None:
        """Without a flusher: the sender itself waits for its peer."""
        deadline = perf_counter() + self.timeout
        while self._blocked and self.error is None:
            if self._can_wait(max(0.0, deadline - perf_counter())):
                self.resume()
            else:
                self._refuse(OutboxFull(f"{self._writer} took nothing for {self.timeout:g} s (send_timeout)"))
                self._writer.abort()
        if self.error is not None:
            raise self.late()

    def _look_again(self) -> None:
        """After letting go of ``_writing``: do what others left to its holder."""
        if ((self._queue or self._blocks) and not self.waiting) or self._last is not None or self._on_drained:
            self.flush()

    def _frame(self, message: bytes) -> bytes:
        """One message, checked already, as it goes out.

        :raises LocalProtocolError: the framing, somebody's own, fails at it.
        """
        try:
            return self._framing.encode_all([message])
        except CommError:
            raise
        except Exception as error:
            raise LocalProtocolError(f"the framing {self._framing.name!r} cannot encode this: {error!r}") from error

    def _size_of(self, message: bytes) -> int:
        try:
            return len(self._frame(message))
        except CommError:  # then it was not sent
            return sys.maxsize
