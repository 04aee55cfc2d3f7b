"""Bytes take as long as they do on the wire, counted in cycles of the processor."""

from __future__ import annotations

import statistics
import time

import pytest

from leadscomm.testing import VirtualBoard
from tests.testing.firmware import Firmware
from tests.testing.hosts import opened, until

CLOCK_HZ = 16_000_000
BAUDS = (9600, 57600, 115200, 250_000, 500_000, 1_000_000)

SEND = """
int main(void) {
    begin(BAUD);
    GPIOR0 = 1;
    for (uint16_t i = 0; i < 1000; i++) put(i);
    UCSR0A |= 1 << TXC0;
    put(0);
    while (!(UCSR0A & 1 << TXC0)) {}
    GPIOR0 = 2;
    for (;;) {}
}
"""
STAMP = """
int main(void) {
    begin(BAUD);
    for (;;) { uint8_t byte = get(); GPIOR0 = byte; }
}
"""
FORMAT = """
int main(void) {
    begin(115200);
    UCSR0C = FRAME;
    for (uint8_t i = 0; i < 4; i++) { put(i); }
    GPIOR0 = 1;
    for (uint8_t i = 0; i < 100; i++) { put(i); }
    GPIOR0 = 2;
    for (;;) {}
}
"""


def bit_cycles(baud: int) -> int:
    """Of the divisor that comes nearest, at twice the speed."""
    return 8 * ((CLOCK_HZ // 4 // baud - 1) // 2 + 1)


@pytest.mark.parametrize("baud", BAUDS)
def test_a_thousand_bytes_from_the_board_take_ten_bits_each(firmware: Firmware, baud: int) -> None:
    with VirtualBoard(firmware(SEND, BAUD=baud), pace=False) as board:
        until(board, lambda: len(board.marks()) == 2)
        (_, begun), (_, ended) = board.marks()
    assert ended - begun == pytest.approx(1001 * 10 * bit_cycles(baud), rel=0.001)


@pytest.mark.parametrize("baud", BAUDS)
def test_bytes_to_the_board_follow_each_other_after_ten_bits(firmware: Firmware, baud: int) -> None:
    with VirtualBoard(firmware(STAMP, BAUD=baud), baud=baud) as board, opened(board, baud) as port:
        port.write(bytes(range(200)))
        until(board, lambda: len(board.marks()) == 200)
        marks = board.marks()
    assert [mark for mark, _ in marks] == list(range(200))
    over_fifty = statistics.median(late[1] - early[1] for early, late in zip(marks, marks[50:]))
    assert over_fifty == pytest.approx(50 * 10 * bit_cycles(baud), rel=0.005)


@pytest.mark.parametrize(
    ("frame", "bits"),
    [("3<<UCSZ00", 10), ("3<<UCSZ00|1<<USBS0", 11), ("3<<UCSZ00|1<<UPM01", 11), ("2<<UCSZ00", 9), ("0", 7)],
    ids=["8N1", "8N2", "8E1", "7N1", "5N1"],
)
def test_other_frames_take_as_many_bits_as_they_have(firmware: Firmware, frame: str, bits: int) -> None:
    with VirtualBoard(firmware(f"#define FRAME {frame}\n{FORMAT}"), pace=False) as board:
        until(board, lambda: len(board.marks()) == 2)
        (_, begun), (_, ended) = board.marks()
    assert ended - begun == pytest.approx(100 * bits * bit_cycles(115200), rel=0.01)


def test_simulated_time_does_not_run_ahead_of_real_time(firmware: Firmware) -> None:
    began = time.monotonic()
    with VirtualBoard(firmware(STAMP, BAUD=115200)) as board:
        board.advance(0.2)
        assert 0.2 <= board.seconds() <= time.monotonic() - began + 0.001


def test_without_pace_a_minute_of_sleep_takes_a_moment(firmware: Firmware) -> None:
    asleep = 'int main(void) { sei(); for (;;) { SMCR = 1 << SM1 | 1 << SE; __asm__("sleep"); } }'
    with VirtualBoard(firmware(asleep), pace=False) as board:
        board.advance(60)
        assert board.seconds() >= 60
