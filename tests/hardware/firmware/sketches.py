"""Firmware for the tests: the project's own sketches, some of them changed, compiled when they are asked for."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from leadscomm.hardware.toolchain import build
from tests.building import one_at_a_time

ARDUINO = Path(__file__).resolve().parent.parent.parent.parent / "arduino"
LIBRARY = ARDUINO / "LeadsComm"
COMPANION = ARDUINO / "companion"
FLAGS = ("-Wall", "-Wextra", "-Werror")


class Sketches:
    """Compiles, and keeps what it has compiled.

    :param folder: for all files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._built: dict[str, Path] = {}

    def companion(self, board: str = "uno") -> Path:
        """The companion firmware."""
        return self.changed(COMPANION, [], board)

    def example(self, name: str, baud: int = 115200) -> Path:
        """An example of the library."""
        folder = LIBRARY / "examples" / name
        return self.changed(folder, [] if baud == 115200 else [("115200", str(baud))])

    def text(self, code: str, board: str = "uno") -> Path:
        """A sketch of the test's own."""
        own = self._folder(code) / "own"
        with one_at_a_time(own):
            if not own.exists():
                own.mkdir()
                (own / "own.ino").write_text(code, "utf-8")
        return self._build(own, board, LIBRARY)

    def changed(
        self, sketch: Path, changes: Sequence[tuple[str, str]], board: str = "uno", library: Path = LIBRARY
    ) -> Path:
        """A sketch in which some text of its ``.ino`` is replaced."""
        copy = self._folder(repr((str(sketch), changes))) / sketch.name
        with one_at_a_time(copy):
            if not copy.exists():
                copied(sketch, copy, f"{sketch.name}.ino", changes)
        return self._build(copy, board, library)

    def library(self, file: str, changes: Mapping[str, str]) -> Path:
        """The library, with some text of one of its files replaced."""
        copy = self._folder(repr((file, sorted(changes.items())))) / "LeadsComm"
        with one_at_a_time(copy):
            if not copy.exists():
                copied(LIBRARY, copy, f"src/{file}", [*changes.items()])
        return copy

    def _folder(self, key: str) -> Path:
        folder = self.folder / hashlib.sha256(key.encode()).hexdigest()[:12]
        folder.mkdir(exist_ok=True)
        return folder

    def _build(self, sketch: Path, board: str, library: Path) -> Path:
        key = f"{sketch} {board} {library}"
        if key not in self._built:
            out = self._folder(key) / "out"
            elf = out / f"{sketch.name}.elf"
            with one_at_a_time(out):
                if not elf.with_suffix(".hex").exists():  # which is made last
                    build(sketch, board, [library], out, FLAGS)
            self._built[key] = elf
        return self._built[key]


def copied(folder: Path, copy: Path, file: str, changes: Sequence[tuple[str, str]]) -> None:
    """Copy a folder, with some text of one of its files replaced."""
    text = (folder / file).read_text("utf-8")
    for old, new in changes:
        assert old in text, f"{folder / file} has no {old!r} any more"
        text = text.replace(old, new)
    shutil.copytree(folder, copy)
    (copy / file).write_text(text, "utf-8")
