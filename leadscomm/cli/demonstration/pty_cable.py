"""A serial cable without hardware: two pseudo terminals, and what is written to one comes out of the other."""

from __future__ import annotations

import os
import select
import sys
import threading

from leadscomm.cli.demonstration.pulling import Cable
from leadscomm.errors import ServiceError

_READ_BYTES = 4096


def can_make() -> bool:
    """Whether this system has pseudo terminals."""
    return hasattr(os, "openpty")


class PtyCable(Cable):
    """Two ends that programs can open as serial ports. While it is pulled, what is written is lost.

    :ivar ends: the paths of the two.
    :raises ServiceError: this system has no pseudo terminals.
    :raises OSError: it has none left.
    """

    ends: tuple[str, ...]
    _woken: int
    _wake: int
    _fds: list[int]
    _masters: list[int]
    _threads: list[threading.Thread]

    def __init__(self) -> None:
        if sys.platform == "win32" or not can_make():
            raise ServiceError("a serial line without hardware needs pseudo terminals, and this system has none")
        import tty

        self._woken, self._wake = os.pipe()
        self._fds = [self._woken, self._wake]
        self._masters = []
        self.ends = ()
        try:
            for _ in range(2):
                master, slave = os.openpty()
                self._fds += [master, slave]  # the slave stays open, so that the line lives when no program has it
                self._masters.append(master)
                tty.setraw(slave)
                os.set_blocking(master, False)
                self.ends += (os.ttyname(slave),)
        except BaseException:
            self._release()
            raise
        one, other = self._masters
        self._threads = [
            threading.Thread(target=self._carry, args=pair, name="leadscomm-cable", daemon=True)
            for pair in ((one, other), (other, one))
        ]
        for thread in self._threads:
            thread.start()

    def _carry(self, source: int, target: int) -> None:
        data = b""
        while True:
            ready, writable, _ = select.select(
                [self._woken] if data else [self._woken, source], [target] if data else [], []
            )
            if self._woken in ready:
                return
            try:
                if not data:
                    data = os.read(source, _READ_BYTES)
                    data = b"" if self.pulled else data
                elif writable:
                    data = data[os.write(target, data) :]
            except BlockingIOError:
                continue

    def set_pulled(self, pulled: bool) -> None:
        self.pulled = pulled

    def close(self) -> None:
        """Unplug it. What is on its way is lost."""
        os.write(self._wake, b"\0")
        for thread in self._threads:
            thread.join()
        self._release()

    def _release(self) -> None:
        for fd in self._fds:
            os.close(fd)
