"""The lines of standard input, for a thread that must also hear of other things."""

from __future__ import annotations

import os
import select
import sys
import threading
from codecs import BOM_UTF8
from collections.abc import Iterator
from queue import Empty, Full, Queue
from types import TracebackType
from typing import Final

from leadscomm.cli.terminal.waiting import LOOK_S
from leadscomm.errors import CommError
from leadscomm.packages import Self

_READ_BYTES: Final = 64 * 1024
MAX_LINE: Final = 64 << 20


class Lines:
    """Reads lines; iterate over it in one thread, :meth:`stop` it from any. To be closed, or used by ``with``.

    A line is handed out without its end. The last one needs none.

    :ivar interactive: whether a person is typing.
    :ivar ended: whether the input came to its end (and was not stopped).
    """

    def __init__(self) -> None:
        self._fd = _standard_input()
        self.interactive = self._fd is not None and os.isatty(self._fd)
        self.ended = False
        self._chunks = _ThreadChunks(self._fd) if sys.platform == "win32" else _PolledChunks(self._fd)

    def __iter__(self) -> Iterator[bytes]:
        held, begins = bytearray(), True
        for chunk in self._chunks:
            start = len(held)
            held += chunk
            if begins:  # PowerShell begins with a mark, perhaps
                begins = len(held) < len(BOM_UTF8) and BOM_UTF8.startswith(held)
                held, start = held.removeprefix(BOM_UTF8), 0
            if held.find(b"\n", start) >= 0:
                *whole, rest = bytes(held).split(b"\n")
                held = bytearray(rest)
                yield from map(_bare, whole)
            if len(held) > MAX_LINE:
                raise CommError(f"standard input has a line of more than {MAX_LINE >> 20} MiB")
        self.ended = self._chunks.ended
        if held and self.ended:
            yield _bare(bytes(held))

    def stop(self) -> None:
        """End the iteration. Any thread."""
        self._chunks.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._chunks.close()


def _standard_input() -> int | None:
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # there is none, or it was closed
        return None


def _bare(line: bytes) -> bytes:
    return line[:-1] if os.name == "nt" and line.endswith(b"\r") else line


class _PolledChunks:
    """Waits for the input and for :meth:`stop` at once."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        self.ended = False
        self._woken, self._wake = os.pipe()
        self._lock = threading.Lock()  # held while the pipe is written to or closed
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        while self._fd is not None:
            ready, _, _ = select.select([self._fd, self._woken], [], [])
            if self._woken in ready:
                self.ended = self._fd in ready and not self._interactive() and not os.read(self._fd, 1)
                return
            if not self._ours():
                select.select([self._woken], [], [], LOOK_S)
                continue
            try:
                data = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                continue
            except OSError:  # a terminal that was hung up
                data = b""
            if not data:
                break
            yield data
        self.ended = True

    def _interactive(self) -> bool:
        return self._fd is not None and os.isatty(self._fd)

    def _ours(self) -> bool:
        """Whether what is typed is meant for us: not while we run in the background of a shell, which it would stop."""
        if sys.platform == "win32" or self._fd is None or not self._interactive():
            return True
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:  # not our controlling terminal
            return True

    def stop(self) -> None:
        with self._lock:
            if not self._closed:
                os.write(self._wake, b"\0")

    def close(self) -> None:
        with self._lock:
            self._closed = True
            os.close(self._woken)
            os.close(self._wake)


class _ThreadChunks:
    """A thread reads, where the input cannot be waited for together with something else (Windows)."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        self.ended = False
        self._stopped = threading.Event()
        self._queue: Queue[bytes] = Queue(16)
        threading.Thread(target=self._read, name="leadscomm-input", daemon=True).start()

    def _read(self) -> None:
        while not self._stopped.is_set():
            try:
                data = os.read(self._fd, _READ_BYTES) if self._fd is not None else b""
            except OSError:
                data = b""
            while not self._stopped.is_set():
                try:
                    self._queue.put(data, timeout=LOOK_S)
                    break
                except Full:
                    continue
            if not data:
                return

    def __iter__(self) -> Iterator[bytes]:
        while not self._stopped.is_set():
            try:
                data = self._queue.get(timeout=LOOK_S)
            except Empty:
                continue
            if not data:
                self.ended = True
                return
            yield data

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self._stopped.set()
