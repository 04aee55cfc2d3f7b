"""Lanes: messages to segments, segments to messages, whatever is lost, cut anew, doubled or overtaken."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscomm.errors import LocalProtocolError
from leadscomm.protocol.session.full.lanes import DONE, Sent
from leadscomm.protocol.session.full.prefixed import joined
from leadscomm.protocol.session.full.receiving import MAX_GAPS, IncomingLanes, LaneIn
from leadscomm.protocol.session.full.sending import OutgoingLanes
from leadscomm.protocol.session.segments import LANE_ACK_BYTES, MESSAGES, RECORDS, LaneAck, lane_number

LISTS = st.lists(st.binary(max_size=40), min_size=1, max_size=30)
ROOM = 1 << 20


def outgoing(messages: list[bytes], lane: int = 4, room: int = ROOM, count: int = 1000) -> OutgoingLanes:
    out = OutgoingLanes(room, count)
    out.allow(room, count)
    out.put_all(messages, lane_number(lane))
    return out


def cut(out: OutgoingLanes, size: int, budget: int = ROOM) -> list[Sent]:
    return list(out.segments(size, budget))


def bits(segments: list[Sent]) -> list[tuple[int, int, bytes]]:
    return [(sent.lane.urgency, sent.start, bytes(sent.payload())) for sent in segments]


@given(LISTS, st.integers(1, 50), st.randoms(use_true_random=False))
def test_any_order_any_copies_any_cuts(messages: list[bytes], size: int, dice: random.Random) -> None:
    stream = joined(messages)
    pieces = [(at, stream[at : at + size]) for at in range(0, len(stream), size)]
    for _ in range(2 * len(pieces)):
        first = dice.randrange(len(stream))
        pieces.append((first, stream[first : first + dice.randrange(1, 80)]))
    dice.shuffle(pieces)
    incoming, came = IncomingLanes(ROOM, 1000, 100), []
    for at, payload in pieces:
        assert incoming.take_segment(lane_number(3), at, payload)
        (ack,) = incoming.acks(LANE_ACK_BYTES + 8 * 255)
        covered = [(0, ack.received), *ack.ranges]
        assert any(low <= at and at + len(payload) <= high for low, high in covered) or not payload
        came += incoming.take()
    assert came == messages
    assert incoming.acks(100) == [LaneAck(lane_number(3), 0, len(stream))]
    assert not incoming.gaps
    incoming.delivered(len(messages))
    assert incoming.acks(100) == [LaneAck(lane_number(3), len(stream), len(stream))]
    assert not incoming.handed


@given(LISTS, st.lists(st.integers(1, 60), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_what_is_lost_is_cut_anew(messages: list[bytes], sizes: list[int], dice: random.Random) -> None:
    out, incoming, got = outgoing(messages), IncomingLanes(ROOM, 1000, 100), []
    for turn in range(1000):
        sent = cut(out, sizes[turn % len(sizes)], dice.randrange(1, 300))
        for segment in sent:
            if turn > 500 or dice.random() < 0.5:
                incoming.take_segment(lane_number(4), segment.start, bytes(segment.payload()))
            if dice.random() < 0.3:  # nobody knows which
                segment.lane.lose(segment)
        got += incoming.take()
        for ack in incoming.acks(200):
            for segment in out.acknowledge(ack) or ():
                segment.state = DONE
        if len(got) == len(messages):
            break
        if not sent:
            lane = out.lane(lane_number(4))
            for segment in list(lane._unreceived):
                lane.lose(segment)
    assert got == messages
    incoming.delivered(len(got))
    for ack in incoming.acks(200):
        out.acknowledge(ack)
    assert out.idle
    assert out.begun_bytes == out.waiting_bytes == 0


def test_a_link_with_shorter_segments_gets_all_of_what_was_lost() -> None:
    out = outgoing([bytes(99), bytes(49)])
    first, second = cut(out, 100)
    first.lane.lose(first)
    second.lane.lose(second)
    assert [(sent.start, sent.size) for sent in cut(out, 30)] == [
        (0, 30), (30, 30), (60, 30), (90, 10), (100, 30), (130, 20),
    ]  # fmt: skip


def test_many_small_messages_share_a_segment() -> None:
    sent = cut(outgoing([b"12345678 10"] * 100), 120)
    assert [segment.size for segment in sent] == [120] * 10


def test_no_more_is_begun_than_goes_out() -> None:
    out = outgoing([b"12345678 10"] * 100)
    assert len(cut(out, 120, 120)) == 1
    assert out.begun_messages == 10
    out.put(b"soon", lane_number(0), None, None)
    assert [lane for lane, _, _ in bits(cut(out, 120, 200))] == [0, 4, 4]


def test_a_segment_that_was_lost_goes_first_within_its_lane() -> None:
    out = outgoing([bytes(99)] * 5)
    first, _second = cut(out, 100, 200)
    first.lane.lose(first)
    first.lane.lose(first)  # found lost twice: it is sent again once
    out.put(b"now", lane_number(0), None, None)
    assert [segment[:2] for segment in bits(cut(out, 100, 200))] == [(0, 0), (4, 0), (4, 200)]


def test_a_part_of_the_room_is_left_for_urgent_lanes() -> None:
    out = outgoing([bytes(998)] * 100, 7, 64_000, 64)
    cut(out, 1000)
    assert out.begun_messages == 57
    out.put_all([bytes(998)] * 100, lane_number(0))
    cut(out, 1000)
    assert out.begun_messages == 64
    assert out.first is None
    assert out.acknowledge(LaneAck(lane_number(7), 2000, 2000)) is not None
    assert out.first is not None


def test_a_message_that_needs_the_whole_room_has_it() -> None:
    out = outgoing([bytes(998)] * 2, 7, 1000)
    assert len(cut(out, 1000)) == 1
    assert out.first is None


def test_the_room_bounds_bytes() -> None:
    out = outgoing([bytes(99)] * 100, 0, 1000)
    cut(out, 100)
    assert out.begun_bytes == 1000
    assert out.first is None
    assert cut(out, 100) == []
    out.allow(500, 1000)
    assert cut(out, 100) == []


def test_acknowledgements_that_cannot_be() -> None:
    out = outgoing([b"12345678"])
    cut(out, 100)
    assert out.acknowledge(LaneAck(lane_number(5), 0, 0)) == []
    assert out.acknowledge(LaneAck(lane_number(5), 0, 1)) is None
    assert out.acknowledge(LaneAck(lane_number(4), 0, 0, ((5, 13),))) is None
    assert out.acknowledge(LaneAck(lane_number(4), 9, 8)) is None


def test_a_peer_that_takes_and_deals_with_parts() -> None:
    out = outgoing([b"12345678", b"x"])
    (sent,) = cut(out, 100)
    assert out.acknowledge(LaneAck(lane_number(4), 1, 6)) is not None  # in the middle of a message: not dealt with
    assert out.acknowledge(LaneAck(lane_number(4), 5, 6, ((8, 10),))) == []
    assert (sent.start, sent.lane.forget(0)) == (6, 0)
    sent.lane.lose(sent)
    assert bits(cut(out, 100)) == [(4, 6, b"678\1x")]
    assert len(out.acknowledge(LaneAck(lane_number(4), 10, 11)) or ()) == 1
    assert out.unacknowledged() == [b"x"]
    assert out.acknowledge(LaneAck(lane_number(4), 11, 11)) == []
    assert out.idle


def test_what_was_sent_is_told_from_what_was_not() -> None:
    out = OutgoingLanes(ROOM, 2)
    out.allow(ROOM, 2)
    for message in (b"1234", b"5678", b"waits"):
        out.put(message, lane_number(4), None, None)
    out.put(b"urgent", lane_number(0), None, None)
    assert out.remains() == ([], [b"urgent", b"1234", b"5678", b"waits"])
    assert bits(cut(out, 100, budget=7)) == [(0, 0, b"\6urgent")]
    assert out.remains() == ([b"urgent"], [b"1234", b"5678", b"waits"])
    assert bits(cut(out, 2, budget=2)) == [(4, 0, b"\0041")]
    assert out.remains() == ([b"urgent", b"1234"], [b"5678", b"waits"])
    assert out.remains(RECORDS) == ([], [])


def test_newer_values_and_deadlines() -> None:
    out = OutgoingLanes(ROOM, 100)
    out.allow(ROOM, 100)
    out.put(b"1", lane_number(4), 5.0, "a")
    out.put(b"plain", lane_number(4), None, None)
    out.put(b"none", lane_number(4), None, "b")
    out.put(b"four", lane_number(4), 9.0, None)
    out.put(b"22", lane_number(4), None, "a")
    assert (out.waiting_messages, out.waiting_bytes) == (4, 15)
    out.expire(5.0)
    assert out.expired[MESSAGES] == []
    out.put(b"333", lane_number(4), 6.0, "a")
    assert out.deadline() == 6.0
    out.expire(6.0)
    assert out.expired[MESSAGES] == [b"333"]
    out.put(b"again", lane_number(4), None, "a")
    assert out.unacknowledged() == [b"plain", b"none", b"four", b"again"]
    (sent,) = cut(out, 100)
    assert bytes(sent.payload()) == joined([b"plain", b"none", b"four", b"again"])
    out.put(b"last", lane_number(4), None, "a")
    assert out.unacknowledged()[-1] == b"last"
    out.expire(9.0)  # it was begun
    assert out.expired[MESSAGES] == [b"333"]
    with pytest.raises(LocalProtocolError):
        out.put(b"", lane_number(-1), None, None)


def test_gaps_are_bounded() -> None:
    lane = LaneIn(0, 100)
    assert all(lane.take(2 + 2 * number, b"x", ROOM, 1000) for number in range(MAX_GAPS))
    assert not lane.take(2 + 2 * MAX_GAPS, b"x", ROOM, 1000)
    assert lane.take(3, b"x", ROOM, 1000)
    assert lane.gaps == MAX_GAPS - 1


def test_the_newest_ranges_are_told() -> None:
    lane = LaneIn(0, 100)
    for number in (50, 3, 20, 7, 3):
        lane.take(number, b"x", ROOM, 1000)
    assert lane.ack(9).ranges == ((3, 4), (7, 8), (20, 21), (50, 51))
    assert lane.ack(2).ranges == ((7, 8), (20, 21))
    lane.take(0, joined([b"1234567"]), ROOM, 1000)
    lane.take(60, b"x", ROOM, 1000)
    assert lane.ack(3).ranges == ((20, 21), (50, 51), (60, 61))
    assert lane.ack(3).received == 8


def test_what_there_is_no_room_for_is_dropped() -> None:
    incoming = IncomingLanes(400, 1000, 50)
    assert not incoming.take_segment(lane_number(0), 390, bytes(11))
    for lane in range(3):
        assert incoming.take_segment(lane_number(lane), 20, bytes(45))
    assert [len(ack.ranges) for ack in incoming.acks(1000)] == [1, 1, 0]
    assert incoming.duplicates == 1


def test_lanes_take_turns_where_acknowledgements_are_short() -> None:
    incoming = IncomingLanes(100, 1000, 50)
    for lane in (1, 5, 6):
        incoming.take_segment(lane_number(lane), 0, b"x")
    told = [[ack.number >> 3 for ack in incoming.acks(2 * LANE_ACK_BYTES)] for _ in range(3)]
    assert told == [[1, 5], [6, 1], [5, 6]]


def test_messages_are_dealt_with_in_the_order_of_their_taking() -> None:
    incoming = IncomingLanes(1000, 1000, 50)
    for lane, messages in ((6, [b"a", b"bb"]), (2, [b"ccc"])):
        incoming.take_segment(lane_number(lane), 0, joined(messages))
    assert incoming.take() == [b"ccc", b"a", b"bb"]
    assert incoming.delivered(2) == 6
    assert [(ack.number >> 3, ack.delivered) for ack in incoming.acks(1000)] == [(2, 4), (6, 2)]
    assert incoming.handed
    assert incoming.delivered(1) == 3


def test_what_was_lost_goes_from_the_oldest_bytes_on() -> None:
    out = outgoing([bytes(99)] * 5)
    sent = cut(out, 100)
    for index in (3, 1, 4, 0, 2):
        sent[index].lane.lose(sent[index])
    assert [start for _, start, _ in bits(cut(out, 100))] == [0, 100, 200, 300, 400]


def test_no_more_is_begun_than_this_side_can_keep() -> None:
    out = OutgoingLanes(1000, 10)
    out.allow((1 << 32) - 1, (1 << 32) - 1)
    out.put_all([bytes(99)] * 100, lane_number(0))
    assert not out.takes(lane_number(0))
    assert out.takes(lane_number(1))
    assert not out.wants
    cut(out, 100)
    assert (out.begun_bytes, out.begun_messages) == (1000, 10)
    out.allow(0, 0)
    assert not out.takes(lane_number(1))
    large = OutgoingLanes(1000, 10)
    large.allow(5000, 10)
    large.put_all([bytes(3000)] * 2, lane_number(7))
    cut(large, 1000)
    assert large.begun_messages == 1  # alone it has what the peer has room for


def test_what_the_peer_drops_is_told_once() -> None:
    out = OutgoingLanes(ROOM, 100)
    out.allow(ROOM, 100)
    out.put_all([b"short", bytes(50), b"more"], lane_number(4))
    out.put_all([bytes(60), b"record"], lane_number(4, RECORDS))
    cut(out, 1000)
    out.put(bytes(51), lane_number(4), None, "key")
    out.put(b"new", lane_number(4), 5.0, "key2")
    out.put_all([bytes(52), b"last"], lane_number(4))
    out.limit(40)
    assert out.refused == {MESSAGES: [bytes(51), bytes(52)], RECORDS: []}
    assert out.unacknowledged() == [b"short", bytes(50), b"more", b"new", b"last"]
    out.put(b"newer", lane_number(4), None, "key2")
    assert out.waiting_bytes == 9
    assert out.acknowledge(LaneAck(lane_number(4), 8, 62)) is not None  # in the middle of the second one
    assert out.refused[MESSAGES][2:] == []
    assert out.acknowledge(LaneAck(lane_number(4), 10, 62)) == []
    assert out.acknowledge(LaneAck(lane_number(4), 62, 62)) is not None
    assert out.acknowledge(LaneAck(lane_number(4, RECORDS), 68, 68)) is not None
    assert out.refused == {MESSAGES: [bytes(51), bytes(52), bytes(50)], RECORDS: [bytes(60)]}
    assert out.settled == [(4, bytes(60)), (4, b"record")]


def test_the_oldest_that_wait_are_taken_back() -> None:
    out = outgoing([b"begun"])
    cut(out, 100)
    out.put_all([b"1234", b"5678"], lane_number(4))
    out.put_all([b"least"], lane_number(7))
    out.put_all([b"record"], lane_number(7, RECORDS))
    out.put(b"keyed", lane_number(3), None, "key")
    assert out.drop(10, 1) == [b"least", b"1234"]
    assert out.drop(10, 1) == [b"5678", b"keyed"]
    assert out.drop(10, 1) == []
    assert (out.waiting_messages, out.waiting_bytes) == (1, 6)


def test_nothing_is_left_behind() -> None:
    out, incoming = outgoing([b"x" * 1000] * 10), IncomingLanes(ROOM, 1000, 1 << 20)
    cut(out, 100, 500)
    out.forget()
    incoming.take_segment(lane_number(4), 0, joined([b"hi", b"ho"]))
    incoming.forget()
    assert (out.unacknowledged(), out.waiting_bytes, out.idle) == ([], 0, False)
    assert not incoming.ready


def test_the_room_is_one_for_all_lanes() -> None:
    incoming, body = IncomingLanes(1000, 100, 500), joined([bytes(99)])
    numbers = [lane_number(lane, channel) for lane in range(5) for channel in (MESSAGES, RECORDS)]
    assert all(incoming.take_segment(number, 0, body) for number in numbers)
    assert incoming.take_segment(numbers[0], 0, body)  # what comes again takes no room
    assert not incoming.take_segment(lane_number(7), 0, b"\0")
    incoming.take()
    incoming.delivered(1)
    incoming.take_records()
    incoming.delivered_records(0, 1)
    assert incoming.take_segment(lane_number(7), 50, bytes(150))  # a gap takes the room of what is missing, too
    assert not incoming.take_segment(lane_number(6), 0, b"\0")


def test_messages_are_bounded_in_all_lanes_together() -> None:
    incoming = IncomingLanes(1 << 20, 10, 500)
    assert incoming.take_segment(lane_number(0), 0, joined([b"x"] * 6))
    assert incoming.take_segment(lane_number(1, RECORDS), 0, joined([b"x"] * 4))
    incoming.take()
    incoming.delivered(3)
    assert incoming.take_segment(lane_number(2), 0, joined([b"x"] * 3))
    assert not incoming.take_segment(lane_number(3), 0, joined([b"x"]))


def test_a_gap_that_is_filled_brings_no_more_messages_than_may_be() -> None:
    incoming, piece = IncomingLanes(1 << 20, 100, 500), joined([b"xy"] * 50)
    for number in range(1, 1000):
        assert incoming.take_segment(lane_number(4), number * len(piece), piece)
    assert not incoming.take_segment(lane_number(4), 0, piece)
    assert len(incoming.take()) < 300


def test_messages_that_are_too_long_are_passed_over_in_their_turn() -> None:
    incoming = IncomingLanes(10_000, 100, 50)
    stream = joined([b"a", bytes(60), b"b", bytes(100), bytes(70)])
    assert incoming.take_segment(lane_number(4), 0, stream[:30])
    assert incoming.take_too_long() == [60]
    assert incoming.passes_over
    assert incoming.take() == [b"a"]
    assert incoming.delivered(1) == 2
    assert incoming.acks(100) == [LaneAck(lane_number(4), 2, 30)]
    assert incoming.take_segment(lane_number(4), 30, stream[30:200])
    assert incoming.take_too_long() == [100, 70]
    assert incoming.acks(100) == [LaneAck(lane_number(4), 63, 200)]
    assert incoming.take() == [b"b"]
    assert incoming.delivered(1) == 103  # what stands behind it is dealt with, too
    assert incoming.passes_over
    assert incoming.take_segment(lane_number(4), 200, stream[200:])
    assert incoming.acks(100) == [LaneAck(lane_number(4), len(stream), len(stream))]
    assert not incoming.passes_over
    assert incoming.take_too_long() == []
