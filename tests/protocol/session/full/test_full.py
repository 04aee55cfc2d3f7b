"""Two sessions of the full profile over simulated links: nothing is lost, doubled or overtaken, whatever they do."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscomm.errors import LocalProtocolError
from leadscomm.protocol.session import offer as offers
from leadscomm.protocol.session import segments as full
from leadscomm.protocol.session import wire
from leadscomm.protocol.session.full.full import FAREWELL_S, FullSession
from leadscomm.protocol.session.full.link import Link
from leadscomm.protocol.session.full.liveness import DOUBT_S
from leadscomm.protocol.session.handshake import (
    COMPACT,
    FULL,
    MESSAGE_TOO_LONG,
    NAME_TAKEN,
    OTHER_PROFILE,
    Handshake,
    Refusal,
)
from leadscomm.protocol.session.offer import Offer
from leadscomm.protocol.session.segments import MESSAGES, RECORDS, Ack, LaneAck, lane_number
from tests.protocol.session.full.paths import Path, Way, World, offer

MIX = {"drop": 0.2, "double": 0.1, "reorder": 0.2, "corrupt": 0.02}
KEY = b"sixteen bytes or more"


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


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("segment", [58, 1200])
def test_everything_arrives_once_and_in_order_in_the_mix(seed: int, segment: int) -> None:
    world = joined(Way(**MIX), seed, segment=segment)
    dice = random.Random(seed)
    counts = [[0] * 8, [0] * 8]
    for index, side in enumerate(world.sides):
        for _ in range(300):
            lane = dice.randrange(8)
            side.session.send(numbered(lane, counts[index][lane], dice.choice((0, 30, 2000))), lane)
            counts[index][lane] += 1
    world.settle()
    for index, side in enumerate(reversed(world.sides)):
        for lane in range(8):
            assert in_order(side.got, lane) == list(range(counts[index][lane]))
        assert side.session.bad_frames > 0


def test_a_key_protects_the_mix_as_well() -> None:
    world = World(
        5, FullSession(offer(1, key=KEY), 100.0, asks=True), FullSession(offer(2, key=KEY), 100.0, asks=False)
    )
    world.join(Way(**MIX))
    world.run(2.0)
    for number in range(500):
        world.a.send(numbered(4, number))
    world.settle()
    assert in_order(world.sides[1].got, 4) == list(range(500))
    assert world.b.bad_frames > 0


def test_another_key_begins_no_session() -> None:
    for theirs in (None, b"another key of 16 bytes"):
        world = World(
            5, FullSession(offer(1, key=KEY), 100.0, asks=True), FullSession(offer(2, key=theirs), 100.0, asks=False)
        )
        world.join(Way())
        world.run(1.0)
        assert not world.b.open
        assert ("the other has none" in (world.b.trouble or "")) == (theirs is None)
        assert ("another key" in (world.b.trouble or "")) == (theirs is not None)


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


def test_goodbye() -> None:
    world = joined(Way(drop=0.2), 2)
    world.a.leave(world.now)
    assert not world.a.open
    world.run(1.0)
    assert (world.a.ended, world.b.ended) == ("both sides left", "the peer left")
    assert not world.b.again


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


def test_goodbye_that_nobody_answers() -> None:
    world = joined()
    world.paths[0].ways[1].cut = True
    world.b.send(b"late")
    world.a.leave(world.now)
    world.run(FAREWELL_S + 0.01)
    assert (world.a.ended, world.b.ended) == ("this side left", "the peer left")
    alone = World()
    alone.a.leave(alone.now)
    assert alone.a.ended == "this side left"


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


def test_the_peers_room_bounds_what_is_begun() -> None:
    a = FullSession(offer(1), 100.0, asks=True)
    b = FullSession(offer(2, room=10_000, messages=7), 100.0, asks=False, longest=5000)
    world = World(1, a, b)
    world.join(Way())
    world.run(1.0)
    world.sides[1].keeps = True
    for number in range(20):
        a.send(numbered(7, number), 7)
    a.send(bytes(5000), 1)
    world.run(1.0)
    assert len(world.sides[1].got) == 7
    assert a.outgoing.begun_messages == 7
    assert not a.outgoing.wants
    world.sides[1].keeps = False
    world.settle()
    assert len(world.sides[1].got) == 21
    with pytest.raises(LocalProtocolError, match="9995 at most"):
        a.check(bytes(9996))
    a.check(bytes(9995))


def test_pieces_of_large_messages_leave_room_for_each_other() -> None:
    a = FullSession(offer(1), 100.0, asks=True)
    b = FullSession(offer(2, room=10_000), 100.0, asks=False, longest=9000)
    world = World(1, a, b)
    world.join(Way(**MIX), checked=True)
    world.run(1.0)
    for lane in (7, 0, 4, 2):
        a.send(bytes(8000), lane)
        a.send(bytes(100), lane)
    world.settle()
    assert sorted(map(len, world.sides[1].got)) == [100] * 4 + [8000] * 4


def test_a_newer_value_replaces_one_that_was_not_begun() -> None:
    world = joined()
    world.paths[0].ways[0].cut = True
    for number in range(2000):
        world.a.send(numbered(4, number, 100))
    world.run(0.01)
    for value in range(5):
        world.a.send(b"3 %d " % value, 3, key="speed", deadline=world.now + 100)
    world.a.send(b"3 9 ", 3)
    assert sum(message.startswith(b"3 ") for message in world.a.outgoing.unacknowledged()) == 2
    world.paths[0].ways[0].cut = False
    world.settle()
    assert in_order(world.sides[1].got, 3) == [4, 9]
    assert in_order(world.sides[1].got, 4) == list(range(2000))


def test_messages_whose_time_has_run_out_are_told_and_not_sent() -> None:
    world = joined()
    world.paths[0].ways[0].cut = True
    for number in range(2000):
        world.a.send(numbered(4, number, 100))
    world.run(0.01)
    world.a.send(b"first", deadline=world.now + 1)
    world.a.send(b"second", deadline=world.now + 2, key="k")
    world.a.send(b"third", deadline=world.now + 50)
    world.a.send(b"fourth", key="other")
    world.run(1.5)
    assert world.a.outgoing.take_expired() == [b"first"]
    world.run(1.0)
    assert world.a.outgoing.take_expired() == [b"second"]
    assert world.a.outgoing.take_expired() == []
    world.paths[0].ways[0].cut = False
    world.settle()
    assert world.sides[1].got[2000:] == [b"third", b"fourth"]


def test_records_and_messages_do_not_wait_for_each_other() -> None:
    world = joined(Way(**MIX))
    world.sides[1].keeps = True
    records = [(lane, numbered(lane, number, 1500)) for number in range(20) for lane in (7, 4)]
    for lane, record in records:
        world.a.send(record, lane, channel=RECORDS)
    world.a.send_all([b"4 0 a record"], channel=RECORDS)
    for number in range(20):
        world.a.send(numbered(4, number, 1500))
    assert len(world.a.outgoing.unacknowledged(RECORDS)) == 41
    world.run(5.0)
    assert in_order(world.sides[1].got, 4) == list(range(20))
    came = world.b.take_records()
    assert sorted(came) == sorted([*records, (4, b"4 0 a record")])
    for lane in (4, 7):
        assert [each for each in came if each[0] == lane][:20] == [each for each in records if each[0] == lane]
    assert world.a.outgoing.take_settled() == []
    world.b.delivered_records(world.now, 7, 3)
    world.run(1.0)
    assert world.a.outgoing.take_settled() == [each for each in records if each[0] == 7][:3]
    assert len(world.a.outgoing.unacknowledged()) == 20
    world.sides[1].keeps = False
    world.b.delivered_records(world.now, 7, 17)
    world.b.delivered_records(world.now, 4, 21)
    world.settle()
    assert len(world.a.outgoing.take_settled()) == 38
    assert world.a.outgoing.take_settled() == []


def test_records_run_out_of_time_apart_from_messages() -> None:
    world = joined()
    world.paths[0].ways[0].cut = True
    world.a.send_all([bytes(1000)] * 100)
    world.run(0.01)
    for channel, message in ((RECORDS, b"record"), (MESSAGES, b"message")):
        world.a.send(message, 7, channel=channel, deadline=world.now + 1.0)
    world.run(1.1)
    assert world.a.outgoing.take_expired() == [b"message"]
    assert world.a.outgoing.take_expired(RECORDS) == [b"record"]
    assert world.a.outgoing.take_expired(RECORDS) == []


def test_messages_are_taken_a_few_at_a_time() -> None:
    world = joined()
    world.sides[1].deal = lambda now: None  # type: ignore[method-assign]
    world.a.send_all([b"7 %d" % number for number in range(5)], 7)
    world.run(0.1)
    assert world.b.incoming.ready
    assert world.b.take(2) == [b"7 0", b"7 1"]
    world.a.send(b"0 0", 0)
    world.run(0.1)
    assert world.b.take(2) == [b"0 0", b"7 2"]
    world.a.send(b"1 0", 1)
    world.run(0.1)
    assert world.b.take(1) == [b"1 0"]
    assert world.b.take(9) == [b"7 3", b"7 4"]
    world.b.delivered(world.now, 3)
    world.run(0.1)
    assert world.a.outgoing.unacknowledged() == [b"1 0", b"7 2", b"7 3", b"7 4"]
    world.b.delivered(world.now, 4)
    world.settle()


def test_one_lane_that_is_full_leaves_the_others_room() -> None:
    world = World(b=FullSession(offer(2, room=10_000), 100.0, asks=False, longest=5000))
    assert not world.a.takes()
    world.join(Way(delay=0.01))
    world.run(1.0)
    world.a.send_all([bytes(1000)] * 20, 7)
    assert not world.a.takes(7)
    assert not world.a.outgoing.wants
    assert world.a.takes(0)
    assert world.a.takes(7, RECORDS)
    world.a.send(b"urgent", 0)
    assert world.a.takes(0)
    world.settle()
    assert world.a.takes(7)


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


def test_datagrams() -> None:
    world = joined(Way(delay=0.01))
    for number in range(10):
        world.a.send_datagram(b"%d" % number)
    world.run(0.1)
    assert world.b.take_datagrams() == [b"%d" % number for number in range(10)]
    assert world.b.take_datagrams() == []
    assert not world.b.datagrams.received
    link = world.paths[0].links[1]
    for count, lost in ((12, 1), (11, 0), (11, -1), (0, -1), (12, -1)):
        world.b.receive(link.seal.seal(wire.datagram(b"x", count)), world.now, link)
        assert world.b.datagrams.lost == lost
    with pytest.raises(LocalProtocolError, match="1196 at most"):
        world.a.send_datagram(bytes(1197))


def test_what_happened_is_counted() -> None:
    fresh = World()
    assert fresh.a.counters().round_trip is None
    fresh.a.add(Link(), fresh.now)
    fresh.a.damaged(fresh.now, fresh.a.links[0])
    assert fresh.a.counters().bad_frames == 1
    world = joined(Way(**MIX))
    world.a.send_all([bytes(500)] * 1000)
    world.settle()
    path = world.paths[0]
    world.b.damaged(world.now, path.links[1], 0)
    a, b = world.a.counters(), world.b.counters()
    assert a.resent > 0
    assert b.bad_frames > 0
    assert b.duplicates > 0
    assert a.round_trip is not None
    world.a.remove(path.links[0])
    assert world.a.counters().resent >= a.resent
    assert world.a.counters().round_trip is None


def test_how_a_session_is() -> None:
    world = joined(Way(rate=1e6, delay=0.01))
    second = world.join(Way(delay=0.02), preference=1)
    world.run(1.0)
    world.sides[1].keeps = True
    for number in range(3):
        world.a.send(b"%d" % number, key="latest")
    world.a.send_all([bytes(1000)] * 500)
    world.a.send(b"record", channel=RECORDS)
    world.a.send(b"late", deadline=world.now)
    world.run(0.2)
    stats = world.a.stats(world.now)
    assert (stats.sent, stats.delivered, stats.dropped) == (505, 0, 3)
    assert stats.queued_messages + stats.unacknowledged == 502
    assert stats.queued_bytes == 1000 * (stats.queued_messages - 1) + 6
    world.sides[1].keeps = False
    world.run(1.0)
    world.b.take_records()
    world.b.delivered_records(world.now, 4)
    world.settle()
    assert world.b.stats(world.now).received == 502
    stats = world.a.stats(world.now)
    assert (stats.delivered, stats.unacknowledged, stats.queued_bytes) == (502, 0, 0)
    first, other = stats.links
    assert (first.joined, first.well, first.dead, first.carries, other.carries) == (True, True, False, True, False)
    assert first.round_trip == pytest.approx(0.02, rel=0.5)
    assert first.sent_bytes > 500_000
    assert world.b.stats(world.now).links[0].received_bytes == first.sent_bytes
    assert 0.5e6 < first.rate < 1.1e6
    assert first.loss < 0.01
    assert first.jitter < 0.01
    assert other.clock_offset == pytest.approx(0.0, abs=0.001)
    assert other.clock_uncertainty == pytest.approx(0.02, rel=0.1)
    assert world.a.add(Link(), world.now) is None
    assert world.a.stats(world.now).links[2].clock_offset is None
    assert second.links[0].pings_missed == 0


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


def test_clocks_are_compared() -> None:
    world = joined(Way(delay=0.01))
    world.run(3.0)
    offset = world.a.links[0].clock.offset(world.now)
    assert offset is not None
    assert offset.seconds == pytest.approx(0, abs=1e-3)
    assert offset.uncertainty == pytest.approx(0.01, abs=1e-3)
    assert world.a.links[0].recovery.round_trip == pytest.approx(0.02, rel=0.3)


def test_damaged_and_senseless_frames_do_nothing() -> None:
    world = joined()
    link = world.paths[0].links[1]
    link.answers.clear()
    seal = link.seal.seal
    for frame in (
        b"",
        b"\x40",
        seal(b"\x40abc"),
        seal(b"\xc0ab"),
        seal(full.control(wire.ACK, 1, b"abc")),
        b"\x80" * 9,
    ):
        world.b.receive(frame, world.now, link)
    for which in (wire.PING, full.PONG, 7):
        world.b.receive(seal(full.control(which, 1, b"abc")), world.now, link)
    world.b.receive(seal(b"\x80abcdefg"), world.now, link)
    world.b.receive(seal(full.pong(1, 1 << 60, 0, 0)), world.now, link)
    world.b.receive(offer(2).hello(), world.now, link)  # its own one, come back
    for cut in (1, 8, 20, 30):
        world.b.receive(offer(3).hello()[:cut], world.now, link)
    world.b.receive(b"\xd8\x01", world.now, link)
    assert world.b.open
    assert not link.answers
    world.b.receive(seal(full.data(lane_number(1), 77, 0, b"x")), world.now, link)
    world.b.receive(seal(full.control(wire.PING, 77)), world.now, link)
    assert list(link.answers) == [offers.no_session(77, None)] * 2
    for answer in link.answers:
        world.a.receive(answer, world.now, world.paths[0].links[0])
    assert world.a.open


def test_peers_that_break_the_rules() -> None:
    lies = (
        full.control(wire.ACK, 1, Ack(100, 100, (LaneAck(lane_number(4), 0, 10),)).body()),
        full.data(lane_number(4), 1, 0, b"\x80\0"),
        full.data(lane_number(4), 1, 1 << 40, b"x"),
    )
    for lie in lies:
        world = joined()
        link = world.paths[0].links[1]
        world.b.receive(link.seal.seal(lie), world.now, link)
        assert world.b.ended
        assert not world.b.again
        (fault,) = world.b.take_faults()
        assert str(fault) == f"{world.b.ended}; the session is over"
        world.b.receive(link.seal.seal(lie), world.now, link)
        assert world.b.frames(world.now, link) == []
    a = joined()
    a.a.send(b"12345678")
    a.run(0.001)
    link = a.paths[0].links[0]
    a.a.receive(
        link.seal.seal(full.control(wire.ACK, 2, Ack(99, 9, (LaneAck(lane_number(4), 12, 11),)).body())), a.now, link
    )
    assert a.a.ended
    with pytest.raises(LocalProtocolError, match="room"):
        FullSession(offer(1, room=100), 0.0, asks=True, longest=97)
    with pytest.raises(LocalProtocolError, match="lane=8"):
        a.b.send(b"x", 8)


def test_handshakes_that_come_to_nothing() -> None:
    def asking() -> tuple[FullSession, Link]:
        session, link = FullSession(offer(1), 0.0, asks=True), Link()
        session.add(link, 0.0)
        assert session.frames(0.0, link) == [offer(1).hello()]
        return session, link

    session, link = asking()
    for frame, text in (
        (Refusal(OTHER_PROFILE, COMPACT).frame(), "profiles"),
        (Handshake(5, version=2).hello(), "version 2"),
        (Refusal(NAME_TAKEN).frame(), "another peer of this name"),
    ):
        session, link = asking()
        session.receive(frame, 0.0, link)
        assert (session.ended, session.trouble) == (None, None)  # a damaged one, perhaps
        session.receive(frame, 0.05, link)
        assert text in (session.ended or "")
    for again in (
        Refusal(MESSAGE_TOO_LONG, 5).frame(),
        offers.no_session(1, None),
        offer(5).welcome(offer(6)),
        full.data(lane_number(0), 5, 0, b""),
        wire.datagram(b""),
    ):
        session, link = asking()
        session.receive(again, 0.0, link)
        assert session.frames(0.01, link) == []
        assert session.ended is None
        assert session.deadline() == pytest.approx(0.05)
    session, link = asking()
    asked = offer(1)
    session.receive(offer(5).welcome(asked), 0.0, link)
    session.check(bytes(100))
    session.receive(offer(6).welcome(asked), 0.0, link)
    assert not session.again
    session.tick(1.0)
    assert session.again
    waiting, link = FullSession(offer(2), 0.0, asks=False), Link()
    waiting.add(link, 0.0)
    waiting.check(bytes(1 << 23))
    waiting.receive(Handshake(5, version=2).hello(), 0.0, link)
    waiting.receive(offer(5).hello(echo=9), 0.0, link)
    waiting.receive(full.data(lane_number(0), 5, 0, b""), 0.0, link)
    waiting.receive(wire.datagram(b"x"), 0.0, link)
    waiting.receive(offer(5).hello()[:-1] + b"?", 0.0, link)
    assert waiting.peer is None
    assert waiting.ended is None
    assert waiting.deadline() is None
    assert len(waiting.frames(0.0, link)) == 3
    small = Offer(Handshake(7, longest=10), room=100, messages=1)
    waiting.receive(small.hello(), 0.0, link)
    with pytest.raises(LocalProtocolError, match="10 at most"):
        waiting.check(bytes(11))
    assert waiting.peer is not None
    assert waiting.peer.handshake.profiles & FULL


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


def test_a_peer_that_speaks_another_profile_is_named() -> None:
    session, link = FullSession(offer(1), 0.0, asks=True), Link()
    session.add(link, 0.0)
    for _ in range(2):
        session.receive(Handshake(5).welcome(Handshake(1), COMPACT), 0.0, link)
    assert "full profile" in (session.trouble or "")
    session.receive(offer(5).welcome(offer(1)), 0.0, link)
    assert session.open
    assert session.trouble is None
    session.receive(Handshake(6).hello(), 0.0, link)
    session.receive(Handshake(6, version=2).hello(), 0.0, link)
    session.receive(Refusal(OTHER_PROFILE, COMPACT).frame(), 0.0, link)
    session.receive(b"\xd8\x01", 0.0, link)
    assert session.open
    assert session.trouble is None
    session.receive(offers.no_session(9, None), 0.0, link)
    assert session.open
    session.leave(0.0)
    session.receive(offers.no_session(1, None), 0.0, link)
    assert session.ended is None
    waiting, link = FullSession(offer(1), 0.0, asks=False), Link()
    waiting.add(link, 0.0)
    waiting.receive(Refusal(OTHER_PROFILE, COMPACT).frame(), 0.0, link)
    assert (waiting.ended, waiting.trouble) == (None, None)


def keyed_world() -> World:
    world = World(
        5, FullSession(offer(1, key=KEY), 100.0, asks=True), FullSession(offer(2, key=KEY), 100.0, asks=False)
    )
    world.join(Way())
    world.run(1.0)
    return world


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


def test_a_frame_of_ones_own_that_comes_back_is_not_answered() -> None:
    session, link = FullSession(offer(1), 0.0, asks=False), Link()
    session.add(link, 0.0)
    session.receive(full.data(lane_number(4), 1, 0, b"x"), 0.0, link)
    assert not link.answers


@pytest.mark.parametrize("key", [None, KEY])
def test_a_line_that_gives_back_what_is_sent_is_named(key: bytes | None) -> None:
    me = offer(1, key=key)
    session, link = FullSession(me, 0.0, asks=True), Link()
    session.add(link, 0.0)
    for _ in range(2):
        assert session.trouble is None
        session.receive(me.hello(), 0.0, link)
    assert "gives back what is sent" in (session.trouble or "")
    assert (session.ended is None) == (key is not None)  # anybody can send a frame back
    assert not link.answers


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("faults", [{}, {"drop": 0.2, "reorder": 0.2}])
def test_a_message_that_is_too_long_is_dropped_alone_and_both_sides_are_told(
    key: bytes | None, faults: dict[str, float]
) -> None:
    a = FullSession(offer(1, key=key), 100.0, asks=True)
    b = FullSession(offer(2, key=key), 100.0, asks=False, longest=70_000)  # which it does not tell
    world = World(3, a, b)
    world.each = lambda: world.sides[1].deal_with_records(world.now)
    world.join(Way(**faults), checked=True)
    world.run(2.0)
    a.check(bytes(100_000))
    assert (a.longest, a.certain) == (a.peer.room - 5 if a.peer else 0, 65_535)
    for lane in (4, 5):
        a.send_all([b"one", bytes(100_000), b"two", bytes(90_000), b"three"], lane)
    a.send(bytes(80_000), 4, channel=RECORDS)
    a.send(b"record", 4, channel=RECORDS)
    world.settle()
    assert sorted(world.sides[1].got) == sorted(2 * [b"one", b"two", b"three"])
    assert world.sides[1].got_records == [(4, b"record")]
    assert (a.ended, b.ended) == (None, None)
    assert sorted(map(len, a.outgoing.take_refused())) == [90_000, 90_000, 100_000, 100_000]
    assert list(map(len, a.outgoing.take_refused(RECORDS))) == [80_000]
    assert a.outgoing.take_refused() == []
    texts = list(map(str, b.take_faults()))
    assert 1 <= len(texts) <= 5  # what had not left yet when the first one was refused stays here
    assert all("dropped, as max_message=70000" in text for text in texts)
    assert b.take_faults() == []
    with pytest.raises(LocalProtocolError, match=r"70001 bytes, and the peer takes 70000 at most \(max_message there"):
        a.check(bytes(70_001))
    assert (a.longest, a.certain) == (70_000, 65_535)


def test_the_longest_message_is_known_from_the_beginning() -> None:
    for longest in (1000, 65_535, 70_000, 1 << 20):
        a = FullSession(offer(1, longest=None), 100.0, asks=True)
        b = FullSession(offer(2, longest=longest), 100.0, asks=False, longest=longest)
        world = World(3, a, b)
        world.join(Way())
        world.run(1.0)
        assert (a.longest, a.certain, b.certain) == (longest, longest, 65_535)
        assert b.peer is not None
        assert b.longest == b.peer.room - 5
    assert a.peer is not None
    assert a.peer.handshake.longest == 1 << 20


def test_a_peer_that_breaks_rules_again_and_again_is_told_of_a_few_times() -> None:
    b = FullSession(offer(2), 100.0, asks=False, longest=10)
    world = World(3, b=b)
    world.join(Way())
    world.run(1.0)
    world.a.send_all([bytes(11)] * 100)
    world.settle()
    assert len(b.take_faults()) == 16
    assert world.a.ended is b.ended is None


def test_a_late_copy_of_a_refusal_says_nothing_new() -> None:
    world = joined()
    link = world.paths[0].links[0]
    refusal = offers.too_long(1, 500, None)
    for _ in range(2):
        world.a.receive(refusal, world.now, link)
    assert world.a.longest == 500
    world.a.receive(offers.too_long(1, 600, None), world.now, link)
    world.a.receive(offers.too_long(7, 100, None), world.now, link)
    world.a.receive(Refusal(MESSAGE_TOO_LONG, 100).frame(), world.now, link)
    assert world.a.longest == 500


def test_nothing_of_an_ended_session_is_kept() -> None:
    world = joined()
    world.a.send_all([bytes(1000)] * 100)
    world.run(0.001)
    world.a.end("enough")
    world.a.forget()
    assert world.a.outgoing.unacknowledged() == []
    assert world.paths[0].links[0].recovery.in_flight == 0


def test_pieces_cost_what_they_take_of_memory() -> None:
    world = World(b=FullSession(offer(2, room=100_000), 100.0, asks=False, longest=5000))
    world.join(Way())
    world.run(1.0)
    link = world.paths[0].links[1]
    for offset in range(1, 20_000):
        world.b.receive(full.data(lane_number(4), 1, offset, b"x"), world.now, link)
    lane = world.b.incoming.acks(100)[0]
    assert lane.ranges[0][1] < 1000
    fine = joined()
    fine.b.incoming.take_segment(lane_number(4), 3, b"\1z")
    fine.b.incoming.take_segment(lane_number(4), 2, b"y")
    fine.b.incoming.take_segment(lane_number(4), 0, b"\2x")
    assert fine.b.take() == [b"xy", b"z"]


@given(st.lists(st.binary(max_size=60), max_size=20), st.sampled_from((None, KEY)), st.booleans())
def test_any_bytes_do_no_harm(noise: list[bytes], key: bytes | None, opened: bool) -> None:
    session, link = FullSession(offer(1, key=key), 0.0, asks=True), Link()
    session.add(link, 0.0)
    if opened:
        session.receive(offer(5, key=key).welcome(offer(1)), 0.0, link)
        session.send(b"x")
    for number, frame in enumerate(noise):
        for header in (frame[:1], b"\x60", b"\xc0", b"\xe8", b"\xf0", b"\xd0"):
            session.receive(header + frame[1:], number, link)
            session.receive(header + b"\5\0\0\0" + frame[1:], number, link)
        session.take()
        session.frames(number, link)
        session.deadline()


def test_lanes_share_small_segments_in_acknowledgements() -> None:
    world = joined(Way(**MIX), segment=60)
    for lane in range(8):
        for number in range(30):
            world.a.send(numbered(lane, number, 50), lane)
    world.settle()
    for lane in range(8):
        assert in_order(world.sides[1].got, lane) == list(range(30))


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


@pytest.mark.slow
def test_many_messages_in_the_mix_while_links_are_killed() -> None:
    count, kills = 100_000, 50
    world = World(11)
    world.join(Way(**MIX), checked=True)
    world.run(1.0)
    world.a.send_all([b"%032d" % number for number in range(count)])
    killed = 0
    while not world.a.idle:
        world.run(0.003)
        if killed < kills and len(world.sides[1].got) > killed * count // (kills + 10):
            killed += 1
            path = world.paths.pop()
            for side, link in zip(world.sides, path.links):
                side.session.remove(link)
            world.join(Way(**MIX), checked=True)
        assert world.now < 1000
    assert killed == kills
    assert [int(message) for message in world.sides[1].got] == list(range(count))
