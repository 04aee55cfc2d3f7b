"""The receiving half of a session's lanes: segments go in, in any order and more than once; messages come out.

What came is told in offsets: all before ``received``, and ranges beyond it. What was *dealt with* is told apart from
that: only then may the sender forget.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from typing import Final

from leadscomm.protocol.lanes import PREFIX_BYTES
from leadscomm.protocol.length import LengthFraming
from leadscomm.protocol.segments import LANE_ACK_BYTES, LANES, RANGE_BYTES, LaneAck

MAX_GAPS: Final = 1024
"""A lane with so many gaps takes nothing beyond its last range."""
_TOLD_AGAIN: Final = 32
"""How many ranges an acknowledgement tells: the newest ones, each of them several times in a row, as some are lost."""


class LaneIn:
    """One lane.

    :param longest: bytes of a message at most.
    :ivar received: all bytes before this offset came.
    :ivar dealt: the messages before this offset were dealt with.
    :ivar held: bytes that came beyond ``received``.
    :ivar came: messages to be taken.
    """

    def __init__(self, number: int, longest: int) -> None:
        self.number = number
        self.received = 0
        self.dealt = 0
        self.held = 0
        self.came: list[bytes] = []
        self.framing = LengthFraming(longest)
        self._pieces: dict[int, bytes] = {}  # what came beyond received, by offset; they do not overlap
        self._firsts: list[int] = []  # ranges that the pieces form, by offset, and
        self._lasts: list[int] = []  # where they end
        self._newest: deque[int] = deque(maxlen=_TOLD_AGAIN)  # offsets that came lately

    def take(self, offset: int, payload: bytes, room: int) -> bool:
        """Take a segment.

        :param room: bytes beyond ``received`` that there is memory for.
        :return: whether any of it was new.
        """
        end = offset + len(payload)
        if offset == self.received and not self._pieces:
            self.received = end
            self.came += self.framing.feed(payload)
            return end > offset
        if end <= self.received or not payload:
            return False
        if offset < self.received:
            offset, payload = self.received, payload[self.received - offset :]
        if offset > self.received and len(payload) > room:
            return False
        new = self._insert(offset, end, payload)
        if self._firsts and self._firsts[0] == self.received:
            self._advance()
        return new

    def _insert(self, offset: int, end: int, payload: bytes) -> bool:
        """Keep of [offset, end) what did not come yet, and make one range of it and those that it meets."""
        firsts, lasts = self._firsts, self._lasts
        low = bisect_left(lasts, offset)  # the first range that ends at offset or behind it
        high = bisect_right(firsts, end)  # the first range that begins behind end
        if low == high:
            if len(firsts) >= MAX_GAPS:
                return False
            firsts.insert(low, offset)
            lasts.insert(low, end)
            self._keep(offset, payload)
            self._newest.append(offset)
            return True
        new, at = False, offset
        for first, last in zip(firsts[low:high], lasts[low:high]):
            if at < first:
                self._keep(at, payload[at - offset : first - offset])
                new = True
            at = max(at, last)
        if at < end:
            self._keep(at, payload[at - offset :])
            new = True
        firsts[low:high] = [min(offset, firsts[low])]
        lasts[low:high] = [max(end, lasts[high - 1])]
        if new:
            self._newest.append(offset)
        return new

    def _keep(self, offset: int, piece: bytes) -> None:
        self._pieces[offset] = piece
        self.held += len(piece)

    def _advance(self) -> None:
        """The gap before the first range is filled."""
        del self._firsts[0]
        last = self._lasts.pop(0)
        run, at = [], self.received
        while at < last:
            piece = self._pieces.pop(at)
            run.append(piece)
            at += len(piece)
        self.held -= last - self.received
        self.received = last
        self.came += self.framing.feed(b"".join(run))

    def ack(self, ranges: int) -> LaneAck:
        """What came, with as many ranges at most; the newest ones."""
        firsts, lasts = self._firsts, self._lasts
        told: set[int] = set()
        if len(firsts) <= ranges:
            told.update(range(len(firsts)))
        else:
            for offset in reversed(self._newest):
                index = bisect_right(firsts, offset) - 1
                if len(told) == ranges:
                    break
                if index >= 0:
                    told.add(index)
        came = tuple([(firsts[index], lasts[index]) for index in sorted(told)])
        return LaneAck(self.number, self.dealt, self.received, came)

    @property
    def gaps(self) -> int:
        """How many ranges there are beyond ``received``."""
        return len(self._firsts)


class Incoming:
    """All lanes of the receiving half.

    :param room: bytes that are kept at most, of what the peer was not told to have been dealt with.
    :param longest: bytes of a message at most.
    :ivar duplicates: segments of which nothing was new.
    """

    def __init__(self, room: int, longest: int) -> None:
        self._room = room
        self._longest = longest
        self._lanes: list[LaneIn | None] = [None] * LANES
        self._used: list[LaneIn] = []
        self._handed: deque[tuple[LaneIn, list[int]]] = deque()  # sizes of what was taken and not dealt with
        self._turn = 0  # which lane an acknowledgement begins with
        self.duplicates = 0

    def take_segment(self, number: int, offset: int, payload: bytes) -> bool:
        """Take a segment; False if the peer has broken the rules with it, and the session has to end."""
        lane = self._lanes[number]
        if lane is None:
            lane = self._lanes[number] = LaneIn(number, self._longest)
            self._used = [each for each in self._lanes if each is not None]
        if offset + len(payload) - lane.dealt > self._room:
            return False
        if not lane.take(offset, payload, self._room - sum([each.held for each in self._used])):
            self.duplicates += 1
        return not lane.framing.broken

    def take(self) -> list[bytes]:
        """Take the messages that are whole, those of the more urgent lanes first."""
        came: list[bytes] = []
        for lane in self._used:
            if lane.came:
                came += lane.came
                self._handed.append((lane, list(map(len, lane.came))))
                lane.came = []
        return came

    def delivered(self, count: int) -> int:
        """The oldest ``count`` messages that were taken were dealt with; return their bytes in the lanes."""
        total = 0
        while count:
            lane, sizes = self._handed[0]
            now = sizes[:count]
            size = sum(now) + PREFIX_BYTES * len(now)
            lane.dealt += size
            total += size
            count -= len(now)
            if len(now) == len(sizes):
                self._handed.popleft()
            else:
                del sizes[: len(now)]
        return total

    @property
    def handed(self) -> bool:
        """Whether messages that were taken were not yet dealt with."""
        return bool(self._handed)

    def acks(self, space: int) -> list[LaneAck]:
        """What is to be told of the lanes, in ``space`` bytes; those that do not fit have their turn next time."""
        told: list[LaneAck] = []
        used = self._used
        for step in range(len(used)):
            lane = used[(self._turn + step) % len(used)]
            space -= LANE_ACK_BYTES
            if space < 0:
                self._turn = (self._turn + step) % len(used)
                break
            ack = lane.ack(min(_TOLD_AGAIN, space // RANGE_BYTES))
            space -= RANGE_BYTES * len(ack.ranges)
            told.append(ack)
        return told

    @property
    def gaps(self) -> bool:
        """Whether something is missing before what came."""
        return any(lane.gaps for lane in self._used)
