"""How a session begins on a line: when the peer is asked, and what to say when nothing comes of it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from leadscomm.errors import CommError, CommTimeout, ConnectFailed
from leadscomm.protocol.framing import Framing, FramingSpec, guess
from leadscomm.protocol.framing.board import BOARD_CRC
from leadscomm.protocol.framing.cobs import DEFAULT_CRC, CobsFraming
from leadscomm.protocol.session.base import Beginning
from leadscomm.protocol.session.compact import bootloader
from leadscomm.protocol.session.compact.compact import ask_steadily
from leadscomm.protocol.session.compact.go_back_n import Wire

HEARD_BYTES: Final = 512
"""How much of what came is kept to tell what it looks like."""
_BITS: Final = 10
LATENCY_S: Final = 0.02
"""What may lie between a port and a program besides the line: an adapter gathers bytes for 16 ms, say."""
_BOARD_FRAME_BYTES: Final = 63
MAX_RESEND_MS: Final = 4001
_FRAMES: Final = FramingSpec("cobs", {"crc": BOARD_CRC})


@dataclass(frozen=True)
class Plan:
    """What is known of a line before anything was said on it.

    :ivar baud: of a serial line; 0: it is none, so that there is no bootloader at its end.
    :ivar ends_bootloaders: what ends a bootloader may be sent; the sketch takes it for damage.
    :ivar round_trip: seconds from a frame to its acknowledgement, as an earlier session on the line has measured them.
    """

    baud: int = 0
    ends_bootloaders: bool = True
    round_trip: float = 0.0

    @property
    def wire(self) -> Wire:
        return Wire(rate=self.baud / _BITS)

    @property
    def resend_ms(self) -> int:
        """After how many milliseconds the peer should send again what was not acknowledged: two of a board's longest
        frames, two as answers, and what adapters and systems take; no less than a round trip was measured to take."""
        seconds = max(self.round_trip, self.wire.seconds(4 * _BOARD_FRAME_BYTES)) + LATENCY_S
        return min(round(seconds * 1000) | 1, MAX_RESEND_MS)  # never 100, whose byte means "write a page" to optiboot

    def asking_time(self, count: int) -> float:
        """When question number ``count`` (from 0) is put, in seconds from the opening."""
        if not self.baud:
            return ask_steadily(count)
        return bootloader.asking_time(count, self.baud, ends=self.ends_bootloaders)

    def before_asking(self, count: int) -> bytes:
        """What is sent before question number ``count``; a zero ends what the peer may have taken for a frame."""
        return (bootloader.before_asking(count, self.baud) if self.baud else b"") + b"\0"


def new_epoch() -> int:
    """A number for a session, other than all before as far as anybody can tell."""
    return secrets.randbelow(0xFFFFFFFF) + 1


def why_not(who: str, session: Beginning, heard: bytes) -> CommError:
    """Say why there is no session, with the mend.

    :param heard: what came instead.
    """
    if session.trouble is not None:
        return ConnectFailed(f"{who}: {session.trouble}")
    if session.hint is not None:
        return ConnectFailed(f"{who}: {session.hint}")
    if not heard:
        return CommTimeout(
            f"{who} does not answer: is its baud rate another (baud=), does its program run, and has it a session "
            "(ReliableConnection)?"
        )
    return ConnectFailed(f"{who} answers nothing of a session: {what_it_says(heard)}")


def what_it_says(heard: bytes) -> str:
    """What some bytes that are no answer look like, with the mend."""
    impression = guess.look(heard, _FRAMES)
    shown = repr(heard[:32])
    if impression.verdict == guess.FITS:
        return "it sends frames without a session; leave reliable=1 out and use framing=board"
    if impression.verdict == guess.TEXT or impression.options in ("framing=line", "framing=separator"):
        return f"it answers in text ({shown}); leave reliable=1 and framing out"
    if impression.verdict == guess.OTHER:
        return f"what it says looks like {impression.options} ({shown})"
    return f"it sends noise ({shown}); is its baud rate another (baud=; boards of LEADS itself have 9600)?"


def nothing_of_a_session(who: str, framing: Framing, heard: bytes) -> CommError:
    """Say that nothing of a session came, and what did."""
    ours = f"this side speaks {_options_of(_spec_of(framing))} with reliable=1"
    if not heard:
        return CommTimeout(f"{who} says nothing, and {ours}: give both sides reliable=1, or neither")
    spec = _spec_of(framing)
    impression = guess.look(heard, spec)
    if impression.verdict != guess.OTHER and guess.asks_for_session(heard):
        return ConnectFailed(
            f"{who} asks for a session by a HELLO that was damaged or cut off ({heard[:32]!r}): nothing was begun. "
            "If this is no stranger, look at what lies between, and give both sides the same version of leadscomm"
        )
    known = {guess.FITS: _options_of(spec), guess.TEXT: "text, as of framing=separator", guess.LITTLE: "text"}
    likeness = impression.protocol or impression.options or known.get(impression.verdict, "noise")
    mend = "give both sides reliable=1, or neither"
    if impression.verdict == guess.OTHER:
        mend += ", and the same framing (framing=, crc=)"
    return ConnectFailed(
        f"{who} speaks nothing of a session: what it says looks like {likeness} ({heard[:32]!r}), and {ours}; {mend}"
    )


def _spec_of(framing: Framing) -> FramingSpec:
    return FramingSpec(framing.name, {"crc": framing.crc} if isinstance(framing, CobsFraming) else {})


def _options_of(spec: FramingSpec) -> str:
    """A framing as an endpoint has it; what is the default is left out."""
    crc = str(dict(spec.options).get("crc", DEFAULT_CRC))
    return f"framing={spec.name}" + (f"&crc={crc}" if crc != DEFAULT_CRC else "")
