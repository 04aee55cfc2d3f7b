"""The mark beside a journal: how far its numbers had come, to know after a crash whether something is missing.

SQLite drops the end of a log that was cut short, damaged or taken away, and says nothing. The mark is written behind
each commit, without a sync; so it never says more than what was committed, and less only after a loss of power. It is
removed when the journal is closed.
"""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import suppress
from typing import Final, NamedTuple

_MARK: Final = struct.Struct("<4s8sQQ")
_MAGIC: Final = b"LCM1"
_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class Mark(NamedTuple):
    """How far a journal had come.

    :ivar journal: what names it.
    :ivar seq: the newest number that it gave, and ``arrival``, the newest that came.
    """

    journal: bytes
    seq: int
    arrival: int


class MarkFile:
    """The mark's file. One thread at a time. Where it cannot be written there is none, and nothing else is wrong.

    :ivar found: what it said when it was opened, or None.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd: int | None = None
        self._last: Mark | None = None
        self.found: Mark | None = None
        with suppress(OSError):
            self._fd = os.open(path, _FLAGS, 0o600)
            self.found = _read(os.read(self._fd, 256))

    def write(self, mark: Mark) -> None:
        if self._fd is not None and mark != self._last:
            self._last = mark
            content = _MARK.pack(_MAGIC, *mark)
            with suppress(OSError):
                os.lseek(self._fd, 0, os.SEEK_SET)
                os.write(self._fd, content + zlib.crc32(content).to_bytes(4, "little"))

    def close(self, remove: bool) -> None:
        """:param remove: all that it speaks of is in the journal's file."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
            if remove:
                with suppress(OSError):
                    os.unlink(self._path)


def _read(content: bytes) -> Mark | None:
    known = content[: _MARK.size]
    if len(known) < _MARK.size or content[_MARK.size :] != zlib.crc32(known).to_bytes(4, "little"):
        return None
    magic, *mark = _MARK.unpack(known)
    return Mark(*mark) if magic == _MAGIC else None
