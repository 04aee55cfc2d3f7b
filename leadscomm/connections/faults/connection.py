"""``fault://`` in front of an endpoint: its connections, with faults on the frames that pass.

The frames are what the framing, or the session, puts on the line::

    send → outbox → _write → outgoing → line
    receive ← framing ← _read ← incoming ← line
"""

from __future__ import annotations

import itertools
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, ClassVar, Final

from leadscomm.connections.address import Address
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.faults.faults import Faults, Way
from leadscomm.connections.sending.errand import Errand
from leadscomm.connections.sending.held import HeldOutbox
from leadscomm.connections.sending.writer import forget_frames, weakly
from leadscomm.connections.timer import Reminder
from leadscomm.errors import ConnectionLost
from leadscomm.protocol.framing.cutting import cutter_for

_log = logging.getLogger("leadscomm")
RETRY_S: Final = 0.01
"""How often a connection that no entity runs looks, while it waits for messages, whether its peer takes bytes again."""


class FaultyConnection(ConnectionBase):
    """A connection whose frames meet with faults.

    What is said before the first message (TLS, keys, who is there) passes unharmed, as do the signs of life of a
    transport. Frames that are late leave by the flusher; where no entity runs the connection, ``send`` waits for them,
    and those that are to be overtaken leave while something is sent or received. What else the connection below has by
    name is found here as well.

    :param line: the connection as it would be without faults; this one's own from now on.
    :param address: says what is to go wrong.
    :ivar outgoing: what happened to frames on their way to the peer.
    :ivar incoming: what happened to frames on their way from the peer.
    """

    pooled: ClassVar[bool] = False  # that a late frame is due no poll would tell
    __slots__ = (
        "_aborted",
        "_blocks",
        "_came",
        "_changed",
        "_cut_in",
        "_cut_out",
        "_leaving",
        "_line_ended",
        "_pumping",
        "_read_error",
        "_reading",
        "_stuck",
        "_timer",
        "_waits",
        "_write_error",
        "incoming",
        "line",
        "outgoing",
    )

    def __init__(self, line: ConnectionBase, address: Address) -> None:
        self.line = line
        super().__init__(framing=line.framing)
        self.outbox: FaultyOutbox = FaultyOutbox(self)
        faults, direction, seed = Faults.of(address.options), address.options["direction"], _seed(address)
        self.outgoing = Way(Faults() if direction == "in" else faults, f"{seed} out")
        self.incoming = Way(Faults() if direction == "out" else faults, f"{seed} in")
        self._cut_out = cutter_for(address.framing.make())
        self._cut_in = cutter_for(address.framing.make())
        self._reading = threading.Lock()  # around everything that comes in, for an instant at a time
        self._changed = threading.Condition()  # the same for what goes out
        self._pumping = Errand(self._write_due)
        self._came: deque[bytes] = deque()  # due, not yet read
        self._blocks: list[bytes | memoryview] = []  # due, not yet written, the next one last
        self._stuck = False  # the line takes nothing at the moment
        self._timer = Reminder(weakly(self.pump))
        self._read_error: OSError | None = None
        self._write_error: OSError | None = None
        self._line_ended = self._leaving = self._aborted = False
        self._waits = True
        line.set_blocking(False)

    def __str__(self) -> str:
        return str(self.line)

    def __getattr__(self, name: str) -> Any:
        if name == "line":  # not set yet
            raise AttributeError(name)
        return getattr(self.line, name)

    @property
    def _origin(self) -> str | None:
        return self.line._origin

    @property
    def _answers_goodbye(self) -> bool:
        return self.line._answers_goodbye

    def fileno(self) -> int | None:
        return self.line.fileno()

    def set_blocking(self, blocking: bool) -> None:
        self._waits = blocking

    def closed(self) -> bool:
        return self._shut or self.line.closed()

    def tick(self) -> float | None:
        return self.line.tick()

    def open(self, deadline: float) -> None:
        self.line.key, self.line.accepted = self.key, self.accepted
        self.line.open(deadline)
        self.line.set_blocking(False)
        self.hold(self.line.unread())
        begun = self.framing.remainder
        self.framing.clear()
        self.incoming.put(self._cut_in.feed(begun), time.monotonic())

    @property
    def has_to_ask(self) -> bool:
        return self.key is not None or self.line.has_to_ask

    def be_wary(self) -> None:
        self.line.be_wary()

    def at_ease(self) -> None:
        self.line.at_ease()

    def shut_sending(self) -> None:
        with self._changed:
            self._leaving = True
        self.pump()

    def abort(self) -> None:
        with self._changed:
            self._aborted = True
            self._write_error = self._write_error or ConnectionLost("it was ended on this side")
            self._forget()
        self.line.abort()

    def _forget(self) -> None:
        """Lose what is on its way out."""
        self.outgoing.clear()
        self._blocks.clear()
        self._changed.notify_all()

    def _sever(self) -> None:
        """End the conversation as a cable that is cut does; both sides find out."""
        cut = ConnectionLost(f"{self}: fault:// has cut the connection")
        self._read_error = self._write_error = cut
        self.abort()

    def _close(self) -> None:
        self._aborted = True
        self.line._close()

    def _part(self) -> None:
        super()._part()
        forget_frames(self._read_error)
        forget_frames(self._write_error)
        self.line._part()

    # Going out -------------------------------------------------------------------------------------------------------

    def disown(self) -> None:
        super().disown()
        self.line.disown()

    def has_room(self) -> bool:
        with self._changed:
            free = not self._stuck and not self.outgoing.full(time.monotonic())
        return free or self._write_error is not None

    def has_sent(self) -> bool:
        """Whether the line has everything but what waits to be overtaken."""
        with self._changed:
            return not (self._blocks or self.outgoing.flying)

    def _write(self, data: bytes | memoryview) -> int:
        if self._write_error is not None:
            raise self._write_error
        with self._changed:
            if not self.has_room():
                raise BlockingIOError
            self.outgoing.put(self._cut_out.feed(bytes(data)), time.monotonic())
        if self.outgoing.severed:
            self._sever()
        self.pump()
        if self._write_error is not None:
            raise self._write_error
        return len(data)

    def pump(self) -> None:
        """Write what is due. Any thread; whoever finds another at it leaves it to him."""
        self._pumping.do()
        with self._changed:
            self._changed.notify_all()
        self.outbox.progressed()

    def _write_due(self) -> None:
        while not self._stuck and (block := self._next_block()):
            try:
                count = self.line._write(block)
            except BlockingIOError:
                self._wait_for_line()
            except OSError as error:
                with self._changed:
                    self._write_error = self._write_error or error
                    self._forget()
            else:
                with self._changed:
                    if self._blocks:  # it was not aborted meanwhile
                        self._blocks[-1:] = [memoryview(block)[count:]] if count < len(block) else []
        with self._changed:
            leaves = self._leaving and not self._blocks and self.outgoing.empty
            self._leaving = self._leaving and not leaves
        if leaves:
            self.line.shut_sending()
        self._set_timer()

    def _next_block(self) -> bytes | memoryview | None:
        """What is due."""
        with self._changed:
            if not self._blocks:
                frames = self.outgoing.take(time.monotonic())
                self._blocks[:] = [b"".join(frames)] if frames and self.framing.joins else frames[::-1]
            return self._blocks[-1] if self._blocks else None

    def _wait_for_line(self) -> None:
        """The line takes nothing at the moment."""
        self._stuck = True
        if self.outbox.flusher is not None:
            self.outbox.flusher.watch(self)

    def resume(self) -> None:
        """The line takes bytes again."""
        self._stuck = False
        self.pump()

    def due(self) -> None:
        """A flusher's question; it has none for this connection."""
        self.pump()

    def _set_timer(self) -> None:
        """Have the flusher call when something is due."""
        flusher = self.outbox.flusher
        if flusher is None or self._stuck:
            return
        with self._changed:
            when = self.outgoing.due(time.monotonic())
        if when is not None:
            self._timer.ask(when, flusher)

    def _wait_writable(self, timeout: float) -> bool:
        if self.outbox.flusher is None:
            return self.run_until(self.has_room, timeout)
        with self._changed:
            return self._changed.wait_for(self.has_room, timeout)

    def run_until(self, done: Callable[[], bool], timeout: float) -> bool:
        """Turn the timers in this thread until it is done, or over; whether it is done within ``timeout`` seconds."""
        end = time.monotonic() + timeout
        while True:
            self.pump()
            if done():
                return True
            now = time.monotonic()
            if now >= end or self._write_error is not None:
                return False
            if self._stuck:
                self._stuck = not self.line._wait_writable(end - now)
                continue
            with self._changed:
                due = self.outgoing.due(now)
                self._changed.wait(min(end, due or end) - now)

    # Coming in -------------------------------------------------------------------------------------------------------

    def _read(self) -> bytes | None:
        while True:
            with self._reading:
                self._take_in()
                if self._came:
                    return self._came.popleft()
                if self._ends():
                    if self._read_error is not None:
                        raise self._read_error
                    return None
            if not self._waits:
                raise BlockingIOError
            self._wait_readable(None)

    def _take_in(self) -> None:
        """Read the line, unless there is too much already, and see what is due."""
        now = time.monotonic()
        if not (self._line_ended or self.incoming.full(now)):
            try:
                self._took_in(self.line._read(), now)
            except BlockingIOError:
                self.line._more = False
            except OSError as error:
                self._read_error = self._read_error or error
                self._took_in(None, now)
        frames = self.incoming.take(now)
        if frames and self.framing.joins:
            self._came.append(b"".join(frames))
        else:
            self._came += frames

    def _took_in(self, data: bytes | None, now: float) -> None:
        if data:
            self.incoming.put(self._cut_in.feed(data), now)
        elif data is None:
            self._line_ended = True
            self.incoming.put(filter(None, [self._cut_in.rest()]), now)
            self.incoming.hurry(now)
        else:
            self._came.append(data)  # the transport has something to tell besides
        if self.incoming.severed and not self._aborted:
            self._sever()

    def _ends(self) -> bool:
        return self._aborted or (self._line_ended and self.incoming.empty)

    def more(self) -> bool:
        with self._reading:
            return self._ended or self._readable(time.monotonic())

    def _readable(self, now: float) -> bool:
        """Whether ``_read`` has an answer, or the line may have."""
        due = self.incoming.due(now)
        if self._came or self._ends() or (due is not None and due <= now):
            return True
        return not self._line_ended and self.line.more() and not self.incoming.full(now)

    def _wait_readable(self, timeout: float | None) -> bool:
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            if self.outbox.flusher is None:
                self._stuck = False  # perhaps
                self.pump()
            now = time.monotonic()
            with self._reading:
                if self._readable(now):
                    return True
                waits = self._line_ended or self.incoming.full(now)
                dues = [self.incoming.due(now), end]
            if end is not None and now >= end:
                return False
            if self.outbox.flusher is None:
                dues += [self.outgoing.due(now), now + RETRY_S if self._stuck else None]
            first = min((due for due in dues if due is not None), default=None)
            pause = None if first is None else max(0.0, first - now)
            if waits:
                with self._changed:
                    self._changed.wait_for(lambda: self._aborted, pause)
            elif self.line._wait_readable(pause):
                return True


