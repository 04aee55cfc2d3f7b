"""Which programs have a device open, or listen on a port; seen from outside, without opening anything."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

LOCKS: Final = "/proc/locks"
_FIRST_PTS: Final = 136
_LAST_PTS: Final = 143
"""Linux's major numbers of pseudo-terminals."""


@dataclass(frozen=True)
class Holder:
    """A program.

    :ivar pid: its process; 0 where only a lock tells of it.
    :ivar name: its name; "" where the system does not tell.
    """

    pid: int
    name: str

    def __str__(self) -> str:
        if self.name:
            return f"{self.name} (process {self.pid})"
        return f"process {self.pid}" if self.pid > 0 else "another program"


def holders(path: str) -> list[Holder]:
    """The programs that have the device ``path`` open, or that hold a lock on it.

    Linux tells it of the caller's own programs, and of everybody's to root; a lock, as pyserial's ``exclusive`` sets
    it, is seen always. Elsewhere, and where ``path`` is not there, the list is empty. This process is not listed.
    """
    try:
        found = os.stat(path)
    except OSError:
        return []
    pids = dict.fromkeys([*_having_open(found), *_locking(found)])
    return [Holder(pid, _name(pid)) for pid in pids if pid != os.getpid()]


def listeners(port: int) -> list[Holder]:
    """The programs of this machine that listen on a TCP port; found and left out as by :func:`holders`."""
    inodes = set(_listening(port))
    return [Holder(pid, _name(pid)) for pid in _numbers("/proc") if inodes and not inodes.isdisjoint(_sockets(pid))]


def _listening(port: int) -> Iterator[str]:
    """The sockets that listen, of lines such as ``0: 0100007F:4204 00000000:0000 0A ... inode``."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), open(f"/proc/net/{table}", encoding="ascii", errors="replace") as rows:
            for row in rows:
                words = row.split()
                if len(words) > 9 and words[3] == "0A" and words[1].endswith(f":{port:04X}"):
                    yield f"socket:[{words[9]}]"


def _sockets(pid: int) -> Iterator[str]:
    for fd in _numbers(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            yield os.readlink(f"/proc/{pid}/fd/{fd}")


def _having_open(device: os.stat_result) -> Iterator[int]:
    if sys.platform == "win32" or not stat.S_ISCHR(device.st_mode):
        return
    for pid in _numbers("/proc"):
        for fd in _numbers(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                opened = os.stat(f"/proc/{pid}/fd/{fd}")
                if stat.S_ISCHR(opened.st_mode) and _same(opened, device):
                    yield pid
                    break


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether two files are one device. The pseudo-terminals of each container are numbered from 0."""
    if sys.platform == "win32":
        return False
    pseudo = _FIRST_PTS <= os.major(one.st_rdev) <= _LAST_PTS
    return one.st_rdev == other.st_rdev and (one.st_dev == other.st_dev or not pseudo)


def _locking(device: os.stat_result) -> Iterator[int]:
    """Lines such as ``1: FLOCK  ADVISORY  WRITE 1234 00:05:1093 0 EOF``."""
    if sys.platform == "win32":
        return
    wanted = f"{os.major(device.st_dev):02x}:{os.minor(device.st_dev):02x}:{device.st_ino}"
    with contextlib.suppress(OSError), open(LOCKS, encoding="ascii", errors="replace") as table:
        for line in table:
            words = line.split()
            if wanted in words and "->" not in words:
                pid = words[words.index(wanted) - 1]
                yield int(pid) if pid.isdigit() else 0


def _numbers(folder: str) -> list[int]:
    try:
        return [int(name) for name in os.listdir(folder) if name.isdigit()]
    except OSError:
        return []


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
