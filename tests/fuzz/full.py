"""The full profile: two sessions, and every frame between them is in the hands of the input.

There are three worlds. In the first one the lines are only bad: frames are lost, doubled, overtaken and damaged. In the
second one somebody else speaks on them, too, and repeats what was said, but has not the key. In both nothing may come
of it but delay: what comes in a lane is the beginning of what was sent, and all of it comes in the end. In the third
one there is no key, so that he may say anything. Nothing holds then but this: no error, little memory, no storm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from leadscomm.protocol.session import segments as full
from leadscomm.protocol.session.full.full import FullSession
from leadscomm.protocol.session.full.link import Link
from leadscomm.protocol.session.full.prefixed import PREFIX_BYTES
from leadscomm.protocol.session.handshake import COMPACT, FULL, Handshake
from leadscomm.protocol.session.offer import Offer
from leadscomm.protocol.session.seals import Checked
from leadscomm.protocol.session.segments import LANES, MESSAGES, RECORDS

from . import forged
from .source import Source, held

BAD_LINES, WITHOUT_THE_KEY, ANYBODY = range(3)
KEY = b"sixteen bytes or more"
ROOM = 1 << 14
LONGEST = 1 << 12
LARGE = LONGEST - 20
FOR_EVER = 1e9
STEP_S = 0.002
PASSING_S = (0.001, 0.003, 0.02, 0.3, 6.0)
SETTLING_S = {BAD_LINES: 120.0, WITHOUT_THE_KEY: 120.0, ANYBODY: 3.0}
MOST_LINES = 3
WAYS = tuple((lane, channel) for channel in (MESSAGES, RECORDS) for lane in range(LANES))
VOLATILE = WAYS.index((7, MESSAGES))
"""The lane of messages that may run out of time or be replaced."""
MEMORY = 64 << 10
"""Bytes that a session may hold besides its room and its own messages."""
FRAMES_A_SECOND = 300
CRUMBS = 2048


@dataclass
class Side:
    """A session; how many messages it sent, and which number is expected next, by lanes of both channels."""

    session: FullSession
    links: list[Link] = field(default_factory=list)
    sent: list[int] = field(default_factory=lambda: [0] * len(WAYS))
    got: list[int] = field(default_factory=lambda: [0] * len(WAYS))
    keeps: bool = False
    kept: int = 0
    kept_records: list[int] = field(default_factory=list)  # their lanes
    sent_bytes: int = 0

    def take(self, limit: int | None = None) -> list[bytes]:
        """What came."""
        messages, records = self.session.take(limit), self.session.take_records()
        self.kept += len(messages)
        self.kept_records += [lane for lane, _ in records]
        return messages + [record for _, record in records]

    def deal(self, now: float) -> None:
        """Deal with what was taken, unless it keeps it."""
        if not self.keeps:
            if self.kept:
                self.session.delivered(now, self.kept)
            for lane in self.kept_records:
                self.session.delivered_records(now, lane)
            self.kept, self.kept_records = 0, []


class CameToNothing(Exception):
    """Damage made a side believe that the other one does not speak its language, before there was a session."""


class Net:
    """Both sides, and the frames between them.

    :ivar flying: who is to get them, over which line, and what they are.
    :ivar seen: what somebody who listens has kept.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.world = source.below(3)
        self.now = 0.0
        self.messages = source.pick((1 << 16, 3))
        self.seen: deque[bytes] = deque(maxlen=64)
        self.said = 0
        self.begin(1, 2)

    def begin(self, *epochs: int, former: Sequence[int] = ()) -> None:
        """Let both sides begin a session, the first of them as the one that asks."""
        key = KEY if self.world == WITHOUT_THE_KEY else None
        profiles = FULL if key else FULL | COMPACT
        self.sides: list[Side] = []
        for epoch in epochs:
            said, asks = Handshake(epoch, profiles=profiles, tag=f"side {epoch}"), not self.sides
            me = Offer(said, 1 << 16, ROOM, self.messages, key)
            session = FullSession(me, self.now, asks=asks, longest=LONGEST, patience=FOR_EVER, former=former)
            self.sides.append(Side(session))
        self.flying: deque[tuple[int, int, bytes]] = deque(maxlen=128)
        self.join()

    def join(self) -> None:
        """Lay one more line."""
        segment, rate = self.source.pick((1200, 58, 65535)), self.source.pick((0.0, 0.0, 11520.0))
        for side in self.sides:
            side.links.append(Link(segment, checked=True, rate=rate, preference=len(side.links)))
            side.session.add(side.links[-1], self.now)

    def part(self, line: int) -> None:
        """Take one away."""
        for side in self.sides:
            side.session.remove(side.links.pop(line))
        kept = [(to, over - (over > line), frame) for to, over, frame in self.flying if over != line]
        self.flying = deque(kept, maxlen=self.flying.maxlen)

    def speak(self) -> int:
        """Let both say what is due; return how many frames that were."""
        count = 0
        for index, side in enumerate(self.sides):
            for line, link in enumerate(side.links):
                for frame in side.session.frames(self.now, link):
                    self.flying.append((1 - index, line, frame))
                    self.seen.append(frame)
                    count += 1
        self.said += count
        return count

    def hear(self, to: int, line: int, *frames: bytes) -> None:
        side = self.sides[to]
        for frame in frames:
            side.session.receive(frame, self.now, side.links[line])
        for message in side.take():
            if self.world != ANYBODY:
                way, number, size = map(int, message.split(b" ")[:3])
                assert message.endswith(b" " + bytes(size))
                assert number == side.got[way] or (way == VOLATILE and number > side.got[way]), WAYS[way]
                side.got[way] = number + 1
        side.deal(self.now)
        side.session.take_datagrams()
        side.session.outgoing.take_settled()

    def run(self) -> None:
        deeds = DEEDS if self.world == ANYBODY else DEEDS[:-1] if self.world == WITHOUT_THE_KEY else DEEDS[:DAMAGE]
        while self.source:
            self.source.pick(deeds)(self)
            self.check()

    def check(self) -> None:
        """No session ends for what others do.

        :raises CameToNothing: one that had not begun did, for nothing protects what peers of other versions say.
        """
        for side in self.sides if self.world != ANYBODY else ():
            if self.world == BAD_LINES and side.session.ended and side.session.peer is None:
                raise CameToNothing
            assert side.session.ended is None, side.session.ended
            if side.session.liveness.doubted_at is not None:
                self.reassure()

    def reassure(self) -> None:
        """Who can say that a side was restarted, and then hold up every line, is stronger than a key."""
        if not self.sides[0].links:
            self.join()
        for _ in range(4):
            self.speak()
            while self.flying:
                self.hear(*self.flying.popleft())

    def settle(self) -> None:
        """All lines are well again, and nobody else is there."""
        while self.sides[0].links:
            self.part(0)
        self.join()
        for side in self.sides:
            side.keeps = False
            side.deal(self.now)
        begin, before = self.now, self.said
        while self.now < begin + SETTLING_S[self.world] and not self.rests():
            spoke = self.speak()
            while self.flying:
                self.hear(*self.flying.popleft())
            self.check()
            due = [at for side in self.sides if (at := side.session.deadline()) is not None]
            self.now = max(self.now + STEP_S, 0.0 if spoke else min(due, default=0.0))
        for side, other in zip(self.sides, reversed(self.sides)):
            if self.world != ANYBODY:
                assert side.session.open
                assert side.session.idle
                assert all(side.got[way] == other.sent[way] for way in range(len(WAYS)) if way != VOLATILE)
        assert (
            self.said - before <= 200 + FRAMES_A_SECOND * (self.now - begin) + sum(s.sent_bytes for s in self.sides) / 8
        )

    def weigh(self) -> None:
        """Neither side holds too much."""
        for side in self.sides:
            weight = held(side.session)
            assert weight <= MEMORY + ROOM + 2 * side.sent_bytes, weight

    def begin_anew(self) -> None:
        """The next session of both, while frames of this one still come."""
        late = list(self.seen)
        self.begin(4, 5, former=(1, 2))
        self.hear(0, 0, *late)
        self.hear(1, 0, *late)
        self.settle()
        for side in self.sides:
            side.session.send(b"0 0 0 ", 0)
            side.sent[0] += 1
        self.hear(0, 0, *late)
        self.hear(1, 0, *late)
        self.settle()

    def rests(self) -> bool:
        return all((side.session.open and side.session.idle) or side.session.ended for side in self.sides)


