"""What is compiled, how large it gets, and how many cycles it takes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

from leadscomm.hardware.toolchain import Size, arduino_folder, build, size_of
from leadscomm.testing import VirtualBoard

SKETCHES = Path(__file__).parent / "sketches"
BYTES = 64
"""Of the message whose coding is measured."""
_WRONG = 0xEE
_END = 0xFF
_SECTIONS = {"bare write": 1, "bare read": 3, "encode": 5, "decode": 7}
_MARK_CYCLES = 1  # each mark is one OUT instruction


class Firmware:
    """Sketches by name, each compiled once. Use as a context manager."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="leadscomm-bench-")
        self._built: dict[tuple[str, str, Sequence[str]], Path] = {}

    def __enter__(self) -> Firmware:
        return self

    def __exit__(self, *exception: object) -> None:
        self._folder.cleanup()

    def elf(self, name: str, board: str = "uno", flags: Sequence[str] = ()) -> Path:
        """One of our sketches here, or an example of the library."""
        key = name, board, tuple(flags)
        if key not in self._built:
            here = SKETCHES / name
            sketch = here if here.exists() else self.examples / name
            folder = Path(self._folder.name) / str(len(self._built))
            self._built[key] = build(sketch, board, build_folder=folder, flags=flags)
        return self._built[key]

    @cached_property
    def examples(self) -> Path:
        return arduino_folder() / "LeadsComm" / "examples"

    def size(self, name: str, board: str = "uno") -> Size:
        return size_of(self.elf(name, board))


def cycles_per_byte(firmware: Firmware) -> dict[str, float]:
    """Cycles for each of 64 bytes, through a `Stream` in memory, in each section of `Codec.ino`."""
    with VirtualBoard(firmware.elf("Codec"), pace=False) as board:
        while True:
            board.advance(0.01)
            marks = board.marks()
            if marks and marks[-1][0] == _END:
                break
    if any(mark == _WRONG for mark, _ in marks):
        raise AssertionError("the codec gave other bytes than it got")
    taken: dict[int, list[int]] = {}
    for (begun, start), (ended, end) in itertools.pairwise(marks):
        if ended == begun + 1:
            taken.setdefault(begun, []).append(end - start - _MARK_CYCLES)
    return {name: mean(taken[section]) / BYTES for name, section in _SECTIONS.items()}
