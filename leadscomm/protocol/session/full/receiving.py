"""The receiving half of a session's lanes: segments go in, in any order and more than once; messages come out.

What came is told in offsets: all before ``received``, and ranges beyond it. What was *dealt with* is told apart from
that: only then may the sender forget.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from typing import Final

from leadscomm.protocol.session.full.prefixed import Separator, TooLong, sizes
from leadscomm.protocol.session.segments import LANE_ACK_BYTES, MESSAGES, RANGE_BYTES, RECORDS, LaneAck, lane_number

MAX_GAPS: Final = 1024
"""A lane with so many gaps takes nothing beyond its last range."""
PIECE_BYTES: Final = 128
"""Memory that a piece costs besides its bytes: the smallest ones could fill many times the room otherwise."""
_TOLD_AGAIN: Final = 32
"""How many ranges an acknowledgement tells: the newest ones, each of them several times in a row, as some are lost."""


class LaneIn:
    """One lane of a channel.

    :param longest: bytes of a message at most.
    :ivar received: all bytes before this offset came.
    :ivar delivered: the messages before this offset were dealt with.
    :ivar top: no byte behind this offset came.
    :ivar held: bytes of memory for what came beyond ``received``.
    :ivar count: messages that came and were not dealt with.
    :ivar complete: messages to be taken.
    :ivar too_long: messages that were too long and have begun, to be taken by their bytes.
    """

    def __init__(self, number: int, longest: int) -> None:
        self.number = number
        self.urgency, self.channel = number >> 3, number & 7
        self.received = 0
        self.delivered = 0
        self.top = 0
        self.held = 0
        self.count = 0
        self.complete: list[bytes] = []
        self.too_long: list[int] = []
        self.separator = Separator(longest)
        self._pieces: dict[int, bytes] = {}  # what came beyond received, by offset; they do not overlap
        self._firsts: list[int] = []  # ranges that the pieces form, by offset, and
        self._lasts: list[int] = []  # where they end
        self._newest: deque[int] = deque(maxlen=_TOLD_AGAIN)  # offsets that came lately
        self._handed: deque[int] = deque()  # bytes in the lane of what was handed out and not dealt with
        self._settled = 0  # messages that were dealt with
        self._passed: deque[TooLong] = deque()  # messages that are dealt with once those before them are

    @property
    def passes_over(self) -> bool:
        """Whether a message that is too long is not dealt with yet."""
        return bool(self._passed)

    def take(self, offset: int, payload: bytes, room: int, messages: int) -> bool:
        """Take a segment.

        :param room: bytes of memory that there is for what is beyond ``received``.
        :param messages: so many more may be found, or one segment's more; what is behind is not looked at.
        :return: whether any of it was new.
        """
        end = offset + len(payload)
        if offset == self.received and not self.held:
            self.received = self.top = end
            self._feed(payload)
            return end > offset
        if end <= self.received or not payload:
            return False
        if offset < self.received:
            offset, payload = self.received, payload[self.received - offset :]
        if offset > self.received and len(payload) + PIECE_BYTES > room:
            return False
        new = self._insert(offset, end, payload)
        self.top = self._lasts[-1]
        if self._firsts[0] == self.received:
            self._advance(messages)
        return new

    def _feed(self, payload: bytes) -> None:
        """The next bytes of the lane."""
        separator = self.separator
        found = separator.feed(payload)
        if separator.too_long:
            before = self._settled + self.count
            for number, message in enumerate(separator.too_long):
                self._passed.append(message._replace(before=before + number + message.before))
                self.too_long.append(message.size)
            self.count += len(separator.too_long)
            separator.too_long = []
        self.complete += found
        self.count += len(found)
        if self._passed:
            self._pass_over()

    def _pass_over(self) -> None:
        """A message that is too long is dealt with when it has come whole, and those before it were dealt with."""
        passed = self._passed
        while passed and passed[0].before == self._settled and self.delivered + passed[0].whole <= self.received:
            self.delivered += passed.popleft().whole
            self._settled += 1
            self.count -= 1

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
        self.held += len(piece) + PIECE_BYTES

    def _advance(self, messages: int) -> None:
        """The gap before the first range is filled."""
        del self._firsts[0]
        last, most = self._lasts.pop(0), self.count + messages
        while self.received < last and self.count <= most:
            piece = self._pieces.pop(self.received)
            self.received += len(piece)
            self.held -= len(piece) + PIECE_BYTES
            self._feed(piece)

    def hand_out(self, limit: int | None) -> list[bytes]:
        """Take the messages that came, ``limit`` of them at most."""
        came = self.complete
        if limit is None or len(came) <= limit:
            self.complete = []
        else:
            came = came[:limit]
            del self.complete[:limit]
        self._handed += sizes(came)
        return came

    def deliver(self, count: int) -> None:
        """The oldest ``count`` messages that were handed out were dealt with.

        :raises IndexError: so many were not handed out.
        """
        handed = self._handed
        if count == len(handed):  # as a rule, and quicker
            total = sum(handed)
            handed.clear()
        else:
            total = sum([handed.popleft() for _ in range(count)])
        self.delivered += total
        self._settled += count
        self.count -= count
        if self._passed:
            self._pass_over()

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
        return LaneAck(self.number, self.delivered, self.received, came)

    @property
    def gaps(self) -> int:
        """How many ranges there are beyond ``received``."""
        return len(self._firsts)


class IncomingLanes:
    """All lanes of the receiving half.

    :param room: bytes that are kept at most, of what was not dealt with, in all lanes together.
    :param messages: and messages.
    :ivar longest: bytes of a message at most; what is longer is passed over.
    :ivar duplicates: segments of which nothing was new.
    :ivar taken: messages that were taken, of all channels.
    :ivar ready: messages that are whole and were not taken.
    :ivar ready_records: records that are.
    """

    def __init__(self, room: int, messages: int, longest: int) -> None:
        self._room = room
        self._most = messages
        self._used_bytes = 0  # of the room, and
        self._used_messages = 0  # messages that are taken up
        self.ready = self.ready_records = 0
        self.longest = longest
        self._lanes: dict[int, LaneIn] = {}
        self._used: list[LaneIn] = []  # the urgent ones first
        self._order: deque[tuple[LaneIn, int]] = deque()  # of the messages taken and not dealt with: so many of a lane
        self._turn = 0  # which lane an acknowledgement begins with
        self.duplicates = 0
        self.taken = 0

    def take_segment(self, number: int, offset: int, payload: bytes) -> bool:
        """Take a segment; False if the peer has broken the rules with it, and the session has to end."""
        lane = self._lanes.get(number)
        if lane is None:
            lane = self._lanes[number] = LaneIn(number, self.longest)
            self._used = sorted(self._lanes.values(), key=lambda each: each.number)
        before, count = lane.top - lane.delivered, lane.count
        if self._used_bytes + offset + len(payload) - lane.top > self._room:
            return False
        whole = len(lane.complete)
        if offset == lane.received and not lane.held:
            room = messages = 0  # they are for what is beyond a gap
        else:
            room, messages = self._room - sum([each.held for each in self._used]), self._most - self._used_messages
        if not lane.take(offset, payload, room, messages):
            self.duplicates += 1
        self._used_bytes += lane.top - lane.delivered - before
        self._used_messages += lane.count - count
        if lane.channel == MESSAGES:
            self.ready += len(lane.complete) - whole
        else:
            self.ready_records += len(lane.complete) - whole
        return self._used_messages <= self._most and not lane.separator.broken

    def take_too_long(self) -> list[int]:
        """Take the sizes of the messages that were too long."""
        sizes: list[int] = []
        for lane in self._used:
            sizes += lane.too_long
            lane.too_long = []
        return sizes

    @property
    def passes_over(self) -> bool:
        """Whether a message that is too long is not dealt with yet."""
        return any(lane.passes_over for lane in self._used)

    def take(self, limit: int | None = None) -> list[bytes]:
        """Take the messages that are whole, those of the more urgent lanes first.

        :param limit: so many at most; None: all.
        """
        came: list[bytes] = []
        for lane in self._used:
            if lane.complete and lane.channel == MESSAGES:
                if limit is not None and len(came) >= limit:
                    break
                taken = lane.hand_out(None if limit is None else limit - len(came))
                self._order.append((lane, len(taken)))
                came += taken
        self.taken += len(came)
        self.ready -= len(came)
        return came

    def take_records(self) -> list[tuple[int, bytes]]:
        """Take the records that are whole, each with its lane, those of the more urgent lanes first."""
        came: list[tuple[int, bytes]] = []
        for lane in self._used if self.ready_records else ():
            if lane.complete and lane.channel == RECORDS:
                came += [(lane.urgency, record) for record in lane.hand_out(None)]
        self.taken += len(came)
        self.ready_records = 0
        return came

    def delivered(self, count: int) -> int:
        """The oldest ``count`` messages that were taken were dealt with; return their bytes in the lanes."""
        total = 0
        while count:
            lane, taken = self._order.popleft()
            now = min(count, taken)
            if now < taken:
                self._order.appendleft((lane, taken - now))
            total += self._deliver(lane, now)
            count -= now
        return total

    def _deliver(self, lane: LaneIn, count: int) -> int:
        before, held = lane.delivered, lane.count
        lane.deliver(count)
        delivered = lane.delivered - before
        self._used_messages -= held - lane.count
        self._used_bytes -= delivered
        return delivered

    def delivered_records(self, lane: int, count: int) -> int:
        """The same of the records of one lane."""
        return self._deliver(self._lanes[lane_number(lane, RECORDS)], count)

    @property
    def handed(self) -> bool:
        """Whether messages that were taken were not yet dealt with. Records may take their time."""
        return bool(self._order)

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

    def forget(self) -> None:
        """Let go of all that came."""
        self._lanes, self._used = {}, []
        self._order.clear()
        self._used_bytes = self._used_messages = self.ready = self.ready_records = 0

    @property
    def gaps(self) -> bool:
        """Whether something is missing before what came."""
        return sum([lane.held for lane in self._used]) > 0