# What bad lines do ---------------------------------------------------------------------------------------------------


def passes(net: Net) -> None:
    """Time."""
    net.now += net.source.pick(PASSING_S)
    net.speak()


def arrives(net: Net) -> None:
    """The oldest frames, in order."""
    for _ in range(min(len(net.flying), 1 + net.source.below(8))):
        net.hear(*net.flying.popleft())


def overtakes(net: Net) -> None:
    """A frame is first, or last."""
    if net.flying:
        net.flying.rotate(net.source.below(len(net.flying)))


def is_lost(net: Net) -> None:
    if net.flying:
        net.flying.popleft()


def is_doubled(net: Net) -> None:
    if net.flying:
        net.flying.append(net.flying[0])


def is_damaged(net: Net) -> None:
    """So many bits that CRC-32 notices it surely."""
    if net.flying:
        to, line, frame = net.flying.popleft()
        worn = bytearray(frame)
        for _ in range(1 + net.source.below(3)):
            worn[net.source.below(len(worn))] ^= 1 << net.source.below(8)
        net.flying.append((to, line, bytes(worn)))


def is_sent(net: Net) -> None:
    side, way, size = net.source.pick(net.sides), net.source.below(len(WAYS)), net.source.pick((0, 20, 1200, LARGE))
    session, (lane, channel) = side.session, WAYS[way]
    message = b"%d %d %d " % (way, side.sent[way], size) + bytes(size)
    wants = session.open and session.outgoing.wants
    if not wants or (session.peer and len(message) > session.peer.room - PREFIX_BYTES):
        return
    if way == VOLATILE:
        deadline, key = net.source.pick((None, net.now + 0.01)), net.source.pick((None, "key"))
        session.send(message, lane, deadline=deadline, key=key)
    else:
        session.send(message, lane, channel=channel)
    side.sent[way] += 1
    side.sent_bytes += len(message)


