"""A session of the full profile as its user sees it: one connection, whatever becomes of the lines that carry it.

The session itself is :mod:`leadscomm.protocol.full`; here are its clock and its lock::

    send → LaneOutbox → FullSession → Line.connection.outbox → the line
    receive ← FullSession ← Line.connection.framing ← the line

Lines are plain connections. An entity reads each of them by itself and keeps the session while there is none; without
an entity the session has one line, and ends with it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from typing import Final

from leadscomm.connections.address import Address
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.opening import HEARD_BYTES, new_epoch, no_session_with
from leadscomm.connections.outbox_lanes import Carrier, LaneOutbox, SessionFraming
from leadscomm.connections.session_line import STREAM_SEGMENT_BYTES, Line
from leadscomm.connections.timed import TimedConnection
from leadscomm.connections.writer import Flusher, here
from leadscomm.errors import ConnectionLost, LocalProtocolError
from leadscomm.protocol.base import plain
from leadscomm.protocol.counters import LinkCounters
from leadscomm.protocol.full import FullSession
from leadscomm.protocol.handshake import COMPACT, FULL, MANY, Handshake
from leadscomm.protocol.lanes import DEFAULT_LANE, PREFIX_BYTES
from leadscomm.protocol.offer import Offer
from leadscomm.protocol.recovery import ACK_AFTER_S

ROOM_BYTES: Final = 4 << 20
"""How much may be under way to this side and not dealt with; more only where a single message needs it."""
ROOM_MESSAGES: Final = 1 << 17
LEAST_S: Final = 0.001
"""How long the flusher leaves a session alone at least, unless something happens."""


@dataclass(frozen=True)
class Terms:
    """What one side of a session wants.

    :ivar name: what this side calls itself; may be empty.
    :ivar key: what both sides share; then each frame carries a proof.
    :ivar longest: bytes of a message that comes, at most.
    :ivar patience: seconds that a session waits without any line.
    :ivar dead_after: seconds of silence after which a line is given up.
    """

    name: str = ""
    key: bytes | None = None
    longest: int = 1 << 20
    patience: float = 30.0
    dead_after: float = 5.0

    @classmethod
    def of(cls, address: Address, key: bytes | None) -> Terms:
        options = address.options
        return cls(options["name"], key, options["max_message"], options["patience"], options["dead_after"])

    def offer(self) -> Offer:
        """What this side says of itself in a new session."""
        profiles = FULL if self.key is not None else FULL | COMPACT
        me = Handshake(
            epoch=new_epoch(), profiles=profiles, tag=self.name, longest=min(self.longest, MANY), segment=MANY
        )
        room = max(ROOM_BYTES, 2 * (self.longest + PREFIX_BYTES))
        return Offer(me, segment=STREAM_SEGMENT_BYTES, room=room, messages=ROOM_MESSAGES, key=self.key)


class SessionConnection(TimedConnection, Carrier):
    """A session with one peer.

    A message that came is acknowledged once its ``on_receive`` has returned or, for a session that no entity runs,
    once it was read. Such a session lives only as long as ``receive`` or ``send`` are called.

    :param terms: what this side wants.
    :param asks: this side begins; otherwise it waits for the peer to.
    :param former: epochs of peers that are over.
    :ivar lines: what carries it at the moment.
    :ivar arrived: messages that came and were not delivered yet; for who runs it.
    :ivar on_end: called once, when it is over; by any thread, must not block.
    """

    __slots__ = (
        "_aborted",
        "_open_line",
        "_place",
        "_told",
        "arrived",
        "lines",
        "on_end",
        "session",
        "terms",
    )

    def __init__(self, terms: Terms, *, asks: bool, former: Collection[int] = ()) -> None:
        self.terms = terms
        self.session = FullSession(
            terms.offer(),
            time.monotonic(),
            asks=asks,
            longest=terms.longest,
            silence=terms.dead_after,
            patience=terms.patience,
            former=former,
        )
        self.lines: tuple[Line, ...] = ()  # replaced, never changed, so that it can be walked without a lock
        self.arrived: deque[list[bytes]] = deque()
        self.on_end: Callable[[], None] = _nothing
        self._open_line: Callable[[float], Line] | None = None
        self._place = ""  # where the peer was found last
        self._aborted = False
        self._told = False  # on_end was called
        framing = SessionFraming(self.session)
        super().__init__(framing)
        self.outbox: LaneOutbox = LaneOutbox(self, framing)

    def __str__(self) -> str:
        return " at ".join(filter(None, (self.name, self._place))) or "a session without a line"

    @property
    def peer(self) -> Handshake | None:
        peer = self.session.peer
        return None if peer is None else peer.handshake

    @property
    def name(self) -> str:
        """What the peer calls itself; empty if it has no name, or has not answered yet."""
        peer = self.peer
        return "" if peer is None else peer.tag

    def counters(self) -> LinkCounters:
        with self._turn:
            return self.session.counters()

    @property
    def flusher(self) -> Flusher | None:
        return self.outbox.flusher

    @property
    def over(self) -> bool:
        return self._aborted or self.session.ended is not None

    @property
    def wants(self) -> bool:
        return self.session.wants

    @property
    def due_at(self) -> float | None:
        with self._turn:
            return self.session.deadline()

    def _carrier(self) -> ConnectionBase | None:
        return self.lines[0].connection if self.lines else None

    @property
    def _origin(self) -> str | None:
        lines = self.lines
        return lines[0].connection._origin if lines else None

    def fileno(self) -> int | None:
        return self.lines[0].connection.fileno() if self.lines else None

    # Lines -----------------------------------------------------------------------------------------------------------

    def add(self, connection: ConnectionBase, address: Address) -> Line:
        """Have one more connection carry the session, once the peer has agreed (:meth:`agree`).

        :param connection: plain; its opening is behind it.
        """
        line = Line(self, connection, address)
        self._place = str(connection)
        with self._turn:
            self.session.add(line.link, time.monotonic())
            self.lines = (*self.lines, line)
        return line

    def remove(self, line: Line) -> None:
        """A line is gone; what it had under way goes over another one."""
        with self._turn:
            self.session.remove(line.link)
            self.lines = tuple(other for other in self.lines if other is not line)
            if self.session.left and not self.lines and self.session.ended is None:
                self.session._end("this side left")
        self.pump()

    def agree(self, line: Line, deadline: float) -> None:
        """Ask the peer over a new line, and wait for its answer. In the thread that is to read the line.

        :raises ConnectFailed: the peer speaks something else; the text says what.
        :raises CommTimeout: nothing answered before ``deadline`` (as ``time.monotonic()`` counts).
        :raises ConnectionLost: the line, or the session, ended meanwhile.
        """
        connection, heard = line.connection, b""
        connection.set_blocking(False)
        while True:
            line.emit()
            now = time.monotonic()
            if line.link.joined:
                return
            if self.over or self.session.left or self.session.trouble or now >= deadline:
                raise no_session_with(str(connection), connection.framing, self.session, heard)
            connection._wait_readable(max(0.0, min(deadline, line.link.ask_at) - now))
            try:
                data = connection._read()
            except BlockingIOError:
                continue
            if data is None:
                raise ConnectionLost(f"{connection} ended before it had answered")
            heard = (heard + data)[:HEARD_BYTES]
            self.took(line, connection.framing.feed(data))

    def due(self, line: Line) -> tuple[list[bytes], bool]:
        """The frames that are to be sent over a line now, and whether it is of no more use. Any thread."""
        now = time.monotonic()
        with self._turn:
            if line not in self.lines:
                return [], False
            return self.session.frames(now, line.link), line.is_lost(now, self.terms.dead_after)

    def took(self, line: Line, frames: list[bytes]) -> None:
        """Give the session what a line brought. The thread that reads the line."""
        now = time.monotonic()
        damaged = line.connection.framing.count_faults()
        session, link = self.session, line.link
        with self._turn:
            for frame in frames:
                session.receive(frame, now, link)
            if damaged:
                session.damaged(now, link, damaged)
            messages = session.take()
            if messages:
                self.arrived.append(messages)
        if messages:
            self.call_at(now + ACK_AFTER_S)  # in case that the callbacks take long

    def dealt(self, count: int) -> None:
        """The oldest ``count`` messages of :attr:`arrived` were dealt with. Any thread."""
        with self._turn:
            self.session.delivered(time.monotonic(), count)

    # Beginning and ending --------------------------------------------------------------------------------------------

    def open(self, deadline: float) -> None:
        """Open the line of a session that no entity runs, and agree with the peer."""
        if self._open_line is None or self.lines:
            return
        line = self._open_line(deadline)
        line.connection.open(deadline)
        self.agree(line, deadline)

    def opens_by(self, open_line: Callable[[float], Line]) -> None:
        """What :meth:`open` does first, if no entity runs the session."""
        self._open_line = open_line

    def disconnect(self) -> None:
        if not self.outbox.closed:
            self.outbox.send_last(b"")  # the session has its own farewell

    def shut_sending(self) -> None:
        """Say goodbye, and then nothing more."""
        with self._turn:
            self.session.leave(time.monotonic())
        self.pump()

    def abort(self) -> None:
        self._aborted = True
        for line in self.lines:
            line.connection.abort()
        self._tell_end()

    def _close(self) -> None:
        for line in self.lines:
            if line.connection.keeper is not None:
                line.connection.abort()
            else:
                line.connection.outbox.abandon()
                line.connection._close()

    @property
    def _unsent(self) -> list[bytes]:
        return self.outbox.left

    def _discard(self, deadline: float) -> None:
        self.run_until(lambda: self.over, max(0.0, deadline - time.monotonic()))

    def supersede(self, why: str) -> None:
        """It is over: the peer has begun another one. Any thread."""
        with self._turn:
            if self.session.ended is None:
                self.session._end(why, again=True)
        self.pump()

    def _tell_end(self) -> None:
        """The session is over: whoever waits for anything learns of it, and the lines are let go."""
        with self._changed:
            told, self._told = self._told, True
            self._changed.notify_all()
        if told:
            return
        for line in self.lines:
            if line.connection.keeper is not None:
                line.end()
            else:
                line.emit()
        self.outbox.progressed()
        self.on_end()

    # Sending ---------------------------------------------------------------------------------------------------------

    def send(
        self,
        message: bytes,
        lane: int = DEFAULT_LANE,
        *,
        lifetime: float | None = None,
        latest: Hashable | None = None,
        timeout: float | None = None,
    ) -> None:
        """Send one message. Any thread.

        :param lane: 0 is the most urgent one, 7 the least. Each lane arrives in order, and none waits for another.
        :param lifetime: seconds after which the message is not begun any more, but reported to ``on_fail``.
        :param latest: a key, such as ``"pose"``: the message replaces an older one of the same lane and key that was
            not begun yet.
        :param timeout: seconds to wait for room instead of ``send_timeout``; 0: raise at once. Inside a callback
            nothing is waited for.
        :raises LocalProtocolError: the peer does not take so long a one; nothing was sent.
        :raises ConnectionLost: the session is over.
        :raises OutboxFull: there was no room in time.
        """
        if self.outbox.closed:
            raise self.outbox.late()
        self.outbox.send(message, lane, lifetime=lifetime, latest=latest, timeout=timeout)

    def send_datagram(self, message: bytes) -> None:
        if self.outbox.closed or not self.session.open:
            raise self.outbox.late()
        with self._turn:
            self.session.send_datagram(plain(message))
        self.emit()

    def take(self, messages: list[bytes]) -> bool:
        with self._turn:
            if not self.session.wants:
                return False
            self.session.send_all(messages)
        return True

    def take_one(self, message: bytes, lane: int, deadline: float | None, key: Hashable | None) -> None:
        with self._turn:
            self.session.send(message, lane, deadline=deadline, key=key)

    def _write(self, data: bytes | memoryview) -> int:
        raise LocalProtocolError("a session takes messages, not bytes")

    def emit(self) -> None:
        """Send what the session has to send, and have it looked after when the next thing is due. Any thread."""
        for line in self.lines:
            line.emit()
        if self.flusher is not None and here.inside is not self.keeper:  # after the callbacks there is another pump
            due = self.due_at
            if due is not None:  # what is due already waits for a line, or for the thread that sends over it
                self.call_at(max(due, time.monotonic() + LEAST_S))

    def pump(self) -> None:
        with self._turn:
            self.session.tick(time.monotonic())
            late = self.session.expired()
        if late:
            self.outbox.give_up(late)
        self.outbox.progressed()
        self.emit()
        if self.session.ended is not None:
            self._tell_end()
        elif self.wants:
            self.tell_waiting()

    # Receiving, where no entity runs the session ---------------------------------------------------------------------

    def more(self) -> bool:
        return self.over or any(line.connection.more() for line in self.lines) or self._ended

    def read_batch(self) -> list[bytes] | None:
        with self._reading:
            if self.over or not self.lines:
                self._ended = True
                return None
            line = self.lines[0]
            frames = line.connection.read_batch()
            if frames is None:
                self._ended = True
                return None
            self.took(line, frames)
            self._inbox = self._inbox or deque()
            while self.arrived:
                messages = self.arrived.popleft()
                self._inbox += messages  # here, so that a sender who reads ahead keeps their order
                self.dealt(len(messages))
        self.pump()
        return []


def _nothing() -> None: ...
