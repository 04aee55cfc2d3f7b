"""The full profile on simulated links: how much gets through, how long urgent messages take, what waits."""

from __future__ import annotations

from math import inf

import pytest

from leadscomm.protocol.session.full.congestion import FIRST_SEGMENT, Congestion, segment_weight
from leadscomm.protocol.session.full.lanes import Lane, Sent
from leadscomm.protocol.session.full.link import Link
from leadscomm.protocol.session.full.recovery import MAX_WAIT_S, Recovery
from tests.protocol.session.full.measure import (
    RADIO,
    SERIAL,
    STREAM_SEGMENT,
    STREAMS,
    THIN,
    cost,
    cost_of_mix,
    fresh,
    measure,
)
from tests.protocol.session.full.paths import Way, World


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "least"), [(0.0, 0.93), (0.01, 0.92), (0.05, 0.88), (0.2, 0.72)])
def test_loss_costs_what_is_lost(loss: float, least: float) -> None:
    figures = measure(Way(rate=RADIO, delay=0.02, drop=loss), 5.0)
    assert figures.goodput > least
    assert figures.queue < 0.015


@pytest.mark.slow
def test_a_short_queue_is_not_overrun() -> None:
    assert measure(Way(rate=RADIO, delay=0.02, drop=0.05, queue=12_000), 5.0).goodput > 0.87


@pytest.mark.parametrize("known", [False, True])
def test_no_queue_stands_on_a_uart(known: bool) -> None:
    figures = measure(fresh(SERIAL), 30.0, segment=240, known=known, urgent=False)
    assert figures.goodput > 0.85
    assert figures.queue < 0.045  # two segments


def test_no_queue_stands_on_a_thin_link() -> None:
    figures = measure(fresh(THIN), 30.0, urgent=False)
    assert figures.goodput > 0.88
    assert figures.queue < 0.038  # a segment


@pytest.mark.parametrize("way", STREAMS.values(), ids=STREAMS)
def test_long_segments_fill_a_stream_and_no_queue(way: Way) -> None:
    figures = measure(fresh(way), 10.0, segment=STREAM_SEGMENT, urgent=False)
    assert figures.goodput > 0.9
    assert figures.queue < 0.04


@pytest.mark.parametrize(
    ("way", "segment", "known", "goodput"),
    [
        (SERIAL, 240, True, 0.65),
        (THIN, 1200, False, 0.75),
        (Way(rate=RADIO, delay=0.02), 1200, False, 0.9),
        *[(way, STREAM_SEGMENT, False, 0.85) for way in STREAMS.values()],
    ],
)
def test_an_urgent_message_does_not_wait_for_a_bulk_transfer(
    way: Way, segment: int, known: bool, goodput: float
) -> None:
    busy = measure(fresh(way), 20.0, segment=segment, known=known)
    idle = measure(fresh(way), 20.0, segment=segment, known=known, bulk=False)
    assert busy.goodput > goodput
    assert busy.urgent[1] < 2 * idle.urgent[1]


def test_segments_are_as_long_as_is_good_for_urgent_messages() -> None:
    assert segment_weight(0.0, inf, mixed=True) == FIRST_SEGMENT
    for rate, trip in ((11_520.0, 0.006), (32e3, 0.04), (1.25e6, 0.04), (500e6, 0.0002)):
        alone, mixed = (segment_weight(rate, trip, mixed=mixed) for mixed in (False, True))
        assert mixed / rate <= max(0.0005, 0.1 * trip * 2)
        assert mixed <= alone
        assert alone / rate == pytest.approx(0.02, rel=0.01)
    assert segment_weight(32e3, 5.0, mixed=False) == segment_weight(32e3, 5.0, mixed=True) == 1280


def test_what_is_late_is_not_lost() -> None:
    assert measure(Way(rate=RADIO, delay=0.02, reorder=0.2), 3.0).resent < 600


def test_the_rate_is_remembered_while_there_is_little_to_send() -> None:
    world = World()
    path = world.join(Way(rate=RADIO, delay=0.02))
    world.run(0.5)
    world.a.send_all([bytes(1000)] * 3000)
    world.settle()
    for _ in range(100):
        world.a.send(bytes(32))
        world.run(0.05)
    assert path.links[0].path.rate > 0.9 * RADIO


