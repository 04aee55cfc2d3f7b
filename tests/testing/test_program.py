"""The emulator's program is compiled once, by however many processes at once, and says what it lacks."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from leadscomm.errors import CommError, MissingTool
from leadscomm.testing import program


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "leadscomm"


def fake_compiler(folder: Path, words: str) -> Path:
    """A compiler that says something and fails."""
    folder.mkdir()
    compiler = folder / "gcc"
    compiler.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 1\n")
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    return folder


def test_several_build_at_once(cache: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        built = list(pool.map(lambda _: program.board_program(), range(4)))
    assert len(set(built)) == 1
    assert [path for path in cache.iterdir() if path.is_file()] == [built[0]]
    assert not [path for path in cache.iterdir() if path.is_dir()]
    assert subprocess.run([built[0]], stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout


def test_it_is_built_once(cache: Path) -> None:
    first = program.board_program()
    before = first.stat()
    assert program.board_program() == first
    assert first.stat().st_mtime_ns == before.st_mtime_ns


def test_other_sources_are_another_program(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = program.board_program()
    copy = tmp_path / "simulator"
    shutil.copytree(program._SOURCES, copy)
    (copy / "main.c").write_text((copy / "main.c").read_text() + "\n")
    monkeypatch.setattr(program, "_SOURCES", copy)
    assert program.board_program() != first


def test_calls_point_down_the_list_of_files() -> None:
    """A function can be called only where its file's header is included: the compiler refuses undeclared ones."""
    order = re.findall(r"^ \*   (\w+)\.c ", (program._SOURCES / "board.h").read_text(), re.M)
    assert sorted(order) == sorted(path.stem for path in program._SOURCES.glob("*.c"))
    for place, name in enumerate(order):
        included = re.findall(r'#include "(\w+)\.h"', (program._SOURCES / f"{name}.c").read_text())
        assert set(included) <= set(order[place:]), name
    for header in program._SOURCES.glob("*.h"):
        assert set(re.findall(r'#include "(\w+)\.h"', header.read_text())) <= {"board"} - {header.stem}, header.name


def test_a_missing_compiler_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingTool, match=r"gcc: (sudo )?apt-get install gcc libc6-dev libsimavr-dev"):
        program.board_program()


def test_a_missing_library_is_named(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "board.h:1:10: fatal error: simavr/sim_avr.h: No such file or directory"
    monkeypatch.setenv("PATH", f"{fake_compiler(tmp_path / 'bin', words)}:/usr/bin:/bin")
    with pytest.raises(MissingTool, match=r"needs libsimavr: .*apt-get install"):
        program.board_program()
    assert not list(cache.glob("virtual-board-*"))


def test_what_the_compiler_says_is_handed_on(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{fake_compiler(tmp_path / 'bin', 'out of memory')}:/usr/bin:/bin")
    with pytest.raises(CommError, match="could not be compiled: out of memory"):
        program.board_program()


def test_other_systems_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(CommError, match="needs Linux, and this is darwin"):
        program.board_program()
