"""The records of streams: what a stream's sender and its receiver say. ``docs/wire-protocol.md``, "Streams".

::

    record   kind(1) = 2   what(1)   number(4)   body

    OFFER    options(1) size(8) name            ACCEPT   offset(8) credit(4) digest(32)
    DATA     offset(8) bytes                    GOT      offset(8)
    END      size(8) digest(32)                 DONE
    DROP     code(1) reason                     REFUSE   code(1) reason
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple, TypeAlias

from leadscomm.errors import RemoteProtocolError
from leadscomm.protocol.records.durable import STREAM
from leadscomm.protocol.words import words

SAID_ON: Final = 7
"""The lane of what a stream's sender says."""
ANSWERED_ON: Final = 6
"""The lane of the receiver's answers, which are short and must not wait behind this side's own streams."""
AT_ONCE: Final = 16
"""So many streams of one sender may be open at a time."""
DIGEST_BYTES: Final = 32
TEXT_BYTES: Final = 255
"""Bytes of a name or a reason, at most."""
DATA_OVERHEAD: Final = 14
"""Bytes of a DATA record before those of the stream."""
UNKNOWN_SIZE: Final = (1 << 64) - 1

CANCELLED: Final = 1
NOT_WANTED: Final = 2
FAILED: Final = 3
DAMAGED: Final = 4
BROKEN: Final = 5

_OFFER, _DATA, _END, _DROP, _ACCEPT, _GOT, _DONE, _REFUSE = range(8)
_REPEATABLE: Final = 1

_HEAD: Final = struct.Struct("<BBI")
_OFFERED: Final = struct.Struct("<BQ")
_OFFSET: Final = struct.Struct("<Q")
_ACCEPTED: Final = struct.Struct(f"<QI{DIGEST_BYTES}s")
_ENDED: Final = struct.Struct(f"<Q{DIGEST_BYTES}s")


class Offer(NamedTuple):
    """A stream is offered.

    :ivar number: names it among those that are open.
    :ivar size: its bytes; None: not known beforehand.
    :ivar name: what its sender calls it; any characters, and never a path.
    :ivar repeatable: its sender can go on from any offset.
    """

    number: int
    size: int | None
    name: str
    repeatable: bool

    def record(self) -> bytes:
        size = UNKNOWN_SIZE if self.size is None else self.size
        return _head(_OFFER, self.number) + _OFFERED.pack(self.repeatable, size) + _cut(self.name)


class Data(NamedTuple):
    """A piece of it.

    :ivar offset: where in the stream its first byte is.
    """

    number: int
    offset: int
    payload: bytes

    def record(self) -> bytes:
        return b"".join((_head(_DATA, self.number), _OFFSET.pack(self.offset), self.payload))


class End(NamedTuple):
    """That was all of it.

    :ivar digest: SHA-256 of the whole stream.
    """

    number: int
    size: int
    digest: bytes

    def record(self) -> bytes:
        return _head(_END, self.number) + _ENDED.pack(self.size, self.digest)


class Drop(NamedTuple):
    """Its sender gives it up."""

    number: int
    code: int
    reason: str

    def record(self) -> bytes:
        return _head(_DROP, self.number) + bytes([self.code]) + _cut(self.reason)


class Accept(NamedTuple):
    """Its receiver takes it.

    :ivar offset: how much of it is there already.
    :ivar credit: bytes that may be under way beyond what the receiver has told to be written.
    :ivar digest: SHA-256 of what is there already.
    """

    number: int
    offset: int
    credit: int
    digest: bytes

    def record(self) -> bytes:
        return _head(_ACCEPT, self.number) + _ACCEPTED.pack(self.offset, self.credit, self.digest)


class Got(NamedTuple):
    """All before the offset was written."""

    number: int
    offset: int

    def record(self) -> bytes:
        return _head(_GOT, self.number) + _OFFSET.pack(self.offset)


class Done(NamedTuple):
    """All of it is there and whole."""

    number: int

    def record(self) -> bytes:
        return _head(_DONE, self.number)


class Refuse(NamedTuple):
    """Its receiver does not take it, or no more of it."""

    number: int
    code: int
    reason: str

    def record(self) -> bytes:
        return _head(_REFUSE, self.number) + bytes([self.code]) + _cut(self.reason)


Said: TypeAlias = Offer | Data | End | Drop
Answer: TypeAlias = Accept | Got | Done | Refuse


def read(record: bytes) -> Said | Answer | None:
    """Take a record apart; None: it says something that this version does not know.

    :raises RemoteProtocolError: it is cut off.
    """
    try:
        _, what, number = _HEAD.unpack_from(record)
        return _read_body(what, number, record[_HEAD.size :])
    except (struct.error, IndexError):
        raise RemoteProtocolError(f"a record of a stream is cut off ({record[:16].hex(' ')})") from None


def _read_body(what: int, number: int, body: bytes) -> Said | Answer | None:
    if what == _DATA:
        (offset,) = _OFFSET.unpack_from(body)
        return Data(number, offset, body[_OFFSET.size :])
    if what == _GOT:
        return Got(number, *_OFFSET.unpack_from(body))
    if what == _OFFER:
        options, size = _OFFERED.unpack_from(body)
        known = None if size == UNKNOWN_SIZE else size
        return Offer(number, known, _text(body[_OFFERED.size :]), bool(options & _REPEATABLE))
    if what == _ACCEPT:
        return Accept(number, *_ACCEPTED.unpack_from(body))
    if what == _END:
        return End(number, *_ENDED.unpack_from(body))
    if what == _DONE:
        return Done(number)
    if what == _DROP:
        return Drop(number, body[0], _text(body[1:]))
    if what == _REFUSE:
        return Refuse(number, body[0], _text(body[1:]))
    return None


def _head(what: int, number: int) -> bytes:
    return _HEAD.pack(STREAM, what, number)


def _cut(text: str) -> bytes:
    """As UTF-8; what is too long ends with its last whole character."""
    return text.encode("utf-8", "replace")[:TEXT_BYTES].decode("utf-8", "ignore").encode()


def _text(data: bytes) -> str:
    return words(data[:TEXT_BYTES])
