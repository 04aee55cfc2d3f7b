"""Of many inputs those that are worth keeping: in each leadscomm does something that it does in no shorter one."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from types import FrameType
from typing import Any

from leadscomm import protocol

from .targets import Target

PACKAGE = protocol.__path__[0]
Step = tuple[Any, int, int]
"""A function, and two lines of it that follow each other."""
Deed = tuple[Step, int]
"""A step, and how often it was made: once, 2 to 3 times, 4 to 7 times ..., counted 1, 2, 3 ..."""


def reduced(target: Target, inputs: Iterable[bytes]) -> list[bytes]:
    """The ones worth keeping, the shortest first."""
    done: set[Deed] = set()
    kept = []
    for data in sorted(set(inputs), key=lambda data: (len(data), data)):
        deeds = deeds_of(target, data)
        if not deeds <= done:
            done |= deeds
            kept.append(data)
    return kept


def deeds_of(target: Target, data: bytes) -> set[Deed]:
    """What leadscomm's protocols do while a target works on an input."""
    steps: Counter[Step] = Counter()

    def of_call(frame: FrameType, event: str, arg: object) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(PACKAGE):
            return None
        last = frame.f_lineno

        def of_line(frame: FrameType, event: str, arg: object) -> Any:
            nonlocal last
            steps[code, last, frame.f_lineno] += 1
            last = frame.f_lineno
            return of_line

        return of_line

    before = sys.gettrace()
    sys.settrace(of_call)
    try:
        target.run(data)
    finally:
        sys.settrace(before)
    return {(step, count.bit_length()) for step, count in steps.items()}
