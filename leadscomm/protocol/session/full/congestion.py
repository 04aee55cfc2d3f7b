"""How much to send over one link, and how fast: a model of its path, as BBR has one, kept simple.

The model is two numbers: the rate at which bytes arrive at best, and the shortest round trip. Their product is what
the path holds; more would only stand in a queue somewhere. So loss alone slows nothing down, as it is no sign of a
queue on a radio, and a thin line has no queue, as its rate is known. Now and then a bit more is sent, to see whether
the path has grown, and then a bit less, to empty what that filled.

How much is lost of what is sent in those emptier times, when nothing can be lost for want of room, is the path's own
loss; the pace makes up for it.

All bytes are counted as they are on the wire: with what header, seal and framing add.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Final

from leadscomm.protocol.session.full.lanes import Sent
from leadscomm.protocol.session.full.recovery import ACK_AFTER_S, FIRST_WAIT_S

FIRST_SEGMENTS: Final = 10
FIRST_BYTES: Final = 1 << 16
"""So much is sent at first, whichever is less, but at least two segments."""
BURST_S: Final = 0.001
"""What is due so soon is sent now: timers are no finer."""
_CATCH_UP_S: Final = 0.01
"""A sender that had no turn for so long may make up for it."""
_START_GAIN: Final = 2.77
_PROBE_GAIN: Final = 1.25
_MIXED_PROBE_GAIN: Final = 1.1
_LOW_GAIN: Final = 0.75
_SLOTS: Final = 8
"""Of each so many slots (a round trip or more) one probes, and the next one is low."""
_SLOT_S: Final = 0.01
_RATES_KEPT: Final = 12
_TRIP_AGE_S: Final = 10.0
"""A shortest round trip that was not seen again for so long is measured anew, with half of the usual under way; but not
on a line of which so much is known."""
_MAX_LOSS: Final = 0.5
_HOST_S: Final = 0.003
"""How long an answer may take for reasons of the peer's own: a callback that runs, a thread that waits for its turn."""
FIRST_SEGMENT: Final = 1400
"""Bytes on the wire of a segment at first."""
_ALONE_S: Final = 0.02
_MIXED_S: Final = 0.0005
_MIXED_TRIPS: Final = 0.2


def segment_weight(rate: float, trip: float, *, mixed: bool) -> int:
    """How many bytes on the wire a segment should have at most: an urgent message has to wait until one has left.

    With ``mixed`` it waits for a fifth of a round trip, which is less than the time that it takes anyway; or half a
    millisecond, where hosts are slower than the path. Otherwise segments are long, as long ones cost less.

    :param rate: bytes a second of the path; 0: not known.
    :param trip: seconds of its shortest round trip.
    :param mixed: there are urgent messages beside others.
    """
    if not rate:
        return FIRST_SEGMENT
    return int(rate * max(_MIXED_S if mixed else _ALONE_S, _MIXED_TRIPS * min(trip, FIRST_WAIT_S)))