def is_pondered(net: Net) -> None:
    """A side deals with its messages later, or at last."""
    side = net.source.pick(net.sides)
    side.keeps = bool(net.source.below(2))
    side.deal(net.now)


def is_joined(net: Net) -> None:
    if len(net.sides[0].links) < MOST_LINES:
        net.join()


def is_cut(net: Net) -> None:
    if net.sides[0].links:
        net.part(net.source.below(len(net.sides[0].links)))


def gossips(net: Net) -> None:
    """A datagram."""
    session, message = net.source.pick(net.sides).session, net.source.chunk()
    if session.open and len(message) <= min(
        (link.longest_datagram for link in session.links if link.joined), default=0
    ):
        session.send_datagram(message)


# What somebody else does ---------------------------------------------------------------------------------------------


def inject(net: Net, frame: bytes) -> None:
    to = net.source.below(2)
    if net.sides[to].links and frame:
        line = net.source.below(len(net.sides[to].links))
        net.hear(to, line, *[frame] * net.source.pick((1, 1, 1, 40)))


def repeats(net: Net) -> None:
    """What was said before, whole or changed."""
    if net.seen:
        frame = bytearray(net.source.pick(net.seen))
        if net.source.below(2):
            frame[net.source.below(len(frame))] = net.source.below(256)
            frame += net.source.chunk(8)
        inject(net, bytes(frame))


def forges(net: Net) -> None:
    inject(net, forged.frame(net.source))


def crumbles(net: Net) -> None:
    """Very many tiny segments that leave a gap before them."""
    to, epoch, lane = net.source.below(2), net.source.pick(forged.EPOCHS), net.source.pick(forged.LANES)
    first, step, size = 1 + net.source.below(64), 1 + net.source.below(3), net.source.below(3)
    if net.sides[to].links:
        seal = net.sides[to].links[0].seal if net.world == ANYBODY else Checked()
        offsets = range(first, first + CRUMBS, step)
        net.hear(to, 0, *(seal.seal(full.data(lane, epoch, offset, bytes(size))) for offset in offsets))


def leaves(net: Net) -> None:
    net.source.pick(net.sides).session.leave(net.now)


DEEDS: Sequence[Callable[[Net], None]] = (
    passes, passes, arrives, arrives, arrives, overtakes, is_lost, is_doubled, is_damaged,
    is_sent, is_sent, is_pondered, is_joined, is_cut, gossips,
    repeats, forges, forges, forges, crumbles, leaves,
)  # fmt: skip
DAMAGE = DEEDS.index(repeats)


def one_input(data: bytes) -> None:
    net = Net(Source(data))
    with suppress(CameToNothing):
        net.run()
        net.settle()
        net.weigh()
        if net.world != ANYBODY:
            net.begin_anew()
