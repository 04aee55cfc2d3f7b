"""Which frame meets with which fault, and when it comes out: no connection, and a clock that is turned by hand."""

from __future__ import annotations

from collections import Counter

import pytest

from leadscomm.connections.faults.faults import AHEAD_S, BITS, HELD_BYTES, OVERTAKEN_S, OVERTAKERS, Faults, Way

COUNT = 20_000
FRAMES = [b"%d;" % i for i in range(COUNT)]


def passed(way: Way, frames: list[bytes], now: float = 0.0) -> list[bytes]:
    """What comes out at once of frames that go in one after another, and in the end."""
    came = []
    for frame in frames:
        way.put([frame], now)
        came += way.take(now)
    way.hurry(now)
    return came + way.take(now)


def share_of(count: int) -> object:
    """About this share of 20,000: within four standard deviations."""
    return pytest.approx(count, abs=4 * (COUNT / 4) ** 0.5)


def test_without_faults_everything_comes_at_once_and_in_order():
    way = Way(Faults(), "7")
    way.put(FRAMES, 0.0)
    assert (way.empty, way.due(0.0)) == (False, 0.0)
    assert way.take(0.0) == FRAMES
    assert (way.empty, way.due(0.0), way.full(0.0)) == (True, None, False)
    assert (way.frames, way.dropped, way.doubled, way.overtaken, way.damaged) == (COUNT, 0, 0, 0, 0)


def test_drop():
    way = Way(Faults(drop=0.2), "7")
    came = passed(way, FRAMES)
    assert way.dropped == COUNT - len(came) == share_of(0.2 * COUNT)
    assert came == [frame for frame in FRAMES if frame in set(came)]


def test_dup():
    way = Way(Faults(dup=0.1), "7")
    came = passed(way, FRAMES)
    twice = [frame for frame, count in Counter(came).items() if count == 2]
    assert way.doubled == len(twice) == len(came) - COUNT == share_of(0.1 * COUNT)
    assert list(dict.fromkeys(came)) == FRAMES
    assert all(came[came.index(frame) + 1] == frame for frame in twice[:100])


def test_reorder_puts_a_frame_behind_one_to_three_later_ones_and_loses_none():
    way = Way(Faults(reorder=0.05), "7")
    came = passed(way, FRAMES)
    assert sorted(came) == sorted(FRAMES)
    numbers = [int(frame[:-1]) for frame in came]
    late = [number for at, number in enumerate(numbers) if at and number < max(numbers[max(0, at - 9) : at])]
    assert way.overtaken == share_of(0.05 * COUNT)
    assert len(late) == way.overtaken
    rare = [int(frame[:-1]) for frame in passed(Way(Faults(reorder=0.002), "7"), FRAMES)]
    places = {at - number for at, number in enumerate(rare) if at > number}
    assert places == set(range(1, OVERTAKERS + 1))


def test_a_frame_that_nothing_overtakes_is_late_all_the_same_and_comes():
    way = Way(Faults(reorder=1.0), "7")
    way.put([b"last"], 10.0)
    assert way.take(10.0) == []
    assert way.due(10.0) == 10.0 + OVERTAKEN_S
    assert way.take(10.0 + OVERTAKEN_S) == [b"last"]
    assert way.empty


def test_corrupt_turns_some_bits_of_a_frame():
    way = Way(Faults(corrupt=0.02), "7")
    frames = [b"%06d" % i for i in range(COUNT)]
    came = passed(way, frames)
    wrong = [
        sum((ours ^ theirs).bit_count() for ours, theirs in zip(sent, came))
        for sent, came in zip(frames, came)
        if sent != came
    ]
    assert way.damaged == len(wrong) == share_of(0.02 * COUNT)
    assert {min(wrong), max(wrong)} == {1, BITS}


def test_a_frame_of_one_byte_is_damaged_too():
    assert all(frame != b"x" for frame in passed(Way(Faults(corrupt=1.0), "7"), [b"x"] * 1000))


def test_a_copy_is_undamaged():
    came = passed(Way(Faults(corrupt=1.0, dup=1.0), "7"), [b"frame"] * 10)
    assert came[1::2] == [b"frame"] * 10
    assert b"frame" not in came[0::2]


