"""How far streams are: a bar on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections import deque
from typing import Final, TextIO

from leadscomm.cli.terminal.wording import WIDTH, data_size, rough_time
from leadscomm.streams.files import clean_name
from leadscomm.streams.transfer import Transfer

_DRAW_EVERY_S: Final = 0.1
_SAY_EVERY_S: Final = 5.0
_LOOK_BACK_S: Final = 5.0
"""The rate is that of the last seconds."""
_BAR: Final = 20
_NAME: Final = 24


class Progress:
    """Shows how far streams are. It is what they tell; any thread.

    :param err: where; a terminal gets a line that is drawn again and again.
    """

    def __init__(self, err: TextIO) -> None:
        self._err = err
        self._drawn = err.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")
        self._every = _DRAW_EVERY_S if self._drawn else _SAY_EVERY_S
        self._lock = threading.Lock()
        self._paces: dict[Transfer, Pace] = {}
        self._shown_at = time.monotonic()

    def __call__(self, transfer: Transfer) -> None:
        """It has moved."""
        now = time.monotonic()
        with self._lock:
            pace = self._paces.setdefault(transfer, Pace(transfer, now))
            pace.moved(now)
            if now - self._shown_at >= self._every:
                self._shown_at = now
                self._show(transfer, pace)

    def ended(self, transfer: Transfer) -> None:
        """It has ended, well or not; if well, that is told."""
        with self._lock:
            pace = self._paces.pop(transfer, None) or Pace(transfer, time.monotonic())
        if transfer.error is None:
            self.note(f"{clean_name(transfer.name)}: {pace.summary(time.monotonic())}")

    def note(self, line: str) -> None:
        """Write a line of its own."""
        with self._lock:
            self._write(f"\r\x1b[K{line}\n" if self._drawn else line + "\n")

    def clear(self) -> None:
        """Leave the terminal as a shell wants it."""
        if self._drawn:
            self._write("\r\x1b[K")

    def _show(self, transfer: Transfer, pace: Pace) -> None:
        name = clean_name(transfer.name)
        name = name if len(name) <= _NAME else name[: _NAME - 3] + "..."
        more = f" (and {len(self._paces) - 1} more)" if len(self._paces) > 1 else ""
        if not self._drawn:
            self._write(f"{name}: {', '.join(pace.figures())}{more}\n")
            return
        width = min(WIDTH, shutil.get_terminal_size().columns - 1)
        self._write("\r\x1b[K" + f"{name} {pace.bar()}{'  '.join(pace.figures())}{more}"[:width])

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._err.write(text)
            self._err.flush()


class Pace:
    """How quickly one stream moves.

    :param now: seconds, as all times here.
    """

    def __init__(self, transfer: Transfer, now: float) -> None:
        self._transfer = transfer
        self._began = now
        self._marks: deque[tuple[float, int]] = deque([(now, transfer.resumed_at)])

    def moved(self, now: float) -> None:
        """It has moved."""
        self._marks.append((now, self._transfer.moved))
        while len(self._marks) > 2 and now - self._marks[0][0] > _LOOK_BACK_S:
            self._marks.popleft()

    def _rate(self) -> float:
        (since, before), (now, moved) = self._marks[0], self._marks[-1]
        return max(0, moved - before) / (now - since) if now > since else 0.0

    def figures(self) -> list[str]:
        """Share, amount, rate, time left, as far as they are known."""
        moved, size, rate = self._transfer.moved, self._transfer.size, self._rate()
        told = [data_size(moved), f"{data_size(rate)}/s"]
        if size:
            told[0] += f" of {data_size(size)}"
            told.insert(0, f"{100 * moved // size:3} %")
            if rate:
                told.append(f"{rough_time((size - moved) / rate)} left")
        return told

    def bar(self) -> str:
        """Full as far as it has come; nothing where the size is not known."""
        if not self._transfer.size:
            return ""
        full = _BAR * self._transfer.moved // self._transfer.size
        return f"[{'#' * full}{'.' * (_BAR - full)}] "

    def summary(self, now: float) -> str:
        """All of it, in one line."""
        transfer = self._transfer
        took = now - self._began
        new = transfer.moved - transfer.resumed_at
        rate = f", {data_size(new / took)}/s" if took > 0 and new else ""
        before = f"; {data_size(transfer.resumed_at)} of it were there already" if transfer.resumed_at else ""
        return f"{data_size(transfer.moved)} in {rough_time(took)}{rate}{before}"
