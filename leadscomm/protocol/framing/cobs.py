"""COBS with a CRC: any payload, found again after noise at the next zero."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain
from operator import add
from struct import Struct

from leadscomm.protocol.framing.base import DEFAULT_MAX_MESSAGE, Framing, Pieces, excerpt, plain, split
from leadscomm.protocol.framing.crc import crc as crc_named

DEFAULT_CRC = "crc-32"
_RUN = 254
"""The longest run of bytes other than zero that one code byte covers."""

_CODE = tuple(bytes([size + 1]) for size in range(_RUN + 1))
"""The code byte of a run of each length."""

_FULL = b"\xff"
"""The code byte of a full run; no zero follows it."""

_STEP = _RUN + 1
"""Bytes of a full run with its code byte."""

_MANY = 4
"""From so many full runs in a row on, they are taken by one call: data without zeros."""

_MOST = 64
"""So many are taken by one call at most."""

_EMPTY = b"\x01"
"""The code byte of an empty run: of a zero that follows another."""

_LONG = 16
"""From so many of these on, they are taken by one call: data with many zeros."""

_LONG_EMPTY = _EMPTY * _LONG
_LONG_ZEROS = bytes(_LONG)
_ZEROS = re.compile(b"\0(\0{%d,})" % (_LONG - 1))
_EMPTIES = re.compile(_EMPTY + b"*")
_SPARSE = 4
"""One zero in so many bytes makes it worth while to look for them."""


@cache
def _runs(count: int) -> Struct:
    """So many full runs."""
    return Struct(f"{_RUN}s" * count)


@cache
def _coded_runs(count: int) -> Struct:
    """The same, each behind its code byte."""
    return Struct(f"x{_RUN}s" * count)


def cobs_encode(body: bytes) -> bytes:
    """Return ``body`` without its zeros (Consistent Overhead Byte Stuffing), without a closing zero.

    ``len(body) // 254 + 1`` bytes are added at most.
    """
    if 0 not in body and len(body) <= _RUN:
        return _CODE[len(body)] + body
    if len(body) < _RUN:
        return b"".join([_CODE[len(run)] + run for run in body.split(b"\0")])
    runs = split(body, b"\0")
    pieces: list[bytes] = []
    put = pieces.append
    sparse = len(runs) > len(body) // _SPARSE and _LONG_ZEROS in body
    for part, zeros in _between_zeros(body) if sparse else ((runs, b""),):
        for run in part:
            if len(run) >= _RUN:
                run = _encode_full(run, put)
            put(_CODE[len(run)])
            put(run)
        put(_EMPTY * len(zeros))
    if not run and runs[-1]:  # a full run ends the body: nothing is left to code
        del pieces[-3:]
    return b"".join(pieces)


def _between_zeros(body: bytes) -> Iterator[tuple[list[bytes], bytes]]:
    """Cut a body at its long runs of zeros: the runs before each of these, and the zeros behind the first one."""
    parts = _ZEROS.split(body)
    for part, zeros in zip(parts[::2], chain(parts[1::2], (b"",))):
        yield part.split(b"\0"), zeros


def _encode_full(run: bytes, put: Callable[[bytes], None]) -> bytes:
    """Code the full runs that a long one begins with; return the rest."""
    at, left = 0, len(run)
    while left >= _MANY * _RUN:
        count = min(left // _RUN, _MOST)
        put(_FULL)
        put(_FULL.join(_runs(count).unpack_from(run, at)))
        at += count * _RUN
        left -= count * _RUN
    while left >= _RUN:
        put(_FULL)
        put(run[at : at + _RUN])
        at += _RUN
        left -= _RUN
    return run[at:]


def cobs_decode(frame: bytes) -> bytes | None:
    """Return what `cobs_encode` was given, or None if ``frame`` cannot be its work."""
    if not frame or 0 in frame:
        return None
    size = len(frame)
    code = at = frame[0]
    if at == size:
        return frame[1:]
    body = bytearray(frame)
    pieces: list[bytes | bytearray] = []
    start = 1
    many_end = size - _MANY * _STEP
    sparse = _LONG_EMPTY in frame
    while at < size:
        if code == 255:  # the next code byte stands for no zero: it goes
            pieces.append(body[start:at])
            code = frame[at]
            if code == 255 and at < many_end and frame[at + _MANY * _STEP - _STEP] == 255:
                codes = frame[at : min(at + _MOST * _STEP, size - _STEP) : _STEP]
                count = len(codes) - len(codes.lstrip(_FULL))
                pieces += _coded_runs(count).unpack_from(frame, at)
                at += count * _STEP
                code = frame[at]
            start = at + 1
        elif sparse and code == 1 and frame[at : at + _LONG] == _LONG_EMPTY:
            first = at
            at = _EMPTIES.match(frame, at).end()  # type: ignore[union-attr]
            body[first:at] = bytes(at - first)
            continue
        else:
            code = frame[at]
            body[at] = 0
        at += code
    if at != size:
        return None
    pieces.append(body[start:])
    return b"".join(pieces)


class CobsFraming(Framing):
    """``COBS(payload | crc) 00``. Carries any bytes, notices any damage, and goes on at the next zero.

    :ivar crc: name of the CRC.
    """

    name = "cobs"
    any_byte = True

    def __init__(self, crc: str = DEFAULT_CRC, max_message: int = DEFAULT_MAX_MESSAGE) -> None:
        super().__init__(max_message)
        chosen = crc_named(crc)
        self.crc = chosen.name
        self._wire = chosen.wire
        self._wires = chosen.wires
        self._check_size = chosen.size
        self.resize(max_message)
        self._head = Pieces()
        self._skipping = False  # inside a frame that is already too long

    def resize(self, max_message: int) -> None:
        super().resize(max_message)
        body = max_message + self._check_size
        self._longest_run = min(_RUN, body) + 1  # a frame without zeros inside, as its code byte counts it
        self._longest_frame = body + body // _RUN + 1  # without its zero

    def encode(self, message: bytes) -> bytes:
        if type(message) is not bytes:
            message = plain(message)
        self.check(message)
        return cobs_encode(message + self._wire(message)) + b"\0"

    def encode_all(self, messages: list[bytes]) -> bytes:
        bodies = map(add, messages, self._wires(messages))
        frames = [cobs_encode(body) if 0 in body or len(body) > _RUN else _CODE[len(body)] + body for body in bodies]
        frames.append(b"")
        return b"\0".join(frames)

    def feed(self, data: bytes) -> list[bytes]:
        if type(data) is not bytes:
            data = bytes(data)
        frames = split(data, b"\0")
        rest = frames.pop()
        messages: list[bytes] = []
        if frames:
            if self._skipping:
                self._skipping = False
                del frames[0]
            elif self._head.parts:
                self._head.add(frames[0])
                frames[0] = self._head.take()
            messages = self._all(frames) if all(frames) else self._all(list(filter(None, frames)))
        if rest and not self._skipping:
            self._keep(rest)
        return messages

    @property
    def remainder(self) -> bytes:
        return self._head.peek()

    def clear(self) -> None:
        self._head.clear()
        self._skipping = False

    def _keep(self, rest: bytes) -> None:
        self._head.add(rest)
        if self._head.size > self._longest_frame:
            self._refuse_long(self._head.peek())
            self._head.clear()
            self._skipping = True

    def _all(self, frames: list[bytes]) -> list[bytes]:
        """The messages of ``frames``, all at once; one by one where anything is wrong."""
        size, longest_run, longest = self._check_size, self._longest_run, self.max_message + self._check_size
        payloads: list[bytes] = []
        checks: list[bytes] = []
        for frame in frames:
            if size < frame[0] == len(frame) <= longest_run:  # no zero inside
                payloads.append(frame[1:-size])
                checks.append(frame[-size:])
                continue
            body = cobs_decode(frame)
            if body is None or len(body) > longest:
                return self._one_by_one(frames)
            payloads.append(body[:-size])
            checks.append(body[-size:])
        if checks == list(self._wires(payloads)):
            return payloads
        return self._one_by_one(frames)

    def _one_by_one(self, frames: list[bytes]) -> list[bytes]:
        """The messages of the good ones among ``frames``, and a fault for each bad one."""
        size = self._check_size
        messages: list[bytes] = []
        for frame in frames:
            body = cobs_decode(frame) if len(frame) <= self._longest_frame else None
            fits = body is not None and size <= len(body) <= self.max_message + size
            if body is not None and fits and self._wire(body[:-size]) == body[-size:]:
                messages.append(body[:-size])
            else:
                self._refuse(frame, body)
        return messages

    def _refuse(self, frame: bytes, body: bytes | None) -> None:
        """Say what is wrong with a frame."""
        size = self._check_size
        if len(frame) > self._longest_frame or (body is not None and len(body) - size > self.max_message):
            self._refuse_long(frame)
        elif body is None:
            self.add_fault(f"a frame of {len(frame)} bytes is not COBS: {excerpt(frame)}")
        elif len(body) < size:
            self.add_fault(f"a frame of {len(body)} bytes is shorter than its {self.crc}: {excerpt(body)}")
        else:
            expected, received = self._wire(body[:-size]).hex(), body[-size:].hex()
            self.add_fault(
                f"a message of {len(body) - size} bytes came with {self.crc} {received} instead of {expected}: "
                f"{excerpt(body)}"
            )

    def _refuse_long(self, frame: bytes) -> None:
        seen = excerpt(frame[: self._longest_frame + 1])
        self.add_fault(f"a frame holds more than {self.max_message} bytes (max_message), it begins with {seen}")
