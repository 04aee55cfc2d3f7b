"""What every framing is, and the pieces that several of them share. No I/O.

A framing cuts a byte stream into messages and puts messages on the stream. One object serves one connection.
``docs/wire-protocol.md`` describes each framing's bytes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from leadscomm.errors import EndpointError, LocalProtocolError, RemoteProtocolError

DEFAULT_MAX_MESSAGE = 1 << 20
"""The longest message, in bytes, that a framing carries unless told otherwise."""

MAX_FAULTS_KEPT = 16
"""How many bad frames are remembered one by one between two calls of `Framing.take_faults`."""


class Framing(ABC):
    """Turns messages into frames and a stream of frames into messages, without touching the world.

    Threads: `check`, `encode`, `encode_all` and `encode_parts` change nothing and may be called from several threads at
    once. `feed`, `take_faults`, `finish`, `clear` and `remainder` belong to the one thread that reads.

    A framing of one's own needs `encode` and `feed`; one that holds bytes back between two feeds also `remainder` and
    `clear`. `leadscomm.protocol.register_framing` gives it a name.

    :ivar max_message: longest message in bytes, both ways.
    :ivar broken: True once a bad frame made the rest of the stream meaningless; `feed` then returns nothing any more.
    :ivar faults: bad frames since the last `take_faults`; normally empty.
    """

    name: ClassVar[str] = ""
    farewell: bytes | None = None
    """The payload that says "I am leaving" in this framing, or None: then only the end of the stream says it."""

    any_byte: ClassVar[bool] = False
    """Whether a frame may hold any byte, whatever the message holds."""

    joins: ClassVar[bool] = True
    """Whether frames may share a write: False where the transport keeps the bounds, as UDP does."""

    def __init__(self, max_message: int = DEFAULT_MAX_MESSAGE) -> None:
        if max_message < 1:
            raise EndpointError(f"max_message={max_message} leaves room for no message: give 1 or more bytes")
        self.max_message = max_message
        self.broken = False
        self.faults: list[RemoteProtocolError] = []
        self._faults_not_kept = 0

    def resize(self, max_message: int) -> None:
        """Take messages up to another length from now on. The thread that reads only."""
        self.max_message = max_message

    def check(self, message: bytes) -> None:
        """Raise `LocalProtocolError`, naming the mend, if this framing cannot carry ``message``.

        :raises TypeError: ``message`` is not bytes, bytearray or memoryview.
        """
        if type(message) is not bytes:
            message = plain(message)
        if len(message) > self.max_message:
            raise self._too_long(message)

    def avoid(self, lost: bytes) -> None:
        """The line below does not carry these bytes, as with flow control by XON and XOFF, or seven data bits. Before
        the first message.

        A framing of one's own may refuse in `check` what holds them.

        :raises EndpointError: frames may hold them whatever the message holds; the text says only that.
        """
        if self.any_byte:
            raise EndpointError(f"framing={self.name} needs every byte")

    @abstractmethod
    def encode(self, message: bytes) -> bytes:
        """Return ``message`` as one frame; raises what `check` raises."""

    def encode_all(self, messages: list[bytes]) -> bytes:
        """Return one block that holds a frame of each message, in order. The messages have passed `check` before."""
        return b"".join(map(self.encode, messages))

    def encode_parts(self, message: bytes) -> tuple[bytes, ...]:
        """Return one frame in pieces whose concatenation it is, so that a large message can be written without being
        copied (``socket.sendmsg``). The message has passed `check` before."""
        return (self.encode_all([message]),)

    @abstractmethod
    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream and return every message that is whole now. Never raises.

        Bad frames go to `faults`; the good messages before (and, where the framing can find its feet again, after)
        them are returned. The cut of the stream into ``data`` has no influence on messages and faults.
        """

    @property
    def remainder(self) -> bytes:
        """The bytes that were fed and are not yet a whole frame."""
        return b""

    def clear(self) -> None:
        """Forget the remainder. Faults and `broken` stay."""
        return  # nothing is held back

    def take_faults(self) -> list[RemoteProtocolError]:
        """Return the bad frames seen since the last call and forget them.

        At most `MAX_FAULTS_KEPT`; the text of the last one tells how many more there were.
        """
        faults, self.faults = self.faults, []
        if self._faults_not_kept:
            faults[-1] = RemoteProtocolError(f"{faults[-1]} (and {self._faults_not_kept} more bad frames after this)")
            self._faults_not_kept = 0
        return faults

    def count_faults(self) -> int:
        """Forget the bad frames seen since the last `take_faults`; return how many they were."""
        count = len(self.faults) + self._faults_not_kept
        self.faults, self._faults_not_kept = [], 0
        return count

    def adopt_faults(self, other: Framing) -> None:
        """Take over the bad frames that a framing has seen which this one is made of."""
        for fault in other.faults:
            self.add_fault(str(fault))
        self._faults_not_kept += other._faults_not_kept
        other.count_faults()

    def finish(self) -> RemoteProtocolError | None:
        """The stream has ended: forget the remainder, and return an error if it was a message cut short."""
        rest = self.remainder
        self.clear()
        if self.broken or not rest:
            return None
        return RemoteProtocolError(f"the stream ended inside a message, after {len(rest)} bytes of it: {excerpt(rest)}")

    def add_fault(self, text: str, *, broken: bool = False) -> None:
        """Remember a bad frame; called by `feed`.

        :param broken: nothing behind the bad frame can be trusted: the remainder is forgotten and `broken` set.
        """
        if len(self.faults) < MAX_FAULTS_KEPT:
            self.faults.append(RemoteProtocolError(text))
        else:
            self._faults_not_kept += 1
        if broken:
            self.broken = True
            self.clear()

    def _too_long(self, message: bytes) -> LocalProtocolError:
        return LocalProtocolError(
            f"the message has {len(message)} bytes and {self.name} framing carries {self.max_message}: "
            "send it in pieces, or raise max_message on both sides"
        )


