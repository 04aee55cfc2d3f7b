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
from leadscomm.protocol.session.handshake import MESSAGE_TOO_LONG, Refusal
from leadscomm.protocol.session.segments import MESSAGES, RECORDS, Ack, LaneAck, lane_number
from tests.protocol.session.full.paths import KEY, MIX, Way, World, in_order, joined, numbered, offer


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


def test_goodbye() -> None:
    world = joined(Way(drop=0.2), 2)
    world.a.leave(world.now)
    assert not world.a.open
    world.run(1.0)
    assert (world.a.ended, world.b.ended) == ("both sides left", "the peer left")
    assert not world.b.again


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