def test_costs_can_be_measured() -> None:
    assert cost(1200, 5000) > 0
    assert cost(1200, 5000, one_by_one=True) > 0
    assert cost_of_mix(1200, 5000) > 0


def sent(lane: Lane, number: int, *, resent: bool = False) -> Sent:
    segment = Sent(lane, 100 * number, 100 * number + 100, resent)
    lane._unreceived.append(segment)
    return segment


def test_waiting_doubles_up_to_a_bound() -> None:
    recovery = Recovery()
    recovery.measure(0.02)
    first = recovery.wait()
    recovery.tries = 2
    assert recovery.wait() == pytest.approx(4 * first)
    recovery.tries = 50
    assert recovery.wait() == MAX_WAIT_S
    recovery.answered(3.0)
    assert recovery.wait() > 3.0 / 8


def test_the_probe_is_the_oldest_one() -> None:
    lane, recovery = Lane(0), Recovery()
    segments = [sent(lane, number) for number in range(3)]
    for number, segment in enumerate(segments):
        recovery.sent(segment, number / 100)
    at = recovery.deadline()
    assert at is not None
    assert recovery.lost(at - 0.001) == []
    assert recovery.lost(at) == segments[:1]
    assert (recovery.in_flight, recovery.resent, recovery.tries) == (200, 1, 1)


def test_the_probe_has_the_first_bytes_that_the_peer_misses() -> None:
    lane, recovery, other = Lane(0), Recovery(), Link()
    first, later = sent(lane, 0), sent(lane, 1)
    recovery.sent(later, 0.0)
    recovery.sent(first, 0.01)  # again
    assert recovery.lost(1.0) == [first]
    elsewhere, here = sent(Lane(0), 0), sent(Lane(0), 1)
    here.lane._unreceived.insert(0, elsewhere)
    elsewhere.via = other
    recovery = Recovery()
    recovery.sent(here, 0.0)
    assert recovery.lost(1.0) == [here]


def test_later_ones_tell_what_is_lost_after_a_while() -> None:
    for in_order, tolerance in ((False, 0.025), (True, 0.0)):
        lane, recovery = Lane(0), Recovery(in_order=in_order)
        first, second = sent(lane, 0), sent(lane, 1)
        recovery.sent(first, 0.0)
        recovery.sent(second, 0.01)
        assert recovery.acknowledged([second], 0.11) is second
        assert recovery.lost(0.0999 + tolerance) == []
        assert recovery.deadline() == pytest.approx(0.1 + tolerance)
        assert recovery.lost(0.1001 + tolerance) == [first]


def test_what_was_sent_later_than_all_that_came_is_not_missed() -> None:
    lane, recovery = Lane(0), Recovery(in_order=True)
    first, second, third = (sent(lane, number) for number in range(3))
    for segment in (first, second, third):
        recovery.sent(segment, 0.0)  # in one breath
    recovery.acknowledged([second], 0.1)
    assert recovery.lost(0.1) == [first]
    assert recovery.in_flight == 100


def test_who_has_nothing_to_send_says_nothing_of_the_path() -> None:
    congestion, lane = Congestion(), Lane(0)
    before = congestion.budget(0.0, 0)
    now = 0.0
    for number in range(100):
        segment = sent(lane, number)
        segment.sent_at = now
        congestion.sent(segment, now, 0)
        congestion.starved(100)
        congestion.acknowledged([segment], segment, now + 0.02, 0)
        now += 1.0
    assert congestion.rate == pytest.approx(100 / 0.02)
    assert congestion.budget(now, 0) >= before / 3


def test_answers_that_take_no_time_measure_nothing() -> None:
    congestion, segment = Congestion(), sent(Lane(0), 0)
    congestion.sent(segment, 1.0, 0)
    segment.sent_at = 1.0
    congestion.acknowledged([segment], segment, 1.0, 0)
    congestion.acknowledged([], None, 1.0, 0)
    assert congestion.rate == 0.0
