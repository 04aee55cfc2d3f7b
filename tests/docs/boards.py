"""Boards and sketches for the blocks of pages: sketches are compiled, and run on a virtual board."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from leadscomm.hardware.toolchain import arduino_folder, build
from leadscomm.testing import VirtualBoard
from tests.docs.blocks import BadMarkup, Block

COMPANION = arduino_folder() / "firmware" / "companion-uno.hex"
FLAGS = ("-Wall", "-Wextra", "-Werror")


def is_sketch(block: Block) -> bool:
    """A whole one: not without setup, and not with a header of its own."""
    return block.language == "cpp" and "void setup()" in block.code and '#include "' not in block.code


def compiled(block: Block, folder: Path, board: str = "uno") -> Path:
    """A block that is a whole sketch, compiled; warnings are errors."""
    sketch = folder / "Sketch"
    sketch.mkdir(exist_ok=True)
    (sketch / "Sketch.ino").write_text(f'#line {block.line} "{block.page}"\n{block.code}', encoding="utf-8")
    return build(sketch, board, build_folder=folder / board, flags=FLAGS)


@contextmanager
def beside(block: Block, folder: Path) -> Iterator[None]:
    """While a virtual board with what the block names is the only one that programs find; without it, nothing."""
    what = block.directives.get("board")
    if what is None:
        yield
        return
    if what not in ("companion", "sketch"):
        raise BadMarkup(f"{block.place}: the board has companion or sketch on it, and no {what!r}")
    firmware = COMPANION if what == "companion" else compiled(sketch_above(block), folder)
    with VirtualBoard(firmware) as board, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEADSCOMM_PORTS", board.port)
        yield


def sketch_above(block: Block) -> Block:
    above = block.above
    while above is not None and not is_sketch(above):
        above = above.above
    if above is None:
        raise BadMarkup(f"{block.place}: there is no sketch above to put on the board")
    return above
