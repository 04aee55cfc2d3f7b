"""Of many inputs those that are worth keeping: each reaches something in leadscomm that no shorter one reaches."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any

from leadscomm import protocol

from .targets import Target

PACKAGE = protocol.__path__[0]
Step = tuple[Any, int, int]
"""A function, and two lines of it that follow each other."""


def reduced(target: Target, inputs: Iterable[bytes]) -> list[bytes]:
    """The ones worth keeping, the shortest first."""
    reached: set[Step] = set()
    kept = []
    for data in sorted(set(inputs), key=lambda data: (len(data), data)):
        steps = steps_of(target, data)
        if not steps <= reached:
            reached |= steps
            kept.append(data)
    return kept


def steps_of(target: Target, data: bytes) -> set[Step]:
    """Which lines of leadscomm's protocols follow each other while a target works on an input."""
    steps: set[Step] = set()

    def of_call(frame: FrameType, event: str, arg: object) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(PACKAGE):
            return None
        last = frame.f_lineno

        def of_line(frame: FrameType, event: str, arg: object) -> Any:
            nonlocal last
            steps.add((code, last, frame.f_lineno))
            last = frame.f_lineno
            return of_line

        return of_line

    before = sys.gettrace()
    sys.settrace(of_call)
    try:
        target.run(data)
    finally:
        sys.settrace(before)
    return steps
