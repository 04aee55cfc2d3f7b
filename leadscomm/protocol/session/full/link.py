"""One connection that carries a session of the full profile: its sizes, its state, its timers."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Final

from leadscomm.protocol.session import segments as full
from leadscomm.protocol.session.counters import LinkStats
from leadscomm.protocol.session.full.clocks import PeerClock
from leadscomm.protocol.session.full.lanes import Sent
from leadscomm.protocol.session.full.path import Lossless, Measured, Path
from leadscomm.protocol.session.full.recovery import ACK_AFTER_S, Recovery
from leadscomm.protocol.session.offer import Offer
from leadscomm.protocol.session.seals import Checked, NoSeal, Proof, Seal
from leadscomm.protocol.session.segments import DATA_OVERHEAD, Control

ASK_EVERY_S: Final = 0.05
ASK_SLOWLY_EVERY_S: Final = 0.5
_ASK_QUICKLY: Final = 20
DUE_FRAMES: Final = 2
"""So many data frames are acknowledged at once."""
RIDES_S: Final = 0.005
"""How long an acknowledgement may wait for something to ride on, where the peer lets it."""
RIDES_BYTES: Final = 1 << 18
"""So many bytes are acknowledged at once there."""
_ROOM_PARTS: Final = 4
"""A peer that has little room waits for acknowledgements before this part of it is used up."""
TROUBLE: Final = 2
"""After so many probes without an answer another link is better."""
MAX_ANSWERS: Final = 32
MEASURE_EVERY_S: Final = 10.0
"""How often round trip and clocks are measured at least, however much is said."""
PINGS: Final = 5
"""How many signs of life may be missed."""
GREET_EVERY_S: Final = 0.2
"""How often a peer is asked for a sign that it hears this side."""
_BYTES_FOR_ONE: Final = 3
_FRAMES_FOR_ONE: Final = 2
_ACK_BYTES: Final = 96
_SMALLEST: Final = 40
"""Bytes of a lane in a segment, at least: an acknowledgement of one lane with a range has to fit, too."""


class Allowance:
    """What may be sent to an address that may be forged: less than three times the bytes that came from there, and two
    frames for each."""

    def __init__(self) -> None:
        self._frames = self._bytes = 0

    def received(self, size: int) -> None:
        """A frame came, whatever it is."""
        self._frames += _FRAMES_FOR_ONE
        self._bytes += _BYTES_FOR_ONE * size - 1

    def spend(self, size: int) -> bool:
        """Whether a frame of this size may be sent; it counts as sent then."""
        if not self._frames or size > self._bytes:
            return False
        self._frames -= 1
        self._bytes -= size
        return True


class Link:
    """A way to the peer. What it is made of belongs to the session that it was added to.

    :param segment: the longest frame that it carries, in bytes behind the header.
    :param checked: the framing below has no CRC of 32 bits, so that each frame gets one.
    :param in_order: it keeps the order, as streams and serial lines do.
    :param lossless: it loses nothing as long as it lives, by all that is known of such lines.
    :param rate: bytes a second, where the line is known to carry no more; 0 if not.
    :param overhead: bytes that the framing, and what is below it, add to a frame.
    :param preference: the link with the lowest one of those that are well carries the segments.
    :param spoofable: the sender of what comes may be forged, so that answers may reach somebody who asked for nothing.
    :ivar joined: the peer has agreed to it.
    :ivar proved: the peer has shown over it that it hears this side. Before, it carries nothing but greetings: anybody
        may have said the peer's, from any address, or have seen them once.
    :ivar dead: nothing came over it for so long that it is to be closed.
    :ivar clock: the peer's.
    :ivar path: what becomes of segments on it.
    :ivar unanswered: how many PINGs in a row nothing came after.
    """

    def __init__(
        self,
        segment: int = 1200,
        *,
        checked: bool = False,
        in_order: bool = False,
        lossless: bool = False,
        rate: float = 0.0,
        overhead: int = 8,
        preference: int = 0,
        spoofable: bool = False,
    ) -> None:
        self.segment = segment
        self.preference = preference
        self.joined = self.proved = self.dead = False
        self.allowance = Allowance() if spoofable else None  # what may be sent before that is so
        self.ready_at = 0.0  # since when the peer can be heard over it
        self.silence, self._asks = inf, False
        self._epoch = self.peer_epoch = 0  # of this side, and of the peer; 0: it has not agreed
        self._longest = 0  # bytes of a lane in a segment, and
        self._around = self._overhead = overhead  # bytes that it has besides on the wire; and that each frame has
        self.clock = PeerClock()
        self.unanswered = self.pings_missed = 0
        self.sent_bytes = self.received_bytes = 0
        self.seal: Seal = Checked() if checked else NoSeal()
        self.recovery = Recovery(in_order=in_order or lossless)
        self._rate = rate
        self.path: Path = Lossless(self.recovery) if lossless else Measured(self.recovery, rate)
        self.answers: deque[bytes] = deque(maxlen=MAX_ANSWERS)  # frames on their way, sealed
        self.pings: deque[tuple[int, float]] = deque(maxlen=4)  # clocks of PINGs, and when they came
        self.heard_at = self.said_at = self.pinged_at = self.ask_at = 0.0
        self._no_ping_before = 0.0  # as was found out when it was looked for last
        self.asked = 0
        self.shortly = False  # the peer does not take a frame as long as the HELLO of the full profile
        self.unacked = 0  # data frames that were not acknowledged
        self.unacked_bytes = 0  # the bytes of lanes in them
        self.unacked_since = 0.0
        self._rides_bytes = 0  # so many may wait, together with their acknowledgement; 0: none waits
        self.urgent = False  # an acknowledgement is to go at once

    def begin(self, now: float, *, epoch: int, silence: float, asks: bool) -> None:
        """The session was given this link.

        :param epoch: of this side.
        :param silence: seconds of silence after which it is dead.
        :param asks: this side says HELLO; otherwise it waits for one.
        """
        self._epoch, self.silence, self._asks = epoch, silence, asks
        self.heard_at = self.said_at = self.pinged_at = self.ask_at = self.ready_at = now

    def join(self, peer: Offer, me: Offer, proof: Proof | None, now: float) -> None:
        """The peer has agreed."""
        if not self.joined:
            self.joined = True
            self.ready_at = now
            self.seal = proof or self.seal
            self.peer_epoch = peer.epoch
            longest = min(self.segment, peer.segment)
            self._longest = max(_SMALLEST, longest + 1 - DATA_OVERHEAD - self.seal.overhead)
            self._around += DATA_OVERHEAD + self.seal.overhead
            if peer.rides and self.path.lossless:
                self._rides_bytes = min(RIDES_BYTES, me.room // _ROOM_PARTS)
            self.heard_at = self.said_at = now
            self.pinged_at = now - MEASURE_EVERY_S  # the first measurement is due

    @property
    def greets_at(self) -> float:
        """When the peer is to be asked next, as long as it has not shown that it hears this side."""
        if self.joined:
            return self.pinged_at + GREET_EVERY_S
        return self.ask_at if self._asks else inf

    def permitted(self, frames: list[bytes]) -> list[bytes]:
        """Those that may be sent: to an address that may be forged only a little for each frame that came from there.
        The others are lost, as frames may be."""
        if self.proved or self.asked or self.allowance is None:
            return frames
        return [frame for frame in frames if self.allowance.spend(len(frame))]

    @property
    def well(self) -> bool:
        """Whether something gets through, as far as is known."""
        return self.recovery.tries < TROUBLE and not self.unanswered

    @property
    def rank(self) -> tuple[bool, int]:
        """The link with the lowest one carries the segments."""
        return not self.well, self.preference

    @property
    def longest_datagram(self) -> int:
        return self._longest + DATA_OVERHEAD - 1

    @property
    def longest_ack(self) -> int:
        """Bytes of an acknowledgement, at most, without its seal. It may be in an urgent message's way, too."""
        return DATA_OVERHEAD + min(self._longest, max(_ACK_BYTES, self.path.segment))

    def cut(self, *, mixed: bool) -> tuple[int, int]:
        """How many bytes of a lane a segment should have at present, and how many it has besides.

        :param mixed: there are urgent messages beside others.
        """
        around = self._around
        return self.path.cut(_SMALLEST + around, self._longest + around, mixed=mixed) - around, around

    def stats(self, now: float, *, carries: bool) -> LinkStats:
        """How it is.

        :param carries: the session's segments go over it.
        """
        recovery, offset = self.recovery, self.clock.offset(now)
        return LinkStats(
            joined=self.joined,
            well=self.well,
            dead=self.dead,
            carries=carries,
            round_trip=recovery.round_trip,
            jitter=recovery.spread,
            loss=recovery.resent / max(1, recovery.count),
            sent_bytes=self.sent_bytes,
            received_bytes=self.received_bytes,
            rate=self.path.rate,
            clock_offset=offset and offset.seconds,
            clock_uncertainty=offset and offset.uncertainty,
            pings_missed=self.pings_missed,
        )

    def asked_now(self, now: float) -> None:
        """A HELLO goes out."""
        self.asked += 1
        self.ask_at = now + (ASK_EVERY_S if self.asked < _ASK_QUICKLY else ASK_SLOWLY_EVERY_S)

    # Signs of life ---------------------------------------------------------------------------------------------------

    def greeting(self, now: float) -> list[bytes]:
        """Ask the peer to show that it hears this side, if it is time."""
        self.dead |= now >= self.ready_at + self.silence
        if self.dead or now < self.greets_at:
            return []
        self.pinged_at = now
        return [self.ping(now)]

    def ping(self, now: float) -> bytes:
        """A question."""
        clock = full.clock(now)
        self.path.asks(clock)
        return self.seal.seal(full.ping(self._epoch, full.veiled(clock, self._epoch)))

    def deadline(self, *, busy: bool) -> float | None:
        """When something is due on it.

        :param busy: nobody may read what comes, so that silence means nothing.
        """
        if not self.proved:
            return self.greets_at if not self.dead and self.greets_at < inf else None
        due = [self.path.deadline(), self.ack_at(), self.ping_at()]
        if not self.dead and not busy:
            due.append(self.heard_at + self.silence)
        return min([at for at in due if at is not None])

    def ping_at(self) -> float:
        """When a PING is due: when one of both sides has said nothing for a while, not even a PING."""
        often = self.dead or not self.well  # so that its return is noticed soon
        quiet = self.silence / (4 * PINGS if often else PINGS)
        measure = min(self.path.measure_every, MEASURE_EVERY_S)
        return min(max(self.pinged_at, min(self.said_at, self.heard_at)) + quiet, self.pinged_at + measure)

    def ping_is_due(self, now: float) -> bool:
        """Whether it is. As a rule it is not, which is known from the last time."""
        if now < self._no_ping_before and self.path.lossless:
            return False
        self._no_ping_before = self.ping_at()
        return now >= self._no_ping_before

    def ping_now(self) -> None:
        """A PING is due."""
        self.pinged_at = -inf
        self._no_ping_before = 0.0

    def pinged(self, now: float, *, expected: bool) -> None:
        """A PING goes out.

        :param expected: the last one should have been answered by now.
        """
        if expected and self.heard_at < self.pinged_at:
            self.unanswered += 1
            self._no_ping_before = 0.0
            self.pings_missed += 1
        self.pinged_at = now

    def reminded(self) -> None:
        """What the peer has dealt with is asked for: over a path that loses nothing, it should have said so."""
        if self.path.lossless:  # who loses something asks by its segments
            self.recovery.tries += 1
            self._no_ping_before = 0.0

    def answers_ping(self, found: Control, now: float) -> bool:
        """Whether a frame is the answer to a PING that was sent over this link."""
        clocks = full.read_pong(found.body) if found.which == full.PONG else None
        return clocks is not None and full.clock(self.ready_at) <= self._unveiled(clocks) <= full.clock(now)

    def answered(self, body: bytes, now: float) -> None:
        """A PONG came: four times tell the round trip and, if it was a short one, how far the clocks are apart."""
        clocks = full.read_pong(body)
        if clocks is None:
            return
        asked = self._unveiled(clocks)
        self.path.answered(asked)
        _, came, left = clocks
        trip = self.clock.answered(asked / 1e6, came / 1e6, left / 1e6, now)
        if trip is not None:
            self.path.trip(trip, now)

    def _unveiled(self, clocks: tuple[int, int, int]) -> int:
        return full.veiled(clocks[0], self._epoch)

    def was_pinged(self, body: bytes, now: float) -> None:
        """A PING came; it is answered as soon as something may be sent."""
        clock = full.read_ping(body)
        if clock is not None:
            self.pings.append((clock, now))
            self.schedule_ack(now, frames=0, urgent=True)

    def pongs(self, now: float) -> list[bytes]:
        """The answers to the PINGs that came."""
        epoch = self._epoch
        due = [self.seal.seal(full.pong(epoch, clock, full.clock(at), full.clock(now))) for clock, at in self.pings]
        self.pings.clear()
        return due

    # Acknowledgements ------------------------------------------------------------------------------------------------

    def schedule_ack(self, now: float, *, frames: int = 1, size: int = 0, urgent: bool = False) -> None:
        """The peer is to be told of something.

        :param size: bytes of lanes that came.
        """
        if not self.unacked:
            self.unacked_since = now
        self.unacked += frames
        self.unacked_bytes += size
        most = self._rides_bytes
        self.urgent = self.urgent or urgent or (self.unacked_bytes >= most if most else self.unacked >= DUE_FRAMES)

    def ack_at(self) -> float | None:
        """When an acknowledgement is due."""
        if self.urgent:
            return self.unacked_since if self.unacked else self.heard_at
        if not self.unacked:
            return None
        return self.unacked_since + (RIDES_S if self._rides_bytes else ACK_AFTER_S)

    def quiet(self, now: float) -> bool:
        """Whether there is nothing to tell that cannot wait, and nothing is lost."""
        waits = not self.unacked or now < self.unacked_since + (RIDES_S if self._rides_bytes else 0.0)
        calm = waits and not (self.urgent or self.pings or self.answers)
        return calm and self.path.lossless and self.proved and not self.dead

    def rides(self, now: float) -> bool:
        """Whether an acknowledgement that is not due is to go with what goes out now: it would be due soon."""
        return bool(self.unacked and self._rides_bytes) and now >= self.unacked_since + RIDES_S / 2

    def ack_sent(self) -> None:
        """An acknowledgement goes out."""
        self.unacked = self.unacked_bytes = 0
        self.urgent = False

    # Segments --------------------------------------------------------------------------------------------------------

    def sent(self, sent: Sent, now: float) -> None:
        """A segment goes out."""
        sent.via = self
        sent.weight = sent.size + self._around
        self.path.sent(sent, now)

    def spend(self, frames: list[bytes], now: float) -> None:
        """Frames that are no segments go out."""
        self.path.spend(sum(map(len, frames)) + self._overhead * len(frames), now)

    def acknowledged(self, segments: list[Sent], now: float) -> None:
        """Segments of this link came."""
        self.path.acknowledged(segments, now)

    def next_at(self, *, urgent: bool) -> float | None:
        """When more than nothing may be sent; None: not before something came."""
        return self.path.next_at(urgent=urgent)

    def give_up(self, under_way: list[Sent]) -> None:
        """Nothing more is sent over it, and what is under way is lost."""
        self.path.give_up(under_way)

    def distrust(self, under_way: list[Sent]) -> None:
        """It has lost something, though it was taken for one that does not: what is under way counts as lost."""
        self.give_up(under_way)
        self.path = Measured(self.recovery, self._rate)
        self._rides_bytes = 0
