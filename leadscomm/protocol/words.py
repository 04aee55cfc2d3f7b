"""What a peer calls itself, its streams and its reasons, as text that can do nothing to a terminal, a log or a path.

All that is decoded of a peer's words goes through here. What programs say to each other in messages does not: that is
the programs' own.
"""

from __future__ import annotations

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
