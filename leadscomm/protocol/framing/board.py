"""Messages to and from a board without a session: each is a datagram frame. ``docs/wire-protocol.md``, "Session"."""

from __future__ import annotations

from typing import Final

from leadscomm.protocol.framing.base import DEFAULT_MAX_MESSAGE, Framing, plain
from leadscomm.protocol.framing.cobs import CobsFraming
from leadscomm.protocol.session import wire as frames
from leadscomm.protocol.session.handshake import Refusal

BOARD_CRC: Final = "crc-ccitt-false"
"""What boards have the time for."""


class BoardFraming(Framing):
    """``COBS(00 | message | crc) 00``. Whether the board counts its datagrams is its own matter.

    What belongs to a session is left out, but a refusal is a fault: it says what a board does not understand.
    """

    name = "board"
    any_byte = True

    def __init__(self, crc: str = BOARD_CRC, max_message: int = DEFAULT_MAX_MESSAGE) -> None:
        super().__init__(max_message)
        self._frames = CobsFraming(crc, max_message + 1)

    def encode(self, message: bytes) -> bytes:
        self.check(message)
        return self.encode_all([plain(message)])

    def encode_all(self, messages: list[bytes]) -> bytes:
        return self._frames.encode_all([frames.datagram(message) for message in messages])

    def feed(self, data: bytes) -> list[bytes]:
        messages = []
        for frame in map(frames.parse, self._frames.feed(data)):
            if frame is None:
                self.add_fault("a frame without a header came: the other side speaks something else than framing=board")
            elif frame.kind == frames.DATAGRAM:
                messages.append(frame.payload)
            elif (frame.kind, frame.number) == (frames.CONTROL, frames.REFUSE):
                refusal = Refusal.decode(frame.payload)
                self.add_fault(f"the board refuses: {refusal or 'something, by a frame that is cut off'}")
        self.adopt_faults(self._frames)
        return messages

    @property
    def remainder(self) -> bytes:
        return self._frames.remainder

    def clear(self) -> None:
        self._frames.clear()
