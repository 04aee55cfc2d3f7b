"""Any connection plus a session: each message arrives once and in order, or is reported.

The session itself is :mod:`leadscomm.protocol.session`; here are its clock, its locks and the line under it::

    send → SessionOutbox → Session → line.outbox → line
    receive ← Session ← line.framing ← line

The outbox is the ordinary one, bounded as every other, and the session is what it writes to: it takes a message once
there is room in the peer's window.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Final

from leadscomm.connections.address import Address
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.opening import HEARD_BYTES, Plan, new_epoch, why_not
from leadscomm.connections.outbox_session import MARK, Carrier, SessionFraming, SessionOutbox
from leadscomm.errors import ConnectionLost, DeliveryError, LocalProtocolError
from leadscomm.protocol.base import Framing, plain
from leadscomm.protocol.counters import LinkCounters
from leadscomm.protocol.handshake import MANY, Handshake
from leadscomm.protocol.session import ACK_AFTER_S, Session

SEGMENT_BYTES: Final = 1024
"""The longest frame that this side takes, behind its header."""
RESEND_MS: Final = 120
"""When the peer should send again; not 100, whose byte means "write a page" to optiboot."""
LOOK_S: Final = 0.5
"""How often a thread that reads looks whether the session has ended in silence."""
AHEAD: Final = 4096
"""How many messages are read ahead, and acknowledged, for a connection that no entity runs."""


class ReliableConnection(ConnectionBase, Carrier):
    """A session over a connection.

    A message that came is acknowledged once its ``on_receive`` has returned, or, for a connection that no entity runs,
    once it was read. Such a connection keeps its session only as long as ``receive`` or ``send`` are called.

    :param line: what carries it: a connection whose framing keeps frames apart and drops damaged ones; this one's own
        from now on.
    :param asks: this side begins; otherwise it waits for the peer to.
    :param longest: bytes of a message that comes, at most.
    :param plan: when the peer is asked; what is known of the line.
    """

    pooled: ClassVar[bool] = False  # that a session has ended in silence no poll would tell
    __slots__ = (
        "_asks",
        "_changed",
        "_early",
        "_emitting",
        "_longest",
        "_pending",
        "_reading",
        "_timer_at",
        "_turn",
        "_waits",
        "_yielded",
        "line",
        "plan",
        "session",
    )

    def __init__(self, line: ConnectionBase, *, asks: bool, longest: int = MANY, plan: Plan | None = None) -> None:
        self.line = line
        self.plan = plan or Plan()
        self._asks, self._longest = asks, longest
        self._turn = threading.Lock()  # around the session, for an instant at a time
        self._changed = threading.Condition(self._turn)
        self._emitting = threading.Lock()  # held by whoever sends frames, for their order; never waited for
        self._pending = False  # something came up while another was sending
        self._reading = threading.Lock()  # where no entity runs it, senders read too: for acknowledgements
        self._timer_at: float | None = None  # when the flusher calls next, as time.monotonic() counts
        self._waits = False
        self._yielded = False  # the line belongs to another
        self._early: list[bytes] = []  # frames that an earlier session on this line did not take
        self.session = self._new_session()
        super().__init__(framing=SessionFraming(self.session))
        self.outbox: SessionOutbox = SessionOutbox(self, self.session, line.outbox)

    def _new_session(self) -> Session:
        me = Handshake(
            epoch=new_epoch(),
            segment=SEGMENT_BYTES,
            longest=min(self._longest, MANY),
            resend=RESEND_MS,
        )
        plan = self.plan
        return Session(
            me, time.monotonic(), asks=self._asks, longest=self._longest, line=plan.wire, ask_at=plan.asking_time
        )

    def __str__(self) -> str:
        return str(self.line)

    @property
    def peer(self) -> Handshake | None:
        """What the peer said of itself: its tag, the sizes that it takes, its epoch. None before the connection is
        open."""
        return self.session.peer

    def counters(self) -> LinkCounters:
        """What happened on the link so far. Any thread."""
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
        self._emit()

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
        heir = ReliableConnection(self.line, asks=True, longest=self._longest, plan=self.plan)
        heir._early = self._early_frames()
        heir.accepted = self.accepted
        self._yielded = True
        return heir

    def shut_sending(self) -> None:
        """Say goodbye, and then nothing more."""
        with self._turn:
            self.session.leave()
        self._emit()
        self.line.outbox.when_drained(self.line.shut_sending)

    def abort(self) -> None:
        if not self._yielded:
            self.line.abort()

    def _close(self) -> None:
        if not self._yielded:
            self.line.outbox.abandon()
            self.line._close()

    def close(self) -> None:
        """As :meth:`ConnectionBase.close`; "sent" means acknowledged here.

        :raises DeliveryError: no entity runs the connection, and some messages were not acknowledged.
        """
        reports = self.keeper is None and not self._shut
        super().close()
        if reports and self.outbox.left:
            text = f"{len(self.outbox.left)} message(s) to {self} were not acknowledged before it closed"
            raise DeliveryError(text, self.outbox.left)

    def _discard(self, deadline: float) -> None:
        self.line._discard(deadline)

    # Sending ---------------------------------------------------------------------------------------------------------

    def send_datagram(self, message: bytes) -> None:
        """Send one message at once, without asking for an acknowledgement: it may be lost. Any thread.

        :raises LocalProtocolError: the peer does not take so long a one.
        :raises ConnectionLost: the conversation is over.
        """
        if self.outbox.closed or not self.session.open:
            raise self.outbox.late()
        with self._turn:
            self.session.send_datagram(plain(message))
        self._emit()

    def _write(self, data: bytes | memoryview) -> int:
        """Take a message from the outbox, with the mark before it."""
        message = bytes(data[len(MARK) :])
        try:
            self.session.check(message)
        except LocalProtocolError as error:  # of a broadcast: nobody has asked what this peer takes
            self.outbox.refuse(message, error)
            return len(data)
        with self._turn:
            if not self.session.wants:
                raise BlockingIOError
            self.session.send(message)
        if self.session.busy:
            # It leaves after the callback, and then acknowledges what that dealt with: a board whose window is full of
            # answers could not take it before.
            self.call_at(time.monotonic() + ACK_AFTER_S)
        else:
            self._emit()
        return len(data)

    def _wait_writable(self, timeout: float) -> bool:
        if self.keeper is not None:
            with self._changed:
                return self._changed.wait_for(lambda: self.session.wants or self.session.ended is not None, timeout)
        return self.run_until(lambda: self.session.wants or self.session.ended is not None, timeout)

    def _emit(self) -> None:
        """Send what the session has to send. Any thread; whoever finds another at it leaves it to him."""
        self._pending = True
        while self._pending and self._emitting.acquire(blocking=False):
            try:
                self._pending = False
                self._emit_once()
            finally:
                self._emitting.release()

    def _emit_once(self) -> None:
        lower = self.line.outbox
        if self._yielded:
            return
        if not lower.drained():  # frames are made when they can leave, and not before: they tell the latest
            if self.outbox.flusher is None:
                lower.resume()
            if not lower.drained():
                lower.when_drained(self._emit)
                return
        with self._turn:
            asked = self.session.asked
            frames = self.session.frames(time.monotonic())
            due = self.session.deadline()
        if frames:
            block = self.line.framing.encode_all(frames)
            if self.session.asked > asked:
                block = self.plan.before_asking(asked) + block
            lower.put(frames, block, len(block))
        if due is not None:
            self.call_at(due)

    # Time ------------------------------------------------------------------------------------------------------------

    def tick(self) -> float | None:
        """Begins to turn the session's timers; they are set anew whenever something is sent."""
        self._emit()
        return None

    def call_at(self, when: float) -> None:
        """Have the flusher look after the session at ``when`` at the latest."""
        flusher = self.outbox.flusher
        if flusher is None or (self._timer_at is not None and self._timer_at <= when):
            return
        self._timer_at = when
        flusher.call_later(max(0.0, when - time.monotonic()), partial(self._timer, when))

    def _timer(self, when: float) -> None:
        if self._timer_at == when:  # not overtaken by an earlier one
            self._timer_at = None
            self.pump()

    def pump(self) -> None:
        """Send what there is room for, and what is due. Any thread."""
        self.outbox.progressed()
        self._emit()
        if self.session.wants or self.session.ended is not None:
            with self._changed:
                self._changed.notify_all()

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

    def _wait_readable(self, timeout: float | None) -> bool:
        return self._turn_until(lambda: False, timeout, read=False)

    def run_until(self, done: Callable[[], bool], timeout: float | None) -> bool:
        return self._turn_until(done, timeout, read=True)

    def _turn_until(self, done: Callable[[], bool], timeout: float | None, *, read: bool) -> bool:
        """Turn the session's timers in this thread, for a connection that no entity runs.

        :param read: take what comes; otherwise return True as soon as something has.
        :return: whether it was done within ``timeout`` seconds.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while not done():
            self.pump()
            if not read and self.more():
                return True
            now = time.monotonic()
            due = [when - now for when in (end, self.session.deadline()) if when is not None]
            readable = self.line._wait_readable(max(0.0, min(due, default=LOOK_S)))
            if readable and not read:
                return True
            if (readable and not self._read_ahead()) or (end is not None and time.monotonic() >= end):
                return done()
        return True

    def _read_ahead(self) -> bool:
        """Read while sending; False at the end of the line, or when enough was read ahead."""
        if self._inbox is not None and len(self._inbox) >= AHEAD:
            return False
        try:
            return self.read_batch() is not None
        except BlockingIOError:
            return True
        except OSError:
            return False


def dressed(line: ConnectionBase, address: Address, *, asks: bool, plan: Plan | None = None) -> ConnectionBase:
    """``line`` itself, or with ``reliable=1`` a session over it; the faults of ``fault://`` are then below that."""
    if not address.options.get("reliable"):
        return line
    if address.faulty:
        from leadscomm.connections.faulty import FaultyConnection

        line = FaultyConnection(line, address)
    return ReliableConnection(line, asks=asks, longest=address.framing.make().max_message, plan=plan)


def line_framing(address: Address) -> Framing:
    """The framing of the line itself: with ``reliable=1`` it carries the session's frames, whose size is ours."""
    framing = address.framing.make()
    if address.options.get("reliable"):
        framing = address.framing.make(max_message=SEGMENT_BYTES + 1)
    return framing
