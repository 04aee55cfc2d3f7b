"""Messages in a lane, each behind its length. ``docs/wire-protocol.md``, "Lanes and channels".

A length is written in as many bytes as it needs, of seven bits each, the least significant ones first; all but the last
byte have their highest bit set. So a short message costs one byte more, and none of these bytes is a zero, which COBS
would have to stuff (but the one of an empty message).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from leadscomm.protocol.base import Pieces

PREFIX_BYTES: Final = 5
"""Bytes of a length, at most."""
LONGEST: Final = (1 << 32) - 1
"""Bytes of a message, at most: more than a peer can have room for."""
_REMEMBERED: Final = 4096
_SENSELESS: Final = 1 << 62
"""What is read of bytes that are no length: more than any message has."""


class _Prefixes(dict[int, bytes]):
    """Lengths as they are written, those of short messages remembered."""

    def __missing__(self, size: int) -> bytes:
        left, digits = size, []
        while left > 127:
            digits.append(left & 127 | 128)
            left >>= 7
        prefix = bytes((*digits, left))
        if size < _REMEMBERED:
            self[size] = prefix
        return prefix


class _Sizes(dict[int, int]):
    """What messages of each length take in a lane."""

    def __missing__(self, size: int) -> int:
        whole = size + len(_PREFIXES[size])
        if size < _REMEMBERED:
            self[size] = whole
        return whole


_PREFIXES: Final = _Prefixes()
_SIZES: Final = _Sizes()


def sizes(messages: Iterable[bytes]) -> Iterable[int]:
    """The bytes that each message takes in a lane."""
    return map(_SIZES.__getitem__, map(len, messages))


def joined(messages: list[bytes]) -> bytes:
    """A piece of a lane that holds the messages."""
    parts = [b""] * (2 * len(messages))
    parts[0::2] = map(_PREFIXES.__getitem__, map(len, messages))
    parts[1::2] = messages
    return b"".join(parts)


class Separator:
    """Finds the messages in a lane.

    :param longest: bytes of a message, at most.
    :ivar broken: a longer one was announced, or what is no length: nothing is found behind it.
    """

    def __init__(self, longest: int) -> None:
        self.broken = False
        self._longest = longest
        self._prefix = b""  # the beginning of a length
        self._body = Pieces()  # of a message
        self._missing = 0  # how many bytes of it

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the lane; return the messages that are whole now."""
        if self.broken:
            return []
        if len(data) < self._missing:
            self._body.add(data)
            self._missing -= len(data)
            return []
        if not self._missing:
            return self._find(self._prefix + data if self._prefix else data, 0, [])
        end, self._missing = self._missing, 0
        self._body.add(data[:end])
        return self._find(data, end, [self._body.take()])

    def _find(self, data: bytes, at: int, messages: list[bytes]) -> list[bytes]:
        """Append the messages from ``at`` on, and keep what is not whole."""
        self._prefix = b""
        end, longest = len(data), self._longest
        while at < end:
            size, start = data[at], at + 1
            if size > 127:
                size, start = _length(data, at)
            if size > longest:
                self.broken = True
                return messages
            if not start:
                break
            at = start + size
            if at > end:
                self._missing = at - end
                self._body.add(data[start:])
                return messages
            messages.append(data[start:at])
        self._prefix = data[at:]
        return messages


def _length(data: bytes, at: int) -> tuple[int, int]:
    """The length that is written at ``at``, and where its message begins: at 0 if it is not whole."""
    size = shift = 0
    for digit in data[at : at + PREFIX_BYTES]:
        if digit < 128:
            return (size | digit << shift, at + shift // 7 + 1) if digit else (_SENSELESS, 0)
        size |= (digit & 127) << shift
        shift += 7
    return (_SENSELESS if shift == 7 * PREFIX_BYTES else 0), 0
