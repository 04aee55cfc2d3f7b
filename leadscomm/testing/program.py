"""The program that emulates the board: compiled at its first use, and kept in the user's cache folder.

It is linked with libsimavr as the system has it. A build is named after everything that went into it, and put in its
place by one rename, so that any number of processes may build at the same time.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from leadscomm.errors import CommError, MissingTool
from leadscomm.hardware.firmware.places import cache_folder

_SOURCES: Final = Path(__file__).parent / "simulator"
_FLAGS: Final = ("-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror")
_LIBRARIES: Final = ("-lsimavr", "-lm")
_HEADER: Final = Path("/usr/include/simavr/sim_avr.h")
INSTALL: Final = "sudo apt-get install gcc libc6-dev libsimavr-dev"
_COMPILES_WITHIN_S: Final = 120.0


def board_program() -> Path:
    """The program, compiled if it is not in the cache yet.

    :raises MissingTool: the compiler or a library is not installed.
    :raises CommError: this system is not Linux, or the compiler refuses the sources.
    :raises OSError: the cache folder cannot be written.
    """
    if sys.platform != "linux":
        raise CommError(f"the virtual board needs Linux, and this is {sys.platform}")
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise MissingTool(f"the virtual board needs a C compiler, gcc: {INSTALL}")
    sources = sorted(_SOURCES.glob("*.[ch]"))
    command = [compiler, *_FLAGS, *map(str, _SOURCES.glob("*.c")), *_LIBRARIES]
    key = _key([*sources, Path(compiler), *filter(Path.exists, [_HEADER])], _FLAGS)
    program = cache_folder() / f"virtual-board-{key}"
    if not program.exists():
        _build(command, program)
    return program


def build_atomically(command: Iterable[str], target: Path) -> subprocess.CompletedProcess[str]:
    """Run a compiler that writes to ``-o``; ``target`` is there, whole, if and only if it succeeds.

    :raises OSError: the folder cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix=f"{target.name}-", dir=target.parent) as folder:
        built = Path(folder) / target.name
        done = subprocess.run(
            [*command, "-o", str(built)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            timeout=_COMPILES_WITHIN_S,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
        if done.returncode == 0:
            built.replace(target)
    return done


def _build(command: list[str], program: Path) -> None:
    done = build_atomically(command, program)
    if done.returncode == 0:
        return
    if "simavr" in done.stderr and ("No such file" in done.stderr or "cannot find" in done.stderr):
        raise MissingTool(f"the virtual board needs libsimavr: {INSTALL}")
    raise CommError(f"the virtual board could not be compiled: {done.stderr.strip()}")


def _key(files: Iterable[Path], words: Iterable[str]) -> str:
    """Of the sources their contents, of the rest the name, size and time: what an update of the system changes."""
    key = hashlib.sha256(repr(tuple(words)).encode())
    for file in files:
        if file.parent == _SOURCES:
            key.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
        else:
            state = file.stat()
            key.update(f"{file} {state.st_size} {state.st_mtime_ns}\0".encode())
    return key.hexdigest()[:16]
