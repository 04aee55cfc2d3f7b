"""Sketches: which files belong to one, and its ``.ino`` files made the C++ that a compiler reads.

Source of the format: Arduino's sketch specification and its build process. A sketch is a folder; its ``.ino`` files are
one text (that named like the folder first, then the others by name), behind ``#include <Arduino.h>``. Functions may be
called above their definition; the C++ gets a declaration of those that are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from leadscomm.errors import BuildFailed

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
_CONDITION: Final = re.compile(r"^[ \t]*#[ \t]*(if|endif)", re.MULTILINE)
_BRACE: Final = re.compile(r"[{};]")
_WORD: Final = re.compile(r"[A-Za-z_]\w*")
_HEAD: Final = re.compile(r"(?P<type>[A-Za-z_][\w\s:<>,*&]*?[\s*&])(?P<name>[A-Za-z_]\w*)\s*\([^(){}=]*\)\s*")
_NOT_DECLARED: Final = frozenset(
    "class struct union enum namespace template typedef using extern operator return else".split()
)


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
    declarations, at = _declarations(whole)
    lines = [*declarations, _where(whole, at)] if declarations else []
    return "".join(["#include <Arduino.h>\n", whole[:at], *(f"{line}\n" for line in lines), whole[at:]])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BuildFailed(f"{path} cannot be read: {error}") from error


def _line(path: Path, number: int) -> str:
    quoted = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'#line {number} "{quoted}"\n'


def _where(whole: str, at: int) -> str:
    """The ``#line`` that lets the compiler count rightly from ``at``, the beginning of a line."""
    mark = list(_LINE_ONE.finditer(whole, 0, at))[-1]
    return f"#line {whole.count(chr(10), mark.end(), at) + 1} {mark[1]}"


# Declarations --------------------------------------------------------------------------------------------------------


def _declarations(whole: str) -> tuple[list[str], int]:
    """Declarations of the functions that are named above their definitions, and the place for them.

    Left out are members, templates, functions in a namespace or within ``#if``, those with default arguments, and those
    that take a function: what they need cannot be told without a compiler.
    """
    code = _BLANKED.sub(lambda found: _NOT_NEWLINE.sub(" ", found[0]), whole)
    statements = list(_statements(code))
    heads = {start: _HEAD.fullmatch(code, start, end) for start, end, _ in statements}
    written = {head["name"] for start, _, braced in statements if not braced and (head := heads[start])}
    defined = [
        head
        for start, _, braced in statements
        if braced and (head := heads[start]) and head["name"] not in written and _is_plain(whole, head)
    ]
    names = {head["name"] for head in defined}
    users = (start for start, end, _ in statements if names.intersection(_WORD.findall(code, start, end)))
    at = whole.rfind("\n", 0, next(users, 0)) + 1
    first_named: dict[str, int] = {}
    for word in _WORD.finditer(code, at):
        first_named.setdefault(word[0], word.start())
    wanted = [head for head in defined if first_named[head["name"]] < head.start("name")]
    return list(dict.fromkeys(" ".join(head[0].split()) + ";" for head in wanted)), at


def _statements(code: str) -> Iterator[tuple[int, int, bool]]:
    """What stands outside of all braces: where each statement begins, where its ``{`` or ``;`` is, and which it is."""
    begin = depth = 0
    for mark in _BRACE.finditer(code):
        if depth == 0 and mark[0] != "}":
            start = mark.start() - len(code[begin : mark.start()].lstrip())
            yield start, mark.start(), mark[0] == "{"
        depth = max(0, depth + {"{": 1, "}": -1, ";": 0}[mark[0]])
        if depth == 0:
            begin = mark.end()


def _is_plain(whole: str, head: re.Match[str]) -> bool:
    above = [found[1] for found in _CONDITION.finditer(whole, 0, head.start())]
    return not _NOT_DECLARED.intersection(_WORD.findall(head["type"])) and above.count("if") == above.count("endif")
