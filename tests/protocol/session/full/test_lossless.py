"""Links that are thought to lose nothing: what they are spared, and how they are found out."""

from __future__ import annotations

import pytest

from leadscomm.protocol.session.full.full import FullSession
from leadscomm.protocol.session.full.lanes import Lane, Sent
from leadscomm.protocol.session.full.link import RIDES_BYTES, RIDES_S
from leadscomm.protocol.session.full.path import ASK_AFTER_S, ASK_SOON_S, MIXED_SEGMENT, Lossless
from leadscomm.protocol.session.full.recovery import Recovery
from leadscomm.protocol.session.segments import STREAM_SEGMENT_BYTES
from tests.protocol.session.full.paths import Way, World, offer


def met(way: Way | None = None, *, rides: bool = True, links: int = 1, seed: int = 1) -> World:
    """Two sessions over streams."""
    sides = [FullSession(offer(epoch, rides=rides), 100.0, asks=epoch == 1) for epoch in (1, 2)]
    world = World(seed, *sides)
    for number in range(links):
        world.join(way or Way(), checked=True, lossless=True, segment=STREAM_SEGMENT_BYTES, preference=number)
    world.run(1.5)
    assert world.a.open
    assert world.b.open
    return world


def is_lossless(world: World, link: int = 0) -> bool:
    return world.paths[link].links[0].path.lossless


def frames_of(world: World, exchanges: int) -> int:
    before = world.frames
    for _ in range(exchanges):
        for side in world.sides:
            side.session.send(b"to and fro")
            world.speak()
            world.run(0.001)
    return world.frames - before


def test_acknowledgements_ride_on_what_is_sent_anyway() -> None:
    exchanges = 50
    few = frames_of(met(), exchanges)
    many = frames_of(met(rides=False), exchanges)
    assert few <= 2 * exchanges * (1 + 2 * 0.001 / (RIDES_S / 2)) + 4
    assert many > few


def test_a_receiver_who_has_nothing_to_say_acknowledges_in_time_and_by_the_bytes() -> None:
    world = met(Way(delay=0.0))
    world.a.send(b"hello")
    world.speak()
    at = world.now
    world.settle()
    assert 0.9 * RIDES_S < world.now - at < 2 * RIDES_S
    before = world.frames
    world.a.send(bytes(4 * RIDES_BYTES))
    world.settle()
    assert world.frames - before < 4 * RIDES_BYTES // STREAM_SEGMENT_BYTES + 10


def test_a_stream_is_asked_for_nothing_while_the_peer_is_busy_but_now_and_then() -> None:
    world = met()
    world.sides[1].keeps = True
    world.a.send(b"takes long")
    before = world.frames
    world.run(10 * ASK_AFTER_S)
    assert world.frames - before < 30
    assert is_lossless(world)
    world.sides[1].keeps = False
    world.sides[1].deal(world.now)
    world.settle()
    assert world.a.counters().resent == 0
    assert world.a.stats(world.now).links[0].rate == 0.0


def test_a_gap_shows_that_a_link_is_no_stream() -> None:
    world = met()
    world.paths[0].ways[0].cut = True
    world.a.send(b"lost")
    world.speak()
    world.paths[0].ways[0].cut = False
    world.a.send(b"behind it")
    world.settle(0.1)
    assert not is_lossless(world)
    assert world.sides[1].got == [b"lost", b"behind it"]
    assert world.a.counters().resent > 0


def test_a_question_is_answered_without_what_was_sent_before_it() -> None:
    world = met()
    world.paths[0].ways[0].cut = True
    world.a.send(b"lost")
    world.speak()
    world.paths[0].ways[0].cut = False
    world.settle(3 * ASK_AFTER_S)
    assert not is_lossless(world)
    assert world.sides[1].got == [b"lost"]


def test_a_damaged_frame_shows_it_too() -> None:
    world = met()
    world.b.damaged(world.now, world.paths[0].links[1])
    assert not world.paths[0].links[1].path.lossless
    world.b.damaged(world.now, world.paths[0].links[1])  # it is known by now
    for number in range(100):
        world.b.send(b"%d" % number)
    world.settle()
    assert len(world.sides[0].got) == 100


