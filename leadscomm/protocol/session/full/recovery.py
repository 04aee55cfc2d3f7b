"""What one link has under way: how long answers take, what is lost, and when to ask.

The round trip is smoothed as TCP does (RFC 6298). A segment is lost if one that was sent later came, and it did not
come for a while after that: the order is judged by time, as RACK does (RFC 8985), since links reorder by time and not
by count. If nothing comes at all, the first bytes that the peer misses are sent again as a probe, which a peer takes
that keeps nothing behind a gap, too; its answer tells what became of the others.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from leadscomm.protocol.session.full.lanes import DONE, FLYING, Sent

ACK_AFTER_S: Final = 0.002
"""How long an acknowledgement may wait for more to acknowledge."""
FIRST_WAIT_S: Final = 0.2
MARGIN_S: Final = 0.005
"""What an answer may be late for reasons of its own: a thread that has to wait for its turn, say."""
MAX_WAIT_S: Final = 0.5
"""Waits double until this, or until what the round trip asks for: so soon is noticed that a link has returned."""
_TOLERANCE_S: Final = 0.001
_MAX_DOUBLINGS: Final = 10


class Recovery:
    """:param in_order: the link never reorders: a serial line, say, or a stream.

    :ivar round_trip: seconds from a segment to its acknowledgement, smoothed; None before the first.
    :ivar in_flight: bytes on the wire that are under way.
    :ivar tries: how many probes had no answer.
    :ivar spread: by how many seconds round trips differ from that, smoothed.
    :ivar count: segments that were sent.
    :ivar resent: of these, those that were lost.
    """

    def __init__(self, *, in_order: bool = False) -> None:
        self.round_trip: float | None = None
        self.in_flight = 0
        self.tries = 0
        self.resent = 0
        self.spread = 0.0
        self.count = 0
        self._in_order = in_order
        self._shortest = 0.0
        self._tolerance = 0.25  # round trips by which segments may overtake each other
        self._flight: deque[Sent] = deque()  # by the time of sending; some of them no longer flying
        self._newest = 0  # the order of the last one of those that came, and
        self._newest_trip = 0.0  # how long it took
        self._progress_at = 0.0
        self._look_at: float | None = None

    def sent(self, sent: Sent, now: float) -> None:
        """A segment is on its way."""
        sent.sent_at = now
        self.count += 1
        sent.order = self.count
        self.in_flight += sent.weight
        self._flight.append(sent)

    def measure(self, seconds: float) -> None:
        """An answer took so long."""
        if self.round_trip is None:
            self.round_trip, self.spread, self._shortest = seconds, seconds / 2, seconds
        else:
            self.spread += (abs(self.round_trip - seconds) - self.spread) / 4
            self.round_trip += (seconds - self.round_trip) / 8
            self._shortest = min(self._shortest, seconds)

    def answered(self, seconds: float) -> None:
        """A question that was no segment was answered."""
        self.measure(seconds)
        self.tries = 0

    def acknowledged(self, segments: list[Sent], now: float) -> Sent | None:
        """Segments of this link came; return the one that was sent last, if what it took tells something."""
        newest = None
        for sent in segments:
            if sent.state == FLYING:
                self.in_flight -= sent.weight
            spurious = sent.state != FLYING or (sent.resent and now - sent.sent_at < self._shortest)
            sent.state = DONE
            if spurious:  # what came was the one before, which had not been lost: this link reorders more than thought
                self._tolerance = min(1.0, self._tolerance * 1.25)
            elif newest is None or sent.order > newest.order:
                newest = sent
        self.tries = 0
        self._progress_at = now
        if newest is not None:
            trip = now - newest.sent_at
            if not newest.resent:
                self.measure(trip)
            if newest.order > self._newest:
                self._newest, self._newest_trip = newest.order, trip
        return newest

    def lost(self, now: float) -> list[Sent]:
        """The segments that are found to be lost now; the caller sends them again."""
        self._look_at = None
        lost: list[Sent] = []
        tolerance = 0.0 if self._in_order else max(_TOLERANCE_S, self._tolerance * (self.round_trip or 0.0))
        wait = self._newest_trip + tolerance
        due = self._probe_at()
        for sent in self._flight:
            if sent.order >= self._newest:
                break
            if sent.state == FLYING:
                if sent.sent_at + wait > now:
                    self._look_at = sent.sent_at + wait
                    break
                lost.append(sent)
        if not lost and due is not None and now >= due:
            self.tries += 1
            self._progress_at = now
            lost.append(self._oldest())
        self._drop(lost)
        return lost

    def _oldest(self) -> Sent:
        """What to ask with: the first bytes that the peer misses, as it may keep nothing behind them."""
        longest_away = self._flight[0]
        first = longest_away.lane.missed
        return first if first.state == FLYING and first.via is longest_away.via else longest_away

    def abandon(self) -> list[Sent]:
        """The link is of no use any more: all that is under way is lost."""
        lost = [sent for sent in self._flight if sent.state == FLYING]
        self._drop(lost)
        self._flight.clear()
        return lost

    def _drop(self, lost: list[Sent]) -> None:
        for sent in lost:
            self.in_flight -= sent.weight
        self.resent += len(lost)

    def wait(self) -> float:
        """How long to wait for an answer, in seconds."""
        if self.round_trip is None:
            usual = FIRST_WAIT_S
        else:
            usual = self.round_trip + max(MARGIN_S, 4 * self.spread) + ACK_AFTER_S
        return min(usual * (1 << min(self.tries, _MAX_DOUBLINGS)), max(usual, MAX_WAIT_S))

    def _probe_at(self) -> float | None:
        flight = self._flight
        while flight and flight[0].state != FLYING:
            flight.popleft()
        return max(flight[0].sent_at, self._progress_at) + self.wait() if flight else None

    def deadline(self) -> float | None:
        """When :meth:`lost` is to be called at the latest; None: not before something came."""
        probe_at = self._probe_at()
        if probe_at is None or self._look_at is None:
            return probe_at
        return min(probe_at, self._look_at)
