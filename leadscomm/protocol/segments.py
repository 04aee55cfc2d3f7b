"""The frames of the full profile, and what protects them. ``docs/wire-protocol.md``, "Full profile".

::

    data      header(1) epoch(4) offset(8) bytes [seal]
    control   header(1) epoch(4) body      [seal]
"""

from __future__ import annotations

import hashlib
import hmac
import struct
import zlib
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, Protocol

from leadscomm.protocol import frames as wire
from leadscomm.protocol.handshake import FULL, MANY, NO_SESSION, Handshake, Refusal

PONG: Final = 6
LANES: Final = 8
MESSAGES: Final = 0
"""The channel of the application's messages."""
RECORDS: Final = 1
"""The channel of what the toolkit itself says above them: ``records.py``."""
CHANNELS: Final = (MESSAGES, RECORDS)
DATA_OVERHEAD: Final = 13
"""Bytes of a data frame before those of its lane."""
MAX_RANGES: Final = 255

_DATA: Final = struct.Struct("<BIQ")
_CONTROL: Final = struct.Struct("<BI")
_ROOM: Final = struct.Struct("<II")
_LANE: Final = struct.Struct("<BQQB")
_RANGE: Final = struct.Struct("<II")
_CLOCKS: Final = struct.Struct("<QQQ")
_CLOCK: Final = struct.Struct("<Q")
_EPOCH: Final = struct.Struct("<I")
_OFFER: Final = struct.Struct("<IIIB")
_CRC: Final = struct.Struct(">I")
_FIXED_BYTES: Final = 20
"""Header and fields of HELLO and WELCOME; the last of them is the size of the tag behind."""
_KEYED: Final = 1
_MAC_BYTES: Final = 12
_REPLAY: Final = 4096
"""By how many frames one may be late and still be taken: links differ in delay."""


# Data -----------------------------------------------------------------------------------------------------------------


def lane_number(lane: int, channel: int = MESSAGES) -> int:
    """How a lane of a channel is named on the wire. Of two lanes the one with the smaller number is more urgent."""
    return lane << 3 | channel


def is_lane(number: int) -> bool:
    """Whether there is a lane of this number."""
    return 0 <= number < LANES << 3 and number & 7 in CHANNELS


def data(number: int, epoch: int, offset: int, payload: bytes | bytearray) -> bytes:
    """A piece of a lane.

    :param number: that of the lane, from :func:`lane_number`.
    :param offset: where in the lane its first byte is.
    """
    return _DATA.pack(wire.DATA << 6 | number, epoch, offset) + payload


class Data(NamedTuple):
    epoch: int
    number: int
    offset: int
    payload: bytes


def read_data(frame: bytes) -> Data | None:
    """Take a data frame apart, its seal broken already; None if it is cut off, or of a lane that there is not."""
    if len(frame) < DATA_OVERHEAD:
        return None
    header, epoch, offset = _DATA.unpack_from(frame)
    number = header & 63
    return Data(epoch, number, offset, frame[DATA_OVERHEAD:]) if is_lane(number) else None


# Control --------------------------------------------------------------------------------------------------------------


def control(which: int, epoch: int, body: bytes = b"") -> bytes:
    return _CONTROL.pack(wire.CONTROL << 6 | which << 3, epoch) + body


class Control(NamedTuple):
    epoch: int
    which: int
    body: bytes


def read_control(frame: bytes) -> Control | None:
    """Take a control frame apart, its seal broken already; None if it is cut off."""
    if len(frame) < _CONTROL.size:
        return None
    header, epoch = _CONTROL.unpack_from(frame)
    return Control(epoch, header >> 3 & 7, frame[_CONTROL.size :])


class LaneAck(NamedTuple):
    """What came of one lane.

    :ivar dealt: the messages before this offset were dealt with.
    :ivar received: all bytes before this offset came.
    :ivar ranges: what came besides: offsets of the first byte, and of the one behind the last.
    """

    number: int
    dealt: int
    received: int
    ranges: tuple[tuple[int, int], ...] = ()


class Ack(NamedTuple):
    """:ivar room: bytes, and
    :ivar messages: messages that may be under way, from what was dealt with on.
    """

    room: int
    messages: int
    lanes: tuple[LaneAck, ...]

    def body(self) -> bytes:
        parts = [_ROOM.pack(self.room, self.messages)]
        for number, dealt, received, ranges in self.lanes:
            parts.append(_LANE.pack(number, dealt, received, len(ranges)))
            parts += [_RANGE.pack(first - received, last - first) for first, last in ranges]
        return b"".join(parts)

    @classmethod
    def decode(cls, body: bytes) -> Ack | None:
        """Read what is behind header and epoch; None if it is cut off or names a lane that there is not."""
        lanes, at, end = [], _ROOM.size, len(body)
        if end < at:
            return None
        while at < end:
            ranges_at = at + _LANE.size
            if ranges_at > end:
                return None
            number, dealt, received, count = _LANE.unpack_from(body, at)
            at = ranges_at + count * _RANGE.size
            if at > end or not is_lane(number):
                return None
            ranges = _RANGE.iter_unpack(body[ranges_at:at])
            came = tuple([(received + first, received + first + size) for first, size in ranges])
            lanes.append(LaneAck(number, dealt, received, came))
        room, messages = _ROOM.unpack_from(body)
        return cls(room, messages, tuple(lanes))


