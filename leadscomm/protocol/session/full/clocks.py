"""How far a peer's clock is ahead, as NTP (RFC 5905) finds it out: four times of a question and its answer."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

LONGEST_TRIP_S: Final = 60.0
"""An answer that took longer than this is nonsense."""
DRIFT: Final = 1e-4
"""Seconds a second by which two clocks may drift apart: twice what a cheap crystal may be off."""
_KEPT: Final = 8


class Offset(NamedTuple):
    """:ivar seconds: by which the peer's clock is ahead, give or take
    :ivar uncertainty: so many.
    """

    seconds: float
    uncertainty: float


class _Sample(NamedTuple):
    offset: float
    trip: float
    at: float

    def uncertainty(self, now: float) -> float:
        """One way may have taken all of the trip and the other one none; and the clocks have drifted since."""
        return self.trip / 2 + DRIFT * (now - self.at)


class PeerClock:
    """What the latest answers tell; of them the best one counts, and the older one is, the less."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque(maxlen=_KEPT)

    def answered(self, asked: float, came: float, left: float, now: float) -> float | None:
        """An answer came.

        :param asked: when the question left, by this side's clock.
        :param came: when it came and
        :param left: when the answer left, by the peer's.
        :return: the round trip in seconds; None if it cannot be.
        """
        trip = (now - asked) - (left - came)
        if not 0 <= trip <= LONGEST_TRIP_S:
            return None
        self._samples.append(_Sample(((came - asked) + (left - now)) / 2, trip, now))
        return trip

    def offset(self, now: float) -> Offset | None:
        """None before the first answer."""
        best = min(self._samples, key=lambda sample: sample.uncertainty(now), default=None)
        return None if best is None else Offset(best.offset, best.uncertainty(now))
