"""Whether a peer that was heard once is still there, and whether it is still the same."""

from __future__ import annotations

import pytest

from leadscomm.protocol.session import offer as offers
from leadscomm.protocol.session.full.full import FullSession
from leadscomm.protocol.session.full.link import Link
from leadscomm.protocol.session.full.liveness import DOUBT_S
from leadscomm.protocol.session.handshake import (
    COMPACT,
    NAME_TAKEN,
    OTHER_PROFILE,
    Handshake,
    Refusal,
)
from tests.protocol.session.full.paths import KEY, Path, Way, World, joined, offer


def keyed_world() -> World:
    world = World(
        5, FullSession(offer(1, key=KEY), 100.0, asks=True), FullSession(offer(2, key=KEY), 100.0, asks=False)
    )
    world.join(Way())
    world.run(1.0)
    return world


def test_a_peer_that_is_not_heard_any_more_has_left() -> None:
    world = joined()
    world.a.send(b"x")
    world.paths[0].ways[0].cut = True
    world.run(60.0)
    for side in world.sides:
        assert "30 s" in (side.session.ended or "")
        assert side.session.again
        assert side.session.deadline() is None
    assert world.a.remains() == ([b"x"], [])


def test_a_peer_that_was_restarted_is_noticed() -> None:
    world = joined()
    world.a.send(b"old")
    world.sides[1].keeps = True
    world.run(0.1)
    again = World(1, world.a, FullSession(offer(3), world.now, asks=False))
    again.now = world.now
    link = Link(checked=True)
    again.b.add(link, again.now)
    again.paths.append(Path((Way(), Way()), (world.paths[0].links[0], link)))
    again.run(3.0)
    assert "restarted" in (again.a.ended or "")
    assert again.a.again
    assert again.a.outgoing.unacknowledged() == [b"old"]


def test_a_hello_of_another_epoch_ends_the_session_of_who_does_not_answer() -> None:
    world = joined()
    link = world.paths[0].links[1]
    world.b.receive(offer(1).hello(), world.now, link)  # the same one: nothing changes
    world.b.receive(offer(9).hello(), world.now, link)  # anybody could say so
    world.run(2 * DOUBT_S)
    assert world.b.open
    world.paths[0].ways[0].cut = True
    world.b.receive(offer(9).hello(), world.now, link)
    world.run(2 * DOUBT_S)
    assert "restarted" in (world.b.ended or "")
    late = FullSession(offer(4), world.now, asks=False, former=(9,))
    late.add(link, world.now)
    late.receive(offer(9).hello(), world.now, link)
    assert late.peer is None


def test_silence_is_not_counted_while_somebody_says_that_nobody_listens() -> None:
    world = joined()
    world.b.pause(world.now)
    for way in world.paths[0].ways:
        way.cut = True
    world.run(29.0)
    assert (world.a.ended, world.b.ended) == (None, None)
    world.b.resume(world.now)
    world.run(29.0)
    assert world.a.ended is not None
    assert world.b.ended is None
    world.run(2.0)
    assert world.b.ended is not None


def test_silence_is_not_counted_while_a_callback_runs() -> None:
    world = joined()
    world.sides[1].keeps = True
    world.a.send(b"long work")
    world.run(0.1)
    world.paths[0].ways[0].cut = True
    world.run(60.0)
    assert world.b.ended is None
    world.b.delivered(world.now)
    assert world.b.open


def test_who_has_no_key_ends_no_session() -> None:
    session, link = FullSession(offer(1, key=KEY), 0.0, asks=True), Link()
    session.add(link, 0.0)
    for frame in (
        Handshake(5, version=2).hello(),
        Refusal(OTHER_PROFILE, COMPACT).frame(),
        Refusal(NAME_TAKEN).frame(),
        offers.no_session(1, None),
        offer(9).welcome(offer(1)),
    ):
        for _ in range(3):
            session.receive(frame, 0.0, link)
    assert session.ended is None
    session.receive(offer(5, key=KEY).welcome(offer(1)), 0.0, link)
    assert session.open


@pytest.mark.parametrize(
    "sign", [offer(9, key=KEY).hello(), offer(9, key=KEY).welcome(offer(1)), offers.no_session(1, KEY)]
)
def test_with_a_key_a_copied_frame_ends_no_session_that_lives(sign: bytes) -> None:
    world = keyed_world()
    world.a.receive(sign, world.now, world.paths[0].links[0])
    assert world.a.liveness.doubted_at is not None
    world.run(0.1)
    assert world.a.liveness.doubted_at is None
    world.run(5.0)
    assert world.a.open
    for way in world.paths[0].ways:
        way.cut = True
    world.a.receive(sign, world.now, world.paths[0].links[0])
    world.a.receive(sign, world.now + 0.1, world.paths[0].links[0])
    world.run(DOUBT_S)
    assert "restarted" in (world.a.ended or "")
    assert world.a.again


def test_a_doubt_does_not_end_a_session_that_nobody_can_speak_for() -> None:
    world = keyed_world()
    world.a.receive(offers.no_session(1, KEY), world.now, world.paths[0].links[0])
    path = world.paths.pop()
    for side, link in zip(world.sides, path.links):
        side.session.remove(link)
    world.run(5.0)
    assert world.a.open
    world.join(Way())
    world.run(1.0)
    assert world.a.open
    assert world.a.liveness.doubted_at is None
