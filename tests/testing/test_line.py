"""What the line does to bytes: two baud rates, and faults."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from leadscomm.testing import VirtualBoard
from tests.testing.firmware import ECHO, Firmware
from tests.testing.hosts import count, opened, send_all, until

SINK = """
int main(void) {
    begin(115200);
    for (;;) { while (!come()) {} uint8_t error = UCSR0A & 1 << FE0; GPIOR0 = UDR0; if (error) GPIOR1++; }
}
"""
SOURCE = "int main(void) { begin(115200); for (;;) for (uint8_t i = 0; ; i++) put(i); }"
REAL_BAUD = 117_647  # what 115,200 is on a clock of 16 MHz


def arrived(board: VirtualBoard) -> bytes:
    return bytes(mark for mark, _ in board.marks())


@pytest.mark.parametrize("baud", [115200, 113_000, 122_000])
def test_baud_rates_that_are_near_understand_each_other(firmware: Firmware, baud: int) -> None:
    assert abs(baud / REAL_BAUD - 1) < 0.04
    sent = bytes(range(256))
    with VirtualBoard(firmware(ECHO, BAUD=115200)) as board, opened(board, baud) as port:
        port.write(sent)
        assert port.read(256) == sent
        assert count(board, "garbled") == 0


@pytest.mark.parametrize("baud", [9600, 57600, 112_000, 123_000, 230_400, 1_000_000])
def test_baud_rates_that_differ_garble(firmware: Firmware, baud: int) -> None:
    assert abs(baud / REAL_BAUD - 1) > 0.04
    sent = bytes(range(256))
    with VirtualBoard(firmware(SINK)) as board, opened(board, baud) as port:
        send_all(board, port, sent)
        assert count(board, "garbled") == 256
        intact = sum(one == other for one, other in zip(sent, arrived(board)))
        assert intact < 100
        assert board.marks()


def test_half_the_rate_is_read_bit_by_bit(firmware: Firmware) -> None:
    """Each bit of 0x0f at half the rate is seen twice: 0 and 0 1111111 1 are a byte; the rest of the line is too."""
    with VirtualBoard(firmware(SINK)) as board, opened(board, REAL_BAUD // 2) as port:
        send_all(board, port, b"\x0f")
        # start bit twice (one is the receiver's), four ones twice, then low: the stop bit is missed
        assert arrived(board)[0] == 0b11111110
        assert count(board, "framing_errors") <= 1


def test_the_host_reads_garbage_too(firmware: Firmware) -> None:
    with VirtualBoard(firmware(SOURCE)) as board, opened(board, 9600) as port:
        heard = port.read(100)
    in_order = sum((early + 1) & 0xFF == late for early, late in pairwise(heard))
    assert in_order < 50


def test_what_is_heard_is_right_again_after_the_rate_is_mended(firmware: Firmware) -> None:
    with VirtualBoard(firmware(ECHO, BAUD=115200)) as board, opened(board, 57600) as port:
        send_all(board, port, b"wrong")
        port.baudrate = 115200
        board.advance(0.01)
        port.reset_input_buffer()
        port.write(b"right")
        assert port.read(5) == b"right"


def test_the_rates_do_not_matter_if_not_wanted(firmware: Firmware) -> None:
    with VirtualBoard(firmware(ECHO, BAUD=115200), baud_check=False) as board, opened(board, 9600) as port:
        port.write(b"hello")
        assert port.read(5) == b"hello"


# Faults --------------------------------------------------------------------------------------------------------------

LENGTH = 20_000


def through_faults(firmware: Firmware, seed: int = 1, **faults: float) -> tuple[bytes, bytes, dict[str, int]]:
    """What was sent, what arrived at the board, what was counted."""
    sent = random.Random(7).randbytes(LENGTH)
    board = VirtualBoard(firmware(SINK), pace=False, seed=seed, direction="to", **faults)  # type: ignore[arg-type]
    with board, opened(board) as port:
        send_all(board, port, sent)
        return sent, arrived(board), board.counters()


def test_no_faults_by_default(firmware: Firmware) -> None:
    sent, heard, _ = through_faults(firmware)
    assert heard == sent


def test_flips_change_one_bit(firmware: Firmware) -> None:
    sent, heard, counted = through_faults(firmware, flip=0.01)
    differences = [(one ^ other).bit_count() for one, other in zip(sent, heard) if one != other]
    assert len(heard) == LENGTH
    assert set(differences) == {1}
    assert len(differences) == counted["flipped"] == pytest.approx(LENGTH * 0.01, rel=0.3)


@pytest.mark.parametrize(("fault", "counter", "change"), [("drop", "dropped", -1), ("duplicate", "duplicated", 1)])
def test_bytes_are_lost_or_come_twice(firmware: Firmware, fault: str, counter: str, change: int) -> None:
    _, heard, counted = through_faults(firmware, **{fault: 0.01})
    assert counted[counter] == pytest.approx(LENGTH * 0.01, rel=0.3)
    assert len(heard) == LENGTH + change * counted[counter]
    assert counted["to_board"] == LENGTH


def test_strange_bytes_come_between(firmware: Firmware) -> None:
    sent, heard, counted = through_faults(firmware, insert=0.01)
    assert len(heard) == LENGTH + counted["inserted"]
    rest = iter(heard)
    assert all(byte in rest for byte in sent)  # in their order, with others between


def test_the_same_seed_makes_the_same_faults(firmware: Firmware) -> None:
    faults = {"flip": 0.01, "drop": 0.01, "duplicate": 0.01, "insert": 0.01}
    first, second, other = (through_faults(firmware, seed, **faults)[1] for seed in (5, 5, 6))
    assert first == second != other


def test_one_kind_of_fault_does_not_move_the_others(firmware: Firmware) -> None:
    _, flips, _ = through_faults(firmware, flip=0.01)
    _, both, counted = through_faults(firmware, flip=0.01, duplicate=0.01)
    rest = iter(both)
    assert counted["duplicated"] > 100
    assert all(byte in rest for byte in flips)


def test_faults_from_the_board_alone(firmware: Firmware) -> None:
    sent = random.Random(3).randbytes(2000)
    with VirtualBoard(firmware(ECHO, BAUD=115200), seed=2) as board, opened(board) as port:
        board.set_faults(drop=0.05, direction="from")
        send_all(board, port, sent)
        until(board, lambda: count(board, "from_board") == len(sent))
        dropped = count(board, "dropped")
        assert dropped > 50
        heard = port.read(len(sent) - dropped)
        rest = iter(sent)
        assert all(byte in rest for byte in heard)
        board.set_faults(direction="from")
        port.write(b"clean")
        assert port.read(5) == b"clean"


@pytest.mark.parametrize("wrong", [{"flip": 1.5}, {"drop": -0.1}, {"direction": "sideways"}])
def test_faults_that_cannot_be_are_refused(firmware: Firmware, wrong: dict[str, object]) -> None:
    with VirtualBoard(firmware(SINK)) as board, pytest.raises(ValueError):
        board.set_faults(**wrong)  # type: ignore[arg-type]
