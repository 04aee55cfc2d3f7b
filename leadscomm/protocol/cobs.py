"""COBS with a CRC: any payload, found again after noise at the next zero."""

from __future__ import annotations

from itertools import pairwise

from leadscomm.protocol.base import DEFAULT_MAX_MESSAGE, Framing, Pieces, excerpt, plain
from leadscomm.protocol.crc import crc as crc_named

DEFAULT_CRC = "crc-32"
_RUN = 254
"""The longest run of bytes other than zero that one code byte covers."""

_CODE = tuple(bytes([size + 1]) for size in range(_RUN + 1))
"""The code byte of a run of each length."""


def cobs_encode(body: bytes) -> bytes:
    """Return ``body`` without its zeros (Consistent Overhead Byte Stuffing), without a closing zero.

    ``len(body) // 254 + 1`` bytes are added at most.
    """
    if 0 not in body and len(body) <= _RUN:
        return _CODE[len(body)] + body
    runs = body.split(b"\0")
    if len(body) < _RUN or len(max(runs, key=len)) < _RUN:
        return b"".join([_CODE[len(run)] + run for run in runs])
    pieces: list[bytes] = []
    for run in runs:
        at, size = 0, len(run)
        while size - at >= _RUN:
            pieces.append(b"\xff" + run[at : at + _RUN])
            at += _RUN
        pieces.append(_CODE[size - at] + run[at:])
    if pieces[-1] == b"\x01" and runs[-1]:  # a full run ends the body: nothing is left to code
        pieces.pop()
    return b"".join(pieces)


def cobs_decode(frame: bytes) -> bytes | None:
    """Return what `cobs_encode` was given, or None if ``frame`` cannot be its work."""
    size = len(frame)
    if not size or 0 in frame:
        return None
    code = at = frame[0]
    if at == size:
        return frame[1:]
    body = bytearray(frame)
    dropped = [0]  # code bytes that stand for no zero
    while at < size:
        after_full_run = code == 255
        code = frame[at]
        if after_full_run:
            dropped.append(at)
        else:
            body[at] = 0
        at += code
    if at != size:
        return None
    dropped.append(size)
    return b"".join([body[i + 1 : j] for i, j in pairwise(dropped)])


class CobsFraming(Framing):
    """``COBS(payload | crc) 00``. Carries any bytes, notices any damage, and goes on at the next zero.

    :ivar crc: name of the CRC.
    """

    name = "cobs"

    def __init__(self, crc: str = DEFAULT_CRC, max_message: int = DEFAULT_MAX_MESSAGE) -> None:
        super().__init__(max_message)
        chosen = crc_named(crc)
        self.crc = chosen.name
        self._wire = chosen.wire
        self._check_size = chosen.size
        body = max_message + chosen.size
        self._longest_frame = body + body // _RUN + 1  # without its zero
        self._head = Pieces()
        self._skipping = False  # inside a frame that is already too long

    def encode(self, message: bytes) -> bytes:
        if type(message) is not bytes:
            message = plain(message)
        self.check(message)
        return cobs_encode(message + self._wire(message)) + b"\0"

    def encode_all(self, messages: list[bytes]) -> bytes:
        wire = self._wire
        frames = [cobs_encode(message + wire(message)) for message in messages]
        frames.append(b"")
        return b"\0".join(frames)

    def feed(self, data: bytes) -> list[bytes]:
        if type(data) is not bytes:
            data = bytes(data)
        frames = data.split(b"\0")
        rest = frames.pop()
        if frames:
            if self._skipping:
                self._skipping = False
                del frames[0]
            elif self._head.parts:
                self._head.add(frames[0])
                frames[0] = self._head.take()
        messages = self._decoded(frames)
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
            self._refuse_long(self._head.take())
            self._skipping = True

    def _decoded(self, frames: list[bytes]) -> list[bytes]:
        """The messages of the good ones among ``frames``."""
        messages: list[bytes] = []
        wire, check_size = self._wire, self._check_size
        for frame in frames:
            if not frame:
                continue
            body = cobs_decode(frame)
            if body is None or len(frame) > self._longest_frame:
                self._refuse(frame, body)
                continue
            payload = body[:-check_size]
            if wire(payload) == body[-check_size:] and len(payload) <= self.max_message and len(body) >= check_size:
                messages.append(payload)
            else:
                self._refuse(frame, body)
        return messages

    def _refuse(self, frame: bytes, body: bytes | None) -> None:
        """Say what is wrong with a frame."""
        size = self._check_size
        if len(frame) > self._longest_frame:
            self._refuse_long(frame)
        elif body is None:
            self._fault(f"a frame of {len(frame)} bytes is not COBS: {excerpt(frame)}")
        elif len(body) < size:
            self._fault(f"a frame of {len(body)} bytes is shorter than its {self.crc}: {excerpt(body)}")
        elif len(body) - size > self.max_message:
            self._refuse_long(frame)
        else:
            received, expected = body[-size:].hex(), self._wire(body[:-size]).hex()
            self._fault(
                f"{self.crc} of a frame of {len(body) - size} bytes is {expected}, received {received}: {excerpt(body)}"
            )

    def _refuse_long(self, frame: bytes) -> None:
        self._fault(
            f"a frame of {len(frame)} bytes and more, messages of {self.max_message} are allowed (max_message), it "
            f"begins with {excerpt(frame)}"
        )