class Pieces:
    """Bytes collected chunk by chunk, joined once: linear in time for any size of chunk.

    Tiny chunks are merged now and then, so that memory stays below about twice the bytes held.
    """

    __slots__ = ("parts", "size")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0

    def add(self, piece: bytes) -> None:
        parts = self.parts
        parts.append(piece)
        self.size += len(piece)
        # The threshold grows with the size: a merge is paid for by the many small pieces since the last one.
        if len(parts) * 64 > self.size + 4096:
            parts[:] = [b"".join(parts)]

    def peek(self) -> bytes:
        return b"".join(self.parts)

    def take(self) -> bytes:
        """Return everything and be empty."""
        whole = b"".join(self.parts)
        self.clear()
        return whole

    def clear(self) -> None:
        self.parts.clear()
        self.size = 0


_LONG = 512
"""Messages longer than this, in bytes, are found faster one by one than by one split."""


def split(data: bytes, mark: bytes) -> list[bytes]:
    """Do what ``data.split(mark)`` does, several times as fast where the mark is one byte and the pieces are long.

    A split looks at every byte. A find skips to one byte at the speed of memory, but costs 200 ns a piece.
    """
    if len(data) < _LONG or len(mark) > 1:
        return data.split(mark)
    found = data.find(mark)
    second = data.find(mark, found + 1) if found >= 0 else -1
    if 0 <= second < found + _LONG:  # the first piece tells nothing: often it is the end of a message
        return data.split(mark)
    pieces: list[bytes] = []
    at = 0
    while found >= 0:
        pieces.append(data[at:found])
        at = found + 1
        found = data.find(mark, at)
        if 0 <= found < at + _LONG:
            return pieces + data[at:].split(mark)
    pieces.append(data[at:])
    return pieces


def plain(value: object, what: str = "a message") -> bytes:
    """Return something bytes-like as plain, unchangeable bytes.

    :raises TypeError: it is something else; the text names the mend.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, str):
        raise TypeError(f"{what} is bytes, not str: call .encode() on the text")
    kind = type(value).__name__
    raise TypeError(f"{what} is bytes, not {kind}: make bytes of it first, for example with str(...).encode()")


def excerpt(data: bytes) -> str:
    """The first 16 bytes in hexadecimal, for error texts."""
    return data[:16].hex(" ") + (" ..." if len(data) > 16 else "")
