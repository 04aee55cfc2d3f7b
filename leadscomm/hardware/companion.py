"""What is said to the companion firmware (``arduino/companion``), and what it answers.

Every order begins with its number and a request number, which the answer repeats; the answer's status says whether it
was carried out. The numbers 00 to 7f are left to sketches. The sketch is built with the header that
``python -m leadscomm.hardware.header leadscomm.hardware.companion`` writes of this module.
"""

from __future__ import annotations

import enum
from typing import Annotated, Final

from leadscomm.hardware.board.layout import Layout, UpTo, u8, u16, u32

VERSION: Final = (1, 0)
"""Of these messages. The first number changes when an old host would misunderstand."""
REPORTS: Final = 4
"""How many reports a companion keeps."""
TAG_BYTES: Final = 24
ECHO_BYTES: Final = 48


class Status(enum.IntEnum):
    """How an order ended."""

    OK = 0
    UNKNOWN_ORDER = 1
    BAD_LENGTH = 2
    BAD_PIN = 3
    BAD_VALUE = 4
    BUSY = 5

    @property
    def text(self) -> str:
        """What it means, for people."""
        return _MEANINGS[self]


_MEANINGS: Final = {
    Status.OK: "it was carried out",
    Status.UNKNOWN_ORDER: "the firmware does not know this order; is it older than this program?",
    Status.BAD_LENGTH: "the order is longer or shorter than the firmware expects",
    Status.BAD_PIN: "there is no such pin, it cannot do this, or it is one that the line to the host uses",
    Status.BAD_VALUE: "the value is outside of what is allowed",
    Status.BUSY: "all places are taken, or the pin's timer is in use for servos",
}


class Mode(enum.IntEnum):
    """What a digital pin is."""

    INPUT = 0
    PULLUP = 1
    OUTPUT = 2


class Order(Layout):
    """What all orders have."""

    request: Annotated[u8, "chosen by the host, and repeated in the answer"]


class Info(Order, number=0x80):
    """Who are you, and how are you?"""


class Echo(Order, number=0x81):
    """Say it again."""

    data: Annotated[bytes, UpTo(ECHO_BYTES)]


class Counters(Order, number=0x82):
    """What have you seen on the line?"""


class SetTag(Order, number=0x83):
    """Be called so from now on, also after a reset."""

    tag: Annotated[str, UpTo(TAG_BYTES), "1 to 24 of the characters ! to ~ without : and ;"]


class SetReport(Order, number=0x84):
    """Report these pins from now on, again and again."""

    report: Annotated[u8, "its name; an order with the name of a present report changes that one"]
    period: Annotated[u16, "milliseconds from one to the next; 0 ends the report"]
    analog: Annotated[u16, "bit 0: A0, bit 1: A1, ..."]
    digital: Annotated[bytes, UpTo(9), "bit 0 of the first byte: pin 0, bit 1: pin 1, ..."]


class SetMode(Order, number=0x85):
    """Make a pin an input or an output."""

    pin: u8
    mode: Annotated[u8, "0 input, 1 input with pull-up, 2 output"]


class Write(Order, number=0x86):
    """Set an output, or the pull-up of an input."""

    pin: u8
    level: bool


class Read(Order, number=0x87):
    """Which level has a pin?"""

    pin: u8


class ReadAnalog(Order, number=0x88):
    """What voltage has an analog input?"""

    channel: Annotated[u8, "0: A0"]


class SetPwm(Order, number=0x89):
    """Let a pin be high for a part of the time."""

    pin: u8
    duty: Annotated[u8, "0 never, 255 always"]


class SetServo(Order, number=0x8A):
    """Hold a servo at a position."""

    pin: u8
    width: Annotated[u16, "of the pulse in microseconds, 500 to 2500; 0 lets go of the servo"]


class Answer(Layout, number=0xC0):
    """The answer to an order; more follows only if its status is 0 and the order asks for something."""

    request: Annotated[u8, "that of the order"]
    status: Annotated[u8, "0 carried out; else why not"]


class InfoAnswer(Answer, number=0xC0):
    """The answer to Info."""

    major: Annotated[u8, "version of these messages"]
    minor: u8
    uptime: Annotated[u32, "milliseconds since the start, modulo 2^32"]
    free: Annotated[u16, "bytes between the heap and the stack"]
    pins: Annotated[u8, "how many digital pins there are"]
    channels: Annotated[u8, "how many analog inputs there are"]
    chip: Annotated[str, UpTo(16)]


class EchoAnswer(Answer, number=0xC0):
    """The answer to Echo."""

    data: Annotated[bytes, UpTo(ECHO_BYTES)]


class CountersAnswer(Answer, number=0xC0):
    """The answer to Counters; all count since the start, modulo 2^16."""

    bad_frames: Annotated[u16, "frames that came damaged"]
    overruns: Annotated[u16, "times that the receive ring was found full"]
    resent: Annotated[u16, "frames sent again"]
    lost: Annotated[u16, "messages that were not acknowledged when their session ended"]
    unreported: Annotated[u16, "reports that were left out, since the line was busy"]


class LevelAnswer(Answer, number=0xC0):
    """The answer to Read."""

    level: bool


class AnalogAnswer(Answer, number=0xC0):
    """The answer to ReadAnalog."""

    raw: Annotated[u16, "0 to 1023: parts of the reference voltage"]


class Report(Layout, number=0xC1):
    """What pins are like; a datagram."""

    report: Annotated[u8, "its name"]
    time: Annotated[u32, "microseconds since the start, modulo 2^32"]
    analog: Annotated[list[u16], UpTo(16), "0 to 1023 each, A0 first; those asked for only"]
    digital: Annotated[bytes, UpTo(9), "bit 0 of the first byte: pin 0, as in SetReport; pins not asked for are 0"]


assert Report.longest <= 58  # it fits one frame of an Uno
