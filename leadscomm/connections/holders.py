"""Which programs have a device open, without opening it: opening a serial port resets many boards."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

LOCKS: Final = "/proc/locks"


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


def _having_open(device: os.stat_result) -> Iterator[int]:
    if sys.platform == "win32" or not stat.S_ISCHR(device.st_mode):
        return
    for pid in _numbers("/proc"):
        for fd in _numbers(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                opened = os.stat(f"/proc/{pid}/fd/{fd}")
                if stat.S_ISCHR(opened.st_mode) and opened.st_rdev == device.st_rdev:
                    yield pid
                    break


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
