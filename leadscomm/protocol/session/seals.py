"""What protects the frames of the full profile. ``docs/wire-protocol.md``, "Full profile"."""

from __future__ import annotations

import hashlib
import hmac
import struct
import zlib
from typing import Final, Protocol

_EPOCH: Final = struct.Struct("<I")
_COUNT: Final = struct.Struct("<Q")
_CRC: Final = struct.Struct(">I")
_MAC_BYTES: Final = 12
_REPLAY: Final = 4096
"""By how many frames one may be late and still be taken: links differ in delay."""


class Seal(Protocol):
    """What is behind each frame of a session, so that damage and forgery are found.

    :cvar overhead: its bytes.
    """

    @property
    def overhead(self) -> int: ...

    def seal(self, frame: bytes) -> bytes:
        """The frame as it travels."""
        ...

    def open(self, frame: bytes) -> bytes | None:
        """The frame as it was; None if it is not as it was."""
        ...


class NoSeal:
    """The framing below has a CRC of 32 bits or more."""

    overhead = 0

    def seal(self, frame: bytes) -> bytes:
        return frame

    def open(self, frame: bytes) -> bytes | None:
        return frame


class Checked:
    """A CRC-32 behind each frame."""

    overhead = _CRC.size

    def seal(self, frame: bytes) -> bytes:
        return frame + _CRC.pack(zlib.crc32(frame))

    def open(self, frame: bytes) -> bytes | None:
        inner = frame[: -_CRC.size]
        return inner if inner and _CRC.pack(zlib.crc32(inner)) == frame[-_CRC.size :] else None


class Proof:
    """A counter and a truncated HMAC behind each frame: only who holds the key made it, and it is taken once.

    :param key: what both sides hold.
    :param mine: the epoch of this side.
    :param peers: that of the other one. The side with the smaller epoch counts as the first.
    """

    overhead = _COUNT.size + _MAC_BYTES

    def __init__(self, key: bytes, mine: int, peers: int) -> None:
        first, second = sorted((mine, peers))
        session_key = _hmac(key, b"LSK1" + _EPOCH.pack(first) + _EPOCH.pack(second))
        own = 1 if mine == first else 2
        self._out = hmac.new(session_key, bytes((own,)), hashlib.sha256)
        self._in = hmac.new(session_key, bytes((3 - own,)), hashlib.sha256)
        self._count = 0
        self._highest = 0
        self._seen = 0  # bit n: the counter n below the highest one came

    def seal(self, frame: bytes) -> bytes:
        self._count += 1
        body = frame + _COUNT.pack(self._count)
        return body + _mac(self._out, body)

    def open(self, frame: bytes) -> bytes | None:
        if len(frame) <= self.overhead:
            return None
        body = frame[:-_MAC_BYTES]
        if not hmac.compare_digest(_mac(self._in, body), frame[-_MAC_BYTES:]):
            return None
        (count,) = _COUNT.unpack_from(body, len(body) - _COUNT.size)
        return body[: -_COUNT.size] if self._fresh(count) else None

    def _fresh(self, count: int) -> bool:
        """Whether the counter came for the first time, as far as that can be said."""
        ahead = count - self._highest
        if ahead > 0:
            self._highest = count
            self._seen = (self._seen << min(ahead, _REPLAY) | 1) & ((1 << _REPLAY) - 1)
            return True
        late = 1 << -ahead if -ahead < _REPLAY else 0
        if not late or self._seen & late:
            return False
        self._seen |= late
        return True


def _mac(state: hmac.HMAC, body: bytes) -> bytes:
    copy = state.copy()
    copy.update(body)
    return copy.digest()[:_MAC_BYTES]


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()


def closed(frame: bytes, key: bytes | None) -> bytes:
    """A frame that comes before there is a session, with what protects it."""
    return frame + (_CRC.pack(zlib.crc32(frame)) if key is None else _hmac(key, b"LSK1" + frame)[:_MAC_BYTES])


def intact(frame: bytes, size: int, key: bytes | None) -> bool:
    """Whether what is behind the first ``size`` bytes of a frame protects them."""
    return hmac.compare_digest(closed(frame[:size], key), frame[: size + closing_bytes(key)])


def closing_bytes(key: bytes | None) -> int:
    """How many bytes :func:`closed` adds."""
    return _CRC.size if key is None else _MAC_BYTES