def test_delay():
    way = Way(Faults(delay=0.5), "7")
    way.put([b"one"], 1.0)
    way.put([b"two"], 1.25)
    assert (way.take(1.49), way.due(1.49), way.flying) == ([], 1.5, True)
    assert (way.take(1.5), way.due(1.5)) == ([b"one"], 1.75)
    assert (way.take(2.0), way.due(2.0), way.flying) == ([b"two"], None, False)


def test_jitter_keeps_the_order():
    way = Way(Faults(delay=0.1, jitter=0.2), "7")
    times = []
    for i in range(1000):
        way.put([b"%d" % i], i * 0.01)
    while (due := way.due(0.0)) is not None:
        times += [(int(frame), due) for frame in way.take(due)]
    assert [number for number, _ in times] == list(range(1000))
    late = [due - number * 0.01 for number, due in times]
    assert 0.1 <= min(late) < 0.2
    assert 0.29 < max(late) <= 0.3


def test_rate_is_that_of_a_thin_line():
    way = Way(Faults(rate=1024), "7")
    way.put([b"x" * 64, b"y" * 128], 0.0)
    assert (way.due(0.0), way.take(0.06)) == (0.0625, [])
    assert way.take(0.0625) == [b"x" * 64]
    assert (way.take(0.18), way.take(0.1875)) == ([], [b"y" * 128])
    way.put([b"z" * 16], 5.0)  # the line was idle meanwhile
    assert way.due(5.0) == 5.015625


def test_a_thin_line_is_booked_ahead_for_an_instant_only():
    way = Way(Faults(rate=1000), "7")
    way.put([b"x" * 100], 0.0)
    assert not way.full(0.0)
    way.put([b"x" * 50], 0.0)
    assert way.full(0.0)
    assert way.due(0.0) == pytest.approx(0.15 - AHEAD_S)
    assert not way.full(0.06)


def test_what_is_on_its_way_is_bounded():
    way = Way(Faults(delay=1.0, reorder=0.5), "7")
    size = 0
    while not way.full(0.0):
        way.put([b"x" * 10_000], 0.0)
        size += 10_000
    assert HELD_BYTES < size <= HELD_BYTES + 10_000
    way.take(2.0)
    assert not way.full(2.0)


def test_cut_comes_after_so_many_frames_on_average():
    lives = []
    for number in range(1000):
        way = Way(Faults(cut=50), f"7 {number}")
        while not way.severed:
            way.put([b"frame"], 0.0)
        lives.append(way.frames)
        way.put([b"late"], 0.0)
        assert way.take(0.0) == []
    assert sum(lives) / 1000 == pytest.approx(50, abs=6)
    assert min(lives) < 5
    assert max(lives) > 150


def test_the_same_seed_makes_the_same_faults_and_another_seed_others():
    faults = Faults(drop=0.2, dup=0.1, reorder=0.05, corrupt=0.02)
    first, again, other = (passed(Way(faults, seed), FRAMES[:1000]) for seed in ("7 1 out", "7 1 out", "8 1 out"))
    assert first == again != other


def test_which_frames_are_lost_for_a_seed_stays_so():
    """What is written down here must come out of every version of Python and of this code."""
    came = passed(Way(Faults(drop=0.5), "7 1 out"), FRAMES[:16])
    assert [int(frame[:-1]) for frame in came] == [3, 6, 7, 8, 10, 11]
    came = passed(Way(Faults(dup=0.2, reorder=0.3), "7 1 out"), FRAMES[:12])
    assert [int(frame[:-1]) for frame in came] == [0, 1, 2, 6, 3, 4, 7, 8, 5, 9, 10, 11]
    came = passed(Way(Faults(corrupt=0.5), "7 1 out"), [b"abcd"] * 4)
    assert came == [b"abcd", b"ebcd", b"\xb1b\xe2d", b"A6kb"]


def test_one_kind_of_fault_does_not_change_the_others():
    few = Way(Faults(drop=0.2), "7")
    many = Way(Faults(drop=0.2, dup=0.3, reorder=0.2, delay=1.0, jitter=1.0), "7")
    for way in (few, many):
        way.put(FRAMES[:1000], 0.0)
    assert set(few.take(99.0)) == set(many.take(99.0))
    assert few.dropped == many.dropped == pytest.approx(200, abs=51)


def test_clear_loses_what_is_on_its_way():
    way = Way(Faults(reorder=0.5, delay=1.0), "7")
    way.put(FRAMES[:100], 0.0)
    way.clear()
    assert (way.empty, way.take(9.0), way.full(0.0)) == (True, [], False)
