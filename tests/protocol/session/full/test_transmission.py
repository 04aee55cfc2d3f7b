"""Links come and go, and segments find their way."""

from __future__ import annotations

import pytest

from leadscomm.protocol.session import segments as full
from leadscomm.protocol.session.full.link import Link
from leadscomm.protocol.session.segments import lane_number
from tests.protocol.session.full.paths import MIX, Way, World, in_order, joined, numbered


def test_a_link_that_dies_loses_nothing() -> None:
    world = World(7)
    first = world.join(Way(delay=0.01), preference=0)
    second = world.join(Way(delay=0.03), preference=1)
    world.run(1.0)
    for number in range(3000):
        world.a.send(numbered(4, number, 500))
    world.run(0.05)
    assert 0 < len(world.sides[1].got) < 3000
    for side, link in zip(world.sides, first.links):
        side.session.remove(link)
        side.session.remove(link)  # twice is once
    world.settle()
    assert in_order(world.sides[1].got, 4) == list(range(3000))
    assert second.links[1] in world.b.links


def test_a_link_that_is_cut_silently_is_left_and_taken_up_again() -> None:
    world = World(7)
    first = world.join(Way(delay=0.01), preference=0)
    second = world.join(Way(delay=0.03), preference=1)
    world.run(1.0)
    for number in range(100):
        world.a.send(numbered(4, number))
    for way in first.ways:
        way.cut = True
    world.settle(3.0)
    assert second.links[0].recovery.round_trip is not None
    world.run(6.0)
    assert first.links[0].dead
    assert first.links[1].dead
    for way in first.ways:
        way.cut = False
    world.run(3.0)
    assert not first.links[0].dead
    before = second.ways[0].carried
    world.a.send(bytes(5000))
    world.settle()
    assert second.ways[0].carried - before < 5000
    assert in_order(world.sides[1].got[:100], 4) == list(range(100))


def test_it_goes_on_where_it_was_when_a_link_returns() -> None:
    world = joined(Way(delay=0.01))
    for number in range(1000):
        world.a.send(numbered(4, number, 100))
    world.run(0.02)
    for path in world.paths:
        for side, link in zip(world.sides, path.links):
            side.session.remove(link)
    world.paths.clear()
    world.run(10.0)
    assert world.a.open
    world.join(Way(delay=0.01))
    world.settle(2.0)
    assert in_order(world.sides[1].got, 4) == list(range(1000))


def test_a_link_that_the_peer_has_not_agreed_to_carries_nothing() -> None:
    world = joined()
    link = Link(checked=True)
    world.b.add(link, world.now)
    world.b.receive(link.seal.seal(full.data(lane_number(4), 1, 0, b"x")), world.now, link)
    assert not link.answers
    assert world.b.incoming.acks(100) == []
    world.b.leave(world.now)
    world.b.leave(world.now)  # twice is once
    assert world.b.ended is None


def test_what_is_dealt_with_later_is_acknowledged_later() -> None:
    world = joined()
    world.sides[1].keeps = True
    for number in range(10):
        world.a.send(numbered(0, number), 0)
    world.run(20.0)
    assert len(world.sides[1].got) == 10
    assert len(world.a.outgoing.unacknowledged()) == 10
    world.b.delivered(world.now, 4)
    world.run(0.1)
    assert len(world.a.outgoing.unacknowledged()) == 6
    world.b.delivered(world.now, 1)
    world.sides[1].kept -= 5
    world.paths[0].ways[1].cut = True  # the acknowledgement is lost
    world.run(0.01)
    world.paths[0].ways[1].cut = False
    world.run(3.0)
    assert len(world.a.outgoing.unacknowledged()) == 5


def test_a_link_whose_pings_are_not_answered_is_left_soon() -> None:
    world = World(7)
    first = world.join(Way(delay=0.01), preference=0)
    world.join(Way(delay=0.03), preference=1)
    world.run(3.0)
    assert first.links[0].well
    for way in first.ways:
        way.cut = True
    world.run(2.1)  # nothing is sent over it but PINGs
    stats = world.a.stats(world.now)
    assert (stats.links[0].well, stats.links[0].dead) == (False, False)
    assert 0 < stats.links[0].pings_missed < 8
    assert stats.links[1].well
    for way in first.ways:
        way.cut = False
    world.run(0.5)
    assert first.links[0].well


@pytest.mark.parametrize("outage", [1.0, 20.0])
def test_it_goes_on_within_a_second_after_an_outage(outage: float) -> None:
    world = joined()
    for number in range(500):
        world.a.send(numbered(4, number, 100))
    for way in world.paths[0].ways:
        way.cut = True
    world.run(outage)
    for way in world.paths[0].ways:
        way.cut = False
    world.settle(1.0)
    assert in_order(world.sides[1].got, 4) == list(range(500))


def test_lanes_share_small_segments_in_acknowledgements() -> None:
    world = joined(Way(**MIX), segment=60)
    for lane in range(8):
        for number in range(30):
            world.a.send(numbered(lane, number, 50), lane)
    world.settle()
    for lane in range(8):
        assert in_order(world.sides[1].got, lane) == list(range(30))
