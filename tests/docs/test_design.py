"""docs/design.md names every folder of the package, and no other; and what it says of threads is so."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "leadscomm"
PAGE = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
MAKE_THREADS = ("entities", "cli")
LOOKS_UP = "connections/sockets/names.py"
"""The system's look-up of a name can neither be ended nor told how long it may take."""


def test_every_folder_is_named_once_and_no_other() -> None:
    floors = PAGE.partition("## Floors and folders")[2].partition("\n## ")[0]
    second = [row.split(" | ")[1] for row in floors.splitlines() if row.startswith("| ") and "`" in row]
    named = re.findall(r"`([\w/.]+)`", " ".join(second))
    folders = {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")} - {"."}
    files = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert sorted(named) == sorted(folders | files)


def test_the_tests_that_hold_the_rules_are_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)`", PAGE)
    assert named
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_threads_are_made_on_their_floor_alone() -> None:
    files = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).as_posix() != LOOKS_UP]
    makers = {path.relative_to(PACKAGE).parts[0] for path in files if makes_threads(path)}
    assert makers <= set(MAKE_THREADS)
    assert "entities" in makers


def makes_threads(path: Path) -> bool:
    names = ("Thread", "Timer", "ThreadPoolExecutor", "start_new_thread")
    calls = (node.func for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))
    return any(getattr(func, "attr", getattr(func, "id", "")) in names for func in calls)
