"""The boards that firmware is built for and uploaded to. What boards share with another is written once.

Sources: ``boards.txt`` of the Arduino AVR core 1.8 (processor, clock, variant, limits, protocol, baud rates, USB
numbers), the data sheets of the processors (signatures).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from leadscomm.errors import EndpointError

_ARDUINO_USB: Final = (0x2341, 0x2A03)


@dataclass(frozen=True)
class Model:
    """A kind of board.

    :ivar name: as it is typed: ``uno``.
    :ivar title: as it is printed on it.
    :ivar mcu: the processor, as avr-gcc calls it.
    :ivar chip: the same, as people do.
    :ivar signature: the three bytes by which the processor tells what it is, in hexadecimal.
    :ivar f_cpu: its clock in Hz.
    :ivar define: the macro by which a sketch knows the board, after ``ARDUINO_``.
    :ivar variant: the folder of the core that has its ``pins_arduino.h``.
    :ivar fqbn: its name for the Arduino tools.
    :ivar programmer: what its bootloader speaks, as avrdude calls it.
    :ivar bauds: at which rates its bootloader speaks; the usual one first.
    :ivar flash_bytes: room for a program; the bootloader begins behind it.
    :ivar ram_bytes: all of its memory for data.
    :ivar vectors: how many interrupt vectors the processor has, the reset vector among them.
    :ivar firmware: whose ready-built firmware is for it too: that of a board with the same processor and clock.
    :ivar usb: the numbers (vendor, product) that no other board has.
    :ivar usb_product: which product a program says that it is, where the processor itself is on USB; 0 where another
        chip is. Such a board starts its bootloader when its port is opened at 1200 baud, and has another port then.
    """

    name: str
    title: str
    mcu: str
    chip: str
    signature: str
    f_cpu: int
    define: str
    variant: str
    fqbn: str
    programmer: str
    bauds: tuple[int, ...]
    flash_bytes: int
    ram_bytes: int
    vectors: int
    firmware: str
    usb: frozenset[tuple[int, int]] = frozenset()
    usb_product: int = 0


def _usb(*products: int) -> frozenset[tuple[int, int]]:
    return frozenset((vendor, product) for vendor in _ARDUINO_USB for product in products)


_UNO: Final = Model(
    name="uno",
    title="Arduino Uno",
    mcu="atmega328p",
    chip="ATmega328P",
    signature="1e950f",
    f_cpu=16_000_000,
    define="AVR_UNO",
    variant="standard",
    fqbn="arduino:avr:uno",
    programmer="arduino",
    bauds=(115_200,),
    flash_bytes=32_256,
    ram_bytes=2_048,
    vectors=26,
    firmware="uno",
    usb=_usb(0x0001, 0x0043, 0x006A, 0x0243),
)
_NANO: Final = replace(  # the same processor
    _UNO,
    name="nano",
    title="Arduino Nano",
    define="AVR_NANO",
    variant="eightanaloginputs",
    fqbn="arduino:avr:nano:cpu=atmega328",
    bauds=(115_200, 57_600),  # those sold before 2018, and most copies, have the older bootloader
    flash_bytes=30_720,
    usb=frozenset(),
)
_MEGA: Final = Model(
    name="mega",
    title="Arduino Mega 2560",
    mcu="atmega2560",
    chip="ATmega2560",
    signature="1e9801",
    f_cpu=16_000_000,
    define="AVR_MEGA2560",
    variant="mega",
    fqbn="arduino:avr:mega:cpu=atmega2560",
    programmer="wiring",
    bauds=(115_200,),
    flash_bytes=253_952,
    ram_bytes=8_192,
    vectors=57,
    firmware="mega",
    usb=_usb(0x0010, 0x0042, 0x0210, 0x0242),
)
_LEONARDO: Final = Model(
    name="leonardo",
    title="Arduino Leonardo",
    mcu="atmega32u4",
    chip="ATmega32U4",
    signature="1e9587",
    f_cpu=16_000_000,
    define="AVR_LEONARDO",
    variant="leonardo",
    fqbn="arduino:avr:leonardo",
    programmer="avr109",
    bauds=(57_600,),
    flash_bytes=28_672,
    ram_bytes=2_560,
    vectors=43,
    firmware="leonardo",
    usb=_usb(0x0036, 0x8036),
    usb_product=0x8036,
)
_MICRO: Final = replace(  # the same processor
    _LEONARDO,
    name="micro",
    title="Arduino Micro",
    define="AVR_MICRO",
    variant="micro",
    fqbn="arduino:avr:micro",
    firmware="micro",
    usb=_usb(0x0037, 0x8037, 0x0237, 0x8237),
    usb_product=0x8037,
)
MODELS: Final[Mapping[str, Model]] = MappingProxyType(
    {model.name: model for model in (_UNO, _NANO, _MEGA, _LEONARDO, _MICRO)}
)
CHIPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{model.signature: model.chip for model in MODELS.values()},
        "1e9307": "ATmega8",
        "1e9406": "ATmega168",
        "1e940b": "ATmega168P",
        "1e9514": "ATmega328",
        "1e9703": "ATmega1280",
    }
)
"""The processors of Arduino boards by their signatures."""


def model_of(name: str) -> Model:
    """The model of this name.

    :raises EndpointError: there is none; the text names those that there are.
    """
    try:
        return MODELS[name.lower()]
    except KeyError:
        raise EndpointError(f"no board {name!r}; there are: {', '.join(MODELS)}") from None
