"""When a board is asked that may have been reset by the opening of its port."""

from __future__ import annotations

from itertools import pairwise

import pytest

from leadscomm.protocol.session.compact.bootloader import LEAVE, asking_time, before_asking

HELLO_BYTES = 25


def times(baud: int, count: int = 12, **how: bool) -> list[float]:
    return [asking_time(number, baud, **how) for number in range(count)]


@pytest.mark.parametrize("baud", [300, 1200, 9600, 57600, 115200, 250000, 1000000])
@pytest.mark.parametrize("ends", [True, False])
def test_questions_follow_each_other_and_leave_room_on_the_wire(baud: int, ends: bool) -> None:
    asked = times(baud, ends=ends)
    assert asked[0] == 0
    wire = HELLO_BYTES * 10 / baud
    assert all(later - earlier >= wire for earlier, later in pairwise(asked))


@pytest.mark.parametrize("baud", [9600, 57600, 115200, 1000000])
def test_a_board_that_was_not_reset_is_asked_several_times_in_60_ms_and_the_bootloader_hears_none_of_it(baud: int):
    quick = [asked for asked in times(baud) if asked < 0.06]
    assert len(quick) >= (3 if baud > 9600 else 1)
    assert len(quick) == 1 or quick[-1] + HELLO_BYTES * 10 / baud <= 0.065


def test_at_the_bootloaders_own_speed_they_are_ended() -> None:
    asked = times(115200)
    assert asked[3] == pytest.approx(0.2)
    assert [before_asking(number, 115200) for number in range(5)] == [b"", b"", b"", LEAVE, LEAVE]
    assert LEAVE[-1] == 0x1B ^ 0x01 ^ 0x00 ^ 0x01 ^ 0x0E ^ 0x11


@pytest.mark.parametrize("baud", [9600, 57600, 500000])
def test_at_other_speeds_they_are_left_alone_until_they_gave_up(baud: int) -> None:
    assert not [asked for asked in times(baud) if 0.065 < asked < 1.5]
    assert {before_asking(number, baud) for number in range(9)} == {b""}


def test_in_the_second_in_which_most_programs_begin_it_is_asked_closely() -> None:
    asked = [when for when in times(115200, 60) if 1.0 <= when <= 2.0]
    assert max(later - earlier for earlier, later in pairwise(asked)) <= 0.036
    late = times(115200, 200)[-50:]
    assert min(later - earlier for earlier, later in pairwise(late)) == pytest.approx(0.1)


def test_text_does_not_end_them_either() -> None:
    assert not [asked for asked in times(115200, ends=False) if 0.065 < asked < 1.5]
    assert times(115200, ends=False)[3] == pytest.approx(1.5)
