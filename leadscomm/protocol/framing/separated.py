"""Framings that end each message with a mark: LEADS's separator, and lines."""

from __future__ import annotations

from typing import ClassVar

from leadscomm.errors import EndpointError, LocalProtocolError
from leadscomm.protocol.framing.base import DEFAULT_MAX_MESSAGE, Framing, Pieces, excerpt, plain, split

FAREWELL = b"disconnect"
"""The message that says "I am leaving", as LEADS has it."""

DEFAULT_SEPARATOR = b";"
"""LEADS's."""

_LF, _CR = b"\n\r"


class _MarkedFraming(Framing):
    """Messages, each followed by a mark. What is common to separator and line framing.

    :ivar lost: bytes that the line does not carry, and no message may hold.
    """

    _words: ClassVar[str]

    def __init__(self, mark: bytes, begun: tuple[bytes, ...], max_message: int) -> None:
        """``begun``: what the end of a chunk may be the beginning of a mark with, longest first."""
        super().__init__(max_message)
        self._mark = mark
        self._begun = begun
        self.lost = b""
        self._tail = b""  # the begun mark at the end of the last chunk, if any
        self._head = Pieces()  # the unfinished message before it

    def avoid(self, lost: bytes) -> None:
        if len(self._mark.translate(None, lost)) < len(self._mark):
            raise EndpointError(f"the {self._words} {self._mark!r} holds such a byte")
        self.lost = lost
        if self.farewell is not None and self.farewell.translate(None, lost) != self.farewell:
            self.farewell = None

    def _check_carried(self, message: bytes) -> None:
        left = message.translate(None, self.lost)
        if len(left) < len(message):
            at = next(index for index, byte in enumerate(message) if byte in self.lost)
            raise LocalProtocolError(
                f"the payload holds 0x{message[at]:02x} at byte {at}, which the line does not carry: send text without "
                "it, or use a line with bytesize=8 and without xonxoff"
            )

    def encode(self, message: bytes) -> bytes:
        if type(message) is not bytes:
            message = plain(message)
        self.check(message)
        return message + self._mark

    def encode_all(self, messages: list[bytes]) -> bytes:
        return self._mark.join([*messages, b""])

    def encode_parts(self, message: bytes) -> tuple[bytes, ...]:
        return (message, self._mark)

    def feed(self, data: bytes) -> list[bytes]:
        if self.broken:
            return []
        if type(data) is not bytes:
            data = bytes(data)
        if self._tail:
            data = self._tail + data
            self._tail = b""
        messages = self._split(data)
        rest = messages.pop()
        if messages:
            if self._head.parts:
                self._head.add(messages[0])
                messages[0] = self._head.take()
                if len(messages[0]) > self.max_message:
                    return self._cut(messages)
            if len(data) > self.max_message < max(map(len, messages)):
                return self._cut(messages)
        if rest:
            self._keep(rest)
        return messages

    @property
    def remainder(self) -> bytes:
        return self._head.peek() + self._tail

    def clear(self) -> None:
        self._head.clear()
        self._tail = b""

    def _split(self, data: bytes) -> list[bytes]:
        return split(data, self._mark)

    def _keep(self, rest: bytes) -> None:
        """Keep what follows the last mark. Only its very end is looked at again, when the next bytes come."""
        if self._begun and rest.endswith(self._begun):
            self._tail = next(begun for begun in self._begun if rest.endswith(begun))
            rest = rest[: -len(self._tail)]
        self._head.add(rest)
        if self._head.size > self.max_message:
            self._refuse_long(self._head.peek())

    def _cut(self, messages: list[bytes]) -> list[bytes]:
        """Return the messages before the first one that is too long, and break."""
        first = next(i for i, message in enumerate(messages) if len(message) > self.max_message)
        self._refuse_long(messages[first])
        return messages[:first]

    def _refuse_long(self, seen: bytes) -> None:
        begins = excerpt(seen[: self.max_message + 1])
        self.add_fault(
            f"no {self._mark!r} within {self.max_message} bytes (max_message), the message begins with {begins}: "
            f"does the peer use {self.name} framing, with the same {self._words}?",
            broken=True,
        )


class SeparatorFraming(_MarkedFraming):
    """LEADS's stream: each message followed by the separator, nothing escaped.

    It carries neither a payload that holds the separator nor the payload ``disconnect``, which is the farewell.
    The farewell itself goes out by ``encode_all([framing.farewell])`` and comes in as a message.

    :ivar separator: one byte or more.
    """

    name = "separator"
    _words = "separator"

    def __init__(self, separator: bytes = DEFAULT_SEPARATOR, max_message: int = DEFAULT_MAX_MESSAGE) -> None:
        separator = plain(separator, "a separator")
        if not separator:
            raise EndpointError("the separator is empty: give at least one byte, for example separator=;")
        size = len(separator)
        super().__init__(separator, tuple(separator[:i] for i in range(size - 1, 0, -1)), max_message)
        self.separator = separator
        self._byte = separator[-1]  # what no payload holds that the separator can be found in
        # A separator like b"--" or b"\r\n\r" overlaps itself: a payload with such an end would be cut too early.
        self._bad_ends = tuple(separator[:i] for i in range(1, size) if separator[i:] == separator[:-i])
        self.farewell = FAREWELL if self._found_in(FAREWELL) < 0 else None

    def check(self, message: bytes) -> None:
        if type(message) is not bytes:
            message = plain(message)
        if self._byte in message and self._found_in(message) >= 0:  # an int: eight times as fast as bytes in bytes
            self._refuse(message)
        if self.lost:
            self._check_carried(message)
        size = len(message)
        if size > self.max_message or (size == 10 and message == self.farewell):
            self._refuse(message)

    def _found_in(self, message: bytes) -> int:
        """Where in ``message + separator`` the receiver would find a separator too early, or -1."""
        at = message.find(self.separator)
        if at < 0 and self._bad_ends and message.endswith(self._bad_ends):
            at = (message + self.separator).find(self.separator)
        return at

    def _refuse(self, message: bytes) -> None:
        at = self._found_in(message)
        if at >= 0:
            raise LocalProtocolError(
                f"the payload and the separator {self.separator!r} meet at byte {at}, where the receiver would cut it: "
                "choose a separator that no payload holds, or use framing=cobs or framing=length, which carry any bytes"
            )
        if len(message) > self.max_message:
            raise self._too_long(message)
        raise LocalProtocolError(
            f"the payload {FAREWELL!r} is the farewell of separator framing, the receiver would hang up: "
            "close the connection if that is meant, otherwise use framing=cobs or framing=length"
        )


class LineFraming(_MarkedFraming):
    r"""Lines of text or bytes: ``\n`` after each message; one ``\r`` before it is not part of the message."""

    name = "line"
    _words = "line end"

    def __init__(self, max_message: int = DEFAULT_MAX_MESSAGE) -> None:
        super().__init__(b"\n", (b"\r",), max_message)

    def check(self, message: bytes) -> None:
        if type(message) is not bytes:
            message = plain(message)
        if _LF in message or (_CR in message and message.endswith(b"\r")):
            where = "holds a line feed" if _LF in message else "ends with a carriage return"
            raise LocalProtocolError(
                f"the payload {where}, which the receiver would take for the end of the line: "
                "use framing=cobs or framing=length, which carry any bytes"
            )
        if self.lost:
            self._check_carried(message)
        if len(message) > self.max_message:
            raise self._too_long(message)

    def _split(self, data: bytes) -> list[bytes]:
        if _CR in data:
            data = data.replace(b"\r\n", b"\n")
        return split(data, b"\n")
