"""The receiver of the UART: two bytes and a third in the shift register, an overrun, interrupts."""

from __future__ import annotations

import pytest

from leadscomm.testing import VirtualBoard
from tests.testing.firmware import ECHO, Firmware
from tests.testing.hosts import count, opened, send_all, until

LATE = """
int main(void) {
    begin(115200);
    while (!(PIND & 1 << PD7)) {}           /* busy, until pin 7 is set */
    uint8_t overrun = UCSR0A & 1 << DOR0;
    GPIOR0 = overrun ? 255 : 254;
    while (come()) GPIOR0 = UDR0;
    GPIOR0 = UCSR0A & 1 << DOR0 ? 253 : 252;
    for (;;) put(get());
}
"""
BY_INTERRUPT = """
static volatile uint8_t ring[256], in, out;
ISR(USART_RX_vect) { ring[in++] = UDR0; }
ISR(USART_UDRE_vect) { if (in == out) UCSR0B &= ~(1 << UDRIE0); else UDR0 = ring[out++]; }
ISR(USART_TX_vect) { GPIOR0 = 1; }
int main(void) {
    begin(BAUD);
    UCSR0B |= 1 << RXCIE0 | 1 << TXCIE0;
    sei();
    for (;;) if (in != out) UCSR0B |= 1 << UDRIE0;
}
"""


@pytest.mark.parametrize(("depth", "kept"), [(3, [0, 1, 9]), (1, [9]), (8, [0, 1, 2, 3, 4, 5, 6, 9])])
def test_what_is_not_fetched_in_time_is_lost(firmware: Firmware, depth: int, kept: list[int]) -> None:
    with VirtualBoard(firmware(LATE), receiver_depth=depth) as board, opened(board) as port:
        send_all(board, port, bytes(range(10)))
        assert count(board, "overruns") == 10 - depth
        board.set_pin(7, True)
        until(board, lambda: len(board.marks()) == len(kept) + 2)
        assert [mark for mark, _ in board.marks()] == [255, *kept, 252]
        port.write(b"!")
        assert port.read() == b"!"


def test_three_bytes_wait_without_harm(firmware: Firmware) -> None:
    with VirtualBoard(firmware(LATE)) as board, opened(board) as port:
        send_all(board, port, b"\1\2\3")
        board.set_pin(7, True)
        until(board, lambda: len(board.marks()) == 5)
        assert [mark for mark, _ in board.marks()] == [254, 1, 2, 3, 252]
        assert count(board, "overruns") == 0


@pytest.mark.parametrize("baud", [115200, 1_000_000])
def test_interrupts_carry_every_byte(firmware: Firmware, baud: int) -> None:
    sent = bytes(i * 7 & 0xFF for i in range(2000))
    with VirtualBoard(firmware(BY_INTERRUPT, BAUD=baud)) as board, opened(board, baud) as port:
        port.write(sent)
        assert port.read(len(sent)) == sent
        until(board, lambda: count(board, "marks") > 0)  # "transmission complete" came
        assert count(board, "overruns") == 0


def test_bytes_are_lost_while_the_receiver_is_off(firmware: Firmware) -> None:
    source = "int main(void) { while (!(PIND & 1 << PD7)) {} begin(115200); for (;;) put(get()); }"
    with VirtualBoard(firmware(source)) as board, opened(board) as port:
        send_all(board, port, b"nobody")
        board.set_pin(7, True)
        until(board, lambda: count(board, "baud") == 117647)
        send_all(board, port, b"here")
        assert port.read(4) == b"here"
        assert count(board, "overruns") == 0


def test_the_other_processor_echoes_too(firmware: Firmware) -> None:
    with VirtualBoard(firmware(ECHO, mcu="atmega2560", BAUD=500_000), "mega") as board, opened(board, 500_000) as port:
        port.write(bytes(range(256)))
        assert port.read(256) == bytes(range(256))
