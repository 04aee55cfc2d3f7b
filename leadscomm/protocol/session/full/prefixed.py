"""Messages in a lane, each behind its length. ``docs/wire-protocol.md``, "Lanes and channels".

A length is written in as many bytes as it needs, of seven bits each, the least significant ones first; all but the last
byte have their highest bit set. So a short message costs one byte more, and none of these bytes is a zero, which COBS
would have to stuff (but the one of an empty message).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from leadscomm.protocol.framing.base import Pieces

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


class TooLong(NamedTuple):
    """A message that is not kept.

    :ivar before: how many messages :meth:`Separator.feed` returns that stand before it.
    :ivar size: its bytes.
    :ivar whole: and with its length.
    """

    before: int
    size: int
    whole: int


class Separator:
    """Finds the messages in a lane.

    :param longest: bytes of a message, at most. What is longer is passed over, and costs no memory.
    :ivar too_long: those that were passed over, for the caller to take out after each :meth:`feed`.
    :ivar broken: what is no length was found: nothing is found behind it.
    """

    def __init__(self, longest: int) -> None:
        self.broken = False
        self.too_long: list[TooLong] = []
        self._longest = longest
        self._keeps = True  # what is missing of the present message
        self._prefix = b""  # the beginning of a length
        self._body = Pieces()  # of a message
        self._missing = 0  # how many bytes of it

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the lane; return the messages that are whole now."""
        if self.broken:
            return []
        if len(data) < self._missing:
            self._missing -= len(data)
            if self._keeps:
                self._body.add(data)
            return []
        if not self._missing:
            return self._find(self._prefix + data if self._prefix else data, 0, [])
        end, self._missing = self._missing, 0
        if not self._keeps:
            self._keeps = True
            return self._find(data, end, [])
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
                if size == _SENSELESS:
                    self.broken = True
                    return messages
                self.too_long.append(TooLong(len(messages), size, start - at + size))
                at = start + size
                if at > end:
                    self._missing, self._keeps = at - end, False
                    return messages
                continue
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
