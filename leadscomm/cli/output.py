"""Lines for people, written by any thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TextIO


class Output:
    """Standard output and standard error, one whole line at a time.

    :param out: where :meth:`say` writes.
    :param err: where :meth:`note` writes.
    :ivar gone: whether the reader of ``out`` has gone (``leadscomm serve ... | head``); nobody is left to talk to then.
    """

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out = out
        self._err = err
        self._lock = threading.Lock()
        self.gone = False
        self.on_gone: Callable[[], None] = _nothing
        """Called once, by the thread that noticed."""

    def say(self, line: str) -> None:
        """Write a line of output. Never raises."""
        try:
            with self._lock:
                self._out.write(line + "\n")
                self._out.flush()
        except OSError:
            if not self.gone:
                self.gone = True
                self.on_gone()

    def note(self, line: str) -> None:
        """Write a line about what goes on. Never raises."""
        with contextlib.suppress(OSError), self._lock:
            self._err.write(line + "\n")
            self._err.flush()

    def check(self) -> None:
        """Raise ``BrokenPipeError`` if the reader has gone."""
        if self.gone:
            raise BrokenPipeError


def _nothing() -> None: ...
