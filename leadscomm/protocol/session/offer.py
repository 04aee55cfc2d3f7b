"""What sides of the full profile say before they have a session. ``docs/wire-protocol.md``, "Full profile"."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from leadscomm.protocol.session import wire
from leadscomm.protocol.session.handshake import (
    ASKING,
    FULL,
    MANY,
    MESSAGE_TOO_LONG,
    NO_SESSION,
    OTHER_VERSION,
    VERSION,
    Handshake,
    Refusal,
)
from leadscomm.protocol.session.seals import closed, closing_bytes, intact

_EPOCH: Final = struct.Struct("<I")
_OFFER: Final = struct.Struct("<IIIB")
_LONGEST: Final = struct.Struct("<I")
_TOO_LONG: Final = struct.Struct("<II")
_FIXED_BYTES: Final = 20
"""Header and fields of HELLO and WELCOME; the last of them is the size of the tag behind."""
_KEYED: Final = 1
_TELLS_LONGEST: Final = 2
_LETS_RIDE: Final = 4


@dataclass(frozen=True)
class Offer:
    """What a peer that speaks the full profile says of itself.

    :ivar handshake: what it says in either profile.
    :ivar segment: the longest frame that it takes, in bytes behind the header.
    :ivar room: bytes that may be under way to it and not dealt with.
    :ivar messages: and messages.
    :ivar key: what it shares with its peer; each frame carries a proof then. It is not on the wire.
    :ivar longest: the longest message that it takes, in bytes; None: it does not tell, and it is 65,535 or more.
    :ivar rides: on links that lose nothing it does not wait for acknowledgements: they may ride on what is sent anyway.
    """

    handshake: Handshake
    segment: int = 1 << 16
    room: int = 4 << 20
    messages: int = 1 << 16
    key: bytes | None = field(default=None, repr=False)
    longest: int | None = None
    rides: bool = False

    @property
    def epoch(self) -> int:
        return self.handshake.epoch

    @property
    def tag(self) -> str:
        """Its sender's name; may be empty."""
        return self.handshake.tag

    def hello(self, echo: int = 0) -> bytes:
        """The frame that asks.

        :param echo: the peer's epoch, where a link joins a present session.
        """
        return self._with_block(replace(self._said(), echo=echo, profiles=self.handshake.profiles | FULL).hello())

    def welcome(self, asked: Offer) -> bytes:
        """The frame that answers ``asked``."""
        return self._with_block(self._said().welcome(asked.handshake, FULL))

    def _said(self) -> Handshake:
        longest = self.handshake.longest if self.longest is None else self.longest
        return replace(self.handshake, segment=self.segment, longest=longest)

    def _with_block(self, frame: bytes) -> bytes:
        options = (0 if self.key is None else _KEYED) | (_LETS_RIDE if self.rides else 0)
        longest = self.longest if self.longest is not None and self.longest >= MANY else None
        if longest is not None:
            options |= _TELLS_LONGEST
        whole = closed(frame + _OFFER.pack(self.segment, self.room, self.messages, options), self.key)
        return whole if longest is None else closed(whole + _LONGEST.pack(longest), self.key)

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
        if len(frame) < end or not intact(frame, end, key):
            return None
        segment, room, messages, options = _OFFER.unpack_from(frame, at)
        longest: int | None = handshake.longest if handshake.longest < MANY else None
        if options & _TELLS_LONGEST:
            at = end + closing_bytes(key)
            end = at + _LONGEST.size
            if len(frame) < end or not intact(frame, end, key):
                return None
            (longest,) = _LONGEST.unpack_from(frame, at)
        if longest is not None:
            handshake = replace(handshake, longest=longest)
        return cls(handshake, segment, room, messages, key, longest, bool(options & _LETS_RIDE))


class Hello(NamedTuple):
    """Who asks for a session.

    :ivar said: with its profiles, epoch, echo and tag. Nothing protects it, unless there is ``offer``.
    :ivar offer: of the full profile, undamaged, and with the key; None if it is not asked for, or one of these fails.
    :ivar keyed: it says that it has a key.
    """

    said: Handshake
    offer: Offer | None
    keyed: bool


