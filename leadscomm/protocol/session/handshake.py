"""How two peers begin a session: HELLO, WELCOME, and REFUSE. ``docs/wire-protocol.md``, "Control frames"."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Final, TypeGuard

from leadscomm.protocol.session.wire import CONTROL, HELLO, REFUSE, WELCOME, Frame, control
from leadscomm.protocol.words import words

VERSION: Final = 1
ASKING: Final = 0
"""Profiles of a HELLO that only asks for the tag, and of the answer to it."""
COMPACT: Final = 1
FULL: Final = 2
MANY: Final = 0xFFFF
"""``segment`` and ``longest`` of this size mean "or more"."""

NO_SESSION: Final = 1
OTHER_VERSION: Final = 2
OTHER_PROFILE: Final = 3
FRAME_TOO_LONG: Final = 4
MESSAGE_TOO_LONG: Final = 5
NAME_TAKEN: Final = 6

# Why there is no session, as the value of NO_SESSION; it is a hint, which anybody may have made.
OTHER_KEY: Final = 1
"""What closes your handshake is not of my key."""
NO_KEY: Final = 2
"""And I have none."""
NOT_UNDERSTOOD: Final = 3
"""What you say is no frame here."""

_FIXED: Final = struct.Struct("<BBIIHHHBBB")
_REFUSAL: Final = struct.Struct("<BH")


@dataclass(frozen=True)
class Handshake:
    """What a peer says of itself.

    :ivar epoch: the number that it chose for this session; not 0.
    :ivar echo: the epoch of whom it answers; 0 where it asks.
    :ivar profiles: :data:`COMPACT`, :data:`FULL` or both; the one chosen in a WELCOME; :data:`ASKING`.
    :ivar tag: its name; of a peer what can be printed of it.
    :ivar segment: the longest frame that it takes, in bytes behind the header.
    :ivar longest: the longest message that it takes, from all its pieces, in bytes.
    :ivar resend: milliseconds after which it should be sent again what it did not acknowledge.
    :ivar window: how many data frames may be under way to it, 1 to 7.
    :ivar credit: how many bytes may be under way to it; 0: any number.
    """

    epoch: int
    echo: int = 0
    profiles: int = COMPACT
    tag: str = ""
    segment: int = 1024
    longest: int = MANY
    resend: int = 100
    window: int = 7
    credit: int = 0
    version: int = VERSION

    def hello(self) -> bytes:
        """The frame that asks."""
        return control(HELLO, self._body())

    def welcome(self, asked: Handshake, profile: int) -> bytes:
        """The frame that answers ``asked``."""
        return control(WELCOME, replace(self, echo=asked.epoch, profiles=profile)._body())

    def _body(self) -> bytes:
        tag = self.tag.encode()
        fixed = (min(self.segment, MANY), min(self.longest, MANY), self.resend, self.window, self.credit, len(tag))
        return _FIXED.pack(self.version, self.profiles, self.epoch, self.echo, *fixed) + tag

    @classmethod
    def decode(cls, body: bytes) -> Handshake | None:
        """Read what is behind the header; None if it is cut off. (There is no version 0.)

        Of another version nothing but that is read: the rest may have another form.
        """
        if body and body[0] not in (0, VERSION):
            return cls(epoch=0, version=body[0])
        if len(body) < _FIXED.size or not body[0]:
            return None
        version, profiles, epoch, echo, segment, longest, resend, window, credit, size = _FIXED.unpack_from(body)
        tag = body[_FIXED.size : _FIXED.size + size]
        if len(tag) < size:
            return None
        name = words(tag)
        return cls(epoch, echo, profiles, name, segment, longest, resend, window, credit, version)


def named(profiles: int) -> str:
    """Profiles, for people."""
    names = {ASKING: "none", COMPACT: "compact", FULL: "full", COMPACT | FULL: "compact and full"}
    return names.get(profiles, f"number {profiles}, not known here")


@dataclass(frozen=True)
class Refusal:
    """What a peer does not do.

    :ivar reason: :data:`NO_SESSION` and so on.
    :ivar value: what it does instead, as the reason has it.
    """

    reason: int
    value: int = 0

    def frame(self) -> bytes:
        return control(REFUSE, _REFUSAL.pack(self.reason, self.value))

    @classmethod
    def decode(cls, body: bytes) -> Refusal | None:
        """Read what is behind the header; None if it is cut off."""
        return cls(*_REFUSAL.unpack_from(body)) if len(body) >= _REFUSAL.size else None

    def __str__(self) -> str:
        return self.text()

    def text(self, mine: int = COMPACT) -> str:
        """What was refused and why, with the mend.

        :param mine: the profiles that this side speaks.
        """
        texts = {
            NO_SESSION: "it has no session with this side; it was reset, perhaps",
            OTHER_VERSION: f"it speaks version {self.value} of the session protocol, and this side version {VERSION}: "
            "give both sides the same version of leadscomm",
            OTHER_PROFILE: f"it speaks other profiles of the session protocol ({named(self.value)}) than this side "
            f"({named(mine)}); if it has no session, talk to it by framing=board, without reliable=1",
            FRAME_TOO_LONG: f"it takes frames of {self.value} bytes at most, and was sent a longer one: send less at a "
            "time, or give it more memory (Payload of its connection)",
            MESSAGE_TOO_LONG: f"it takes messages of {self.value} bytes at most, and was sent a longer one: send less "
            "at a time",
            NAME_TAKEN: "another peer of this name is there: give each a name of its own",
        }
        return texts.get(self.reason, f"it refuses something, for a reason that is not known here ({self.reason})")


def welcome_of(frame: Frame | None) -> Handshake | None:
    """The answer to a HELLO, if ``frame`` is one."""
    return Handshake.decode(frame.payload) if _is(frame, WELCOME) else None


def refusal_of(frame: Frame | None) -> Refusal | None:
    """The refusal, if ``frame`` is one."""
    return Refusal.decode(frame.payload) if _is(frame, REFUSE) else None


def _is(frame: Frame | None, control: int) -> TypeGuard[Frame]:
    return frame is not None and (frame.kind, frame.number) == (CONTROL, control)
