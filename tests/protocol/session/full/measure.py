"""What the full profile does on links of all kinds, in simulated time, and what it costs: ``python -m
tests.protocol.session.full.measure``. The simulated figures are the same on every machine; the costs are not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from time import process_time

from leadscomm.protocol.session.full.full import FullSession
from leadscomm.protocol.session.full.link import Link
from tests.protocol.session.full.paths import MIX, Way, World, offer

RADIO = 1_250_000.0
UART = 11_520.0
THIN = Way(rate=32_000.0, delay=0.02, overhead=28)
SERIAL = Way(rate=UART, delay=0.001, overhead=4)
STREAM_SEGMENT = 64_000
STREAMS = {
    f"{rate:,.0f} bytes/s, {1000 * delay:g} ms": Way(rate=rate, delay=delay, overhead=8)
    for rate, delay in ((32e3, 0.02), (125e3, 0.01), (1.25e6, 0.02), (12.5e6, 0.005))
}


@dataclass(frozen=True)
class Figures:
    """:ivar goodput: bytes of messages that arrived, of those that the rate would have carried.
    :ivar queue: seconds that a frame waited for the rate, on average, after the first two seconds.
    :ivar urgent: seconds that urgent messages took, at the 50th and the 99th percentile.
    """

    goodput: float
    queue: float
    urgent: tuple[float, float]
    resent: int


def measure(
    way: Way, seconds: float, *, segment: int = 1200, bulk: bool = True, urgent: bool = True, known: bool = False
) -> Figures:
    """Run for a time, with bulk messages of 1,000 bytes or without, and an urgent one of 32 bytes now and then; or only
    one at the end."""
    world = World(3)
    path = world.join(way, segment=segment, rate=way.rate if known else 0.0, overhead=way.overhead)
    world.run(0.5)
    pauses = Random(1)  # at even distances they would fall in step with the slots in which the path is probed
    next_at = world.now
    sent_at: list[float] = []
    taken: list[float] = []
    world.sides[1].notes = False
    session = world.b
    got = [0]

    def deal(now: float) -> None:
        came = session.take()
        if came:
            session.delivered(now, len(came))
            got[0] += sum(map(len, came))
            taken.extend(now - sent_at[len(taken)] for message in came if len(message) == 32)

    def each() -> None:
        if bulk and world.a.outgoing.waiting_bytes < 50_000:
            world.a.send_all([bytes(1000)] * 50)
        nonlocal next_at
        if not sent_at or (urgent and world.now >= next_at):
            next_at = world.now + pauses.uniform(0.04, 0.055)
            sent_at.append(world.now)
            world.a.send(bytes(32), 0)

    world.sides[1].deal = deal  # type: ignore[method-assign]
    world.each = each
    each()
    world.run(2.0)
    way.queued.clear()
    taken_before, got[0] = len(taken), 0
    world.run(seconds)
    goodput = got[0] / seconds / way.rate
    queue = sum(way.queued) / len(way.queued)
    if not urgent:
        sent_at.append(world.now)
        world.a.send(bytes(32), 0)
        world.run(1.0)
    trips = sorted(taken[taken_before:])
    percentiles = (trips[len(trips) // 2], trips[len(trips) * 99 // 100])
    return Figures(goodput, queue, percentiles, path.links[0].recovery.resent)


def fresh(way: Way) -> Way:
    """The same way, with nothing on it."""
    return replace(way, queued=[], free_at=0.0)


def cost(segment: int, count: int, *, size: int = 32, one_by_one: bool = False) -> float:
    """Messages a second of processor time that a pair of sessions handles on a clean link, both sides together."""
    now, step = 100.0, 0.0005
    a, b = FullSession(offer(1), now, asks=True), FullSession(offer(2), now, asks=False)
    link, other = (Link(segment, in_order=True, rate=1e12) for _ in range(2))  # of a rate that never bounds it
    a.add(link, now)
    b.add(other, now)
    messages = [bytes(size)] * 512
    began, sent, got = process_time(), 0, 0
    while got < count:
        now += step
        while a.outgoing.wants and sent < count and a.outgoing.waiting_messages < 8192:
            if one_by_one:
                for message in messages:
                    a.send(message)
            else:
                a.send_all(messages)
            sent += len(messages)
        for frame in a.frames(now, link):
            b.receive(frame, now, other)
        came = b.take()
        if came:
            b.delivered(now, len(came))
            got += len(came)
        for frame in b.frames(now, other):
            a.receive(frame, now, link)
    return got / (process_time() - began)


def cost_of_mix(segment: int, count: int, size: int = 32) -> float:
    """The same in the mix of all faults; the simulation of the link counts too."""
    world = World(1)
    world.join(Way(delay=0.001, **MIX), checked=True, segment=segment)
    world.run(1.0)
    world.a.send_all([bytes(size)] * count)
    began = process_time()
    world.settle(3000)
    assert len(world.sides[1].got) == count
    return count / (process_time() - began)


def main() -> None:
    ways = [
        (f"10 Mbit/s, 20 ms, {loss:.0%} lost", Way(rate=RADIO, delay=0.02, drop=loss)) for loss in (0, 0.01, 0.05, 0.2)
    ]
    ways.append(("the same, 5 %, queue of 10 frames", Way(rate=RADIO, delay=0.02, drop=0.05, queue=12_000)))
    ways.append(("256 kbit/s, 20 ms", THIN))
    for name, way in ways:
        show(name, way, 1200)
    for name, way in STREAMS.items():
        show(f"a stream of {name}", way, STREAM_SEGMENT)
    show("UART 115200", SERIAL, 240, known=True)
    show("UART 115200, rate not known", SERIAL, 240)
    for segment, one_by_one in ((1200, False), (1200, True), (65536, False), (65536, True)):
        how = "one by one" if one_by_one else "many at once"
        print(f"segments of {segment}, sent {how}: {cost(segment, 500_000, one_by_one=one_by_one):,.0f} messages/s")
    print(f"one message a segment: {cost(48, 50_000):,.0f} messages/s")
    print(f"one message a segment, in the mix: {cost_of_mix(52, 20_000):,.0f} messages/s")
    print(f"segments of 1200, in the mix: {cost_of_mix(1200, 200_000):,.0f} messages/s")


def show(name: str, way: Way, segment: int, known: bool = False) -> None:
    busy, idle, calm = (
        measure(fresh(way), 20.0, segment=segment, known=known, bulk=bulk, urgent=urgent)
        for bulk, urgent in ((True, True), (False, True), (True, False))
    )
    urgent = "/".join(f"{1000 * seconds:.1f}" for seconds in busy.urgent)
    alone = "/".join(f"{1000 * seconds:.1f}" for seconds in idle.urgent)
    print(
        f"{name}: {busy.goodput:.1%} goodput ({calm.goodput:.1%} without urgent messages), "
        f"queue {1000 * busy.queue:.1f} ms ({1000 * calm.queue:.1f} ms), "
        f"urgent p50/p99 {urgent} ms (idle {alone} ms), {busy.resent} resent",
        flush=True,
    )


if __name__ == "__main__":
    main()
