"""How the demo looks: a table and the latest traffic, redrawn in place on a terminal, appended anywhere else."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, TextIO

from leadscomm.cli.terminal.wording import WIDTH

TRAFFIC_LINES: Final = 8
NOT_SHOWN: Final = "not shown on this machine; the reason follows in the end"
"""In the row of what cannot be shown; the summary has the reason and the mend in full."""
_HEIGHT: Final = 20
_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"


def is_capable(out: TextIO) -> bool:
    """Whether ``out`` is a terminal on which lines can be redrawn and the demo has room."""
    if not out.isatty() or os.environ.get("TERM", "") in ("dumb", "unknown"):
        return False
    if sys.platform == "win32" and "WT_SESSION" not in os.environ:
        return False  # older consoles print control sequences instead of obeying them
    size = shutil.get_terminal_size()
    return size.columns >= WIDTH and size.lines >= _HEIGHT


class Display:
    """What both ways of showing have in common.

    :param table: makes the figures: a heading, and a line for each row.
    :param caption: of the traffic.
    :param seconds: how long it is to last.
    :cvar period: seconds between two updates.
    """

    period: float = 1.0

    def __init__(self, out: TextIO, table: Callable[[], list[str]], seconds: float, caption: str) -> None:
        self.out = out
        self.table = table
        self.seconds = seconds
        self.caption = caption
        self.arrow = "→" if can_write(out, "→") else "->"
        self.rule = ("─" if can_write(out, "─") else "-") * WIDTH
        self._begin: float | None = None

    def begin(self) -> None:
        """The links are up: the time counts from now."""
        self._begin = time.monotonic()

    def elapsed(self) -> float:
        """Seconds since the links were up; 0 before."""
        return 0.0 if self._begin is None else time.monotonic() - self._begin

    def happened(self, link: str, text: str) -> None:
        """A line of traffic. Any thread."""
        raise NotImplementedError

    def update(self) -> None:
        """Show how things stand."""
        raise NotImplementedError

    def end(self) -> None:
        """Leave the output as a shell wants it."""

    def traffic_line(self, link: str, text: str) -> str:
        """One line of traffic."""
        return f"{self.elapsed():6.2f} s  {link:<8}{text.replace('->', self.arrow)}"[:WIDTH]


class PlainDisplay(Display):
    """Appends lines; for pipes, files and small terminals."""

    period = 1.0

    def __init__(self, out: TextIO, table: Callable[[], list[str]], seconds: float, caption: str) -> None:
        super().__init__(out, table, seconds, caption)
        self._lock = threading.Lock()

    def happened(self, link: str, text: str) -> None:
        with contextlib.suppress(OSError):  # whoever has had enough is noticed by the next update, in the main thread
            self._print([self.traffic_line(link, text)])

    def update(self) -> None:
        self._print(["", *self.table(), ""])

    def _print(self, lines: list[str]) -> None:
        with self._lock:
            self.out.write("".join(f"{line.rstrip()}\n" for line in lines))
            self.out.flush()


class LiveDisplay(Display):
    """Redraws in place."""

    period = 0.2

    def __init__(self, out: TextIO, table: Callable[[], list[str]], seconds: float, caption: str) -> None:
        super().__init__(out, table, seconds, caption)
        self._traffic: deque[str] = deque(maxlen=TRAFFIC_LINES)
        self._drawn = 0
        self._colours = "NO_COLOR" not in os.environ

    def happened(self, link: str, text: str) -> None:
        self._traffic.append(self.traffic_line(link, text))

    def update(self) -> None:
        lines = self._lines()
        up = f"\x1b[{self._drawn}A" if self._drawn else "\x1b[?25l"
        self.out.write("\r" + up + "".join(f"\x1b[2K{line}\n" for line in lines))
        self.out.flush()
        self._drawn = len(lines)

    def end(self) -> None:
        self.out.write("\x1b[?25h")
        self.out.flush()

    def _lines(self) -> list[str]:
        head, *rows = self.table()
        clock = f"{min(self.elapsed(), self.seconds):.1f} of {self.seconds:g} s" if self.elapsed() else "starting"
        title = "leadscomm demo"
        traffic = [*self._traffic] + [""] * (TRAFFIC_LINES - len(self._traffic))
        return [
            self._style(_BOLD, title) + f"{clock:>{WIDTH - len(title)}}",
            self.rule,
            self._style(_DIM, head),
            *rows,
            "",
            self._style(_DIM, self.caption.replace("->", self.arrow)),
            *traffic,
            self.rule,
        ]

    def _style(self, style: str, text: str) -> str:
        return f"{style}{text}{_PLAIN}" if self._colours else text


def can_write(out: TextIO, letter: str) -> bool:
    """Whether the output has this letter."""
    try:
        letter.encode(out.encoding or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True
