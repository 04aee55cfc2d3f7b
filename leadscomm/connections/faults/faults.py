"""Faults that are made on purpose, for tests: what is to go wrong, and the decision about each frame.

No I/O and no clock: :mod:`leadscomm.connections.faults.connection` has them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from random import Random
from typing import Any, Final

HELD_BYTES: Final = 1 << 20
"""So much is on its way at most; then nothing more is taken."""
AHEAD_S: Final = 0.1
"""So much of its time a thin line is booked ahead at most."""
OVERTAKEN_S: Final = 0.05
"""How long a frame waits for those that are to overtake it, if none come."""
OVERTAKERS: Final = 3
"""A frame is overtaken by one to so many."""
BITS: Final = 8
"""Of a damaged frame one to so many bits are turned over."""
_DICE: Final = ("drop", "dup", "reorder", "corrupt", "bits", "jitter", "cut")


@dataclass(frozen=True)
class Faults:
    """What is to go wrong; the options of :data:`leadscomm.connections.options.FAULTS`."""

    drop: float = 0.0
    dup: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0
    rate: int | None = None
    cut: int | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Faults:
        """Those that an endpoint's options name."""
        return cls(**{field.name: options[field.name] for field in fields(cls)})


class Way:
    """One way of a connection: frames go in, and come out later, damaged, twice, in another order, or not at all.

    Whether something happens to a frame depends on the seed and on how many frames came before it, for each kind of
    fault apart: to set one kind leaves the others as they were.

    :param faults: what is to go wrong.
    :param seed: any text.
    :ivar frames: how many went in.
    :ivar dropped: how many of them were lost.
    :ivar doubled: how many came out twice.
    :ivar overtaken: how many came out after others that went in later.
    :ivar damaged: how many came out with wrong bits.
    :ivar severed: the connection is to be cut; nothing comes out any more.
    """

    def __init__(self, faults: Faults, seed: str) -> None:
        self._faults = faults
        self._dice = {kind: Random(f"{seed} {kind}") for kind in _DICE}
        self._wire: deque[tuple[float, bytes]] = deque()  # when it comes out, and what
        self._aside: list[_Aside] = []
        self._held = 0  # bytes of both
        self._free_at = 0.0  # when a thin line has sent what it took
        self._last_at = 0.0  # when the newest of _wire comes out
        self.frames = self.dropped = self.doubled = self.overtaken = self.damaged = 0
        self.severed = False

    def put(self, frames: Iterable[bytes], now: float) -> None:
        """Take frames in."""
        for frame in frames:
            self.frames += 1
            if self._faults.cut and self._dice["cut"].random() * self._faults.cut < 1:
                self.severed = True
                self.clear()
            if self.severed:
                return
            self._decide(frame, now)

    def take(self, now: float) -> list[bytes]:
        """What comes out until ``now``."""
        for aside in [aside for aside in self._aside if aside.until <= now]:
            self._back(aside, now)
        out: list[bytes] = []
        while self._wire and self._wire[0][0] <= now:
            out.append(self._wire.popleft()[1])
        self._held -= sum(map(len, out))
        return out

    def full(self, now: float) -> bool:
        """Whether nothing more should be put in."""
        return self._held > HELD_BYTES or self._free_at - now > AHEAD_S

    def due(self, now: float) -> float | None:
        """When to look again: something comes out, or there is room again. None: not before something is put in."""
        times = [aside.until for aside in self._aside]
        if self._wire:
            times.append(self._wire[0][0])
        if self._free_at - now > AHEAD_S:
            times.append(self._free_at - AHEAD_S)
        return min(times, default=None)

    @property
    def flying(self) -> bool:
        """Whether something will come out by itself."""
        return bool(self._wire)

    @property
    def empty(self) -> bool:
        """Whether nothing is on its way."""
        return not (self._wire or self._aside)

    def hurry(self, now: float) -> None:
        """Nothing more will be put in: those that wait to be overtaken go on."""
        for aside in list(self._aside):
            self._back(aside, now)

    def clear(self) -> None:
        """Lose what is on its way."""
        self._wire.clear()
        self._aside.clear()
        self._held = 0

    def _decide(self, frame: bytes, now: float) -> None:
        faults = self._faults
        dropped, doubled = self._share("drop", faults.drop), self._share("dup", faults.dup)
        damaged, overtaken = self._share("corrupt", faults.corrupt), self._share("reorder", faults.reorder)
        if dropped is not None:
            self.dropped += 1
            return
        copy = frame
        if damaged is not None:
            self.damaged += 1
            frame = self._turned(frame)
        if overtaken is None:
            self._pass(frame, now)
        else:
            self.overtaken += 1
            self._aside.append(_Aside(frame, 1 + int(overtaken * OVERTAKERS), now + OVERTAKEN_S))
            self._held += len(frame)
        if doubled is not None:
            self.doubled += 1
            self._pass(copy, now)

    def _share(self, kind: str, share: float) -> float | None:
        """Whether it happens: then a number from 0 to 1 at random, otherwise None."""
        if not share:
            return None
        drawn = self._dice[kind].random()
        return drawn / share if drawn < share else None

    def _pass(self, frame: bytes, now: float) -> None:
        """Send a frame past those that stand aside."""
        self._send(frame, now)
        for aside in list(self._aside):
            aside.overtakers -= 1
            if not aside.overtakers:
                self._back(aside, now)

    def _back(self, aside: _Aside, now: float) -> None:
        self._aside.remove(aside)
        self._held -= len(aside.frame)
        self._send(aside.frame, now)

    def _send(self, frame: bytes, now: float) -> None:
        faults = self._faults
        at = now
        if faults.rate:
            at = self._free_at = max(now, self._free_at) + len(frame) / faults.rate
        if faults.jitter:
            at += faults.jitter * self._dice["jitter"].random()
        self._last_at = max(self._last_at, at + faults.delay)
        self._wire.append((self._last_at, frame))
        self._held += len(frame)

    def _turned(self, frame: bytes) -> bytes:
        """The frame with one to eight bits turned over."""
        draw = self._dice["bits"].random
        damaged = bytearray(frame)
        for bit in {int(draw() * len(frame) * 8) for _ in range(1 + int(draw() * BITS))}:
            damaged[bit // 8] ^= 1 << bit % 8
        return bytes(damaged)


@dataclass(eq=False)
class _Aside:
    """A frame that waits to be overtaken."""

    frame: bytes
    overtakers: int
    until: float
