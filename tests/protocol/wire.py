"""A wire for two sessions: it keeps the order, and loses, doubles and damages what a seed says.

Time is turned by hand.
"""

from __future__ import annotations

import random
from collections import deque

from leadscomm.protocol.framing.cobs import CobsFraming
from leadscomm.protocol.session.compact.compact import CompactSession
from leadscomm.protocol.session.handshake import Handshake

DELAY_S = 0.003


class End:
    """One side: a session, and the framing that its frames pass. What comes is dealt with at once, unless ``keeps``.

    :ivar got: the messages that came.
    """

    def __init__(self, session: CompactSession, *, keeps: bool = False) -> None:
        self.session = session
        self.framing = CobsFraming("crc-ccitt-false", 2048)
        self.got: list[bytes] = []
        self.keeps = keeps
        self.kept = 0

    def hear(self, data: bytes, now: float) -> None:
        for frame in self.framing.feed(data):
            self.session.receive(frame, now)
        if self.framing.count_faults():
            self.session.damaged()
        came = self.session.take()
        self.got += came
        self.kept += len(came)
        if not self.keeps:
            self.deal_with_all(now)

    def deal_with_all(self, now: float) -> None:
        while self.kept:
            self.kept -= 1
            self.session.delivered(now)

    def speak(self, now: float) -> bytes:
        frames = self.session.frames(now)
        lead = b"\0" if frames and self.session.parted(frames[0]) else b""
        return lead + self.framing.encode_all(frames)


class Pair:
    """Two sessions joined by a wire.

    :param faults: the probability, for each byte, that it is flipped, dropped, or doubled (each of the three).
    """

    def __init__(self, faults: float = 0.0, seed: int = 1, board: Handshake | None = None) -> None:
        self.now = 100.0
        self.random = random.Random(seed)
        self.faults = faults
        self.host = End(CompactSession(host(1), self.now, asks=True))
        self.board = End(CompactSession(board or host(2), self.now, asks=False))
        self._wires: tuple[deque[tuple[float, bytes]], ...] = (deque(), deque())

    def ends(self) -> tuple[End, End]:
        return self.host, self.board

    def step(self) -> None:
        """A millisecond passes."""
        self.now += 0.001
        for index, end in enumerate(self.ends()):
            said = end.speak(self.now)
            if said:
                self._wires[index].append((self.now + DELAY_S, self._worn(said)))
        for index, end in enumerate(reversed(self.ends())):
            while self._wires[index] and self._wires[index][0][0] <= self.now:
                end.hear(self._wires[index].popleft()[1], self.now)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 1000)):
            self.step()

    def settle(self, limit: float = 300.0) -> None:
        """Run until everything is acknowledged."""
        until = self.now + limit
        while not (self.host.session.idle and self.board.session.idle):
            assert self.now < until, "it does not come to an end"
            assert (self.host.session.ended, self.board.session.ended) == (None, None)
            self.step()

    def cut(self) -> None:
        """What is under way is lost."""
        for wire in self._wires:
            wire.clear()

    def _worn(self, data: bytes) -> bytes:
        if not self.faults:
            return data
        out = bytearray()
        for byte in data:
            dice = self.random.random() / self.faults
            if dice < 1:
                out.append(byte ^ 1 << self.random.randrange(8))
            elif dice < 2:
                continue
            elif dice < 3:
                out += bytes((byte, byte))
            else:
                out.append(byte)
        return bytes(out)


def host(epoch: int, **said: int | str) -> Handshake:
    return Handshake(epoch=epoch, **said)  # type: ignore[arg-type]


def small(epoch: int = 2, **said: int | str) -> Handshake:
    """What an Uno says."""
    return host(epoch, **{"tag": "wsc", "segment": 58, "longest": 300, "resend": 50, "window": 2, **said})
