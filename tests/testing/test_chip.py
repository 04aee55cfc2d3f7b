"""Marks, memories, pins, analog inputs, interrupts, and how firmware ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadscomm.errors import CommError, FirmwareCrashed
from leadscomm.testing import VirtualBoard
from tests.testing.firmware import Firmware
from tests.testing.hosts import count, opened, until

# Marks and time ------------------------------------------------------------------------------------------------------


def test_marks_tell_what_and_when(firmware: Firmware) -> None:
    source = "int main(void) { GPIOR0 = 5; __builtin_avr_delay_cycles(1000); GPIOR0 = 6; for (;;) {} }"
    with VirtualBoard(firmware(source)) as board:
        until(board, lambda: len(board.marks()) == 2)
        (one, begun), (other, ended) = board.marks()
        assert (one, other) == (5, 6)
        assert 1000 < ended - begun <= 1004
        board.forget_marks()
        assert board.marks() == []


def test_the_newest_marks_are_kept(firmware: Firmware) -> None:
    source = "int main(void) { for (uint32_t i = 0; i < 70000; i++) GPIOR0 = i >> 8; GPIOR0 = 77; for (;;) {} }"
    with VirtualBoard(firmware(source), pace=False) as board:
        until(board, lambda: count(board, "marks") == 70001)
        marks = board.marks()
        assert len(marks) == 65536
        assert marks[-1][0] == 77
        assert marks == sorted(marks, key=lambda mark: mark[1])


def test_an_interrupt_takes_its_time(firmware: Firmware) -> None:
    """Timer 1 counts cycles: from the overflow to the handler's first instruction there are at least four."""
    source = """
    ISR(TIMER1_OVF_vect, ISR_NAKED) { __asm__("lds r24, 0x84 \\n out 0x1e, r24 \\n reti"); }
    int main(void) { TCNT1 = 0xff00; TIMSK1 = 1; TCCR1B = 1; sei(); for (;;) {} }
    """
    with VirtualBoard(firmware(source)) as board:
        until(board, lambda: len(board.marks()) >= 1)
        assert 6 <= board.marks()[0][0] <= 13  # 4, and 2 or 3 for the jump in the table, and the loop's


def test_as_many_cycles_as_seconds(firmware: Firmware) -> None:
    with VirtualBoard(firmware("int main(void) { for (;;) {} }"), pace=False, frequency=8_000_000) as board:
        board.advance(0.5)
        board.unplug()  # time stands still
        assert board.cycles() >= 4_000_000
        assert board.seconds() == board.cycles() / 8_000_000


# Memories ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mcu", "board_name"), [("atmega328p", "uno"), ("atmega2560", "mega")])
def test_ram_that_was_ever_used(firmware: Firmware, mcu: str, board_name: str) -> None:
    source = """
    static volatile uint8_t variables[VARIABLES];
    __attribute__((noinline)) static void deep(void) {
        volatile uint8_t local[STACK];
        for (uint16_t i = 0; i < STACK; i++) local[i] = i;
    }
    int main(void) { variables[0] = 1; GPIOR0 = 1; while (!(PIND & 1 << PD7)) {} deep(); GPIOR0 = 2; for (;;) {} }
    """
    with VirtualBoard(firmware(source, mcu, VARIABLES=300, STACK=200), board_name) as board:
        until(board, lambda: len(board.marks()) == 1)
        before = board.ram_high_water()
        assert 300 <= before <= 320
        board.set_pin(7 if board_name == "uno" else 38, True)  # both are PD7
        until(board, lambda: len(board.marks()) == 2)
        assert 200 <= board.ram_high_water() - before <= 220


def test_memories_can_be_looked_into(firmware: Firmware) -> None:
    source = """
    static volatile uint8_t word[4] __attribute__((section(".noinit")));
    int main(void) { for (uint8_t i = 0; i < 4; i++) word[i] = i + 1; GPIOR0 = 1; for (;;) {} }
    """
    with VirtualBoard(firmware(source)) as board:
        until(board, lambda: len(board.marks()) == 1)
        assert board.memory("ram", 0x100, 4) == b"\1\2\3\4"
        assert board.memory("flash", 0, 0x8000).rstrip(b"\xff")
        assert board.memory("eeprom", 0, 1024) == b"\xff" * 1024
        with pytest.raises(CommError):
            board.memory("ram", 0x900, 1)


REMEMBER = """
#include <avr/eeprom.h>
int main(void) {
    uint8_t starts = eeprom_read_byte((uint8_t *)3) + 1;
    eeprom_write_byte((uint8_t *)3, starts);
    eeprom_busy_wait();
    GPIOR0 = starts;
    for (;;) {}
}
"""