LANE_ACK_BYTES: Final = _LANE.size
RANGE_BYTES: Final = _RANGE.size
ACK_BYTES: Final = _CONTROL.size + _ROOM.size


def clock(now: float) -> int:
    """Seconds as clocks travel: in microseconds, from any beginning."""
    return int(now * 1_000_000)


def ping(epoch: int, clock: int) -> bytes:
    """:param clock: microseconds from any beginning."""
    return control(wire.PING, epoch, _CLOCK.pack(clock))


def pong(epoch: int, clock: int, came: int, left: int) -> bytes:
    """:param clock: that of the PING; ``came`` and ``left`` are this side's, when the one came and the other goes."""
    return control(PONG, epoch, _CLOCKS.pack(clock, came, left))


def read_ping(body: bytes) -> int | None:
    return int(_CLOCK.unpack_from(body)[0]) if len(body) >= _CLOCK.size else None


def read_pong(body: bytes) -> tuple[int, int, int] | None:
    return _CLOCKS.unpack_from(body) if len(body) >= _CLOCKS.size else None


# Seals ----------------------------------------------------------------------------------------------------------------


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

    overhead = _CLOCK.size + _MAC_BYTES

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
        body = frame + _CLOCK.pack(self._count)
        return body + _mac(self._out, body)

    def open(self, frame: bytes) -> bytes | None:
        if len(frame) <= self.overhead:
            return None
        body = frame[:-_MAC_BYTES]
        if not hmac.compare_digest(_mac(self._in, body), frame[-_MAC_BYTES:]):
            return None
        (count,) = _CLOCK.unpack_from(body, len(body) - _CLOCK.size)
        return body[: -_CLOCK.size] if self._fresh(count) else None

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


def _closed(frame: bytes, key: bytes | None) -> bytes:
    """A frame that comes before there is a session, with what protects it."""
    return frame + (_CRC.pack(zlib.crc32(frame)) if key is None else _hmac(key, b"LSK1" + frame)[:_MAC_BYTES])


def _intact(frame: bytes, size: int, key: bytes | None) -> bool:
    """Whether what is behind the first ``size`` bytes of a frame protects them."""
    return hmac.compare_digest(_closed(frame[:size], key), frame[: size + (_CRC.size if key is None else _MAC_BYTES)])


# Handshake ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Offer:
    """What a peer that speaks the full profile says of itself.

    :ivar handshake: what it says in either profile.
    :ivar segment: the longest frame that it takes, in bytes behind the header.
    :ivar room: bytes that may be under way to it and not dealt with.
    :ivar messages: and messages.
    :ivar key: what it shares with its peer; each frame carries a proof then. It is not on the wire.
    """

    handshake: Handshake
    segment: int = 1 << 16
    room: int = 4 << 20
    messages: int = 1 << 16
    key: bytes | None = field(default=None, repr=False)

    @property
    def epoch(self) -> int:
        return self.handshake.epoch

    def hello(self, echo: int = 0) -> bytes:
        """The frame that asks.

        :param echo: the peer's epoch, where a link joins a present session.
        """
        return self._with_block(replace(self._said(), echo=echo, profiles=self.handshake.profiles | FULL).hello())

    def welcome(self, asked: Offer) -> bytes:
        """The frame that answers ``asked``."""
        return self._with_block(self._said().welcome(asked.handshake, FULL))

    def _said(self) -> Handshake:
        return replace(self.handshake, segment=min(self.segment, MANY))

    def _with_block(self, frame: bytes) -> bytes:
        options = 0 if self.key is None else _KEYED
        return _closed(frame + _OFFER.pack(self.segment, self.room, self.messages, options), self.key)

    @classmethod
    def decode(cls, frame: bytes, key: bytes | None) -> Offer | None:
        """Read a HELLO or WELCOME; None if it does not speak of the full profile, or was damaged or forged.

        :param key: what this side holds.
        """
        handshake = Handshake.decode(frame[1:])
        if handshake is None or handshake.epoch == 0:
            return None
        at = _FIXED_BYTES + frame[_FIXED_BYTES - 1]
        end = at + _OFFER.size
        if len(frame) < end or not _intact(frame, end, key):
            return None
        segment, room, messages, _ = _OFFER.unpack_from(frame, at)
        return cls(handshake, segment, room, messages, key)


def keyed(frame: bytes) -> bool:
    """Whether a HELLO or WELCOME says that its sender has a key; to name what does not fit, not to trust it."""
    at = _FIXED_BYTES + (frame[_FIXED_BYTES - 1] if len(frame) >= _FIXED_BYTES else 0) + _OFFER.size - 1
    return len(frame) > at and bool(frame[at] & _KEYED)


def no_session(epoch: int, key: bytes | None) -> bytes:
    """The REFUSE that says that there is no session with the one of this epoch."""
    return _closed(Refusal(NO_SESSION).frame() + _EPOCH.pack(epoch), key)


def read_no_session(frame: bytes, key: bytes | None) -> int | None:
    """The epoch in such a REFUSE; None if it is none, or was damaged or forged."""
    size = len(Refusal(NO_SESSION).frame())
    if frame[:size] != Refusal(NO_SESSION).frame() or len(frame) < size + _EPOCH.size:
        return None
    return int(_EPOCH.unpack_from(frame, size)[0]) if _intact(frame, size + _EPOCH.size, key) else None
