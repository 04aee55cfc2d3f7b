"""One reliable session with a peer, from the first HELLO to its end. No I/O, no clock, no randomness.

Frames go in by :meth:`CompactSession.receive` and come out of :meth:`CompactSession.frames`; ``now`` is any clock that
only goes forward, in seconds. Messages go in by :meth:`CompactSession.send` and come out of
:meth:`CompactSession.take`. A message that came is acknowledged once :meth:`CompactSession.delivered` said that it was
dealt with.

A session ends once. Where the peer is there and has only begun anew, ``again`` says that another session with it can
follow at once; the frames that came behind the one that ended this session belong to that one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from leadscomm.errors import LocalProtocolError
from leadscomm.protocol.session import wire
from leadscomm.protocol.session.base import BEGUN_ANEW, GIVES_BACK, KNOWS_NOTHING, Beginning
from leadscomm.protocol.session.compact.datagrams import CompactDatagrams
from leadscomm.protocol.session.compact.go_back_n import CompactReceiver, CompactSender, Missing, RoundTrip, Wire
from leadscomm.protocol.session.counters import LinkCounters
from leadscomm.protocol.session.handshake import (
    ASKING,
    COMPACT,
    MANY,
    MESSAGE_TOO_LONG,
    NO_SESSION,
    OTHER_PROFILE,
    OTHER_VERSION,
    VERSION,
    Handshake,
    Refusal,
    named,
)
from leadscomm.protocol.session.wire import Frame, counts_missed, parse

SILENCE_S: Final = 5.0
"""A peer from which nothing came for so long has left."""
_PINGS: Final = 5
"""How many signs of life may be missed."""
ASK_EVERY_S: Final = 0.05
ACK_AFTER_S: Final = 0.002
"""How long an acknowledgement may wait for a message to travel with."""
CLEAN_AFTER: Final = 100
"""After so many intact frames in a row a line is clean."""
RING_BYTES: Final = 63
"""What every board holds while its sketch is busy, if it does not say less."""


def ask_steadily(count: int) -> float:
    """When question number ``count`` (from 0) is put, in seconds from the first."""
    return count * ASK_EVERY_S


class CompactSession(Beginning):
    """The compact profile, of either side.

    :param me: what this side says of itself; its epoch is chosen by the caller, at random.
    :param now: the time.
    :param asks: this side says HELLO; otherwise it waits for one.
    :param longest: bytes of a message that comes, at most. (``me.longest`` cannot say more than 65,535.)
    :param silence: seconds of silence after which the peer has left.
    :param line: what is known of the line.
    :param ask_at: when each question is put.
    :ivar peer: what the other side says of itself; None before the handshake has ended.
    :ivar asked: how many questions were put.
    """

    def __init__(
        self,
        me: Handshake,
        now: float,
        *,
        asks: bool,
        longest: int = MANY,
        silence: float = SILENCE_S,
        line: Wire | None = None,
        ask_at: Callable[[int], float] = ask_steadily,
    ) -> None:
        super().__init__(asks=asks)
        self.me = me
        self.peer: Handshake | None = None
        self._lost_datagrams = self._bad_frames = 0
        self.asked = 0
        self.receiver = CompactReceiver(longest)
        self.sender: CompactSender | None = None
        self._missing = Missing(RoundTrip())
        self._noise = 0  # how many intact frames must come before the line is clean
        self._silence = silence
        self._line = line or Wire()
        self._ask_at = ask_at
        self._asks_from = now
        self._heard_at = now
        self._said_at = now
        self._pinged_at = now
        self._probe_at: float | None = None  # when something was said after a silence: an ACK must be the answer
        self._ack_pending = False  # something was dealt with since the peer was told
        self._ack_pending_since = now
        self._urgent = False  # and it is to be told by an ACK
        self._answers: deque[bytes] = deque(maxlen=16)  # control frames on their way
        self._datagrams = CompactDatagrams(self._line)
        self._count_seen = 0
        self._received: list[bytes] = []
        self._handed: deque[bool] = deque()  # of the messages taken and not dealt with: whether they are acknowledged

    # Sending ---------------------------------------------------------------------------------------------------------

    def check(self, message: bytes) -> None:
        """:raises LocalProtocolError: the peer does not take a message of this size."""
        peer = self.peer
        if peer is not None and len(message) > peer.longest != MANY:
            raise LocalProtocolError(
                f"the message has {len(message)} bytes, and the peer takes {peer.longest} at most: send less at a "
                "time, or give it more memory"
            )

    @property
    def wants(self) -> bool:
        """Whether another message should be given to :meth:`send` now."""
        return self.open and self.sender is not None and self.sender.wants

    @property
    def busy(self) -> bool:
        """Whether messages that were taken are not dealt with yet."""
        return bool(self._handed)

    @property
    def idle(self) -> bool:
        """Whether every message that was sent is acknowledged."""
        return self.sender is None or self.sender.idle

    def send(self, message: bytes) -> None:
        """Send a message reliably; it has passed :meth:`check`, and the session is open."""
        assert self.sender is not None
        self.sender.send(message)

    def send_datagram(self, message: bytes) -> None:
        """Send a message once; it may be lost.

        :raises LocalProtocolError: the peer does not take a frame of this size.
        """
        self._datagrams.put(message, None if self.peer is None else self.peer.segment)

    @property
    def waiting_datagrams(self) -> int:
        """How many datagrams have not left."""
        return len(self._datagrams)

    def leave(self) -> None:
        """Say goodbye: it is the last thing that :meth:`frames` returns, and nothing is taken any more."""
        if self.open:
            self._answers.append(wire.control(wire.BYE))
        self.left = True

    def unacknowledged(self) -> list[bytes]:
        """The messages that were sent and not acknowledged as a whole, oldest first."""
        return [] if self.sender is None else self.sender.unacknowledged()

    def remains(self) -> tuple[list[bytes], list[bytes]]:
        """The same, those that were sent, if only in part, and those that were not."""
        left, begun = self.unacknowledged(), 0 if self.sender is None else self.sender.begun
        return left[:begun], left[begun:]

    # Receiving -------------------------------------------------------------------------------------------------------

    def take(self) -> list[bytes]:
        """Take the messages that came."""
        came, self._received = self._received, []
        return came

    def delivered(self, now: float) -> None:
        """The oldest message that was taken, and not yet reported here, was dealt with."""
        self._heard_at = now  # nobody may have listened meanwhile
        if self._handed.popleft():
            self.receiver.delivered()
            self._schedule_ack(now)

    def _schedule_ack(self, now: float) -> None:
        if not self._ack_pending:
            self._ack_pending = True
            self._ack_pending_since = now

    def damaged(self, count: int = 1) -> None:
        """Frames came damaged: the peer is asked at once for what it has under way."""
        self._bad_frames += count
        if count:
            self._noise = CLEAN_AFTER
        if count and self.sender is not None and self.open:
            self._probe_at = None
            self.sender.heard(damaged=True)
            self._missing.spoiled()
            self._urgent = True

    def parted(self, frame: bytes) -> bool:
        """Whether a zero should stand before a frame, so that stray bytes before it spoil nothing: where the line is
        not clean, and the peer holds one byte more than the frame."""
        sender = self.sender
        room = (sender.credit if sender is not None else 0) or RING_BYTES
        return self._noise > 0 and self._line.size(len(frame)) < room

    def counters(self) -> LinkCounters:
        """What happened so far."""
        sender = self.sender
        return LinkCounters(
            self._bad_frames,
            self._lost_datagrams,
            sender.resent if sender is not None else 0,
            self.receiver.duplicates,
            sender.trip.smoothed if sender is not None else None,
        )

    def receive(self, frame: bytes, now: float) -> None:
        """Take a frame that came undamaged."""
        found = parse(frame)
        if found is None or self.ended is not None or self.left:
            return
        self._heard_at = now
        self._noise -= self._noise > 0
        if self.sender is not None:
            self.sender.heard(damaged=False)
        if found.kind == wire.CONTROL:
            self._control(found, now)
        elif not self.open:
            if found.kind != wire.DATAGRAM:
                self._stranger()
        elif found.kind == wire.DATAGRAM:
            self._datagram(found)
        else:
            self._data(found, now)

    def _stranger(self) -> None:
        """Something of a session came, and there is none."""
        if not self._asks:
            self._answers.append(Refusal(NO_SESSION).frame())

    def _datagram(self, frame: Frame) -> None:
        if frame.number:
            self._lost_datagrams += counts_missed(self._count_seen, frame.number)
            self._count_seen = frame.number
        self._received.append(frame.payload)
        self._handed.append(False)

    def _data(self, frame: Frame, now: float) -> None:
        self._acknowledged(frame, now, explicit=False)
        receiver = self.receiver
        if not receiver.expects(frame.number):
            self._urgent = True
            if self.peer is not None and receiver.gap(frame.number, self.peer.window):
                self._missing.gap()
            return
        self._missing.filled()
        more = frame.kind == wire.MORE
        message = receiver.take(frame.number, frame.payload, more)
        if message is not None:
            self._received.append(message)
            self._handed.append(True)
            return
        self._schedule_ack(now)
        if not more:
            self._answers.append(Refusal(MESSAGE_TOO_LONG, self.me.longest).frame())
            self._fault("a message was dropped that is too long: raise max_message")

    def _acknowledged(self, frame: Frame, now: float, *, explicit: bool) -> None:
        assert self.sender is not None
        self.sender.acknowledge(frame.ack, now, explicit=explicit)

    # Control frames --------------------------------------------------------------------------------------------------

    def _control(self, frame: Frame, now: float) -> None:
        which = frame.number
        if which in (wire.HELLO, wire.WELCOME):
            said = Handshake.decode(frame.payload)
            if said is None:
                return
            if said.version != VERSION:
                self._answers.append(self._other_version(said.version))
            elif which == wire.HELLO:
                self._hello(said, now)
            else:
                self._welcome(said, now)
        elif which == wire.REFUSE:
            self._refused(Refusal.decode(frame.payload))
        elif which == wire.BYE:
            if self.open:
                self.end("the peer left")
        elif which not in (wire.ACK, wire.PING):
            return
        elif not self.open:
            self._stranger()
        else:
            self._told(frame, now)

    def _told(self, frame: Frame, now: float) -> None:
        """An ACK or a PING came."""
        sender = self.sender
        assert sender is not None
        self._datagrams.answered(sender)
        self._missing.answered(now)
        if frame.number == wire.ACK and self._probe_at is not None:
            sender.trip.measure(now - self._probe_at)
            self._probe_at = None
        self._acknowledged(frame, now, explicit=True)
        self._urgent |= frame.number == wire.PING
        if frame.number == wire.ACK and frame.payload:
            sender.credit = frame.payload[0]

    def _other_version(self, version: int) -> bytes:
        """The peer speaks another version; return what is to be said to that."""
        self._turned_away(str(Refusal(OTHER_VERSION, version)))
        return Refusal(OTHER_VERSION, VERSION).frame()

    def _hello(self, said: Handshake, now: float) -> None:
        if said.epoch == self.me.epoch:
            # Even where a peer is behind the echo: no frame of this profile tells who has said it.
            self._turned_away(GIVES_BACK)
        elif said.profiles == ASKING:
            self._answers.append(self.me.welcome(said, ASKING))
        elif not said.profiles & COMPACT:
            self.trouble = (
                f"it wants another profile of the session protocol ({named(said.profiles)}) than this side speaks "
                f"({named(COMPACT)})"
            )
            self._answers.append(Refusal(OTHER_PROFILE, COMPACT).frame())
        elif self.peer is not None and said.epoch != self.peer.epoch:
            self.end(BEGUN_ANEW, again=True)
        else:
            if self.peer is None:
                self._begin(said, now)
            self._answers.append(self.me.welcome(said, COMPACT))

    def _welcome(self, said: Handshake, now: float) -> None:
        if said.echo != self.me.epoch or said.profiles == ASKING:
            return
        if said.profiles != COMPACT:
            self._turned_away(
                f"it chose a profile of the session protocol that this side did not offer ({named(said.profiles)}; "
                f"offered was {named(COMPACT)})"
            )
        elif self.peer is None:
            self._begin(said, now)
        elif said.epoch != self.peer.epoch:
            self.end(BEGUN_ANEW, again=True)

    def _begin(self, peer: Handshake, now: float) -> None:
        self.peer = peer
        self._began = True
        self.sender = CompactSender(peer, self._line)
        self._missing = Missing(self.sender.trip)
        if self._asks:
            self.sender.trip.measure(now - self._said_at)
        self._said_at = self._pinged_at = now

    def _refused(self, refusal: Refusal | None) -> None:
        if refusal is None:
            return
        if refusal.reason == NO_SESSION:
            if self.open:
                self.end(KNOWS_NOTHING, again=True)
        elif refusal.reason == MESSAGE_TOO_LONG:  # a frame that is too long is two of ours whose end was lost
            self._fault(str(refusal))
        elif self._asks:
            self._turned_away(str(refusal))

    # What is due -----------------------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """When :meth:`frames` is to be called at the latest; it may be called earlier. None: nothing is due."""
        if self.ended is not None or self.left:
            return None
        if self.peer is None:
            return self._asks_from + self._ask_at(self.asked) if self._asks else None
        assert self.sender is not None
        due = [self._heard_at + self._silence, self._ping_at()]
        if self._handed:
            del due[0]  # whoever deals with a message does not listen: the silence is his
        due += [when for when in (self.sender.deadline(), self._missing.deadline()) if when is not None]
        if self._ack_pending:
            due.append(self._ack_pending_since + ACK_AFTER_S)
        return min(due + self._datagrams.deadlines(self.sender, self._said_at))

    def _ping_at(self) -> float:
        quiet_since = max(self._pinged_at, min(self._said_at, self._heard_at))
        return quiet_since + self._silence / _PINGS

    def frames(self, now: float) -> list[bytes]:
        """The frames that are to be sent now, in order; what is due is done."""
        due: list[bytes] = []
        when = self.deadline()
        if self.open:
            due = self._due(now)
        elif when is not None and now >= when:
            self.asked += 1
            # Stray bytes before an answer spoil it, but not another one right behind it.
            due = [self.me.hello()] * (2 if self._noise else 1)
        due[:0] = self._answers
        self._answers.clear()
        if due:
            if self.sender is not None and now >= self._said_at + self.sender.trip.patience:
                self._probe_at = now
            self._said_at = now
        return due

    def _due(self, now: float) -> list[bytes]:
        assert self.sender is not None
        if now >= self._heard_at + self._silence and not self._handed:
            self.end(f"nothing came from the peer for {self._silence:g} s", again=True)
            return []
        ack = self.receiver.ack
        resent = self.sender.resent
        self.sender.lead = self._noise > 0
        due = self._datagrams.due(self.sender, now, self._said_at, ack)
        count = len(due)
        for frame in self.sender.frames(now, ack, only_again=self._datagrams.passed_over):
            due.append(frame)
            self._ack_pending = False
        self._datagrams.take_turns(messages_left=len(due) > count, held_up=self.sender.held_up)
        if self.sender.resent > resent:
            self._noise = CLEAN_AFTER
        if self._missing.asks(now):
            due[:0] = wire.asking_again(ack)
            self._pinged_at = now
            self._ack_pending = self._urgent = False
        elif self._urgent or self._ack_pending:
            due.insert(0, wire.control(wire.ACK, ack=ack))
            self._ack_pending = self._urgent = False
        if now >= self._ping_at():
            self._pinged_at = now
            if not due or self._heard_at <= self._said_at:
                due.append(wire.control(wire.PING, ack=ack))
        return due
