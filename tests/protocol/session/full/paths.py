"""Simulated links for two sessions of the full profile, in simulated time: rates, queues, delays, faults by a seed."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

from leadscomm.protocol.session.full.full import FullSession
from leadscomm.protocol.session.full.link import Link
from leadscomm.protocol.session.handshake import Handshake
from leadscomm.protocol.session.offer import Offer
from leadscomm.protocol.session.segments import LANES

MIX = {"drop": 0.2, "double": 0.1, "reorder": 0.2, "corrupt": 0.02}
KEY = b"sixteen bytes or more"


@dataclass
class Way:
    """One direction of a path.

    :ivar rate: bytes a second; 0: any number.
    :ivar delay: seconds.
    :ivar queue: bytes that wait for the rate at most; more are lost.
    :ivar drop: and the other faults: probabilities for each frame.
    :ivar overhead: bytes of each frame on the wire, besides.
    """

    rate: float = 0.0
    delay: float = 0.003
    queue: int = 1 << 30
    drop: float = 0.0
    double: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    overhead: int = 0
    cut: bool = False
    free_at: float = 0.0
    queued: list[float] = field(default_factory=list)  # seconds that frames waited for the rate
    carried: int = 0

    def arrivals(self, size: int, now: float, dice: random.Random) -> list[float]:
        """When a frame arrives: not at all, once or twice."""
        if self.cut:
            return []
        at = now
        if self.rate:
            waits = max(0.0, self.free_at - now)
            if waits * self.rate > self.queue:
                return []
            self.queued.append(waits)
            at = self.free_at = now + waits + (size + self.overhead) / self.rate
        if self.drop and dice.random() < self.drop:
            return []
        self.carried += size
        at += self.delay
        if self.reorder and dice.random() < self.reorder:
            at += dice.random() * (self.delay + 0.005)
        return [at, at + dice.random() * 0.01] if self.double and dice.random() < self.double else [at]


@dataclass
class Path:
    """A link of each side, and the ways between them."""

    ways: tuple[Way, Way]
    links: tuple[Link, Link]
    serial: int = field(default_factory=count().__next__)


class Side:
    """A session and what came out of it. What comes is dealt with at once, unless ``keeps``."""

    def __init__(self, session: FullSession) -> None:
        self.session = session
        self.got: list[bytes] = []
        self.got_at: list[float] = []
        self.keeps = False
        self.kept = 0
        self.notes = True
        self.got_records: list[tuple[int, bytes]] = []
        self.keeps_records = False
        self.kept_records = [0] * LANES

    def deal(self, now: float) -> None:
        came = self.session.take()
        self.kept += len(came)
        if self.notes:
            self.got += came
            self.got_at += [now] * len(came)
        if self.kept and not self.keeps:
            self.session.delivered(now, self.kept)
            self.kept = 0

    def deal_with_records(self, now: float) -> None:
        for lane, record in self.session.take_records():
            self.got_records.append((lane, record))
            self.kept_records[lane] += 1
        for lane, kept in enumerate(self.kept_records):
            if kept and not self.keeps_records:
                self.session.delivered_records(now, lane, kept)
                self.kept_records[lane] = 0


class World:
    """Two sessions, the paths between them, and the time."""

    def __init__(self, seed: int = 1, a: FullSession | None = None, b: FullSession | None = None) -> None:
        self.now = 100.0
        self.random = random.Random(seed)
        self.sides = (
            Side(a or FullSession(offer(1), self.now, asks=True)),
            Side(b or FullSession(offer(2), self.now, asks=False)),
        )
        self.paths: list[Path] = []
        self.frames = 0
        self._idle_steps = 0
        self._under_way: list[tuple[float, int, int, Path, bytes]] = []
        self._order = count()
        self.each: Callable[[], None] = lambda: None

    @property
    def a(self) -> FullSession:
        return self.sides[0].session

    @property
    def b(self) -> FullSession:
        return self.sides[1].session

    def join(self, way: Way, back: Way | None = None, **options: float | bool) -> Path:
        """Lay a path, and give both sides their link."""
        links = (Link(**options), Link(**options))  # type: ignore[arg-type]
        path = Path((way, back or replace(way, queued=[])), links)
        self.paths.append(path)
        for side, link in zip(self.sides, links):
            side.session.add(link, self.now)
        self.speak()
        return path

    def speak(self) -> None:
        for index, side in enumerate(self.sides):
            for path in self.paths:
                link = path.links[index]
                if link not in side.session.links:
                    continue
                for frame in side.session.frames(self.now, link):
                    self.frames += 1
                    for at in path.ways[index].arrivals(len(frame), self.now, self.random):
                        entry = (at, next(self._order), index, path, self._worn(frame, path.ways[index]))
                        heapq.heappush(self._under_way, entry)

    def _worn(self, frame: bytes, way: Way) -> bytes:
        if not way.corrupt or self.random.random() >= way.corrupt:
            return frame
        worn = bytearray(frame)
        for _ in range(self.random.randint(1, 3)):
            worn[self.random.randrange(len(worn))] ^= 1 << self.random.randrange(8)
        return bytes(worn)

    def step(self, until: float) -> None:
        """Go on to what happens next, or to ``until``."""
        due = [side.session.deadline() for side in self.sides]
        at = min([until, *[each for each in due if each is not None], *[entry[0] for entry in self._under_way[:1]]])
        self._idle_steps = self._idle_steps + 1 if at <= self.now else 0
        assert self._idle_steps < 10_000, f"time stands still: {due}"
        self.now = max(self.now, at)
        while self._under_way and self._under_way[0][0] <= self.now:
            _, _, index, path, frame = heapq.heappop(self._under_way)
            side = self.sides[1 - index]
            if path.links[1 - index] in side.session.links:
                side.session.receive(frame, self.now, path.links[1 - index])
            side.deal(self.now)
        self.each()
        self.speak()

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.step(until)

    def settle(self, limit: float = 300.0) -> None:
        """Run until every message was dealt with."""
        until = self.now + limit
        while not (self.a.idle and self.b.idle):
            assert self.now < until, "it does not come to an end"
            assert (self.a.ended, self.b.ended) == (None, None)
            self.step(until)


def offer(epoch: int, **said: int | bytes | None) -> Offer:
    return Offer(Handshake(epoch, tag=f"side {epoch}"), **said)  # type: ignore[arg-type]


def numbered(lane: int, number: int, size: int = 0) -> bytes:
    return b"%d %d " % (lane, number) + bytes(size)


def in_order(got: list[bytes], lane: int) -> list[int]:
    parts = [message.split(b" ") for message in got]
    return [int(part[1]) for part in parts if int(part[0]) == lane]


def joined(way: Way | None = None, seed: int = 1, **options: int | bool) -> World:
    world = World(seed)
    world.join(way or Way(), checked=True, **options)
    world.run(1.0)
    assert world.a.open
    assert world.b.open
    return world
