"""What some received bytes look like: the expected framing, another one, or noise. A guess, and to be called one.

Noise is what a serial line gives at the wrong baud rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from leadscomm.protocol.framing import Framing, FramingSpec
from leadscomm.protocol.framing.board import BOARD_CRC

FITS: Final = "fits"
OTHER: Final = "other"
TEXT: Final = "text"
NOISE: Final = "noise"
FOREIGN: Final = "foreign"
LITTLE: Final = "little"

_CANDIDATES: Final = (
    ("framing=cobs", FramingSpec("cobs")),
    ("framing=cobs&crc=crc-ccitt-false", FramingSpec("cobs", {"crc": "crc-ccitt-false"})),
    ("framing=length", FramingSpec("length")),
    ("framing=line", FramingSpec("line")),
    ("framing=separator", FramingSpec("separator")),
)
_TEXTUAL: Final = ("separator", "line")
_MOSTLY: Final = 0.8
"""Random bytes are printable to four tenths, text to more than nine."""
_ENOUGH: Final = 16
"""Fewer bytes than these say nothing, unless they are a whole message."""
ASKS_FOR_KEY: Final = "asks for a key"
HAS_SESSIONS: Final = "speaks in sessions"
_LOOK_BYTES: Final = 64
_MANY: Final = 8
"""So many frames convince, though another one is begun behind them."""
_HELLO: Final = 0xC8
_HELLO_BYTES: Final = 20
_NO_SESSION: Final = b"\xd8\x01"
_REFUSE_BYTES: Final = 20
_OPENINGS: Final = (
    (b"\x15\x03", "a TLS alert", "use tls://"),
    (b"\x16\x03", "a TLS handshake", "use tls://"),
    (b"HTTP/", "HTTP", "another port is meant"),
    (b"SSH-", "SSH", "another port is meant"),
    (b"LCK1", "leadscomm's key challenge", "give the key with key_file= or key_env="),
)


@dataclass(frozen=True)
class Impression:
    """What bytes look like.

    :ivar verdict: :data:`FITS` the framing that was expected; :data:`OTHER` another one, ``options`` says which;
        :data:`TEXT` readable, but no framing known here ends it; :data:`FOREIGN` a well-known protocol that
        ``protocol`` names; :data:`NOISE` none of these; :data:`LITTLE` too few bytes to say.
    :ivar messages: whole messages in the framing that was expected.
    :ivar faults: bad frames in it.
    :ivar printable: the share of bytes that are text in UTF-8, 0 to 1.
    :ivar options: of an endpoint, for :data:`OTHER`: ``framing=line``.
    :ivar protocol: for :data:`FOREIGN`; ``mend`` is then what to do.
    """

    verdict: str
    messages: int
    faults: int
    printable: float
    options: str = ""
    protocol: str = ""
    mend: str = ""


def look(data: bytes, expected: FramingSpec) -> Impression:
    """Say what ``data``, which is not empty and may begin inside a frame, looks like."""
    if expected.name == "board":  # what is no message there is a frame all the same
        expected = FramingSpec("cobs", {"crc": BOARD_CRC, **dict(expected.options)})
    messages, faults = _read(data, expected.make())
    printable = _printable(data)
    for opening, protocol, mend in _OPENINGS:
        if data.startswith(opening):
            return Impression(FOREIGN, messages, faults, printable, protocol=protocol, mend=mend)
    if _convinces(expected.name, messages, faults, printable):
        return Impression(FITS, messages, faults, printable)
    for options, spec in _CANDIDATES:
        if spec.name != expected.name or spec.name == "cobs":
            other = spec.make()
            seen = _read(data, other)
            if _convinces(spec.name, *seen, printable) and (
                spec.name != "length" or seen[0] >= _MANY or not other.remainder
            ):
                return Impression(OTHER, messages, faults, printable, options=options)
    unknown = TEXT if printable >= _MOSTLY else NOISE
    return Impression(unknown if len(data) >= _ENOUGH else LITTLE, messages, faults, printable)


def greeting(data: bytes) -> str:
    """What a peer that begins with ``data`` wants, with the mend, where it is the greeting of another kind of
    conversation of leadscomm's than a plain one; otherwise nothing.

    :param data: of a stream, perhaps cut off, or one message.
    """
    if data.startswith(b"LCK1"):
        mend = "give both sides the same key (key_file= or key_env=), or neither"
        return f"{ASKS_FOR_KEY}, and this side has none: {mend}"
    if any(map(_begins_session, _as_they_travel(data))):
        return f"{HAS_SESSIONS}, and this side does not: give both sides reliable=1, or neither"
    return ""


def asks_for_session(data: bytes) -> bool:
    """Whether it begins with a HELLO of the protocol's version that asks for a session, damaged or not."""
    return any(
        len(body) >= _HELLO_BYTES and body[0] == _HELLO and body[1] == 1 and 0 < body[2] < 4
        for body in _as_they_travel(data)
    )


def _as_they_travel(data: bytes) -> tuple[bytes, ...]:
    """What it begins with, if that is a frame: alone, in COBS, behind a length."""
    return data, _unstuffed(data[:_LOOK_BYTES]), data[4:]


def _unstuffed(data: bytes) -> bytes:
    """What a frame of COBS begins with, without its CRC if it is whole."""
    frame, end, _ = data.partition(b"\0")
    body = b""
    while frame:
        body += frame[1 : frame[0]] + b"\0"
        frame = frame[frame[0] :]
    return body[:-5] if end else body


def _begins_session(body: bytes) -> bool:
    """Whether it begins with a HELLO that answers nobody, or with a REFUSE that says that there is no session."""
    hello = len(body) >= _HELLO_BYTES and body[0] == _HELLO and body[1] == 1 and body[2] < 4 and not any(body[7:11])
    return hello or (body[:2] == _NO_SESSION and 4 <= len(body) <= _REFUSE_BYTES)


def _printable(data: bytes) -> float:
    """The share of bytes that are text in UTF-8."""
    text = data.decode("utf-8", "surrogateescape")
    return sum(len(letter.encode()) for letter in text if letter.isprintable() or letter in "\t\r\n") / len(data)


def _read(data: bytes, framing: Framing) -> tuple[int, int]:
    """How many messages that are not empty, and how many bad frames."""
    return sum(map(bool, framing.feed(data))), len(framing.take_faults())


def _convinces(name: str, messages: int, faults: int, printable: float) -> bool:
    if name in _TEXTUAL:
        return messages > 0 and not faults and printable >= _MOSTLY
    if name == "cobs":
        return messages > 0 and faults <= 1  # the first frame may have begun before we listened
    return messages > 0 and not faults