def test_the_eeprom_is_kept_in_a_file(firmware: Firmware, tmp_path: Path) -> None:
    file = tmp_path / "eeprom.bin"
    for starts in (0, 1, 2):
        with VirtualBoard(firmware(REMEMBER), eeprom=file) as board:
            until(board, lambda: len(board.marks()) == 1)
            assert board.marks()[0][0] == starts
    assert len(file.read_bytes()) == 1024
    assert file.read_bytes()[:5] == b"\xff\xff\xff\x02\xff"


def test_the_eeprom_outlives_a_pulled_cable_and_no_longer(firmware: Firmware) -> None:
    for _ in range(2):
        with VirtualBoard(firmware(REMEMBER)) as board:
            until(board, lambda: len(board.marks()) == 1)
            board.unplug()
            board.plug()
            until(board, lambda: len(board.marks()) == 2)
            assert [mark for mark, _ in board.marks()] == [0, 1]


def test_a_file_that_is_no_eeprom_is_left_alone(firmware: Firmware, tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear all")
    with pytest.raises(CommError, match=r"has 8 bytes; the EEPROM has 1024"):
        VirtualBoard(firmware(REMEMBER), eeprom=file)
    assert file.read_text() == "Dear all"


# Pins ----------------------------------------------------------------------------------------------------------------

COPY = """
int main(void) {
    DDRB |= 1 << PB5;
    PORTD |= 1 << PD7;                       /* with its pull-up */
    GPIOR0 = 1;
    for (;;) if (PIND & 1 << PD7) PORTB |= 1 << PB5; else PORTB &= ~(1 << PB5);
}
"""


def test_pins_are_driven_and_read(firmware: Firmware) -> None:
    with VirtualBoard(firmware(COPY)) as board:
        until(board, lambda: board.pin(13))  # pulled up
        board.set_pin(7, False)
        until(board, lambda: not board.pin(13))
        board.set_pin(7, True)
        until(board, lambda: board.pin(13))
        board.set_pin(7, False)
        until(board, lambda: not board.pin(13))
        board.set_pin(7, None)
        until(board, lambda: board.pin(13))


def test_what_is_held_from_outside_outlasts_a_reset(firmware: Firmware) -> None:
    with VirtualBoard(firmware(COPY)) as board:
        board.set_pin(7, False)
        for resets in range(1, 4):
            board.reset()
            until(board, lambda resets=resets: len(board.marks()) > resets - 1)  # type: ignore[misc]
            board.advance(0.001)
            assert not board.pin(13)
            assert not board.pin(7)
        board.set_pin(7, None)
        board.reset()
        until(board, lambda: board.pin(13))


def test_a_change_of_a_pin_interrupts(firmware: Firmware) -> None:
    source = """
    ISR(PCINT2_vect) { GPIOR0 = PIND; }
    int main(void) { PCICR = 1 << PCIE2; PCMSK2 = 1 << PCINT23; sei(); GPIOR1 = 1; for (;;) {} }
    """
    with VirtualBoard(firmware(source)) as board:
        board.advance(0.001)
        board.set_pin(7, True)
        until(board, lambda: len(board.marks()) == 1)
        board.set_pin(7, False)
        until(board, lambda: len(board.marks()) == 2)
        assert [mark >> 7 for mark, _ in board.marks()] == [1, 0]


def test_pulses_of_a_pin_with_pwm(firmware: Firmware) -> None:
    source = """
    int main(void) { DDRB = 1 << PB1; ICR1 = 39999; OCR1A = 2999;
        TCCR1A = 1 << COM1A1 | 1 << WGM11; TCCR1B = 1 << WGM13 | 1 << WGM12 | 1 << CS11; for (;;) {} }
    """
    with VirtualBoard(firmware(source)) as board:
        board.advance(0.1)
        high, period = board.pulse(9)
        assert period == pytest.approx(0.02, rel=0.01)
        assert high == pytest.approx(0.0015, rel=0.01)
        assert board.pulse(2) == (0.0, 0.0)


PHASE_CORRECT = {
    9: "TCCR1A = 1 << COM1A1 | 1 << WGM10; TCCR1B = 1 << CS11 | 1 << CS10; OCR1A = 64;",  # as analogWrite(9, 64) does
    10: "TCCR1A = 1 << COM1B1 | 1 << COM1B0 | 1 << WGM10; TCCR1B = 1 << CS11 | 1 << CS10; OCR1B = 255 - 64;",
    11: "TCCR2A = 1 << COM2A1 | 1 << WGM20; TCCR2B = 1 << CS22; OCR2A = 64;",
}


@pytest.mark.parametrize("pin", PHASE_CORRECT)
def test_phase_correct_pwm(firmware: Firmware, pin: int) -> None:
    source = f"int main(void) {{ DDRB = 0xff; {PHASE_CORRECT[pin]} GPIOR0 = 1; for (;;) {{}} }}"
    with VirtualBoard(firmware(source)) as board:
        until(board, lambda: len(board.marks()) == 1)
        high, period = board.pulse(pin)
        assert period == pytest.approx(1 / 490, rel=0.01)  # as Arduino's reference has it
        assert high / period == pytest.approx(64 / 255)
        until(board, lambda: board.pin(pin))
        until(board, lambda: not board.pin(pin))


@pytest.mark.parametrize("pin", [-1, 20])
def test_pins_that_are_not_there_are_named(firmware: Firmware, pin: int) -> None:
    with VirtualBoard(firmware(COPY)) as board:
        with pytest.raises(ValueError, match="has the pins 0 to 19"):
            board.pin(pin)
        with pytest.raises(ValueError, match="has the pins 0 to 19"):
            board.set_pin(pin, True)


MEASURE = """
static uint16_t measure(uint8_t channel) {
    ADMUX = 1 << REFS0 | (channel & 7);
#ifdef MUX5
    ADCSRB = (channel >> 3) << MUX5;
#endif
    ADCSRA = 1 << ADEN | 1 << ADSC | 7;
    while (ADCSRA & 1 << ADSC) {}
    return ADC;
}
int main(void) {
    begin(115200);
    for (;;) { uint16_t value = measure(get()); put(value >> 8); put(value); }
}
"""


@pytest.mark.parametrize(("mcu", "board_name", "inputs"), [("atmega328p", "uno", 6), ("atmega2560", "mega", 16)])
def test_analog_inputs(firmware: Firmware, mcu: str, board_name: str, inputs: int) -> None:
    with VirtualBoard(firmware(MEASURE, mcu), board_name) as board, opened(board) as port:
        volts = [0.3 * channel for channel in range(inputs)]
        for channel, value in enumerate(volts):
            board.set_analog(channel, value)
        for channel, value in enumerate(volts):
            port.write(bytes([channel]))
            assert int.from_bytes(port.read(2), "big") == min(1023, int(value * 1000 + 0.5) * 1024 // 5000)
        board.set_analog(0, 5.0)
        port.write(b"\0")
        assert int.from_bytes(port.read(2), "big") == 1023


@pytest.mark.parametrize(("channel", "volts"), [(6, 1.0), (-1, 1.0), (0, -0.1), (0, 5.5)])
def test_analog_inputs_that_cannot_be_are_refused(firmware: Firmware, channel: int, volts: float) -> None:
    with VirtualBoard(firmware(MEASURE)) as board, pytest.raises(ValueError):
        board.set_analog(channel, volts)


# The end of a firmware -----------------------------------------------------------------------------------------------

CRASHES = {
    "ran beyond the end of the program memory": "int main(void) { ((void (*)(void))0x3000)(); }",
    "out of ram": "int main(void) { for (;;) *(volatile uint8_t *)0x9000 = 1; }",
}


@pytest.mark.parametrize("why", CRASHES)
def test_a_crash_is_reported(firmware: Firmware, why: str) -> None:
    with VirtualBoard(firmware(CRASHES[why])) as board:
        with pytest.raises(FirmwareCrashed, match=why):
            until(board, lambda: False)
        assert board.state().startswith("crashed: ")
        with pytest.raises(FirmwareCrashed, match=why):
            board.check()
        board.unplug()  # so that it ends well


def test_a_crash_that_nobody_asked_for_is_raised_at_the_end(firmware: Firmware) -> None:
    with pytest.raises(FirmwareCrashed), VirtualBoard(firmware(CRASHES["out of ram"])) as board:
        while board.state() == "running":
            pass


def test_a_reset_wakes_the_crashed(firmware: Firmware) -> None:
    source = """
    int main(void) { begin(115200); for (;;) { uint8_t byte = get(); if (byte == '!') *(volatile uint8_t *)0x9000 = 1;
        put(byte); } }
    """
    with VirtualBoard(firmware(source)) as board:
        with opened(board) as port:
            port.write(b"!")
            with pytest.raises(FirmwareCrashed):
                until(board, lambda: False)
        board.reset()
        with opened(board) as port:
            port.write(b"well")
            assert port.read(4) == b"well"


def test_sleep_for_ever_is_told_from_running(firmware: Firmware) -> None:
    source = 'int main(void) { SMCR = 1 << SM1 | 1 << SE; cli(); __asm__("sleep"); for (;;) {} }'
    with VirtualBoard(firmware(source)) as board:
        with pytest.raises(FirmwareCrashed, match="asleep with interrupts off"):
            until(board, lambda: False)
        board.unplug()
