"""Small firmware for the tests of the virtual board: plain C for an AVR at 16 MHz, compiled when it is asked for."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from tests.building import one_at_a_time

_COMMON = """
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <avr/wdt.h>
#include <stdint.h>
#include <util/delay.h>

/* As the Arduino core does: twice the speed, nearest divisor. */
static inline void begin(uint32_t baud) {
    UCSR0A = 1 << U2X0;
    UBRR0 = (F_CPU / 4 / baud - 1) / 2;
    UCSR0C = 3 << UCSZ00;
    UCSR0B = 1 << RXEN0 | 1 << TXEN0;
}
static inline uint8_t come(void) { return UCSR0A & 1 << RXC0; }
static inline void put(uint8_t byte) {
    while (!(UCSR0A & 1 << UDRE0)) {}
    UDR0 = byte;
}
static inline uint8_t get(void) {
    while (!come()) {}
    return UDR0;
}
static inline void say(const char *text) { while (*text) put(*text++); }
"""

ECHO = "int main(void) { begin(BAUD); for (;;) put(get()); }"
"""Sends back what comes, at the baud rate BAUD."""

HELLO = 'int main(void) { begin(115200); say("hello\\n"); for (;;) put(get()); }'
"""Greets, then echoes."""


class Firmware:
    """Compiles, and keeps what it has compiled.

    :param folder: for all files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, source: str, mcu: str = "atmega328p", **macros: int) -> Path:
        """The ELF file of a program that may use the functions above."""
        defines = [f"-D{name}={value}" for name, value in sorted(macros.items())]
        key = hashlib.sha256(repr((source, mcu, defines)).encode()).hexdigest()[:12]
        elf = self.folder / f"{key}.elf"
        with one_at_a_time(elf):
            if not elf.exists():
                options = [f"-mmcu={mcu}", "-DF_CPU=16000000UL", "-Os", "-std=gnu99", *defines]
                subprocess.run(
                    ["avr-gcc", *options, "-x", "c", "-", "-o", str(elf)],
                    input=_COMMON + source,
                    encoding="ascii",
                    check=True,
                )
        return elf
