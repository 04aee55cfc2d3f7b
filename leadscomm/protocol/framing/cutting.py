"""Streams cut into whole frames, byte for byte as they stand on the wire: nothing is decoded, and nothing is checked.

For whoever handles frames without being their receiver, as the faults of ``fault://`` do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from leadscomm.protocol.framing.base import Framing, Pieces
from leadscomm.protocol.framing.board import BoardFraming
from leadscomm.protocol.framing.cobs import CobsFraming
from leadscomm.protocol.framing.length import LengthFraming
from leadscomm.protocol.framing.separated import LineFraming, SeparatorFraming


class Cutter(ABC):
    """Takes a stream piece by piece. What it returns, put together, is what it was fed.

    What is longer than any frame can be is returned as it is: the receiver's framing says what is wrong with it.
    """

    def __init__(self, framing: Framing) -> None:
        self._longest = framing.max_message + framing.max_message // 64 + 64  # with separator, CRC, code bytes ...
        self._held = Pieces()

    @abstractmethod
    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; return every frame that is whole now."""

    def rest(self) -> bytes:
        """Take the beginning of a frame that is not whole."""
        return self._held.take()

    def _hold(self, rest: bytes, frames: list[bytes]) -> list[bytes]:
        """Keep the beginning of a frame."""
        if rest:
            self._held.add(rest)
        if self._held.size > self._longest:
            frames.append(self._held.take())
        return frames


class MarkCutter(Cutter):
    """Each frame ends with ``mark``."""

    def __init__(self, framing: Framing, mark: bytes) -> None:
        super().__init__(framing)
        self._mark = mark
        self._tail = b""  # what may be the beginning of a mark

    def feed(self, data: bytes) -> list[bytes]:
        mark = self._mark
        *bodies, rest = (self._tail + data).split(mark)
        frames = [body + mark for body in bodies]
        if frames:
            frames[0] = self._held.take() + frames[0]
        kept = min(len(rest), len(mark) - 1)
        self._tail = rest[len(rest) - kept :]
        return self._hold(rest[: len(rest) - kept], frames)

    def rest(self) -> bytes:
        tail, self._tail = self._tail, b""
        return super().rest() + tail


class LengthCutter(Cutter):
    """Each frame begins with its length in four bytes."""

    def __init__(self, framing: Framing) -> None:
        super().__init__(framing)
        self._max_message = framing.max_message
        self._wanted = 4  # bytes of which the frame at hand is known to consist

    def feed(self, data: bytes) -> list[bytes]:
        if self._held.size + len(data) < self._wanted:
            return self._hold(data, [])
        data = self._held.take() + data
        frames: list[bytes] = []
        at = 0
        while len(data) - at >= 4:
            size = int.from_bytes(data[at : at + 4], "big")
            end = at + 4 + size if size <= self._max_message else len(data)
            if end > len(data):
                break
            frames.append(data[at:end])
            at = end
        rest = data[at:]
        self._wanted = 4 + int.from_bytes(rest[:4], "big") if len(rest) >= 4 else 4
        return self._hold(rest, frames)


class PieceCutter(Cutter):
    """Each piece is a frame: a datagram."""

    def feed(self, data: bytes) -> list[bytes]:
        return [data] if data else []


class TryingCutter(Cutter):
    """A frame ends where its framing says that something has come. Slow, and right for every framing there may be."""

    def __init__(self, framing: Framing) -> None:
        super().__init__(framing)
        self._framing = framing

    def feed(self, data: bytes) -> list[bytes]:
        frames: list[bytes] = []
        start = 0
        for end in range(1, len(data) + 1):
            if self._framing.feed(data[end - 1 : end]) or self._framing.count_faults():
                frames.append(self._held.take() + data[start:end])
                start = end
        return self._hold(data[start:], frames)


def cutter_for(framing: Framing) -> Cutter:
    """What cuts a stream of ``framing``.

    :param framing: fresh, and the cutter's own from now on.
    """
    if not framing.joins:
        return PieceCutter(framing)
    if type(framing) is SeparatorFraming:
        return MarkCutter(framing, framing.separator)
    if type(framing) is LineFraming:
        return MarkCutter(framing, b"\n")
    if type(framing) in (CobsFraming, BoardFraming):
        return MarkCutter(framing, b"\0")
    return LengthCutter(framing) if type(framing) is LengthFraming else TryingCutter(framing)
