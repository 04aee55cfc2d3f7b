"""A host's side of the compact session, written from docs/wire-protocol.md as simply as it goes. For tests alone."""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field

from leadscomm.protocol import make_framing
from leadscomm.protocol.framing.board import BOARD_CRC

DATAGRAM, DATA, MORE, CONTROL = range(4)
ACK, HELLO, WELCOME, REFUSE, BYE, PING = range(6)
HANDSHAKE = struct.Struct("<BBIIHHHBBB")
LONGEST = 1 << 16


def header(kind: int, number: int, ack: int) -> int:
    return kind << 6 | number << 3 | ack


def handshake(name: int = HELLO, tag: bytes = b"", **fields: int) -> bytes:
    """A HELLO or WELCOME with the given fields; the others have the values of a host."""
    values = {"version": 1, "profiles": 1, "epoch": 0x12345678, "echo": 0, "segment": 1024, "longest": 0xFFFF}
    values |= {"resend": 100, "window": 7, "credit": 0, "size": len(tag)} | fields
    return bytes([header(CONTROL, name, 0)]) + HANDSHAKE.pack(*values.values()) + tag


def wire(*frames: bytes) -> bytes:
    """These frames as they travel."""
    return make_framing("cobs", crc=BOARD_CRC, max_message=LONGEST).encode_all(list(frames))


def written(*frames: bytes) -> bytes:
    """The same as a board writes them: a 00 in front of each, for what else may be on the line."""
    return b"".join(b"\0" + wire(frame) for frame in frames)


@dataclass
class Host:
    """One side of a session; `outgoing` is what it would write, `received` what it would deliver."""

    epoch: int
    resend_after: int = 50  # ms, used until the board says otherwise
    outgoing: list[bytes] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    to_send: deque[bytes] = field(default_factory=deque)
    lost: list[bytes] = field(default_factory=list)
    sessions: int = 0
    bad: int = 0

    def __post_init__(self) -> None:
        self.framing = make_framing("cobs", crc=BOARD_CRC, max_message=LONGEST)
        self.peer = 0
        self.window = 1
        self.asked_at: int | None = None
        self._start()

    def _start(self) -> None:
        self.expected = self.oldest = self.repeats = self.sent = 0
        self.under_way: list[bytes] = []
        self.ack_due = False
        self.sent_at = 0

    def step(self, data: bytes, now: int) -> bytes:
        """Take what the board wrote, at `now` in ms, and return what it is to receive."""
        for frame in self.framing.feed(data):
            self._take(frame, now)
        faults = len(self.framing.take_faults())
        self.bad += faults
        self.ack_due |= bool(faults and self.peer)
        if not self.peer and (self.asked_at is None or now - self.asked_at >= 50):
            self.asked_at = now
            self.outgoing.append(handshake(epoch=self.epoch))
        if self.peer:
            self._turn(now)
        frames, self.outgoing = self.outgoing, []
        return wire(*frames)

    def _turn(self, now: int) -> None:
        if self.under_way and now - self.sent_at >= self.resend_after:
            self._go_back(now)
        while self.to_send and len(self.under_way) < self.window:
            self.under_way.append(self.to_send.popleft())
            self._say(len(self.under_way) - 1)
            self.sent_at = now
        if self.ack_due:
            self.outgoing.append(bytes([header(CONTROL, ACK, self.expected)]))
            self.ack_due = False

    def _say(self, place: int) -> None:
        number = (self.oldest + place) % 8
        self.outgoing.append(bytes([header(DATA, number, self.expected)]) + self.under_way[place])
        self.ack_due = False

    def _go_back(self, now: int) -> None:
        for place in range(len(self.under_way)):
            self._say(place)
        self.sent_at = now
        self.repeats = 2

    def _take(self, frame: bytes, now: int) -> None:
        if not frame:
            return
        kind, number, ack = frame[0] >> 6, frame[0] >> 3 & 7, frame[0] & 7
        if kind == DATAGRAM:
            self.received.append(frame[1:])
        elif kind == CONTROL and number not in (ACK, PING):
            self._control(number, frame[1:])
        elif self.peer:
            self._acknowledged(ack, now, kind == CONTROL and number == ACK)
            if kind != CONTROL:
                self._data(number, frame[1:])
            self.ack_due |= kind != CONTROL or number == PING

    def _control(self, name: int, rest: bytes) -> None:
        if name == WELCOME:
            _, _, epoch, echo, _, _, resend, window, _, _ = HANDSHAKE.unpack_from(rest)
            if echo == self.epoch and not self.peer:
                self._start()
                self.peer, self.resend_after, self.window = epoch, resend, window
                self.sessions += 1
            elif echo == self.epoch and epoch != self.peer:
                self._end()
        elif (name == REFUSE and rest[0] == 1) or name == BYE:
            self._end()

    def _end(self) -> None:
        self.lost += self.under_way
        self._start()
        self.peer, self.asked_at = 0, None
        self.epoch += 1

    def _acknowledged(self, ack: int, now: int, alone: bool) -> None:
        count = (ack - self.oldest) % 8
        if 0 < count <= len(self.under_way):
            self.oldest = ack
            del self.under_way[:count]
            self.sent_at = now
            self.repeats = 0
        if alone and ack == self.oldest and self.under_way and self.repeats < 2:
            self.repeats += 1
            if self.repeats == 2:
                self._go_back(now)

    def _data(self, number: int, payload: bytes) -> None:
        if number == self.expected:
            self.expected = (self.expected + 1) % 8
            self.received.append(payload)