class Congestion:
    """:param rate: bytes a second that the line carries at most, where that is known; 0 if not.

    :ivar segment: bytes on the wire of a segment.
    :ivar rate: bytes a second that arrive; 0 before the first measurement.
    :ivar shortest: seconds of the shortest round trip.
    :ivar measuring: less is under way than the path holds, so that the shortest round trip shows.
    :ivar loss: the path's own loss, 0 to 0.5.
    """

    def __init__(self, rate: float = 0.0) -> None:
        self.segment = FIRST_SEGMENT
        self.rate = 0.0
        self.shortest = inf
        self.loss = 0.0
        self._known_rate = rate or inf
        self._mixed = False
        self._starting = True
        self._gain = _START_GAIN
        self._arrived = 0
        self._arrived_at = 0.0
        self._first_at = 0.0
        self._limited_until = -1  # until so much has arrived, measurements tell of the sender, not of the path
        self._round_ends = 0
        self._rates: deque[float] = deque([0.0], maxlen=_RATES_KEPT)  # the best one of each slot
        self._full_rate = 0.0
        self._flat_rounds = 0
        self._slot = 0
        self._slot_at = -inf
        self._trip = 0.0  # the last one
        self._trip_at = 0.0  # when the shortest one was seen
        self.measuring = False
        self._low_came = 0
        self._low_lost = 0
        self._debt = 0.0  # bytes that were sent, and that the pace does not cover yet; less than none: it may catch up
        self._debt_at = 0.0

    # What may be sent

    def cut(self, shortest: int, longest: int, *, mixed: bool) -> int:
        """Choose the bytes on the wire of the segments that follow, from ``shortest`` to ``longest``.

        :param mixed: there are urgent messages beside others.
        """
        rate = self.rate or (self._known_rate if self._known_rate < inf else 0.0)
        self._mixed = mixed
        self.segment = min(longest, max(shortest, segment_weight(rate, self.shortest, mixed=mixed)))
        return self.segment

    @property
    def _first_window(self) -> int:
        return max(2 * self.segment, min(FIRST_SEGMENTS * self.segment, FIRST_BYTES))

    def window(self) -> float:
        """Bytes that may be under way."""
        if not self.rate:
            return self._first_window
        held = self.rate * self.shortest
        if self.measuring:
            return max(2 * self.segment, held / 2)
        extra = self.rate * (ACK_AFTER_S + _HOST_S) + 2 * self.segment
        return max(4 * self.segment, (_START_GAIN if self._starting else 2) * held + extra)

    def pace(self) -> float:
        """Bytes a second."""
        if not self.rate:
            return self._known_rate
        rate = self.rate
        if self._starting:
            rate = max(rate, self._first_window / min(FIRST_WAIT_S, max(self.shortest, _SLOT_S)))
        return min(self._known_rate, rate * self._gain / (1 - self.loss))

    def budget(self, now: float, in_flight: int, *, urgent: bool = False) -> int:
        """Bytes that may be sent now; the last segment may exceed it.

        :param urgent: they overtake others, and do not wait for the pace: those others will.
        """
        left = self.window() - in_flight
        if left <= 0:
            return 0
        pace = self.pace()
        if pace == inf:
            return int(left)
        self._pay(now, pace)
        due = pace * BURST_S - self._debt
        if urgent and -self.segment - 1 < due <= -1:
            return 1
        return max(1, int(min(left, due))) if due > -1 else 0  # by a byte at most: it is no exact time

    def next_at(self, in_flight: int, *, urgent: bool = False) -> float | None:
        """When :meth:`budget` will be more than nothing; None: not before something came."""
        if in_flight >= self.window():
            return None
        pace = self.pace()
        debt = self._debt - self.segment if urgent else self._debt
        return self._debt_at if pace == inf else self._debt_at + debt / pace - BURST_S

    def _pay(self, now: float, pace: float) -> None:
        self._debt = max(self._debt - (now - self._debt_at) * pace, -_CATCH_UP_S * pace)
        self._debt_at = now

    def spend(self, size: int, now: float) -> None:
        """Something goes out: of the segments, or besides."""
        pace = self.pace()
        if pace < inf:
            self._pay(now, pace)
            self._debt += size

    # What happens

    def sent(self, sent: Sent, now: float, in_flight: int) -> None:
        """A segment is on its way.

        :param in_flight: bytes that were under way before.
        """
        if not in_flight:
            self._first_at = self._arrived_at = now
        sent.arrived = self._arrived
        sent.arrived_at = self._arrived_at
        sent.first_at = self._first_at
        sent.limited = self._limited_until >= self._arrived
        sent.low = self._gain == _LOW_GAIN
        self.spend(sent.weight, now)

    def starved(self, in_flight: int) -> None:
        """There is nothing more to send, though there might be."""
        self._limited_until = self._arrived + in_flight

    def lost(self, segments: list[Sent]) -> None:
        for sent in segments:
            if sent.low:
                self._low_lost += sent.weight

    def acknowledged(self, segments: list[Sent], newest: Sent | None, now: float, in_flight: int) -> None:
        """Segments came; ``newest`` is the one that was sent last, if what it took tells something."""
        self._arrived += sum([sent.weight for sent in segments])
        self._arrived_at = now
        if newest is None:
            return
        if newest.low:
            self._low_came += sum([sent.weight for sent in segments if sent.low])
        self._first_at = newest.sent_at
        if not newest.resent:
            self._trip = now - newest.sent_at
            self.measure_trip(self._trip, now)
        interval = max(now - newest.arrived_at, newest.sent_at - newest.first_at)
        if interval > 0 and not interval < self.shortest < inf:
            self._measure_rate((self._arrived - newest.arrived) / interval, newest.limited)
        if newest.arrived >= self._round_ends:
            self._round_ends = self._arrived
            if self._starting:
                self._grow(newest.limited)
        self._turn(now, in_flight, newest.limited)

    def measure_trip(self, trip: float, now: float) -> None:
        """An answer took so long: one to a segment, or to a question."""
        if trip <= self.shortest:
            self.shortest, self._trip_at = trip, now

    def _measure_rate(self, rate: float, limited: bool) -> None:
        rates = self._rates
        if rate > self.rate or not limited:
            rates[-1] = max(rates[-1], rate)
            self.rate = max(rates)

    def _grow(self, limited: bool) -> None:
        """A round trip has passed at the beginning, in which the pace grows until the rate does not."""
        if limited:
            return
        if self.rate >= 1.25 * self._full_rate:
            self._full_rate, self._flat_rounds = self.rate, 0
            return
        self._flat_rounds += 1
        if self._flat_rounds >= 3:
            self._starting = False
            self._slot, self._gain = 1, _LOW_GAIN

    def _turn(self, now: float, in_flight: int, limited: bool) -> None:
        """Go on to the next slot, if it is time."""
        length = max(_SLOT_S, self.shortest, 4 * self.segment / self.rate if self.rate else 0.0)
        if self._starting or now < self._slot_at + length:
            return
        if (
            self._slot == 1
            and in_flight > self.rate * self.shortest + self.segment
            and now < self._slot_at + 4 * length
        ):
            return  # not empty yet
        if self._slot == 1:
            self._settle_loss()
        if not limited:
            self._rates.append(0.0)
            self.rate = max(self._rates)
        self._slot = (self._slot + 1) % _SLOTS
        self._slot_at = now
        self.measuring = self.measuring and self._slot != 4
        if self._slot == 2 and now > self._trip_at + _TRIP_AGE_S and self._known_rate == inf:
            self.measuring, self.shortest, self._trip_at = True, self._trip, now
        queueing = self._trip > 1.125 * self.shortest + 2 * self.segment / self.rate + ACK_AFTER_S
        steady = _LOW_GAIN if queueing else 1.0
        probe = _MIXED_PROBE_GAIN if self._mixed else _PROBE_GAIN
        self._gain = {0: probe, 1: _LOW_GAIN}.get(self._slot, steady)

    def _settle_loss(self) -> None:
        total = self._low_came + self._low_lost
        if total >= 8 * self.segment:
            self.loss += (min(_MAX_LOSS, self._low_lost / total) - self.loss) / 4
            self._low_came = self._low_lost = 0
