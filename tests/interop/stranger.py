"""A peer of the full profile, written from docs/wire-protocol.md alone. It uses nothing of leadscomm, and is simple,
not quick: a few segments are under way at a time, one unless told otherwise, and what comes too early is dropped.

``python stranger.py HOST PORT [--udp] [--count N] [--kills N] [--window N] [--key KEY]`` talks to an echo server: it
sends numbered messages and expects them back, each once and in order, however often it kills its connection meanwhile.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import os
import select
import socket
import struct
import sys
import time
import zlib

ACK, HELLO, WELCOME, REFUSE, BYE, PING, PONG = range(7)
SEGMENT, ROOM, MESSAGES = 1200, 100_000, 1000
RESEND_S, ASK_EVERY_S, QUIET_S, SILENCE_S = 0.2, 0.05, 1.0, 5.0


def crc(data: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(data))


def mac(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()


def prefixed(message: bytes) -> bytes:
    """A message behind its length."""
    prefix, left = b"", len(message)
    while left > 127:
        prefix, left = prefix + bytes([left & 127 | 128]), left >> 7
    return prefix + bytes([left]) + message


def take_message(data: bytearray) -> bytes | None:
    """Take the first message out of a lane; None if it is not whole."""
    size = 0
    for at, digit in enumerate(data[:5]):
        size |= (digit & 127) << 7 * at
        if digit < 128:
            end = at + 1 + size
            if len(data) < end:
                return None
            message = bytes(data[at + 1 : end])
            del data[:end]
            return message
    return None


class Outgoing:
    """A lane on its way out: all bytes from ``dealt`` on."""

    def __init__(self) -> None:
        self.dealt = 0
        self.received = 0  # by the peer, as far as it told
        self.sent = 0
        self.data = bytearray()
        self.ends: list[int] = []  # of the messages that were begun
        self.waiting: list[bytes] = []


class Incoming:
    """A lane on its way in."""

    def __init__(self) -> None:
        self.received = 0
        self.dealt = 0
        self.data = bytearray()


class Peer:
    """One side of a session over one link. Frames go in and come out without their framing; ``now`` is in seconds.

    :param sealed: the framing below has no CRC of 32 bits.
    :param window: so many segments are under way at a time; they go again from the oldest one on.
    :ivar got: lane, channel and bytes of the messages that came; they count as dealt with at once.
    """

    def __init__(
        self, epoch: int, now: float, *, asks: bool, sealed: bool = False, key: bytes | None = None, window: int = 1
    ) -> None:
        self.epoch, self.key, self.sealed, self.asks = epoch, key, sealed, asks
        self.peer = 0  # the other epoch
        self.joined = False  # the peer has agreed to the present link
        self.ended = ""
        self.got: list[tuple[int, int, bytes]] = []
        self.outgoing: dict[int, Outgoing] = {}
        self.incoming: dict[int, Incoming] = {}
        self.segment = SEGMENT
        self.room = self.messages = 0
        self.window = window
        self.flying: list[tuple[int, int]] = []  # numbers of lanes, and where segments of theirs end
        self.fly_at = self.ask_at = self.pinged_at = self.heard_at = now
        self.owes_ack = self.progressed = False
        self.answers: list[bytes] = []
        self.refusal = b""
        self.counter = 0
        self.seen = 0  # the highest counter that came; earlier ones are dropped, which one link allows

    def send(self, message: bytes, lane: int = 4, channel: int = 0) -> None:
        self.outgoing.setdefault(lane << 3 | channel, Outgoing()).waiting.append(message)

    @property
    def idle(self) -> bool:
        return not any(lane.waiting or lane.ends for lane in self.outgoing.values())

    def link(self, now: float) -> None:
        """There is another connection in the place of the last one."""
        self.joined, self.ask_at, self.fly_at, self.heard_at = False, now, now, now
        self.answers.clear()

    def leave(self) -> None:
        self.answers += self._sealed(self._ack()), self._sealed(self._control(BYE))
        self.ended = "this side left"

    # Frames

    def _control(self, which: int, body: bytes = b"") -> bytes:
        return struct.pack("<BI", 3 << 6 | which << 3, self.epoch) + body

    def _closed(self, frame: bytes) -> bytes:
        return frame + (crc(frame) if self.key is None else mac(self.key, b"LSK1" + frame)[:12])

    def _handshake(self, which: int, echo: int) -> bytes:
        profiles, tag = 2, b"stranger"
        fixed = struct.pack("<BBIIHHHBBB", 1, profiles, self.epoch, echo, SEGMENT, 0xFFFF, 100, 7, 0, len(tag))
        block = struct.pack("<IIIB", SEGMENT, ROOM, MESSAGES, self.key is not None)
        return self._closed(bytes([3 << 6 | which << 3]) + fixed + tag + block)

    def _proof(self, direction: int, frame: bytes, counter: int) -> bytes:
        first, second = sorted((self.epoch, self.peer))
        session_key = mac(self.key or b"", b"LSK1" + struct.pack("<II", first, second))
        return mac(session_key, bytes([direction]) + frame + struct.pack("<Q", counter))[:12]

    def _sealed(self, frame: bytes) -> bytes:
        if self.key is None:
            return frame + (crc(frame) if self.sealed else b"")
        self.counter += 1
        own = 1 if self.epoch < self.peer else 2
        return frame + struct.pack("<Q", self.counter) + self._proof(own, frame, self.counter)

    def _opened(self, frame: bytes) -> bytes | None:
        if self.key is None:
            if not self.sealed:
                return frame
            return frame[:-4] if crc(frame[:-4]) == frame[-4:] else None
        inner, (counter,) = frame[:-20], struct.unpack("<Q", frame[-20:-12].rjust(8, b"\0"))
        theirs = 2 if self.epoch < self.peer else 1
        if counter <= self.seen or not hmac.compare_digest(self._proof(theirs, inner, counter), frame[-12:]):
            return None
        self.seen = counter
        return inner

    def _ack(self) -> bytes:
        body = struct.pack("<II", ROOM, MESSAGES)
        for number, lane in self.incoming.items():
            body += struct.pack("<BQQB", number, lane.dealt, lane.received, 0)
        return self._control(ACK, body)

    # What comes

    def receive(self, frame: bytes, now: float) -> None:
        if not frame or self.ended:
            return
        kind, which = frame[0] >> 6, frame[0] >> 3 & 7
        if kind == 3 and HELLO <= which <= REFUSE:
            self._begin_or_end(which, frame, now)
            return
        inner = self._opened(frame) if self.joined else None
        if inner is None or len(inner) < 5:
            self.owes_ack = True
            return
        if kind not in (1, 3):
            return
        if struct.unpack_from("<I", inner, 1)[0] != self.peer:
            if self.key is None:
                self.answers.append(self._closed(b"\xd8\1\0\0" + inner[1:5]))
            return
        self.heard_at = now
        if kind == 1 and len(inner) >= 13:
            self._data(inner[0] & 63, struct.unpack_from("<Q", inner, 5)[0], inner[13:])
        elif kind == 3:
            self._control_came(which, inner[5:], now)

    def _begin_or_end(self, which: int, frame: bytes, now: float) -> None:
        if which == REFUSE:
            mine = frame == self._closed(frame[:8]) and frame[4:8] == struct.pack("<I", self.epoch)
            again = frame == self.refusal and not self.peer and self.key is None  # a single one may be damage
            if mine if frame[1:2] == b"\1" else again:
                self.ended = f"refused: {frame.hex(' ')}"
            self.refusal = frame
            return
        at = 20 + frame[19] if len(frame) > 19 else len(frame)
        if len(frame) < at + 13 or frame[: at + 13 + (4 if self.key is None else 12)] != self._closed(frame[: at + 13]):
            return
        version, profiles, epoch, echo = struct.unpack_from("<BBII", frame, 1)
        if version != 1 or not profiles & 2 or epoch in (0, self.epoch) or (which == WELCOME and echo != self.epoch):
            return
        if self.peer and epoch != self.peer:
            self.ended = "the peer began anew"
            return
        if not self.peer:
            self.peer, self.heard_at = epoch, now
            segment, self.room, self.messages = struct.unpack_from("<III", frame, at)
            self.segment = min(SEGMENT, segment)
        self.joined, self.owes_ack = True, True
        if which == HELLO:
            self.answers.append(self._handshake(WELCOME, epoch))

    def _data(self, number: int, offset: int, data: bytes) -> None:
        lane = self.incoming.setdefault(number, Incoming())
        self.owes_ack = True
        new = data[max(0, lane.received - offset) :] if offset <= lane.received else b""
        lane.data += new
        lane.received += len(new)
        while (message := take_message(lane.data)) is not None:
            self.got.append((number >> 3, number & 7, message))
        lane.dealt = lane.received - len(lane.data)

    def _control_came(self, which: int, body: bytes, now: float) -> None:
        if which == ACK:
            self.room, self.messages = struct.unpack_from("<II", body)
            at = 8
            while at < len(body):
                number, dealt, received, ranges = struct.unpack_from("<BQQB", body, at)
                at += 18 + 8 * ranges  # ranges beyond a gap there are none with one segment under way
                self._acknowledged(self.outgoing[number], number, dealt, received)
        elif which == PING:
            clock = struct.pack("<Q", int(now * 1e6))
            self.answers.append(self._sealed(self._control(PONG, body[:8] + clock + clock)))
            self.owes_ack = True
        elif which == BYE:
            self.answers.append(self._sealed(self._control(BYE)))
            self.ended = "the peer left"

    def _acknowledged(self, lane: Outgoing, number: int, dealt: int, received: int) -> None:
        lane.received = max(lane.received, received)
        before = len(self.flying)
        self.flying = [(other, end) for other, end in self.flying if other != number or end > lane.received]
        self.progressed |= len(self.flying) < before
        if dealt > lane.dealt:
            del lane.data[: dealt - lane.dealt]
            lane.dealt = dealt
            lane.ends = [end for end in lane.ends if end > dealt]

    # What goes

    def frames(self, now: float) -> list[bytes]:
        """What is to be sent now. To be called when something came, and each 10 ms or so."""
        due, self.answers = self.answers, []
        if self.ended:
            return due
        if not self.joined:
            if self.asks and now >= self.ask_at:
                self.ask_at = now + ASK_EVERY_S
                due.append(self._handshake(HELLO, self.peer))
            return due
        if now >= self.heard_at + SILENCE_S:
            self.ended = "nothing came"
        if self.owes_ack:
            self.owes_ack = False
            due.append(self._sealed(self._ack()))
        if self.progressed or not self.flying:
            self.progressed, self.fly_at = False, now + RESEND_S
        if self.flying and now >= self.fly_at:
            self.fly_at = now + RESEND_S
            self.flying = []
            for lane in self.outgoing.values():
                lane.sent = lane.received
        while len(self.flying) < self.window and (segment := self._next_segment()) is not None:
            number, offset, data = segment
            self.outgoing[number].sent = offset + len(data)
            self.flying.append((number, offset + len(data)))
            due.append(self._sealed(struct.pack("<BIQ", 1 << 6 | number, self.epoch, offset) + data))
        if now >= max(self.pinged_at, self.heard_at) + QUIET_S:
            self.pinged_at = now
            due.append(self._sealed(self._control(PING, struct.pack("<Q", int(now * 1e6)))))
        return due

    def _next_segment(self) -> tuple[int, int, bytes] | None:
        """The next bytes of the most urgent lane that has some."""
        begun_bytes = sum(len(lane.data) for lane in self.outgoing.values())
        begun = sum(len(lane.ends) for lane in self.outgoing.values())
        for number in sorted(self.outgoing):
            lane = self.outgoing[number]
            lane.sent = max(lane.sent, lane.received)
            while lane.waiting and lane.dealt + len(lane.data) - lane.sent < self.segment:
                whole = prefixed(lane.waiting[0])
                if begun >= self.messages or begun_bytes + len(whole) > self.room:
                    break
                del lane.waiting[0]
                lane.data += whole
                lane.ends.append(lane.dealt + len(lane.data))
                begun, begun_bytes = begun + 1, begun_bytes + len(whole)
            at = lane.sent - lane.dealt
            rest = lane.data[at : at + self.segment - 12 - 20]
            if rest:
                return number, lane.sent, bytes(rest)
        return None


# Framings -------------------------------------------------------------------------------------------------------------


def stuffed(body: bytes) -> bytes:
    """COBS, and the zero at the end."""
    frame = b""
    run = b""
    for run in body.split(b"\0"):
        while len(run) >= 254:
            frame, run = frame + b"\xff" + run[:254], run[254:]
        frame += bytes([len(run) + 1]) + run
    if not run and body[-1:] != b"\0":  # of a last run that fills its codes nothing is left
        frame = frame[:-1]
    return frame + b"\0"


def unstuffed(frame: bytes) -> bytes | None:
    body, at = b"", 0
    while at < len(frame):
        code = frame[at]
        if at + code > len(frame):
            return None
        body += frame[at + 1 : at + code]
        at += code
        if code < 255 and at < len(frame):
            body += b"\0"
    return body


class Wire:
    """A socket with the framing that its kind has: COBS with crc-32 on a stream, none in datagrams."""

    def __init__(self, connected: socket.socket) -> None:
        self.udp = connected.type == socket.SOCK_DGRAM
        self.socket = connected
        self.socket.settimeout(5.0)
        self._rest = b""

    @classmethod
    def to(cls, host: str, port: int, *, udp: bool = False) -> Wire:
        dialled = socket.socket(type=socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        dialled.connect((host, port))
        return cls(dialled)

    def again(self) -> Wire:
        """Another one, in the place of this, which ends with a reset."""
        host, port = self.socket.getpeername()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        return Wire.to(host, port, udp=self.udp)

    def send(self, frames: list[bytes]) -> None:
        for frame in frames:
            self.socket.sendall(frame if self.udp else stuffed(frame + crc(frame)))

    def receive(self, timeout: float) -> list[bytes] | None:
        """The frames that came; None at the end of the stream."""
        if not select.select([self.socket], [], [], timeout)[0]:
            return []
        data = self.socket.recv(1 << 16)
        if self.udp:
            return [data]
        if not data:
            return None
        *frames, self._rest = (self._rest + data).split(b"\0")
        bodies = filter(None, map(unstuffed, frames))
        return [body[:-4] for body in bodies if crc(body[:-4]) == body[-4:]]


def echo(peer: Peer, wire: Wire, messages: list[bytes], timeout: float, kills: int = 0) -> bool:
    """Send the messages, and wait until they came back.

    :param kills: so often the connection is killed meanwhile, with all that is under way on it.
    """
    for message in messages:
        peer.send(message)
    end, killed = time.monotonic() + timeout, 0
    while time.monotonic() < end and not peer.ended and (len(peer.got) < len(messages) or not peer.idle):
        if killed < kills and len(peer.got) > (killed + 1) * len(messages) // (kills + 1):
            killed += 1
            wire = wire.again()
            peer.link(time.monotonic())
        wire.send(peer.frames(time.monotonic()))
        frames = wire.receive(0.01)
        if frames is None:
            peer.ended = "the stream ended"
        for frame in frames or ():
            peer.receive(frame, time.monotonic())
    good = [message for _, _, message in peer.got] == messages and peer.idle
    if not peer.ended:
        peer.leave()
        wire.send(peer.frames(time.monotonic()))
    wire.socket.close()
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--udp", action="store_true")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--window", type=int, default=1)
    parser.add_argument("--size", type=int, default=3000, help="bytes of the longest message")
    parser.add_argument("--key", type=os.fsencode)
    options = parser.parse_args()
    epoch = int.from_bytes(os.urandom(4), "little") | 1
    peer = Peer(epoch, time.monotonic(), asks=True, sealed=options.udp, key=options.key, window=options.window)
    wire = Wire.to(options.host, options.port, udp=options.udp)
    messages = [b"%d " % number + bytes(number % options.size) for number in range(options.count)]
    began = time.monotonic()
    good = echo(peer, wire, messages, 60.0, options.kills)
    took = time.monotonic() - began
    print(f"{len(peer.got)} of {options.count} messages came back in {took:.1f} s; {peer.ended}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
