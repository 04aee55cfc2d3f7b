"""Framings that say how long a message is: a length before it, or the datagram that it travels in."""

from __future__ import annotations

import struct

from leadscomm.errors import EndpointError, LocalProtocolError
from leadscomm.protocol.framing.base import DEFAULT_MAX_MESSAGE, Framing, Pieces, excerpt, plain

MAX_LENGTH = (1 << 32) - 1
MAX_DATAGRAM = 65507
"""The longest payload of a UDP datagram over IPv4, in bytes."""

_LENGTH = struct.Struct(">I")


class _Heads(dict[int, bytes]):
    """Length prefixes, those of short messages remembered (at most `_REMEMBERED` of them)."""

    _REMEMBERED = 4096

    def __missing__(self, size: int) -> bytes:
        head = _LENGTH.pack(size)
        if size < self._REMEMBERED:
            self[size] = head
        return head


_HEADS = _Heads()


class LengthFraming(Framing):
    """Four bytes with the payload's length, most significant first, then the payload. Carries any bytes."""

    name = "length"
    any_byte = True

    def __init__(self, max_message: int = DEFAULT_MAX_MESSAGE) -> None:
        super().__init__(max_message)
        if max_message > MAX_LENGTH:
            raise EndpointError(f"max_message={max_message}: four bytes of length reach to {MAX_LENGTH}")
        self._head = b""  # the beginning of a length
        self._size = 0  # the length of the message that `_body` is collecting
        self._body = Pieces()
        self._missing = 0  # bytes that `_body` still lacks; 0: no message is being collected

    def encode(self, message: bytes) -> bytes:
        if type(message) is not bytes:
            message = plain(message)
        self.check(message)
        return _LENGTH.pack(len(message)) + message

    def encode_all(self, messages: list[bytes]) -> bytes:
        frames = [b""] * (2 * len(messages))
        frames[0::2] = map(_HEADS.__getitem__, map(len, messages))
        frames[1::2] = messages
        return b"".join(frames)

    def encode_parts(self, message: bytes) -> tuple[bytes, ...]:
        return (_LENGTH.pack(len(message)), message)

    def feed(self, data: bytes) -> list[bytes]:
        if self.broken:
            return []
        if type(data) is not bytes:
            data = bytes(data)
        if not self._missing:
            return self._frames(self._head + data if self._head else data, 0, [])
        if len(data) < self._missing:
            self._body.add(data)
            self._missing -= len(data)
            return []
        end = self._missing
        self._body.add(data[:end])
        self._missing = 0
        return self._frames(data, end, [self._body.take()])

    @property
    def remainder(self) -> bytes:
        return _LENGTH.pack(self._size) + self._body.peek() if self._missing else self._head

    def clear(self) -> None:
        self._head = b""
        self._missing = 0
        self._body.clear()

    def _frames(self, data: bytes, at: int, messages: list[bytes]) -> list[bytes]:
        """Append the messages of the frames from ``at`` on, and keep what is not whole."""
        self._head = b""
        unpack, longest, end, last_start = _LENGTH.unpack_from, self.max_message, len(data), len(data) - 4
        while at <= last_start:
            (size,) = unpack(data, at)
            start = at + 4
            at = start + size
            if size > longest:
                self._refuse(size)
                return messages
            if at > end:
                self._size = size
                self._missing = at - end
                self._body.add(data[start:])
                return messages
            messages.append(data[start:at])
        self._head = data[at:]
        return messages

    def _refuse(self, size: int) -> None:
        self.add_fault(
            f"a frame begins with {excerpt(_LENGTH.pack(size))} and so announces {size} bytes, {self.max_message} are "
            "allowed (max_message): does the peer use length framing?",
            broken=True,
        )


class DatagramFraming(Framing):
    """One datagram is one message, unchanged. An empty datagram is a sign of life and carries no message.

    The transport keeps datagrams apart, so `feed` takes exactly one, and a bad one says nothing about the next.
    """

    name = "datagram"
    any_byte = True
    joins = False

    def __init__(self, max_message: int = MAX_DATAGRAM) -> None:
        super().__init__(max_message)
        if max_message > MAX_DATAGRAM:
            raise EndpointError(f"max_message={max_message}: a datagram carries at most {MAX_DATAGRAM} bytes")

    def check(self, message: bytes) -> None:
        if type(message) is not bytes:
            message = plain(message)
        if len(message) > self.max_message:
            raise self._too_long(message)
        if not message:
            raise LocalProtocolError(
                "an empty datagram only says that its sender is there, it arrives as no message: send at least one byte"
            )

    def encode(self, message: bytes) -> bytes:
        if type(message) is not bytes:
            message = plain(message)
        self.check(message)
        return message

    def encode_all(self, messages: list[bytes]) -> bytes:
        """Return the one message there may be: datagrams joined would be one datagram.

        :raises LocalProtocolError: there is more than one, or none.
        """
        if len(messages) != 1:
            raise LocalProtocolError(f"{len(messages)} messages do not fit one datagram: send each in one of its own")
        return messages[0]

    def feed(self, data: bytes) -> list[bytes]:
        if len(data) > self.max_message:
            self.add_fault(f"a datagram of {len(data)} bytes, {self.max_message} are allowed (max_message)")
            return []
        return [bytes(data)] if data else []


class WholeFraming(DatagramFraming):
    """Messages as they are, of any size: how they travel, and what the peer takes, is somebody else's matter."""

    def __init__(self) -> None:
        super().__init__()
        self.max_message = 1 << 62

    def check(self, message: bytes) -> None:
        plain(message)
