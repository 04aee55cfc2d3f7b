"""Messages that tell who sent them, as which one, and whether they are whole; and the books about those that came.

::

    sender (4 bytes) | lane (1) | number (4) | filling | CRC-32 of all before (4)      numbers little endian
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from typing import Final
from zlib import crc32

_HEAD: Final = struct.Struct("<IBI")
_CRC: Final = struct.Struct("<I")
SMALLEST: Final = _HEAD.size + _CRC.size
Lane = tuple[int, int]
"""The sender, and its lane: within one the order counts."""


def numbered(sender: int, count: int, *, size: int = 32, lane: int = 4, first: int = 0) -> Iterator[bytes]:
    """Messages of ``size`` bytes, numbered from ``first`` on; with 0 of many sizes, some of which need many frames."""
    for number in range(first, first + count):
        length = size or (5000 if number % 500 == 0 else SMALLEST + number * 7919 % 53)
        body = _HEAD.pack(sender, lane, number) + bytes(length - SMALLEST)
        yield body + _CRC.pack(crc32(body))


def number_of(message: bytes) -> int:
    """Which one it is of its lane."""
    return int(_HEAD.unpack_from(message)[2])


class Ledger:
    """What came, held against what must come: each number of a lane once, in order.

    :ivar delivered: how many came for the first time, of each lane.
    :ivar total: and of all together.
    :ivar reached: the highest number that came, and one more.
    :ivar doubled: how many came again.
    :ivar overtaken: how many came after one with a higher number.
    :ivar damaged: how many were not what was sent.
    """

    def __init__(self) -> None:
        self.delivered: Counter[Lane] = Counter()
        self.total = self.reached = 0
        self.doubled = self.overtaken = self.damaged = 0
        self._next: dict[Lane, int] = {}
        self._missing: dict[Lane, set[int]] = {}

    def take(self, message: bytes) -> None:
        """Write down a message that came."""
        if len(message) < SMALLEST or crc32(message[:-4]) != _CRC.unpack_from(message, len(message) - 4)[0]:
            self.damaged += 1
            return
        sender, name, number = _HEAD.unpack_from(message)
        lane = (sender, name)
        due = self._next.get(lane, 0)
        if number >= due:
            if number > due:
                self._missing.setdefault(lane, set()).update(range(due, number))
            self._next[lane] = number + 1
            self.reached = max(self.reached, number + 1)
        elif number in self._missing.get(lane, ()):
            self._missing[lane].remove(number)
            self.overtaken += 1
        else:
            self.doubled += 1
            return
        self.delivered[lane] += 1
        self.total += 1

    def of(self, sender: int) -> int:
        """How many came from one sender, on all lanes."""
        return sum(count for (who, _), count in list(self.delivered.items()) if who == sender)

    def missing(self) -> int:
        """How many numbers were left out so far."""
        return sum(map(len, self._missing.values()))
