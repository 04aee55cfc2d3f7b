"""A wire that is a program: packets go in at one end and come out at the other later, and not all in their order.

Each end is a TUN device: what the system sends over it can be read here, and what is written here comes to the system.
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import os
import select
import struct
import threading
import time
from random import Random
from typing import Final

_MTU: Final = 1500
_AT_ONCE: Final = 64
"""Packets that are read from one end before it is the other's turn."""
_TUNSETIFF: Final = 0x400454CA
_TUN_WITHOUT_HEADER: Final = 0x1001
_UDP: Final = 17
_LATER_S: Final = (0.001, 0.01)
"""How much longer a packet takes that is to be overtaken: between these two."""
_counter = itertools.count()


class Detour:
    """Two network devices and the program between them. They belong to whoever moves them into a namespace.

    :param delay: seconds that a packet takes.
    :param late: share of the packets that take a few milliseconds longer.
    :ivar names: of the two devices.
    """

    def __init__(self, delay: float, late: float, seed: int = 7) -> None:
        self._delay = delay
        self._late = late
        self._dice = Random(seed)
        self._order = itertools.count()
        self.names = tuple(f"lc{os.getpid()}.{next(_counter)}" for _ in range(2))
        self._ends = [_tun(name) for name in self.names]
        self._under_way: list[tuple[float, int, int, bytes]] = []  # when it comes out, its number, where, what
        self._woken, self._wake = os.pipe()
        self._pump = threading.Thread(target=self._run, name="detour")
        self._pump.start()

    def close(self) -> None:
        """End the program; the devices go with it."""
        os.write(self._wake, b"\0")
        self._pump.join()
        for fd in (*self._ends, self._woken, self._wake):
            os.close(fd)

    def _run(self) -> None:
        first, second = self._ends
        other = {first: second, second: first}
        poller = select.epoll()
        for fd in (first, second, self._woken):
            poller.register(fd, select.EPOLLIN)
        with poller:
            while True:
                pause = max(0.0, self._under_way[0][0] - time.monotonic()) if self._under_way else -1
                for fd, _ in poller.poll(pause):
                    if fd == self._woken:
                        return
                    self._take(fd, other[fd])
                self._give(time.monotonic())

    def _take(self, fd: int, other: int) -> None:
        for _ in range(_AT_ONCE):
            try:
                packet = os.read(fd, _MTU)
            except OSError:  # nothing more, or the device is down
                return
            due = time.monotonic() + self._delay
            if self._dice.random() < self._late:
                due += self._dice.uniform(*_LATER_S)
            heapq.heappush(self._under_way, (due, next(self._order), other, unchecked(packet)))

    def _give(self, now: float) -> None:
        while self._under_way and self._under_way[0][0] <= now:
            *_, fd, packet = heapq.heappop(self._under_way)
            try:
                os.write(fd, packet)
            except OSError:  # the device is down: the packet is lost
                pass


def unchecked(packet: bytes) -> bytes:
    """A UDP packet without its checksum, which is optional in IPv4: what is damaged later is to reach the program."""
    if packet[0] == 0x45 and packet[9] == _UDP:
        return packet[:26] + b"\0\0" + packet[28:]
    return packet


def _tun(name: str) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TUN_WITHOUT_HEADER))
    except OSError:
        os.close(fd)
        raise
    return fd