def read_hello(frame: bytes, key: bytes | None) -> Hello | None:
    """Who asks for a session by this frame; None if nobody does.

    A HELLO of another version, and one that only asks who is there, ask for none: :func:`answer` answers them.

    :param key: what this side holds.
    """
    if len(frame) < 2 or frame[0] >> 3 != wire.CONTROL << 3 | wire.HELLO:
        return None
    said = Handshake.decode(frame[1:])
    if said is None or said.version != VERSION or said.profiles == ASKING:
        return None
    return Hello(said, Offer.decode(frame, key) if said.profiles & FULL else None, keyed(frame))


def answer(frame: bytes, me: Handshake, key: bytes | None) -> bytes | None:
    """What is to be said to a frame where there is no session; None: nothing.

    :param me: what is told of this side to whom only asks for it.
    :param key: what this side holds.
    """
    if not frame or frame[0] >> 6 == wire.DATAGRAM:
        return None
    which = frame[0] >> 3 & 7
    if frame[0] >> 6 != wire.CONTROL or not wire.HELLO <= which <= wire.REFUSE:
        epoch = epoch_in(frame)
        if epoch == me.epoch:
            return None  # a frame of one's own that somebody sends back
        return Refusal(NO_SESSION).frame() if epoch is None else no_session(epoch, key)
    said = Handshake.decode(frame[1:]) if which == wire.HELLO else None
    if said is not None and said.version != VERSION:
        return Refusal(OTHER_VERSION, VERSION).frame()
    return me.welcome(said, ASKING) if said is not None and said.profiles == ASKING else None


def epoch_in(frame: bytes) -> int | None:
    """The epoch of the sender of a frame of data or control; None if it is cut off."""
    return int(_EPOCH.unpack_from(frame, 1)[0]) if len(frame) > _EPOCH.size else None


def token(mine: int, theirs: int) -> int:
    """What shows a peer that one is in a session with it, and does not tell its epochs to anybody else; not 0."""
    digest = hashlib.sha256(b"LSK1" + _EPOCH.pack(mine) + _EPOCH.pack(theirs)).digest()
    return int(_EPOCH.unpack_from(digest)[0]) or 1


def shown(said: Handshake, mine: int, theirs: int) -> int | None:
    """What to show who asks who is there; None if it has not shown that it is in the session of these epochs."""
    return token(mine, theirs) if mine and theirs and said.echo == token(theirs, mine) else None


def keyed(frame: bytes) -> bool:
    """Whether a HELLO or WELCOME says that its sender has a key; to name what does not fit, not to trust it."""
    at = _FIXED_BYTES + (frame[_FIXED_BYTES - 1] if len(frame) >= _FIXED_BYTES else 0) + _OFFER.size - 1
    return len(frame) > at and bool(frame[at] & _KEYED)


def no_session(epoch: int, key: bytes | None) -> bytes:
    """The REFUSE that says that there is no session with the one of this epoch."""
    return closed(Refusal(NO_SESSION).frame() + _EPOCH.pack(epoch), key)


def read_no_session(frame: bytes, key: bytes | None) -> int | None:
    """The epoch in such a REFUSE; None if it is none, or was damaged or forged."""
    size = len(Refusal(NO_SESSION).frame())
    if frame[:size] != Refusal(NO_SESSION).frame() or len(frame) < size + _EPOCH.size:
        return None
    return int(_EPOCH.unpack_from(frame, size)[0]) if intact(frame, size + _EPOCH.size, key) else None


def too_long(epoch: int, longest: int, key: bytes | None) -> bytes:
    """The REFUSE that says to the one of this epoch that its messages of more bytes than ``longest`` are dropped."""
    refusal = Refusal(MESSAGE_TOO_LONG, min(longest, MANY)).frame()
    return closed(refusal + _TOO_LONG.pack(epoch, longest), key)


def read_too_long(frame: bytes, epoch: int, key: bytes | None) -> int | None:
    """The longest message in such a REFUSE; None if it is none, is not for this epoch, or was damaged or forged."""
    refusal = Refusal.decode(frame[1:])
    size = len(Refusal(MESSAGE_TOO_LONG).frame())
    if refusal is None or refusal.reason != MESSAGE_TOO_LONG or len(frame) < size + _TOO_LONG.size:
        return None
    refused, longest = _TOO_LONG.unpack_from(frame, size)
    return int(longest) if refused == epoch and intact(frame, size + _TOO_LONG.size, key) else None
