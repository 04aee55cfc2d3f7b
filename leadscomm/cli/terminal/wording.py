"""How errors, times and counts are put into words."""

from __future__ import annotations

import textwrap
from typing import Final

from leadscomm.errors import CommError
from leadscomm.protocol.words import printable

WIDTH: Final = 80
"""Columns; what commands print goes no further."""


def wrapped(text: str, indent: str = "") -> list[str]:
    """``text`` in lines of at most 80 columns; all but the first begin with ``indent``. A longer word (a path, an
    endpoint) has a line of its own and stays whole, so that it can be copied."""
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False) or [""]


def one_line(error: BaseException) -> str:
    """An error as one line of text."""
    text = str(error)
    if isinstance(error, OSError) and not isinstance(error, CommError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return printable(" ".join(text.split())) or type(error).__name__


def cause_and_mend(error: BaseException) -> tuple[str, str]:
    """An error of ours in two parts: what was seen, and what to do about it ("" if it does not say)."""
    text = one_line(error)
    cause, _, mend = text.partition("; ")
    return (text, "") if mend.startswith("there are") else (cause, mend)


def duration(seconds: float, micro: str = "us") -> str:
    """A time to three digits, in the unit that suits it.

    :param micro: how microseconds are written; ``µs`` where the output has that letter.
    """
    for factor, unit in ((1e6, micro), (1e3, "ms")):
        if seconds * factor < 999.5:
            value = seconds * factor
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"
    return f"{seconds:.2f} s"


def counted(number: int, thing: str) -> str:
    """``1 line``, ``2 lines``."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def data_size(count: float) -> str:
    """``812 B``, ``1.50 kB``, ``200 MB``: an amount of data to three digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.{0 if unit == 'B' or count >= 99.95 else 1 if count >= 9.995 else 2}f} {unit}"
        count /= 1000
    return f"{count:,.2f} TB"


def rough_time(seconds: float) -> str:
    """``8 s``, ``2 min 10 s``, ``3 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
