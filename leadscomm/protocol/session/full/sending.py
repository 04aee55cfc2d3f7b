"""The sending half of a session: its lanes, and how much of them may be under way."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from leadscomm.errors import LocalProtocolError
from leadscomm.protocol.session.full.lanes import Lane, Route, Sent, message_of
from leadscomm.protocol.session.full.prefixed import PREFIX_BYTES
from leadscomm.protocol.session.segments import CHANNELS, LANES, MESSAGES, RECORDS, LaneAck, is_lane


class OutgoingLanes:
    """All lanes of the sending half.

    :param most_bytes: of messages that are begun and not dealt with, however many the peer takes; and
    :param most_messages: messages.
    :ivar room: bytes that the peer takes beyond what it has dealt with. A single message may need all of it.
    :ivar begun_bytes: of these, what is taken, and
    :ivar begun_messages: in messages.
    :ivar lanes: those that were used, the most urgent first.
    :ivar expired: the messages whose time ran out before they were begun, by channel.
    :ivar refused: the messages that were too long for the peer, by channel.
    :ivar settled: the records that the peer has dealt with, and their lanes.
    """

    def __init__(self, most_bytes: int, most_messages: int) -> None:
        self._most_bytes, self._most_messages = most_bytes, most_messages
        self.room = self._bytes = self._messages = 0
        self.begun_bytes = 0
        self.begun_messages = 0
        self.expired: dict[int, list[bytes]] = {channel: [] for channel in CHANNELS}
        self.refused: dict[int, list[bytes]] = {channel: [] for channel in CHANNELS}
        self.settled: list[tuple[int, bytes]] = []
        self._longest: int | None = None  # the peer drops what is longer, which was not known from the beginning
        self._lanes: dict[int, Lane] = {}
        self.lanes: list[Lane] = []

    def allow(self, room: int, messages: int) -> None:
        """The peer says how many bytes and messages it takes; it is believed as far as this side can keep them."""
        self.room = room
        self._bytes, self._messages = min(room, self._most_bytes), min(messages, self._most_messages)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of messages that were not begun."""
        return sum([lane.waiting_bytes for lane in self.lanes])

    @property
    def waiting_messages(self) -> int:
        return sum([len(lane.waiting) for lane in self.lanes])

    def takes(self, number: int) -> bool:
        """Whether another message should be put into a lane: no more wait in it than the peer takes at once."""
        lane = self._lanes.get(number)
        if lane is None:
            return self._bytes > 0 and self._messages > 0
        return lane.waiting_bytes < self._bytes and len(lane.waiting) < self._messages

    @property
    def wants(self) -> bool:
        """The same of all lanes together."""
        return self.waiting_bytes < self._bytes and self.waiting_messages < self._messages

    def lane(self, number: int) -> Lane:
        """
        :raises LocalProtocolError: there is no such lane.
        """
        lane = self._lanes.get(number)
        if lane is None:
            if not is_lane(number):
                raise LocalProtocolError(f"lane={number >> 3}: the lanes are 0 (the most urgent one) to {LANES - 1}")
            lane = self._lanes[number] = Lane(number)
            self.lanes = sorted(self._lanes.values(), key=lambda each: each.number)
        return lane

    def put(self, message: bytes, number: int, deadline: float | None, key: Hashable | None) -> None:
        """Let a message wait for its turn."""
        lane = self._lanes.get(number) or self.lane(number)
        if deadline is None and key is None:
            lane.waiting.append(message)
            lane.waiting_bytes += len(message)
        else:
            lane.put(message, deadline, key)

    def put_all(self, messages: list[bytes], number: int) -> None:
        """Let many wait, with neither deadline nor key."""
        lane = self._lanes.get(number) or self.lane(number)
        lane.waiting.extend(messages)
        lane.waiting_bytes += sum(map(len, messages))

    @property
    def idle(self) -> bool:
        """Whether the peer has dealt with all, and none waits."""
        return not (self.begun_messages or any(lane.waiting for lane in self.lanes))

    @property
    def unsent(self) -> bool:
        """Whether something was not sent, or is to be sent again; there may be no room for it."""
        for lane in self.lanes:
            if lane.waiting or lane.lost:
                return True
            if lane.next < lane.delivered + len(lane.stream):
                return True
        return False

    @property
    def first(self) -> Lane | None:
        """The most urgent lane of which something could be sent, as far as the peer's room goes."""
        for lane in self.lanes:
            if lane.busy and (lane.lost or lane.next < lane.end or self._has_room(lane)):
                return lane
        return None

    def _has_room(self, lane: Lane) -> bool:
        """Whether the first message of a lane that waits may be begun."""
        room, messages = self._room(lane)
        return messages > 0 and len(message_of(lane.waiting[0])) + PREFIX_BYTES <= room

    def _room(self, lane: Lane) -> tuple[int, int]:
        """Bytes and messages that a lane may begin. A part is left for lanes that are more urgent."""
        parts = LANES * LANES
        room = self._bytes * (parts - lane.urgency) // parts - self.begun_bytes
        messages = -(-self._messages * (parts - lane.urgency) // parts) - self.begun_messages
        if not self.begun_messages:  # a message that needs the whole room has it
            room = max(room, min(self.room, len(message_of(lane.waiting[0])) + PREFIX_BYTES))
        return room, messages

    def segments(self, size: int, budget: int, around: int = 0) -> Iterator[Sent]:
        """Segments of at most ``size`` bytes, the most urgent first, until they have ``budget`` bytes or more.

        :param around: bytes that each has besides.

        It goes on behind a segment only once that was sent; the caller may stop at any.
        """
        while budget > 0:
            for lane in self.lanes:
                if lane.lost:
                    lane.drop_found()
                if lane.waiting or lane.lost or lane.next < lane.delivered + len(lane.stream):
                    begun = lane.delivered + len(lane.stream) - lane.next
                    if lane.waiting and begun < size and not lane.lost:
                        self._begin(lane, max(size, budget) - begun)
                    sent = lane.segment(size)
                    if sent is not None:
                        budget -= sent.size + around
                        yield sent
                        break
            else:
                return

    def _begin(self, lane: Lane, wanted: int) -> None:
        room, messages = self._room(lane)
        if messages <= 0 or room <= 0:
            return
        count, size = lane.begin(wanted, room, messages)
        self.begun_bytes += size
        self.begun_messages += count

    def acknowledge(self, ack: LaneAck) -> list[Sent] | None:
        """Take what the peer said of a lane.

        :return: the segments that came; None if it cannot be: nothing of the sort was sent.
        """
        lane = self._lanes.get(ack.number)
        last = max([ack.received, ack.delivered, *(end for _, end in ack.ranges)])
        if lane is None or last > lane.next:
            return None if last else []
        came = lane.received(ack)
        if ack.delivered > lane.delivered:
            if ack.delivered > ack.received:
                return None
            self._settle(lane, lane.last_end(ack.delivered))
        return came

    def _settle(self, lane: Lane, end: int) -> None:
        """The peer has dealt with the messages of a lane that end there, or before."""
        if end == lane.delivered:
            return
        if lane.channel == RECORDS or self._longest is not None:
            messages = lane.begun(end)
            if lane.channel == RECORDS:
                self.settled += [(lane.urgency, record) for record in messages]
            if self._longest is not None:
                self.refused[lane.channel] += [message for message in messages if len(message) > self._longest]
        self.begun_bytes -= end - lane.delivered
        self.begun_messages -= lane.forget(end)

    def under_way(self, route: Route) -> list[Sent]:
        """The segments that were sent over a link, and neither told to have come nor found to be lost."""
        return [sent for lane in self.lanes for sent in lane.under_way if sent.via is route]

    def limit(self, longest: int) -> None:
        """The peer drops longer messages, it says: those are :attr:`refused`, when it has dropped them or at once."""
        self._longest = longest
        for lane in self.lanes:
            self.refused[lane.channel] += lane.too_long(longest)

    def drop(self, excess: int, around: int) -> list[bytes]:
        """Take out the oldest messages that wait, those of the least urgent lane first, and no records.

        :param excess: bytes to get rid of, at least.
        :param around: bytes that a message costs besides its own.
        """
        dropped: list[bytes] = []
        for lane in reversed(self.lanes):
            while lane.waiting and excess > 0 and lane.channel == MESSAGES:
                dropped.append(lane.drop_first())
                excess -= len(dropped[-1]) + around
        return dropped

    def take_expired(self, channel: int = MESSAGES) -> list[bytes]:
        """Take the messages that were not sent since their time had run out."""
        late, self.expired[channel] = self.expired[channel], []
        return late

    def take_refused(self, channel: int = MESSAGES) -> list[bytes]:
        """Take the messages that the peer has dropped, or would have, as they were too long for it."""
        refused, self.refused[channel] = self.refused[channel], []
        return refused

    def take_settled(self) -> list[tuple[int, bytes]]:
        """Take the records that the peer has dealt with, each with its lane; those of a lane in order."""
        settled, self.settled = self.settled, []
        return settled

    def forget(self) -> None:
        """Let go of all messages."""
        for lane in self.lanes:
            lane.clear()
        self.begun_bytes = 0
        self.settled = []
        for messages in (*self.expired.values(), *self.refused.values()):
            messages.clear()

    def expire(self, now: float) -> None:
        """Move the messages whose time has run out before they were begun to :attr:`expired`."""
        for lane in self.lanes:
            if lane.first_deadline is not None:
                self.expired[lane.channel] += lane.expired(now)

    def deadline(self) -> float | None:
        """When :meth:`expire` has something to do."""
        return min((lane.first_deadline for lane in self.lanes if lane.first_deadline is not None), default=None)

    def unacknowledged(self, channel: int = MESSAGES) -> list[bytes]:
        """The messages of a channel that the peer has not dealt with, lane by lane, oldest first."""
        return [message for lane in self.lanes if lane.channel == channel for message in lane.unacknowledged()]

    def remains(self, channel: int = MESSAGES) -> tuple[list[bytes], list[bytes]]:
        """The same, those that were sent, if only in part, and those that were not."""
        sent: list[bytes] = []
        unsent: list[bytes] = []
        for lane in self.lanes:
            if lane.channel == channel:
                for whole, of_lane in zip((sent, unsent), lane.remains(), strict=True):
                    whole += of_lane
        return sent, unsent
