"""Any connection plus a session: each message arrives once and in order, or is reported.

The session itself is :mod:`leadscomm.protocol.session.compact.compact`.
Here are its clock, its locks and the line under it::

    send → SessionOutbox → CompactSession → line.outbox → line
    receive ← CompactSession ← line.framing ← line

The outbox is the ordinary one, bounded as every other, and the session is what it writes to: it takes a message once
there is room in the peer's window.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.opening import HEARD_BYTES, Plan, new_epoch, why_not
from leadscomm.connections.sending.errand import Errand
from leadscomm.connections.sending.writer import Flusher
from leadscomm.connections.waiting import Interrupted, enter
from leadscomm.errors import ConnectionLost, LocalProtocolError
from leadscomm.protocol.framing.base import plain
from leadscomm.protocol.session.compact.compact import ACK_AFTER_S, CompactSession
from leadscomm.protocol.session.counters import LinkCounters
from leadscomm.protocol.session.handshake import MANY, Handshake
from leadscomm.sessions.acknowledged import Carrier, SessionFraming
from leadscomm.sessions.board_outbox import MARK, SessionOutbox
from leadscomm.sessions.timers import LOOK_S, TimedConnection

SEGMENT_BYTES: Final = 1024
"""The longest frame that this side takes, behind its header."""


class ReliableConnection(TimedConnection, Carrier):
    """A session over a connection.

    A message that came is acknowledged once its ``on_receive`` has returned, or, for a connection that no entity runs,
    once it was read. Such a connection keeps its session only as long as ``receive`` or ``send`` are called.

    :param line: what carries it: a connection whose framing keeps frames apart and drops damaged ones; this one's own
        from now on.
    :param asks: this side begins; otherwise it waits for the peer to.
    :param longest: bytes of a message that comes, at most.
    :param plan: when the peer is asked; what is known of the line.
    :param early: frames that were read before, and not taken.
    """

    __slots__ = (
        "_asks",
        "_early",
        "_emitting",
        "_longest",
        "_waits",
        "_yielded",
        "line",
        "plan",
        "session",
    )
    session: CompactSession

    def __init__(
        self,
        line: ConnectionBase,
        *,
        asks: bool,
        longest: int = MANY,
        plan: Plan | None = None,
        early: Sequence[bytes] = (),
    ) -> None:
        self.line = line
        self.plan = plan or Plan()
        self._asks, self._longest = asks, longest
        self._emitting = Errand(self._emit)  # one thread at a time, for the order of the frames
        self._waits = False
        self._yielded = False  # the line belongs to another
        self._early = list(early)
        self.session = self._new_session()
        framing = SessionFraming(self.session, MARK)
        super().__init__(framing)
        self.outbox: SessionOutbox = SessionOutbox(self, self.session, framing, line.outbox)

    def _new_session(self) -> CompactSession:
        plan = self.plan
        me = Handshake(
            epoch=new_epoch(),
            segment=SEGMENT_BYTES,
            longest=min(self._longest, MANY),
            resend=plan.resend_ms,
        )
        return CompactSession(
            me, time.monotonic(), asks=self._asks, longest=self._longest, line=plan.wire, ask_at=plan.asking_time
        )

    def __str__(self) -> str:
        return str(self.line)

    @property
    def peer(self) -> Handshake | None:
        return self.session.peer

    def _round_trip(self) -> float | None:
        return self.session.counters().round_trip

    @property
    def over(self) -> bool:
        return self.session.ended is not None

    @property
    def wants(self) -> bool:
        return self.session.wants

    @property
    def due_at(self) -> float | None:
        return self.session.deadline()

    @property
    def flusher(self) -> Flusher | None:
        return self.outbox.flusher

    def _carrier(self) -> ConnectionBase:
        return self.line

    def tick(self) -> float | None:
        super().tick()
        return self.line.tick()

    def counters(self) -> LinkCounters:
        return self.session.counters()

    @property
    def _origin(self) -> str | None:
        return self.line._origin

    def fileno(self) -> int | None:
        return self.line.fileno()

    def set_blocking(self, blocking: bool) -> None:
        self._waits = blocking

    def more(self) -> bool:
        return bool(self._early) or self.session.ended is not None or self.line.more() or self._ended

    # Beginning and ending --------------------------------------------------------------------------------------------

    def open(self, deadline: float) -> None:
        """Agree on a session; returns at once if there is one.

        :raises ConnectFailed: the peer speaks something else; the text says what.
        :raises CommTimeout: nothing answered before ``deadline`` (as ``time.monotonic()`` counts).
        """
        if self.session.open:
            return
        self.line.open(deadline)
        self.line.set_blocking(False)
        heard = b""
        frames = self._early_frames()
        while True:
            self._agree(frames)
            if self.session.open:
                return
            now = time.monotonic()
            if self.session.ended is not None or now >= deadline:
                raise why_not(str(self), self.session, heard)
            asks_at = self.session.deadline()
            self.line._wait_readable(max(0.0, min(deadline, asks_at or deadline) - now))
            data = self._words()
            heard = (heard + data)[:HEARD_BYTES]
            frames = self.line.framing.feed(data)
            self.session.damaged(self.line.framing.count_faults())

    def _agree(self, frames: list[bytes]) -> None:
        """One turn of the handshake."""
        for index, frame in enumerate(frames):
            self.session.receive(frame, time.monotonic())
            if self.session.open:
                self._early = frames[index + 1 :]
                break
        self._emitting.do()

    def _words(self) -> bytes:
        """What the line has to say at the moment.

        :raises ConnectionLost: it has ended.
        """
        try:
            data = self.line._read()
        except BlockingIOError:
            return b""
        if data is None:
            raise ConnectionLost(f"{self} ended before it had answered")
        return data

    def _early_frames(self) -> list[bytes]:
        early, self._early = self._early, []
        return early

    def succeed(self) -> ReliableConnection | None:
        """Hand the line on to a new conversation, if the peer is there and has only begun anew. The reading thread
        only, once this one has ended; :meth:`finish` then leaves the line alone."""
        if not self.session.again or self._shut or self._yielded:
            return None
        early = self._early_frames()
        plan = replace(self.plan, round_trip=self._round_trip() or self.plan.round_trip)
        heir = ReliableConnection(self.line, asks=True, longest=self._longest, plan=plan, early=early)
        heir.accepted = self.accepted
        self._yielded = True
        return heir

    def shut_sending(self) -> None:
        """Say goodbye, and then nothing more."""
        if not self._in_turn(self.session.leave):
            self._later(self.shut_sending)
            return
        self._emitting.do()
        self.line.outbox.when_drained(self.line.shut_sending)

    def abort(self) -> None:
        self._aborted = True
        if not self._yielded:
            self.line.abort()

    def _close(self) -> None:
        if not self._yielded:
            self.line.outbox.abandon()
            self.line._close()

    def disown(self) -> None:
        super().disown()
        self.line.disown()

    def _part(self) -> None:
        super()._part()
        if not self._yielded:
            self.line._part()

    def _discard(self, deadline: float) -> None:
        self.line._discard(deadline)

    # Sending ---------------------------------------------------------------------------------------------------------

    def send_datagram(self, message: bytes) -> None:
        if self.outbox.closed or not self.session.open:
            raise self.outbox.late()
        message = plain(message)
        if not self._in_turn(lambda: self.session.send_datagram(message)):
            self._later(lambda: self.send_datagram(message))
            return
        self._emitting.do()
        if self.outbox.flusher is None:  # nobody else would send it
            self.run_until(lambda: self.over or not self.session.waiting_datagrams, self.outbox.timeout)

    def _write(self, data: bytes | memoryview) -> int:
        """Take a message from the outbox, with the mark before it."""
        message = bytes(data[len(MARK) :])
        try:
            self.session.check(message)
        except LocalProtocolError as error:  # of a broadcast: nobody has asked what this peer takes
            self.outbox.refuse(message, error)
            return len(data)
        if not enter(self._turn):
            raise Interrupted
        try:
            if not self.session.wants:
                raise BlockingIOError
            self.session.send(message)
        finally:
            self._turn.release()
        if self.session.busy:
            # It leaves after the callback, and then acknowledges what that dealt with: a board whose window is full of
            # answers could not take it before.
            self.call_at(time.monotonic() + ACK_AFTER_S)
        else:
            self._emitting.do()
        return len(data)

    def _emit(self) -> None:
        """Send what the session has to send."""
        lower = self.line.outbox
        if self._yielded:
            return
        if not lower.drained():  # frames are made when they can leave, and not before: they tell the latest
            if self.outbox.flusher is None:
                lower.resume()
            if not lower.drained():
                lower.when_drained(self._emitting.do)
                return
        if not enter(self._turn):
            self.call_at(0.0)
            return
        try:
            asked = self.session.asked
            frames = self.session.frames(time.monotonic())
            due = self.session.deadline()
        finally:
            self._turn.release()
        if frames:
            block = self.line.framing.encode_all(frames)
            if self.session.asked > asked:
                block = self.plan.before_asking(asked) + block
            elif self.session.parted(frames[0]):
                block = b"\0" + block
            lower.put(frames, block)
        if due is not None:
            self.call_at(due)

    # Time ------------------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        self.outbox.progressed()
        self._emitting.do()
        if self.wants or self.over:
            self.tell_waiting()

    # Receiving -------------------------------------------------------------------------------------------------------

    def read_batch(self) -> list[bytes] | None:
        while True:
            with self._reading:
                frames = self._read_frames()
                if frames is None:
                    self._ended = True
                    return None
                if not frames and not self.line.framing.faults:
                    return []  # a part of a frame
                messages = self._received(frames)
                if self.keeper is None:
                    self._inbox = self._inbox or deque()
                    self._inbox += messages  # here, so that a sender who reads ahead keeps their order
                    messages = []
            if not messages:
                self.pump()
            if messages or self.framing.faults or not self._waits:
                return messages

    def _read_frames(self) -> list[bytes] | None:
        """Read the line once; None once it, or the session, has ended.

        :raises BlockingIOError: there is nothing, and it is not to wait.
        """
        line = self.line
        while self.session.ended is None:
            if self._early:
                return self._early_frames()
            try:
                if line.more() or not self._waits or line._wait_readable(LOOK_S):
                    frames = line.read_batch()
                    if frames or frames is None or line.framing.faults or not self._waits:
                        return frames
            except BlockingIOError:
                if not self._waits:
                    raise
        return None

    def _received(self, frames: list[bytes]) -> list[bytes]:
        """Give frames to the session; return the messages."""
        now = time.monotonic()
        damaged = self.line.framing.count_faults()
        with self._turn:
            session = self.session
            for index, frame in enumerate(frames):
                session.receive(frame, now)
                if session.ended is not None:
                    self._early = frames[index:]
                    break
            session.damaged(damaged)
            messages = session.take()
            self.framing.faults += session.take_faults()
            if self.keeper is None:
                for _ in messages:
                    session.delivered(now)
        if messages:
            self.call_at(now + ACK_AFTER_S)  # in case that the callbacks take long
        return messages

    def delivered(self) -> None:
        """The oldest message that :meth:`read_batch` returned was dealt with."""
        with self._turn:
            self.session.delivered(time.monotonic())
