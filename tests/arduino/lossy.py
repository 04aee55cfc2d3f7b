"""A wire that keeps the order and damages bytes, as a function of bytes."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass
class Faults:
    """Probabilities per byte, and the seed of what happens."""

    seed: int = 0
    flip: float = 0
    drop: float = 0
    duplicate: float = 0
    insert: float = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.any = self.flip + self.drop + self.duplicate + self.insert
        self.until = self._next()

    def _next(self) -> float:
        """Bytes up to the next fault."""
        return self.random.expovariate(self.any) if self.any else float("inf")

    def __call__(self, data: bytes) -> bytes:
        if self.until >= len(data):
            self.until -= len(data)
            return data
        damaged = bytearray()
        for byte in data:
            if self.until >= 1:
                self.until -= 1
                damaged.append(byte)
            else:
                self.until = self._next()
                damaged += self._fault(byte)
        return bytes(damaged)

    def _fault(self, byte: int) -> bytes:
        kinds = ["flip", "drop", "duplicate", "insert"]
        kind = self.random.choices(kinds, [self.flip, self.drop, self.duplicate, self.insert])[0]
        if kind == "flip":
            return bytes([byte ^ 1 << self.random.randrange(8)])
        if kind == "drop":
            return b""
        if kind == "duplicate":
            return bytes([byte, byte])
        return bytes([self.random.randrange(256), byte])
