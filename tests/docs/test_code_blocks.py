"""Every code block of the README, docs/ and examples/ does what it says: see blocks.py for how a page steers this."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import Block, read_page
from tests.docs.boards import beside, compiled, is_sketch
from tests.docs.trial import look_at, run

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
BLOCKS = [block for page in PAGES for block in read_page(page, page.relative_to(ROOT).as_posix())]


@pytest.fixture
def documented_ports() -> Iterator[None]:
    """The pages name fixed ports: on one machine one test at a time uses them."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(Path(tempfile.gettempdir()) / "leadscomm-documented-ports.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def runs_programs(block: Block) -> bool:
    return block.language in ("python", "console") or "prints" in block.directives


def can_be_tested(block: Block) -> bool:
    """Not if its page says why not, and not if it wants a board on a cable."""
    return "skip" not in block.directives and block.directives.get("needs") != "board"


@pytest.mark.parametrize("block", [*filter(can_be_tested, BLOCKS)], ids=lambda block: block.place)
def test_block(block: Block, tmp_path: Path, require_tool: Callable[..., None], request: pytest.FixtureRequest) -> None:
    if "needs" in block.directives:
        require_tool(block.directives["needs"])
    if runs_programs(block):
        request.getfixturevalue("documented_ports")
    runs = block.above if "prints" in block.directives else block
    assert runs is not None, f"{block.place}: there is nothing above that prints"
    if "board" in runs.directives or is_sketch(runs):
        request.getfixturevalue("board_tools")
    with beside(runs, tmp_path):
        if "prints" in block.directives:
            assert run(runs, tmp_path).split() == block.code.split()
        elif block.language in ("python", "console"):
            run(block, tmp_path)
        elif is_sketch(block):
            compiled(block, tmp_path)
        else:
            look_at(block)


def test_the_pages_are_there() -> None:
    assert {"README.md", "docs/index.md"} <= {block.page for block in BLOCKS}
    assert shutil.which("bash"), os.defpath
