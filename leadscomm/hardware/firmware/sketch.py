"""Sketches: which files belong to one, and its ``.ino`` files made the C++ that a compiler reads.

Source of the format: Arduino's sketch specification and its build process. A sketch is a folder; its ``.ino`` files are
one text (that named like the folder first, then the others by name), behind ``#include <Arduino.h>``. Functions may be
called above their definition; the C++ gets a declaration of those that are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from leadscomm.errors import BuildFailed
from leadscomm.hardware.firmware.prototypes import declare

CODE: Final = (".cpp", ".c", ".S")
_BLANKED: Final = re.compile(
    r"""
    //(?:[^\\\n]|\\.|\\\n)*          |  # comments
    /\*.*?(?:\*/|\Z)                 |
    ^[ \t]*\#(?:[^\\\n]|\\.|\\\n)*   |  # what the preprocessor reads
    R"([^()\s\\]{0,16})\(.*?\)\1"    |  # raw strings
    "(?:[^"\\\n]|\\.)*"              |
    '(?:[^'\\\n]|\\.)+'
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
_NOT_NEWLINE: Final = re.compile(r"[^\n]")
_LINE_ONE: Final = re.compile(r'^#line 1 (".*")\n', re.MULTILINE)


@dataclass(frozen=True)
class Sketch:
    """The files of a sketch.

    :ivar name: what its outputs are called.
    :ivar folder: where its own headers are.
    :ivar inos: ``.ino`` files, in the order in which they are one text.
    :ivar sources: everything else that is compiled.
    """

    name: str
    folder: Path
    inos: tuple[Path, ...]
    sources: tuple[Path, ...]


def sketch_at(path: Path) -> Sketch:
    """The sketch that is meant by a folder, a ``.ino`` file or a file of C++.

    A ``.ino`` file in a folder of its own name stands for the whole folder; any other file for itself, and the headers
    beside it.

    :raises BuildFailed: there is none.
    """
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise BuildFailed(f"there is no sketch {path}")
    if path.suffix == ".ino":
        whole = path.stem == path.absolute().parent.name
        return _folder(path.parent) if whole else Sketch(path.stem, path.parent, (path,), ())
    if path.suffix in CODE:
        return Sketch(path.stem, path.parent, (), (path,))
    raise BuildFailed(f"{path} is no sketch; give a folder, an .ino file or a .cpp file")


def _folder(folder: Path) -> Sketch:
    name = folder.absolute().name
    inos = sorted(folder.glob("*.ino"), key=lambda path: (path.stem != name, path.name))
    nested = (folder / "src").rglob("*")
    sources = tuple(sorted(path for path in (*folder.iterdir(), *nested) if path.suffix in CODE))
    if not inos and not sources:
        raise BuildFailed(f"there is no .ino or .cpp file in {folder}")
    return Sketch(name, folder, tuple(inos), sources)


def as_cpp(inos: tuple[Path, ...]) -> str:
    """The C++ of ``.ino`` files. What a compiler says of it names their files and lines.

    :raises BuildFailed: one is not readable, or not UTF-8.
    """
    whole = "".join(f"{_line(path, 1)}{_text(path)}\n" for path in inos)
    added, blanked = declare(whole, *_without_comments(whole))
    parts, begin = ["#include <Arduino.h>\n"], 0
    for start, end in sorted([(at, at) for at in added] + blanked):
        parts.append(whole[begin:start])
        if end > start:
            parts.append(" " * (end - start))  # columns stay
        else:
            broken = "" if whole[:start].endswith("\n") else "\n"
            parts.append("\n".join([broken + added[start][0], *added[start][1:], _where(whole, start), ""]))
        begin = end
    return "".join([*parts, whole[begin:]])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BuildFailed(f"{path} cannot be read: {error}") from error


def _line(path: Path, number: int) -> str:
    quoted = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'#line {number} "{quoted}"\n'


def _where(whole: str, at: int) -> str:
    """The ``#line`` that lets the compiler count rightly from ``at``."""
    mark = list(_LINE_ONE.finditer(whole, 0, at))[-1]
    return f"#line {whole.count(chr(10), mark.end(), at) + 1} {mark[1]}"


def _without_comments(whole: str) -> tuple[str, dict[int, str]]:
    """The text with blanks for comments, strings and what the preprocessor reads; the latter by where it stands."""
    directives: dict[int, str] = {}

    def blank(found: re.Match[str]) -> str:
        if found[0].lstrip(" \t").startswith("#"):
            directives[found.start()] = found[0].strip()
        return _NOT_NEWLINE.sub(" ", found[0])

    return _BLANKED.sub(blank, whole), directives