class FaultyOutbox(HeldOutbox):
    """Where no entity runs the connection, ``send`` waits until the message has left, since nobody would send it
    later."""

    __slots__ = ("_connection",)

    def __init__(self, connection: FaultyConnection) -> None:
        super().__init__(connection, connection.framing)
        self._connection: FaultyConnection | None = connection

    def part(self) -> None:
        super().part()
        self._connection = None

    def has_room(self) -> bool:
        connection = self._connection
        return connection is None or connection.has_room()

    def idle(self) -> bool:
        return self.has_room()  # what is only late has left

    def run_until(self, done: Callable[[], bool], timeout: float) -> None:
        if self._connection is not None:
            self._connection.run_until(done, timeout)

    def send(
        self,
        message: bytes,
        lane: int | None = None,
        lifetime: float | None = None,
        latest: Hashable | None = None,
        timeout: float | None = None,
    ) -> None:
        super().send(message, lane, lifetime, latest, timeout)
        connection = self._connection
        if self._flusher is None and connection is not None:
            self.run_until(connection.has_sent, self.timeout)


def _seed(address: Address) -> str:
    """A seed for the next connection of an endpoint: another for each, and the same in each run."""
    notes = address.notes
    seed = address.options["seed"]
    if seed is None:
        seed = notes.setdefault("fault_seed", secrets.randbelow(1_000_000))
    counter = notes.setdefault("fault_connections", itertools.count(1))
    number = next(counter)
    if number == 1:
        _log.info("faults of %s: seed=%d", address, seed)
    return f"{seed} {number}"
