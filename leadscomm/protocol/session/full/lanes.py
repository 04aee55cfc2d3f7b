"""A lane of the sending half of a session: messages go in, segments come out, and what was lost is cut anew.

Each lane of a channel is a stream of bytes in which each message stands behind its length. A message is *begun* when it
gets its place in the stream; until then it may be replaced by a newer one, or run out of time. What was begun stays
until the peer has dealt with it. Many small messages are joined by one call, so that none of them costs Python more
than its way in.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Hashable
from itertools import accumulate, islice
from operator import attrgetter
from typing import Final, Protocol, cast

from leadscomm.protocol.session.full.prefixed import Separator, joined, sizes
from leadscomm.protocol.session.segments import LaneAck

DEFAULT_LANE: Final = 4
_AT_ONCE: Final = 1024
"""So many messages are begun by one call, at most."""
_AT_LEAST: Final = 8
"""So many are looked at for it, however long they are on average."""

FLYING: Final = 0
LOST: Final = 1
DONE: Final = 2


class Route(Protocol):
    """What segments are sent over."""

    def acknowledged(self, segments: list[Sent], now: float) -> None:
        """Segments that were sent over it came."""
        ...


class Sent:
    """A segment, as it was sent over a link.

    :ivar size: bytes of the lane.
    :ivar weight: bytes on the wire, with all that is around them there.
    :ivar state: :data:`FLYING`, :data:`LOST`, or :data:`DONE`: it came, or was sent again.
    :ivar resent: its bytes had been sent before.
    :ivar order: of all that were sent over the link, the how manieth it was.
    :ivar arrived: and the other marks: what the link's model of its path knew when this was sent.
    """

    __slots__ = ("arrived", "arrived_at", "end", "first_at", "lane", "limited", "low", "order", "resent", "sent_at",
                 "size", "start", "state", "via", "weight")  # fmt: skip

    def __init__(self, lane: Lane, start: int, end: int, resent: bool) -> None:
        self.lane = lane
        self.start = start
        self.end = end
        self.size = self.weight = end - start
        self.resent = resent
        self.state = FLYING
        self.via: Route | None = None
        self.sent_at = 0.0
        self.order = 0
        self.arrived = 0
        self.arrived_at = 0.0
        self.first_at = 0.0
        self.limited = False
        self.low = False

    def payload(self) -> bytearray:
        base = self.lane.delivered
        return self.lane.stream[self.start - base : self.end - base]


class _Waiting:
    """A message that was not begun and has a deadline, or a key by which a newer one replaces it."""

    __slots__ = ("deadline", "key", "message")

    def __init__(self, message: bytes, deadline: float | None, key: Hashable | None) -> None:
        self.message = message
        self.deadline = deadline
        self.key = key


def message_of(entry: bytes | _Waiting) -> bytes:
    """The message of an entry of :attr:`Lane.waiting`."""
    return entry.message if isinstance(entry, _Waiting) else entry


class Lane:
    """One lane of a channel.

    :ivar number: as it travels: urgency and channel.
    :ivar urgency: 0 is the most urgent one.
    :ivar delivered: offset before which the peer has dealt with all messages.
    :ivar stream: the bytes from there on.
    :ivar next: offset of the first byte that was never sent.
    :ivar waiting: messages that were not begun, and
    :ivar waiting_bytes: their bytes.
    :ivar lost: segments that are to be sent again, the oldest bytes first: a peer may keep nothing beyond a gap.
    :ivar first_deadline: no message that waits runs out of time before this; None: none does.
    :ivar settled: how many messages the peer has dealt with.
    :ivar dropped: how many were neither sent nor are to be: a newer one replaced them, or their time ran out.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.urgency, self.channel = number >> 3, number & 7
        self.settled = 0
        self.dropped = 0
        self.delivered = 0
        self.stream = bytearray()
        self.next = 0
        self.waiting: deque[bytes | _Waiting] = deque()
        self.waiting_bytes = 0
        self.lost: list[Sent] = []
        self.ends: list[int] = []  # of the messages that were begun
        self._special = 0  # how many of those that wait are no plain bytes
        self._keys: dict[Hashable, _Waiting] = {}
        self.first_deadline: float | None = None
        self._starts: list[int] = []  # of the segments that did not come, by offset, and
        self._unreceived: list[Sent] = []  # these

    @property
    def end(self) -> int:
        """Where the next message will be begun."""
        return self.delivered + len(self.stream)

    @property
    def busy(self) -> bool:
        """Whether something might be sent."""
        self.drop_found()
        return bool(self.lost or self.waiting) or self.next < self.end

    def drop_found(self) -> None:
        """Forget what is first to be sent again, as long as that came after all."""
        lost = self.lost
        while lost and lost[0].state != LOST:
            del lost[0]

    # What waits

    def put(self, message: bytes, deadline: float | None, key: Hashable | None) -> None:
        """Let a message with a deadline or a key wait for its turn."""
        self._expect(deadline)
        old = self._keys.get(key) if key is not None else None
        if old is not None:
            self.waiting_bytes += len(message) - len(old.message)
            self.dropped += 1
            old.message, old.deadline = message, deadline
            return
        entry = _Waiting(message, deadline, key)
        if key is not None:
            self._keys[key] = entry
        self._special += 1
        self.waiting_bytes += len(message)
        self.waiting.append(entry)

    def _expect(self, deadline: float | None) -> None:
        if deadline is not None and (self.first_deadline is None or deadline < self.first_deadline):
            self.first_deadline = deadline

    def expired(self, now: float) -> list[bytes]:
        """Take out the messages whose time has run out."""
        if self.first_deadline is None or now < self.first_deadline:
            return []
        late = self._take_back(lambda entry: entry.deadline is not None and entry.deadline <= now)
        self.first_deadline = None
        for entry in self.waiting:
            if isinstance(entry, _Waiting):
                self._expect(entry.deadline)
        return late

    def too_long(self, longest: int) -> list[bytes]:
        """Take out the messages that wait and have more than ``longest`` bytes."""
        return self._take_back(lambda entry: len(entry.message) > longest, lambda message: len(message) > longest)

    def _take_back(
        self, special: Callable[[_Waiting], bool], plain: Callable[[bytes], bool] = lambda message: False
    ) -> list[bytes]:
        """Take out messages that wait: those with a deadline or key by ``special``, others by ``plain``."""
        gone, kept = [], []
        for entry in self.waiting:
            if special(entry) if isinstance(entry, _Waiting) else plain(entry):
                gone.append(message_of(entry))
                if isinstance(entry, _Waiting):
                    self._forget(entry)
            else:
                kept.append(entry)
        self.waiting = deque(kept)
        self.waiting_bytes -= sum(map(len, gone))
        self.dropped += len(gone)
        return gone

    def drop_first(self) -> bytes:
        """Take out the oldest of the messages that wait."""
        entry = self.waiting.popleft()
        if isinstance(entry, _Waiting):
            self._forget(entry)
        message = message_of(entry)
        self.waiting_bytes -= len(message)
        self.dropped += 1
        return message

    def _forget(self, entry: _Waiting) -> None:
        self._special -= 1
        if entry.key is not None:
            del self._keys[entry.key]

    def begin(self, wanted: int, room: int, messages: int) -> tuple[int, int]:
        """Give messages that wait their place in the stream.

        :param wanted: about so many bytes more of stream, at least.
        :param room: but not more than this, and
        :param messages: not more messages than this.
        :return: how many were begun, and how many bytes they have in the stream.
        """
        if len(self.waiting) == 1 and not self._special:
            return self._begin_one(room, messages)
        average = self.waiting_bytes // len(self.waiting) + 2
        entries = list(islice(self.waiting, min(messages, _AT_ONCE, 2 * wanted // average + _AT_LEAST)))
        candidates = list(map(message_of, entries)) if self._special else cast(list[bytes], entries)
        end = self.end
        ends = list(accumulate(sizes(candidates), initial=end))
        count = min(bisect_left(ends, end + wanted), bisect_right(ends, end + room) - 1, len(candidates))
        begun = candidates[:count]
        take = self.waiting.popleft
        for _ in begun:
            take()
        if self._special:
            for entry in entries[:count]:
                if isinstance(entry, _Waiting):
                    self._forget(entry)
        self.stream += joined(begun)
        self.ends += ends[1 : count + 1]
        size = ends[count] - end
        self.waiting_bytes -= sum(map(len, begun))
        return count, size

    def _begin_one(self, room: int, messages: int) -> tuple[int, int]:
        """As :meth:`begin` of the one that waits, with neither deadline nor key."""
        message = cast(bytes, self.waiting[0])
        whole = joined([message])
        if len(whole) > room or messages <= 0:
            return 0, 0
        self.waiting.clear()
        self.waiting_bytes = 0
        self.stream += whole
        self.ends.append(self.delivered + len(self.stream))
        return 1, len(whole)

    # What is on its way

    def segment(self, size: int) -> Sent | None:
        """The next segment of at most ``size`` bytes: what was lost first, after :meth:`drop_found`, then what is new;
        None: there is none."""
        if self.lost:
            return self._again(self.lost.pop(0), size)
        start = self.next
        end = min(start + size, self.delivered + len(self.stream))
        if start == end:
            return None
        self.next = end
        fresh = Sent(self, start, end, False)
        self._starts.append(start)
        self._unreceived.append(fresh)
        return fresh

    def _again(self, old: Sent, size: int) -> Sent:
        old.state = DONE
        end = min(old.start + size, old.end)
        again = Sent(self, old.start, end, True)
        index = bisect_left(self._starts, old.start)
        self._unreceived[index] = again
        if end < old.end:  # this link takes shorter ones
            rest = Sent(self, end, old.end, True)
            rest.state, rest.via = LOST, old.via
            self._starts.insert(index + 1, end)
            self._unreceived.insert(index + 1, rest)
            self.lost.insert(0, rest)
        return again

    def lose(self, sent: Sent) -> None:
        """A segment is to be sent again."""
        sent.state = LOST
        if self.lost and sent.start < self.lost[-1].start:
            insort(self.lost, sent, key=attrgetter("start"))
        else:
            self.lost.append(sent)

    @property
    def missed(self) -> Sent:
        """Of the segments that did not come the one with the first bytes; there are some."""
        return self._unreceived[0]

    @property
    def under_way(self) -> list[Sent]:
        """The segments that may come yet."""
        return [sent for sent in self._unreceived if sent.state == FLYING]

    def received(self, ack: LaneAck) -> list[Sent]:
        """The peer said what came; the segments that it had not said it of before."""
        came: list[Sent] = []
        if self._starts and self._starts[0] < ack.received:
            self._take_out(self._starts[0], ack.received, came)
            if self._starts and self._starts[0] < ack.received:  # the peer took only a part of this one
                self._starts[0] = self._unreceived[0].start = ack.received
        for first, last in ack.ranges:
            self._take_out(first, last, came)
        return came

    def _take_out(self, first: int, last: int, came: list[Sent]) -> None:
        starts, unreceived = self._starts, self._unreceived
        low = bisect_left(starts, first)
        high = bisect_left(starts, last, low)
        if high > low and unreceived[high - 1].end > last:  # cut otherwise before: the rest has still to come
            high -= 1
        if high > low:
            came += unreceived[low:high]
            del unreceived[low:high], starts[low:high]

    def forget(self, delivered: int) -> int:
        """The peer has dealt with the messages before ``delivered``; return how many more that are than before."""
        count = bisect_right(self.ends, delivered)
        if count:
            end = self.ends[count - 1]
            del self.stream[: end - self.delivered], self.ends[:count]
            self.delivered = end
            self.settled += count
        return count

    def clear(self) -> None:
        """Let go of all that is here."""
        self.stream.clear()
        self.waiting.clear()
        self.waiting_bytes = self._special = 0
        self.lost, self.ends, self._starts, self._unreceived, self._keys = [], [], [], [], {}

    def last_end(self, offset: int) -> int:
        """Where the last of the messages ends that end before ``offset``, or there."""
        count = bisect_right(self.ends, offset)
        return self.ends[count - 1] if count else self.delivered

    def begun(self, end: int | None = None) -> list[bytes]:
        """The messages that were begun and not dealt with, oldest first.

        :param end: those before this offset; None: all.
        """
        return Separator(len(self.stream)).feed(bytes(self.stream[: None if end is None else end - self.delivered]))

    def unacknowledged(self) -> list[bytes]:
        """The messages that the peer has not dealt with, oldest first."""
        return self.begun() + list(map(message_of, self.waiting))

    def remains(self) -> tuple[list[bytes], list[bytes]]:
        """The same, those that were sent, if only in part, and those that were not."""
        left = self.unacknowledged()
        count = bisect_left([self.delivered, *self.ends[:-1]], self.next) if self.ends else 0
        return left[:count], left[count:]
