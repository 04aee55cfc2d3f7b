"""Lines for people, written by any thread; and a standard output that says when it cannot be written."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Callable, Iterator
from typing import TextIO


class StandardOutput(io.TextIOBase):
    """Standard output, whose errors say that it is what cannot be written (a full disk, a terminal that is gone).

    :param stream: what it writes to. ``BrokenPipeError`` stays as it is: a reader that has had enough is no trouble.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with _named():
            return self._stream.write(text)

    def flush(self) -> None:
        with _named():
            self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def settle(self) -> None:
        """See to it that what the interpreter flushes at its end raises no complaint: nobody could read it."""
        try:
            self._stream.flush()
        except OSError:
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self.fileno())
                os.close(nowhere)
        except ValueError:  # it was closed
            pass


@contextlib.contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(error.errno, f"standard output cannot be written: {error.strerror}") from error


class Output:
    """Standard output and standard error, one whole line at a time.

    :param out: where :meth:`say` writes.
    :param err: where :meth:`note` writes.
    :ivar lost: why ``out`` cannot be written any more: its reader has gone (``leadscomm serve ... | head``), or its
        disk is full. None as long as it can.
    """

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out = out
        self._err = err
        self._lock = threading.Lock()
        self.lost: OSError | None = None
        self.on_lost: Callable[[], None] = _nothing
        """Called once, by the thread that noticed."""

    def say(self, line: str) -> None:
        """Write a line of output. Never raises."""
        try:
            with self._lock:
                self._out.write(line + "\n")
                self._out.flush()
        except OSError as error:
            if self.lost is None:
                self.lost = error
                self.on_lost()

    def note(self, line: str) -> None:
        """Write a line about what goes on. Never raises."""
        with contextlib.suppress(OSError), self._lock:
            self._err.write(line + "\n")
            self._err.flush()

    def check(self) -> None:
        """Raise what :attr:`lost` holds, if something went wrong."""
        if self.lost is not None:
            raise self.lost


def _nothing() -> None: ...