def test_a_gap_that_another_link_made_says_nothing_of_a_stream() -> None:
    world = met(links=2)
    for way in world.paths[0].ways:
        way.cut = True
    for number in range(100):
        world.a.send(b"%d" % number)
    world.settle(1.0)
    assert is_lossless(world, 1)
    assert len(world.sides[1].got) == 100


def test_where_there_is_another_link_a_silent_one_is_left_soon() -> None:
    world = met(links=2)
    for way in world.paths[0].ways:
        way.cut = True
    world.a.send(b"goes another way")
    began = world.now
    world.settle(0.5)
    assert world.now - began < 20 * ASK_SOON_S


def test_what_cannot_wait_is_known_at_once() -> None:
    world = met()
    world.run(0.1)
    assert world.b.quiet(world.now)
    world.a.send(b"unsent")
    assert not world.a.quiet(world.now)
    world.speak()
    assert world.a.quiet(world.now)
    world.run(0.004)
    assert world.b.quiet(world.now)  # the acknowledgement rides
    assert not world.b.quiet(world.now + RIDES_S)
    world.settle()
    for spoil in (lambda: world.a.send_datagram(b""), lambda: world.a.leave(world.now)):
        spoil()
        assert not world.a.quiet(world.now)
    world.paths[0].links[1].dead = True
    assert not world.b.quiet(world.now)


def test_a_link_that_may_lose_something_is_never_left_alone() -> None:
    world = World()
    world.join(Way())
    world.run(1.0)
    assert not world.a.quiet(world.now)


def test_a_single_message_waits_for_room_as_many_do() -> None:
    lane = Lane(4)
    lane.waiting.append(b"hello")
    lane.waiting_bytes = 5
    assert lane.begin(100, 5, 1) == (0, 0)
    assert lane.begin(100, 6, 0) == (0, 0)
    assert lane.begin(100, 6, 1) == (1, 6)


def test_segments_are_short_while_urgent_messages_are_about() -> None:
    path = Lossless(Recovery())
    assert path.cut(10, 64_000, mixed=False) == 64_000
    assert path.cut(10, 64_000, mixed=True) == MIXED_SEGMENT


def test_only_the_answers_to_its_own_questions_count() -> None:
    path, lane = Lossless(Recovery(in_order=True)), Lane(4)
    path.sent(Sent(lane, 0, 10, False), 0.0)
    path.asks(7)
    path.sent(Sent(lane, 10, 20, False), 0.0)
    path.answered(8)
    assert path.known_to_have_come([]) == 0
    path.answered(7)
    assert path.known_to_have_come([]) == 1
    assert path.known_to_have_come([]) == 0


@pytest.mark.parametrize("seed", range(3))
def test_whatever_a_link_does_that_is_taken_for_a_stream_nothing_is_lost(seed: int) -> None:
    world = met(Way(drop=0.1, double=0.05, reorder=0.1, corrupt=0.02), seed=seed, links=2)
    for number in range(300):
        for side in world.sides:
            side.session.send(b"%d" % number, number % 8)
    world.settle()
    for side in world.sides:
        assert sorted(map(int, side.got)) == list(range(300))


def test_what_came_over_a_line_that_was_lost_since_is_not_sent_again_over_the_next() -> None:
    """The acknowledgement was lost with the line; the first one over the next line tells of what that one brought."""
    world = met()
    world.paths[0].ways[1].cut = True
    for number in range(3):
        world.a.send(b"%d" % number)
        world.speak()
        world.run(0.004)
    for side, link in zip(world.sides, world.paths[0].links):
        side.session.remove(link)
    world.join(Way(), checked=True, lossless=True, segment=STREAM_SEGMENT_BYTES)
    world.b.send(b"first the peer's own")
    world.settle()
    world.a.send(b"behind it")
    world.settle()
    assert world.sides[1].got == [b"0", b"1", b"2", b"behind it"]


def test_what_is_due_on_a_link_that_falls_silent_is_done_when_it_is_due() -> None:
    """Otherwise whoever looks after the session would look without end."""
    session = met().a
    (link,) = session.links
    looks = 0
    while (due := session.deadline()) is not None:
        session.frames(due, link)
        later = session.deadline()
        assert later is None or later > due
        looks += 1
    assert link.dead
    assert session.ended is not None
    assert 10 < looks < 200
