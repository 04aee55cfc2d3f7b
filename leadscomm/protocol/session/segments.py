"""The frames of the full profile. ``docs/wire-protocol.md``, "Full profile".

::

    data      header(1) epoch(4) offset(8) bytes [seal]
    control   header(1) epoch(4) body      [seal]
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from leadscomm.protocol.session import wire

PONG: Final = 6
LANES: Final = 8
MESSAGES: Final = 0
"""The channel of the application's messages."""
RECORDS: Final = 1
"""The channel of what the toolkit itself says above them: ``records.py``."""
CHANNELS: Final = (MESSAGES, RECORDS)
DATA_OVERHEAD: Final = 13
"""Bytes of a data frame before those of its lane."""
STREAM_SEGMENT_BYTES: Final = 64_000
"""The longest frame on a stream, behind its header; with all that is around it, it stays below 64 KiB."""
AROUND_BYTES: Final = 64
"""More than a seal, a checksum and a header have together."""

_DATA: Final = struct.Struct("<BIQ")
_CONTROL: Final = struct.Struct("<BI")
_ROOM: Final = struct.Struct("<II")
_LANE: Final = struct.Struct("<BQQB")
_RANGE: Final = struct.Struct("<II")
_CLOCKS: Final = struct.Struct("<QQQ")
_CLOCK: Final = struct.Struct("<Q")


# Data -----------------------------------------------------------------------------------------------------------------


def lane_number(lane: int, channel: int = MESSAGES) -> int:
    """How a lane of a channel is named on the wire. Of two lanes the one with the smaller number is more urgent."""
    return lane << 3 | channel


_THERE: Final = frozenset(lane_number(lane, channel) for lane in range(LANES) for channel in CHANNELS)


def is_lane(number: int) -> bool:
    """Whether there is a lane of this number."""
    return number in _THERE


def data(number: int, epoch: int, offset: int, payload: bytes | bytearray) -> bytes:
    """A piece of a lane.

    :param number: that of the lane, from :func:`lane_number`.
    :param offset: where in the lane its first byte is.
    """
    return _DATA.pack(wire.DATA << 6 | number, epoch, offset) + payload


class Segment(NamedTuple):
    epoch: int
    number: int
    offset: int
    payload: bytes


def read_data(frame: bytes) -> Segment | None:
    """Take a data frame apart, its seal broken already; None if it is cut off, or of a lane that there is not."""
    if len(frame) < DATA_OVERHEAD:
        return None
    header, epoch, offset = _DATA.unpack_from(frame)
    number = header & 63
    return Segment(epoch, number, offset, frame[DATA_OVERHEAD:]) if number in _THERE else None


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

    :ivar delivered: the messages before this offset were dealt with.
    :ivar received: all bytes before this offset came.
    :ivar ranges: what came besides: offsets of the first byte, and of the one behind the last.
    """

    number: int
    delivered: int
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
        for number, delivered, received, ranges in self.lanes:
            parts.append(_LANE.pack(number, delivered, received, len(ranges)))
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
            number, delivered, received, count = _LANE.unpack_from(body, at)
            at = ranges_at + count * _RANGE.size
            if at > end or not is_lane(number):
                return None
            ranges = _RANGE.iter_unpack(body[ranges_at:at])
            came = tuple([(received + first, received + first + size) for first, size in ranges])
            lanes.append(LaneAck(number, delivered, received, came))
        room, messages = _ROOM.unpack_from(body)
        return cls(room, messages, tuple(lanes))


LANE_ACK_BYTES: Final = _LANE.size
RANGE_BYTES: Final = _RANGE.size
ACK_BYTES: Final = _CONTROL.size + _ROOM.size


def clock(now: float) -> int:
    """Seconds as clocks travel: in microseconds, from any beginning."""
    return int(now * 1_000_000)


def veiled(clock: int, epoch: int) -> int:
    """The clock in a PING of the side with this epoch, and that from the PING's: who has not heard the epoch cannot
    guess it, and so cannot answer a PING that it did not get."""
    return clock ^ epoch << 32


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
