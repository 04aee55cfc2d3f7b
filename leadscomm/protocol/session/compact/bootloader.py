"""When to talk to a board that opening its port may just have reset.

Most boards are reset when their port is opened, and then run a bootloader for a while, which waits for a program:

- Uno and Nano (optiboot, 115200 baud): for a second. A byte that is no command of its protocol ends it at once.
- Mega (stk500v2, 115200 baud): for a second if nothing comes; but any byte makes it wait for eight seconds more, and
  each further byte again. A command of its protocol, "leave programming mode", ends it at once.
- A bootloader understands nothing at another baud rate, and takes what it hears for bytes of its own.

Between the reset and the bootloader's first look lie 65 ms on these boards, in which they are deaf. So a board is asked
quickly for less than that time: whoever was not reset has answered then. After it, at 115200 baud the bootloaders are
ended, and the question is repeated steadily; at other rates nothing is said until the bootloader has come to its end.
"""

from __future__ import annotations

from typing import Final

BAUD: Final = 115200
"""What the bootloaders speak."""
LEAVE: Final = bytes.fromhex("1b 01 00 01 0e 11 04")
"""stk500v2 (Atmel's AVR068): message start, sequence number 1, size 1, token, CMD_LEAVE_PROGMODE_ISP, checksum. To
optiboot its first two bytes are no command, and to the session protocol it is two damaged frames."""

QUICK_EVERY_S: Final = 0.02
QUICK_UNTIL_S: Final = 0.06
ENDED_AFTER_S: Final = 0.2
"""When the bootloaders are surely listening."""
PATIENT_AFTER_S: Final = 1.5
"""When they have given up: optiboot flashes a light for 0.4 s before its second begins."""
STEADILY_EVERY_S: Final = 0.1
CLOSELY_EVERY_S: Final = 0.035
CLOSELY_S: Final = (1.0, 2.0)
"""When most programs begin that a bootloader stands before, between these."""
_QUESTION_BYTES: Final = 40
_BITS: Final = 10
_COUNTED: Final = 40
"""So many questions after the quick ones the pace does not change any more."""


def asking_time(count: int, baud: int, *, ends: bool = True) -> float:
    """When question number ``count`` (from 0) is put, in seconds after the port was opened.

    :param ends: :func:`before_asking` is sent too.
    """
    quick = _quick_ones(baud)
    if count < quick:
        return count * _quick_pace(baud)
    when = ENDED_AFTER_S if ends and baud == BAUD else PATIENT_AFTER_S
    for _ in range(min(count - quick, _COUNTED)):
        closely = CLOSELY_S[0] <= when < CLOSELY_S[1]
        when += max(CLOSELY_EVERY_S if closely else STEADILY_EVERY_S, 2 * _wire_s(baud))
    return when + max(0, count - quick - _COUNTED) * max(STEADILY_EVERY_S, 2 * _wire_s(baud))


def before_asking(count: int, baud: int) -> bytes:
    """What is sent right before question number ``count``: what ends a bootloader, where one may be there."""
    return LEAVE if baud == BAUD and count >= _quick_ones(baud) else b""


def _quick_ones(baud: int) -> int:
    """How many questions have left, whole, before a bootloader could hear the last one's end. At least one is put."""
    return 1 + max(0, int((QUICK_UNTIL_S - _wire_s(baud)) / _quick_pace(baud)))


def _quick_pace(baud: int) -> float:
    return max(QUICK_EVERY_S, _wire_s(baud))


def _wire_s(baud: int) -> float:
    return _QUESTION_BYTES * _BITS / baud
