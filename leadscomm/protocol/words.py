"""Text from outside: of peers, made printable, and of files, without marks.

What a peer calls itself, its streams and its reasons can do nothing to a terminal, a log or a path: all that is decoded
of a peer's words goes through here. What programs say to each other in messages does not: that is the programs' own.
"""

from __future__ import annotations

import codecs
from typing import Final

UNKNOWN: Final = "\N{REPLACEMENT CHARACTER}"
"""Stands for bytes that are no UTF-8 and for what cannot be printed: control characters, escape sequences, line ends,
what turns the direction of writing, lone surrogates."""


def words(data: bytes) -> str:
    """Bytes of a peer as one line of printable text."""
    return printable(data.decode("utf-8", "replace"))


def printable(text: str) -> str:
    """A text from outside as one line; each character that does not print is :data:`UNKNOWN`."""
    return text if text.isprintable() else "".join(char if char.isprintable() else UNKNOWN for char in text)


# Files that people write ---------------------------------------------------------------------------------------------

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def marked(data: bytes) -> bool:
    """Whether a byte order mark is at the beginning, as Notepad and PowerShell write it."""
    return data.startswith(tuple(mark for mark, _ in _MARKS))


def unmarked(data: bytes) -> bytes:
    """A text in UTF-8 without its byte order mark. What is no text behind such a mark stays as it is."""
    for mark, coding in _MARKS:
        if data.startswith(mark):
            try:
                text = data[len(mark) :].decode(coding)
            except UnicodeError:
                return data
            return text.encode() if all(char.isprintable() or char in "\t\r\n" for char in text) else data
    return data
