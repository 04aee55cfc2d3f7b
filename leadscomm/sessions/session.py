"""A session of the full profile as its user sees it: one connection, whatever becomes of the lines that carry it.

The session itself is :mod:`leadscomm.protocol.session.full.full`; here are its clock and its lock::

    send → LaneOutbox → FullSession → Line.connection.outbox → the line
    receive ← FullSession ← Line.connection.framing ← the line

Lines are plain connections. An entity reads each of them by itself and keeps the session while there is none; without
an entity the session has one line, and ends with it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Hashable

from leadscomm.connections.address import Address
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.sending.writer import Flusher, here
from leadscomm.connections.stats import ConnectionStats
from leadscomm.connections.waiting import enter
from leadscomm.errors import LocalProtocolError, OutboxFull, RemoteProtocolError
from leadscomm.protocol.framing.base import plain
from leadscomm.protocol.session.counters import LinkCounters
from leadscomm.protocol.session.full.full import FullSession
from leadscomm.protocol.session.full.lanes import DEFAULT_LANE
from leadscomm.protocol.session.full.link import RIDES_S
from leadscomm.protocol.session.full.recovery import ACK_AFTER_S
from leadscomm.protocol.session.handshake import Handshake
from leadscomm.protocol.session.segments import RECORDS
from leadscomm.sessions.line import QUIET_SHARE, Line
from leadscomm.sessions.outbox import LaneCarrier, LaneFraming, LaneOutbox
from leadscomm.sessions.terms import Terms
from leadscomm.sessions.timers import LOOK_S, TimedConnection


class SessionConnection(TimedConnection, LaneCarrier):
    """A session with one peer.

    A message that came is acknowledged once its ``on_receive`` has returned.

    :param terms: what this side wants.
    :param asks: this side begins; otherwise it waits for the peer to.
    :param former: epochs of peers that are over.
    :ivar lines: what carries it at the moment.
    :ivar records: the toolkit's own records that came, each with its lane; for who runs it. So are
    :ivar settled: those of this side that the peer has dealt with.
    :ivar keeps: takes the messages of :meth:`send` instead, for an entity that stores them first; and
    :ivar owes: whether some of them are still to be given to the session.
    :ivar on_end: called once, when it is over; by any thread, must not block.
    """

    __slots__ = (
        "_place",
        "_telling",
        "keeps",
        "lines",
        "on_end",
        "owes",
        "records",
        "session",
        "settled",
        "terms",
    )
    session: FullSession

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
        self.records: deque[tuple[int, bytes]] = deque()
        self.settled: deque[tuple[int, bytes]] = deque()
        self.keeps: Callable[..., None] | None = None
        self.owes: Callable[[], bool] = bool
        self.on_end: Callable[[], None] = _nothing
        self._place = ""  # where the peer was found last
        self._telling = threading.Lock()  # taken by who calls on_end
        framing = LaneFraming(self.session)
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

    def stats(self) -> ConnectionStats:
        with self._looking():
            seen = self.session.stats(time.monotonic())
            links = dict(zip(map(str, self.lines), seen.links, strict=False))
        carried = [link.round_trip for link in seen.links if link.carries]
        return ConnectionStats(*self.outbox.backlog(), carried[0] if carried else None, seen, links)

    def counters(self) -> LinkCounters:
        with self._looking():
            return self.session.counters()

    @property
    def flusher(self) -> Flusher | None:
        return self.outbox.flusher

    @property
    def over(self) -> bool:
        return self._aborted or self.session.ended is not None

    @property
    def stuck(self) -> bool:
        return any(line.stuck for line in self.lines)

    @property
    def wants(self) -> bool:
        return self.session.takes()

    @property
    def due_at(self) -> float | None:
        with self._looking():
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
                self.session.end("this side left")
        self.pump()

    def due(self, line: Line) -> tuple[list[bytes], bool]:
        """The frames that are to be sent over a line now, and whether it is of no more use. Any thread."""
        now = time.monotonic()
        if not enter(self._turn):
            self.call_at(now)
            return [], False
        try:
            if line not in self.lines:
                return [], False
            return self.session.frames(now, line.link), self._is_lost(line, now)
        finally:
            self._turn.release()

    def has_lost(self, line: Line) -> bool:
        """Whether a line is of no more use. Any thread."""
        with self._looking():
            return line in self.lines and self._is_lost(line, time.monotonic())

    def _is_lost(self, line: Line, now: float) -> bool:
        link = line.link
        if not link.dead and now < link.heard_at + QUIET_SHARE * self.terms.dead_after:
            return False
        return link.dead if self.session.liveness.busy else line.is_lost(now, self.terms.dead_after)

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
            if session.incoming.ready_records:
                self.records += session.take_records()
            if session.outgoing.settled:
                self.settled += session.outgoing.take_settled()
            if session.faults:
                self.framing.faults += session.take_faults()
            came = session.incoming.ready or session.datagrams.received
        if came:  # in case that the callbacks take long
            self.call_at(now + (RIDES_S if link.path.lossless else ACK_AFTER_S))

    def next_messages(self, limit: int | None = None) -> list[bytes]:
        """Take the most urgent messages that came, ``limit`` at most; :meth:`delivered` is to be told of them."""
        with self._turn:
            return self.session.take(limit)

    def next_faults(self) -> list[RemoteProtocolError]:
        """Take what the peer did that it may not do."""
        with self._turn:
            return self.framing.take_faults()

    def next_datagrams(self) -> list[bytes]:
        """Take the datagrams that came."""
        with self._turn:
            return self.session.take_datagrams()

    def delivered_record(self, lane: int) -> None:
        """The oldest record of a lane was dealt with. Any thread."""
        with self._turn:
            self.session.delivered_records(time.monotonic(), lane)

    def pause(self) -> None:
        """A callback keeps its lines from being read, so that silence means nothing."""
        with self._turn:
            self.session.pause(time.monotonic())

    def resume(self) -> None:
        """They are read again."""
        with self._turn:
            self.session.resume(time.monotonic())

    def delivered(self, count: int) -> None:
        """The oldest ``count`` messages that were taken were dealt with. Any thread."""
        with self._turn:
            self.session.delivered(time.monotonic(), count)

    # Beginning and ending --------------------------------------------------------------------------------------------

    def disconnect(self) -> None:
        if not self.outbox.closed:
            self.outbox.send_last(b"")  # the session has its own farewell

    def shut_sending(self) -> None:
        """Say goodbye, and then nothing more."""
        if self._in_turn(lambda: self.session.leave(time.monotonic())):
            self.pump()
        else:
            self._later(self.shut_sending)

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

    def _part(self) -> None:
        super()._part()
        self.on_end, self.keeps = _nothing, None
        for line in self.lines:
            line.connection._part()
        self.lines = ()

    def _discard(self, deadline: float) -> None:
        self.run_until(lambda: self.over, max(0.0, deadline - time.monotonic()))

    def supersede(self, why: str) -> None:
        """It is over: the peer has begun another one. Any thread."""
        with self._turn:
            if self.session.ended is None:
                self.session.end(why, again=True)
        self.pump()

    def _tell_end(self) -> None:
        """The session is over: whoever waits for anything learns of it, and the lines are let go."""
        self._changed.notify_all()
        if not self._telling.acquire(blocking=False):
            return
        self._timer.stop()
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
        lane: int | None = None,
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
        send = self.outbox.send if self.keeps is None else self.keeps
        send(message, DEFAULT_LANE if lane is None else lane, lifetime=lifetime, latest=latest, timeout=timeout)

    def send_datagram(self, message: bytes) -> None:
        if self.outbox.closed or not self.session.open:
            raise self.outbox.late()
        message = plain(message)
        if self._in_turn(lambda: self.session.send_datagram(message)):
            self.emit()
        else:
            self._later(lambda: self.send_datagram(message))

    def send_record(self, record: bytes, lane: int, timeout: float | None = None) -> None:
        """Send a record of the toolkit itself. Any thread; waits for room of its lane, so never a callback's.

        :param timeout: seconds; None: as long as the session lives.
        :raises LocalProtocolError: the peer does not take so long a one.
        :raises ConnectionLost: the session is over.
        :raises OutboxFull: there was no room in time.
        """
        self.session.check(record)
        end = None if timeout is None else time.monotonic() + timeout
        while not self.offer_record(record, lane):
            if self.over or not self.session.open:
                raise self.outbox.late()
            rest = None if end is None else max(0.0, end - time.monotonic())
            if not self._changed.wait_for(lambda: self.over or self.session.takes(lane, RECORDS), rest):
                raise OutboxFull(f"{self} took nothing on lane {lane} for {timeout} s")
        self.emit()

    def offer_record(self, record: bytes, lane: int) -> bool:
        """As :meth:`send_record` without waiting; whether there was room. :meth:`emit` is the caller's."""
        if not enter(self._turn):
            return False
        try:
            if not self.session.open or not self.session.takes(lane, RECORDS):
                return False
            self.session.send(record, lane, channel=RECORDS)
        finally:
            self._turn.release()
        return True

    @property
    def longest(self) -> int:
        """Bytes of a message or record that the peer takes, at most."""
        return self.session.longest

    @property
    def certain(self) -> int:
        """The same, as far as the peer has said so: it may drop what is longer."""
        return self.session.certain

    def take(self, messages: list[bytes], *, anyway: bool = False) -> bool:
        if not enter(self._turn):
            return False
        try:
            if not (anyway or self.session.takes()):
                return False
            self.session.send_all(messages)
        finally:
            self._turn.release()
        return True

    def take_one(self, message: bytes, lane: int, deadline: float | None, key: Hashable | None) -> bool:
        return self._in_turn(lambda: self.session.send(message, lane, deadline=deadline, key=key))

    def drop(self, excess: int, around: int) -> list[bytes]:
        dropped: list[bytes] = []
        self._in_turn(lambda: dropped.extend(self.session.outgoing.drop(excess, around)))
        return dropped

    def _write(self, data: bytes | memoryview) -> int:
        raise LocalProtocolError("a session takes messages, not bytes")

    def emit(self) -> None:
        """Send what the session has to send, and have it looked after when the next thing is due. Any thread."""
        for line in self.lines:
            line.emit()
        if here.inside is self.keeper or self.flusher is None:  # after the callbacks there is another look
            return
        now = time.monotonic()
        if self._timer.at <= now + RIDES_S and self.session.quiet(now):
            return  # by then it is looked after anyway
        due = self.due_at
        if due is not None:
            self.call_at(now + LOOK_S if due <= now and self.stuck else due)

    def pump(self) -> None:
        given_up: list[list[bytes]] = []
        if not self._in_turn(lambda: given_up.extend(self._ticked())):
            self.call_at(time.monotonic())
            return
        self.outbox.give_up(*given_up)
        self.outbox.progressed()
        self.emit()
        if self.session.ended is not None:
            self._tell_end()
        else:
            self.tell_waiting()

    def look(self) -> None:
        """As :meth:`pump`, after something came or was dealt with: as a rule there is nothing that cannot wait."""
        now = time.monotonic()
        if self.session.quiet(now) and not self.outbox.expectant and not self._changed:
            self.call_at(now + RIDES_S)
        else:
            self.pump()

    def _ticked(self) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """Do what is due; return what is not sent any more: what is late, and what the peer refuses. Under the lock."""
        self.session.tick(time.monotonic())
        out = self.session.outgoing
        return out.take_expired(), out.take_refused(), out.take_refused(RECORDS)


def _nothing() -> None: ...
