"""The boards that can be emulated: how Arduino numbers their pins, and their bootloaders.

Pins are those of Arduino's variants `standard`, `eightanaloginputs` and `mega` (``pins_arduino.h``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from leadscomm.errors import EndpointError
from leadscomm.hardware.firmware.models import MODELS, Model

_UNO_PINS: Final = "D0 D1 D2 D3 D4 D5 D6 D7 B0 B1 B2 B3 B4 B5 C0 C1 C2 C3 C4 C5"
_MEGA_PINS: Final = (
    "E0 E1 E4 E5 G5 E3 H3 H4 H5 H6 B4 B5 B6 B7 J1 J0 H1 H0 D3 D2 D1 D0 A0 A1 A2 A3 A4 A5 A6 A7 C7 C6 C5 C4 C3 C2 C1 C0 "
    "D7 G2 G1 G0 L7 L6 L5 L4 L3 L2 L1 L0 B3 B2 B1 B0 F0 F1 F2 F3 F4 F5 F6 F7 K0 K1 K2 K3 K4 K5 K6 K7"
)


@dataclass(frozen=True)
class Bootloader:
    """What a board's bootloader is made of, and where it is put.

    :ivar start: its address; the processor starts there.
    :ivar baud: of uploads.
    :ivar file: below the Arduino core's folder: its source, or the ready-built HEX file.
    :ivar flags: for compiling it.
    """

    start: int
    baud: int
    file: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Emulated:
    """What emulating one kind of board needs beyond its :class:`~leadscomm.hardware.firmware.models.Model`.

    :ivar name: as users write it.
    :ivar model: the kind of board.
    :ivar architecture: AVR's number for the processor, as in ELF files.
    :ivar flash_size: bytes of program memory, the bootloader's among them.
    :ivar pins: port and bit of each of Arduino's digital pins, from pin 0 on.
    :ivar analog_inputs: how many there are.
    :ivar bootloader: the one that it is sold with.
    """

    name: str
    model: Model
    architecture: int
    flash_size: int
    pins: tuple[str, ...]
    analog_inputs: int
    bootloader: Bootloader

    def place(self, pin: int) -> str:
        """Port and bit of a digital pin, as in ``"B 5"``.

        :raises ValueError: the board has no such pin.
        """
        if not 0 <= pin < len(self.pins):
            raise ValueError(f"the board {self.name} has the pins 0 to {len(self.pins) - 1}, and no pin {pin}")
        return " ".join(self.pins[pin])


# Debian's optiboot_atmega328.hex runs past the end of the flash. Built from the source beside it and with these two
# optimisations turned off, it takes 500 of its 510 bytes.
_OPTIBOOT: Final = Bootloader(
    0x7E00,
    115_200,
    "bootloaders/optiboot/optiboot.c",
    flags=(
        *("-DLED_START_FLASHES=3", "-Wl,--section-start=.version=0x7ffe"),
        *("-nostartfiles", "-fno-tree-scev-cprop", "-fno-move-loop-invariants"),
    ),
)
_ATMEGABOOT: Final = Bootloader(
    0x7800,
    57_600,
    "bootloaders/atmega/ATmegaBOOT_168.c",
    flags=("-DMAX_TIME_COUNT=F_CPU>>4", "-DNUM_LED_FLASHES=1"),
)
_STK500V2: Final = Bootloader(0x3E000, 115_200, "bootloaders/stk500v2/stk500boot_v2_mega2560.hex")


def _small(name: str, model: str, analog_inputs: int, bootloader: Bootloader = _OPTIBOOT) -> Emulated:
    return Emulated(name, MODELS[model], 5, 0x8000, tuple(_UNO_PINS.split()), analog_inputs, bootloader)


def _large(name: str) -> Emulated:
    return Emulated(name, MODELS["mega"], 6, 0x40000, tuple(_MEGA_PINS.split()), 16, _STK500V2)


EMULATED: Final[Mapping[str, Emulated]] = MappingProxyType(
    {
        board.name: board
        for board in (
            _small("uno", "uno", 6),
            _small("nano", "nano", 8),
            _small("nano-old", "nano", 8, _ATMEGABOOT),
            _large("mega"),
            _small("atmega328p", "uno", 8),
            _large("atmega2560"),
        )
    }
)


def find_emulated(name: str) -> Emulated:
    """The board of this name, whatever its case.

    :raises EndpointError: there is none; the text names those that there are.
    """
    try:
        return EMULATED[name.lower()]
    except KeyError:
        raise EndpointError(f"no board {name!r} can be emulated; there are: {', '.join(EMULATED)}") from None
