"""A model of two sessions of the full profile: whatever happens to their links, lanes, channels and processes."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from leadscomm.protocol.session.full.full import FullSession
from leadscomm.protocol.session.segments import RECORDS
from tests.protocol.session.full.paths import KEY, MIX, Path, Way, World, offer

MAX_LINKS = 3
LANES = st.integers(0, 7)
SIZES = st.sampled_from((0, 10, 2000))
COUNTS = st.integers(1, 15)
SIDES = st.integers(0, 1)


def by_lane(pairs: list[tuple[int, bytes]]) -> dict[int, list[bytes]]:
    lanes: dict[int, list[bytes]] = {}
    for lane, message in pairs:
        lanes.setdefault(lane, []).append(message)
    return lanes


class Sessions(RuleBasedStateMachine):
    """Anything happens; at the end everything has arrived once and in order, and both sides know."""

    @initialize(seed=st.integers(0, 1 << 16), keyed=st.booleans(), rides=st.booleans(), guess=st.booleans())
    def begin(self, seed: int, keyed: bool, rides: bool, guess: bool) -> None:
        self.key = KEY if keyed else None
        self.epoch = 10
        self.number = 0
        self.rides, self.guess = rides, guess
        offers = (offer(epoch, key=self.key, rides=rides) for epoch in (1, 2))
        self.meet(seed, *(FullSession(said, 100.0, asks=said.epoch == 1) for said in offers))
        self.world.join(Way(**MIX), checked=True, segment=300, lossless=guess)
        self.world.join(Way(delay=0.02, reorder=0.3), checked=True, preference=1)
        self.world.run(2.0)

    def meet(self, seed: int, a: FullSession, b: FullSession) -> None:
        self.world = World(seed, a, b)
        self.sent: tuple[list[tuple[int, bytes]], ...] = ([], [])
        self.sent_records: tuple[list[tuple[int, bytes]], ...] = ([], [])
        self.settled: tuple[list[tuple[int, bytes]], ...] = ([], [])
        self.world.each = self.deal_with_records

    def deal_with_records(self) -> None:
        for index, side in enumerate(self.world.sides):
            side.deal_with_records(self.world.now)
            self.settled[index].extend(side.session.outgoing.take_settled())

    def next_message(self, lane: int, size: int) -> tuple[int, bytes]:
        self.number += 1
        return lane, b"%d %d " % (lane, self.number) + bytes(size)

    @rule(side=SIDES, lane=LANES, size=SIZES, count=COUNTS)
    def send(self, side: int, lane: int, size: int, count: int) -> None:
        for _ in range(count):
            self.sent[side].append(self.next_message(lane, size))
            self.world.sides[side].session.send(self.sent[side][-1][1], lane)

    @rule(side=SIDES, lane=LANES, size=SIZES, count=COUNTS)
    def send_records(self, side: int, lane: int, size: int, count: int) -> None:
        records = [self.next_message(lane, size) for _ in range(count)]
        self.sent_records[side].extend(records)
        self.world.sides[side].session.send_all([record for _, record in records], lane, RECORDS)

    @rule(milliseconds=st.integers(1, 500))
    def wait(self, milliseconds: int) -> None:
        self.world.run(milliseconds / 1000)

    @rule(which=st.integers(0, 2 * MAX_LINKS - 1), cut=st.booleans())
    def cut(self, which: int, cut: bool) -> None:
        if which < 2 * len(self.world.paths):
            self.world.paths[which // 2].ways[which % 2].cut = cut

    @rule(which=st.integers(0, MAX_LINKS - 1))
    def lose_link(self, which: int) -> None:
        if which < len(self.world.paths):
            self.remove(self.world.paths.pop(which))

    def remove(self, path: Path) -> None:
        for side, link in zip(self.world.sides, path.links):
            side.session.remove(link)

    @rule(
        segment=st.sampled_from((58, 300, 1200, 64_000)),
        drop=st.sampled_from((0.0, 0.3)),
        rate=st.sampled_from((0.0, 20_000.0)),
        preference=st.integers(0, 2),
        lossless=st.booleans(),
    )
    def add_link(self, segment: int, drop: float, rate: float, preference: int, lossless: bool) -> None:
        if len(self.world.paths) < MAX_LINKS:
            way = Way(rate=rate, drop=drop, reorder=0.1, double=0.1)
            self.world.join(way, checked=True, segment=segment, preference=preference, lossless=lossless)

    @rule(side=SIDES, keeps=st.booleans())
    def keep(self, side: int, keeps: bool) -> None:
        self.world.sides[side].keeps = keeps

    @rule(side=SIDES, keeps=st.booleans())
    def keep_records(self, side: int, keeps: bool) -> None:
        self.world.sides[side].keeps_records = keeps

    @rule(side=SIDES)
    def restart(self, side: int) -> None:
        """A side is killed and begins anew: what was not dealt with is reported by the other, once it knows."""
        self.finish()
        self.epoch += 1
        old = self.world
        fresh = FullSession(offer(self.epoch, key=self.key, rides=self.rides), old.now, asks=side == 0)
        other = old.sides[1 - side].session
        for path in old.paths:
            other.remove(path.links[1 - side])
        other.send(b"4 0 lost")
        other.send(b"4 0 lost, too", channel=RECORDS)
        world = World(self.epoch, *((fresh, other) if side == 0 else (other, fresh)))
        world.now = old.now
        world.join(Way(), checked=True)
        world.run(8.0)
        assert other.again
        out = other.outgoing
        assert (out.unacknowledged(), out.unacknowledged(RECORDS)) == ([b"4 0 lost"], [b"4 0 lost, too"])
        self.begin(self.epoch, self.key is not None, self.rides, self.guess)

    @invariant()
    def nothing_is_doubled_or_overtaken(self) -> None:
        for index, side in enumerate(reversed(self.world.sides)):
            got = [(int(message[:1]), message) for message in side.got]
            self.is_beginning(got, self.sent[index])
            self.is_beginning(side.got_records, self.sent_records[index])
            self.is_beginning(self.settled[index], self.sent_records[index])

    @staticmethod
    def is_beginning(got: list[tuple[int, bytes]], sent: list[tuple[int, bytes]]) -> None:
        lanes = by_lane(sent)
        for lane, messages in by_lane(got).items():
            assert messages == lanes[lane][: len(messages)]

    def finish(self) -> None:
        for side in self.world.sides:
            side.keeps = side.keeps_records = False
            side.deal(self.world.now)
        self.deal_with_records()
        for path in self.world.paths:
            for way in path.ways:
                way.cut = False
        if not self.world.paths:
            self.world.join(Way(), checked=True)
        self.world.speak()
        self.world.settle()
        self.deal_with_records()
        self.nothing_is_doubled_or_overtaken()
        for index, side in enumerate(reversed(self.world.sides)):
            assert len(side.got) == len(self.sent[index])
            assert len(side.got_records) == len(self.settled[index]) == len(self.sent_records[index])

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.finish()


TestSessions = Sessions.TestCase
TestSessions.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
