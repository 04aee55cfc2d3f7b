"""A board as docs/wire-protocol.md describes one, on a pseudo-terminal: it echoes, one frame at a time.

It knows nothing of leadscomm's session; only the framing is the project's.
"""

from __future__ import annotations

import itertools
import struct
import threading

from leadscomm.protocol import make_framing
from leadscomm.protocol.framing.board import BOARD_CRC
from tests.connections.cable import Plugged

_EPOCHS = itertools.count(1)


class WireBoard(Plugged):
    """Answers HELLO, takes data in order, and sends each message back as data.

    :param tag: its name.
    :param patience_ms: after so long a silence it sends again what was not acknowledged.
    :param speaks: "session"; "datagrams" (a board without a session); "version 2"; or "nothing".
    :ivar heard: the payloads of all data and datagrams that were taken.
    :ivar deaf: it takes no data frames for the time being.
    """

    def __init__(
        self,
        tag: bytes = b"wsc",
        speaks: str = "session",
        segment: int = 58,
        longest: int = 58,
        patience_ms: int = 30,
    ) -> None:
        self.tag, self.speaks, self.segment, self.longest = tag, speaks, segment, longest
        self.heard: list[bytes] = []
        self.deaf = False
        self.hellos = 0
        self._framing = make_framing("cobs", crc=BOARD_CRC)
        self._lock = threading.Lock()
        self._forget()
        super().__init__("wire-board", patience_ms)

    def _forget(self) -> None:
        self._epoch, self._peer = next(_EPOCHS), 0
        self._expected = self._base = 0
        self._answers: list[bytes] = []  # the first of them is under way
        self._pieces = b""

    def reset(self) -> None:
        """It starts anew, and remembers nothing."""
        with self._lock:
            self._forget()

    def say(self, frame: bytes) -> None:
        self.say_bytes(self._framing.encode(frame))

    def answer(self, message: bytes) -> None:
        """Send a message as data."""
        with self._lock:
            self._queue(message)

    def hear(self, data: bytes) -> None:
        with self._lock:
            for frame in self._framing.feed(data):
                self._take(frame)
            self._framing.take_faults()

    def wait_no_longer(self) -> None:
        with self._lock:
            if self._answers:
                self._send_first()

    def _take(self, frame: bytes) -> None:
        if self.speaks == "nothing" or not frame:
            return
        kind, number, ack = frame[0] >> 6, frame[0] >> 3 & 7, frame[0] & 7
        if kind == 0:
            self.heard.append(frame[1:])
            self.say(b"\0" + frame[1:])
        elif kind == 3 and number == 1:
            self._hello(frame[1:])
        elif kind == 3 and number == 4:
            self._forget()
        elif kind in (1, 2) or number in (0, 5):
            self._in_session(kind, number, ack, frame[1:])

    def _in_session(self, kind: int, number: int, ack: int, payload: bytes) -> None:
        if not self._peer:
            self.say(b"\xd8\1\0\0")
            return
        if self._answers and ack == (self._base + 1) % 8:
            del self._answers[0]
            self._base = ack
            if self._answers:
                self._send_first()
        if kind == 3:
            if number == 5:
                self.say(bytes((192 | self._expected,)))
            return
        if number == self._expected and not self.deaf:
            self._expected = (number + 1) % 8
            self._pieces += payload
            if kind == 1:
                message, self._pieces = self._pieces, b""
                self.heard.append(message)
                self._queue(message)
        self.say(bytes((192 | self._expected,)))

    def _queue(self, message: bytes) -> None:
        pieces = [message[at : at + 1024] for at in range(0, len(message), 1024)] or [b""]
        self._answers += [bytes((128,)) + piece for piece in pieces[:-1]] + [bytes((64,)) + pieces[-1]]
        if len(self._answers) == len(pieces):
            self._send_first()

    def _send_first(self) -> None:
        first = self._answers[0]
        self.say(bytes((first[0] | self._base << 3 | self._expected,)) + first[1:])

    def _hello(self, body: bytes) -> None:
        self.hellos += 1
        if self.speaks == "version 2":
            self.say(b"\xd8\2\2\0")
            return
        profiles, epoch = struct.unpack_from("<xBI", body)
        if profiles and self.speaks == "datagrams":
            self.say(b"\xd8\3\0\0")
            return
        if profiles and epoch != self._peer:
            heard_from = epoch
            self._expected = self._base = 0
            self._answers, self._pieces = [], b""
            self._peer = heard_from
        fields = (1, profiles & 1, self._epoch, epoch, self.segment, self.longest, 50, 1, 0, len(self.tag))
        self.say(b"\xd0" + struct.pack("<BBIIHHHBBB", *fields) + self.tag)
