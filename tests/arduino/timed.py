"""A host of leadscomm and a board of the C++ library at the two ends of a serial line, with one clock turned by hand.

What decides how soon a session recovers is in it: the time that each byte takes on the wire, the receive ring that
overflows, a board that is busy with a frame, a host that is woken late. Nothing of it depends on the machine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from leadscomm.protocol.session.compact.compact import CompactSession
from leadscomm.protocol.session.compact.go_back_n import Wire
from leadscomm.protocol.session.handshake import Handshake
from tests.arduino.lossy import Faults
from tests.arduino.stepper import Stepper
from tests.protocol.wire import End

STEP_S: Final = 1e-4
RING: Final = 63
CODING_S: Final = 1e-5
"""What each byte of a frame costs the board, coming and leaving."""
LATE_S: Final = 3e-4
"""How long what came waits for the host's thread, and what that writes for the line."""


class Way:
    """One direction: bytes follow each other at the pace of the line, and suffer."""

    def __init__(self, byte_s: float, faults: Faults) -> None:
        self._byte_s = byte_s
        self._faults = faults
        self._bytes: deque[tuple[float, int]] = deque()  # with the time at which each is there
        self.free_at = 0.0

    def put(self, data: bytes, at: float, late: float = 0.0) -> None:
        """Send from ``at`` on; ``late`` is how much later it is noticed."""
        self.free_at = max(self.free_at, at)
        for byte in self._faults(data):
            self.free_at += self._byte_s
            self._bytes.append((self.free_at + late, byte))

    def waiting(self, now: float) -> int:
        """Bytes that have not left."""
        return max(0, round((self.free_at - now) / self._byte_s))

    def take(self, now: float) -> bytes:
        came = bytearray()
        while self._bytes and self._bytes[0][0] <= now:
            came.append(self._bytes.popleft()[1])
        return bytes(came)


class TimedLine:
    """A board that sends each message back, and the session that a host has with it.

    :param me: what the host says of itself.
    :param faults: probabilities per byte, each way.
    :ivar prints: what the sketch prints on the same line now; it is told the time, and how many messages came.
    """

    def __init__(self, board: Stepper, me: Handshake, baud: int, seed: int = 1, **faults: float) -> None:
        self.now = 0.0
        self.prints: Callable[[float, int], bytes] = lambda now, came: b""
        self.host = End(CompactSession(me, self.now, asks=True, line=Wire(rate=baud / 10)))
        self._board = board
        self._down = Way(10 / baud, Faults(seed + 1, **faults))
        self._up = Way(10 / baud, Faults(seed + 2, **faults))
        self._busy_until = 0.0

    def step(self) -> None:
        """A tenth of a millisecond passes."""
        self.now += STEP_S
        self._turn_host()
        if self.now >= self._busy_until:
            self._turn_board()

    def _turn_host(self) -> None:
        came = self._up.take(self.now)
        if came:
            self.host.hear(came, self.now)
        self._down.put(self.host.speak(self.now), self.now + LATE_S)

    def _turn_board(self) -> None:
        came = self._down.take(self.now)[:RING]  # what the ring does not hold is lost
        passed = int(self.now * 1000) - self._board.now
        step = self._board.step(came, after=passed, room=max(0, RING - self._up.waiting(self.now)), echo=True)
        self._busy_until = self.now + CODING_S * (len(came) + len(step.out))
        self._up.put(self.prints(self.now, len(step.messages)) + step.out, self._busy_until, LATE_S)
