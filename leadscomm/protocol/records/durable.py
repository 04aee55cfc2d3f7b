"""What the toolkit itself says above the lanes of a session, beside the application's messages. No I/O.

A record is a message of the channel :data:`~leadscomm.protocol.session.segments.RECORDS`. Its first byte is its kind;
who does not know the kind ignores the record. ``docs/wire-protocol.md``, "Records".

::

    durable message    01 origin(8) seq(8) payload
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

DURABLE: Final = 1
STREAM: Final = 2
GROUPS: Final = 3

_DURABLE: Final = struct.Struct("<B8sQ")
DURABLE_OVERHEAD: Final = _DURABLE.size
"""Bytes of a durable message's record before those of the message."""


def kind_of(record: bytes) -> int:
    """The kind of a record; 0, which there is not, if it is empty."""
    return record[0] if record else 0


class Durable(NamedTuple):
    """A message that outlives the processes at both ends.

    :ivar origin: 8 bytes that name the journal which it was stored in first.
    :ivar seq: its number there; a later message has a greater one.
    """

    origin: bytes
    seq: int
    payload: bytes

    def record(self) -> bytes:
        return _DURABLE.pack(DURABLE, self.origin, self.seq) + self.payload


def read_durable(record: bytes) -> Durable | None:
    """Take the record of a durable message apart; None if it is cut off, or of another kind."""
    if kind_of(record) != DURABLE or len(record) < DURABLE_OVERHEAD:
        return None
    _, origin, seq = _DURABLE.unpack_from(record)
    return Durable(origin, seq, record[DURABLE_OVERHEAD:])
