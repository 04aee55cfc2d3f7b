"""The compact profile: two sessions on a line that the input rules.

Either the line is only bad: it keeps the order, loses, doubles and damages frames. Then what comes is the beginning of
what was sent, and all of it in the end. Or there is somebody on it who says whatever he likes. The compact profile has
no key, so nothing holds then but this: no error, little memory, and no storm of frames.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from leadscomm.protocol.session import wire
from leadscomm.protocol.session.compact.compact import CompactSession
from leadscomm.protocol.session.compact.go_back_n import Wire
from leadscomm.protocol.session.handshake import Handshake, Refusal

from . import forged
from .source import Source, held

LONGEST = 600
"""Bytes of a message."""
FOR_EVER = 1e9
STEP_S = 0.001
PASSING_S = (0.001, 0.003, 0.02, 0.2, 2.0)
MEMORY = 24 << 10
"""Bytes that a session may hold, those of its own messages included."""
MOST_RESENT = 300
"""Frames that are sent again in a second, at most."""
SETTLING_S = {True: 60.0, False: 3.0}
"""How long a line has to be well, after it was only bad or after somebody was on it."""
FLOOD = 4096


class Side:
    """A session, what it sent and what came.

    :ivar line: frames on their way to it.
    """

    def __init__(self, me: Handshake, *, asks: bool, source: Source) -> None:
        line = Wire(rate=source.pick((0.0, 11520.0)))
        self.session = CompactSession(me, 0.0, asks=asks, longest=LONGEST, silence=FOR_EVER, line=line)
        self.line: deque[bytes] = deque(maxlen=64)
        self.sent: list[bytes] = []
        self.got: list[bytes] = []
        self.keeps = False
        self.kept = 0

    def hear(self, now: float, *frames: bytes) -> None:
        for frame in frames:
            self.session.receive(frame, now)
        came = self.session.take()
        assert len(self.session.take_faults()) <= 16
        self.got += came
        self.kept += len(came)
        self.deal(now)

    def deal(self, now: float) -> None:
        while self.kept and not self.keeps:
            self.kept -= 1
            self.session.delivered(now)


class Line:
    """Both sides, and who rules the line between them.

    :ivar honest: the line is only bad.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.honest = not source.below(2)
        self.flooded = False
        self.now = 0.0
        host = Handshake(1, resend=source.pick((100, 20, 1)), window=7)
        segment, window, credit = source.pick((58, 1, 300)), source.pick((2, 1, 7)), source.pick((0, 63))
        board = Handshake(2, tag="wsc", segment=segment, longest=LONGEST, resend=50, window=window, credit=credit)
        self.sides = [Side(host, asks=True, source=source), Side(board, asks=False, source=source)]

    def run(self) -> None:
        deeds = DEEDS[: DEEDS.index(forge)] if self.honest else DEEDS
        while self.source:
            self.source.pick(deeds)(self)
            self.check()

    def check(self) -> None:
        """What holds at any time on a line that is only bad."""
        for side, other in zip(self.sides, reversed(self.sides)):
            if self.honest:
                assert side.session.ended is None, side.session.ended
                assert side.got == other.sent[: len(side.got)]
            else:
                side.got.clear()

    def judge(self) -> None:
        """What holds in the end."""
        for side, other in zip(self.sides, reversed(self.sides)):
            assert held(side.session) <= MEMORY
            if self.honest:
                assert side.session.idle
                assert side.session.open
                assert side.got == other.sent

    def speak(self) -> int:
        """Let both say what is due; return how many frames that were."""
        count = 0
        for side, other in zip(self.sides, reversed(self.sides)):
            due = side.session.frames(self.now)
            other.line.extend(due)
            count += len(due)
        return count

    def settle(self) -> None:
        """The line is well again, and nobody else is there."""
        for side in self.sides:
            side.keeps = False
            side.line.clear()
            side.deal(self.now)
        begin, before = self.now, self.resent()
        while self.now < begin + SETTLING_S[self.honest] and not self.rests():
            said = self.speak()
            for side in self.sides:
                while side.line:
                    side.hear(self.now, side.line.popleft())
            self.check()
            due = [at for side in self.sides if (at := side.session.deadline()) is not None]
            self.now = max(self.now + STEP_S, min(due, default=0.0) if not said else 0.0)
        assert self.resent() - before < 50 + MOST_RESENT * (self.now - begin)

    def resent(self) -> int:
        return sum(side.session.counters().resent for side in self.sides)

    def rests(self) -> bool:
        return all((side.session.open and side.session.idle) or side.session.ended for side in self.sides)


# What a bad line does ------------------------------------------------------------------------------------------------


def passes(line: Line) -> None:
    """Time."""
    line.now += line.source.pick(PASSING_S)
    line.speak()


def arrives(line: Line) -> None:
    """Frames, in order."""
    side = line.source.pick(line.sides)
    for _ in range(min(len(side.line), 1 + line.source.below(4))):
        side.hear(line.now, side.line.popleft())


def is_lost(line: Line) -> None:
    """A frame, and nobody hears of it; or one is damaged, which the framing notices."""
    side = line.source.pick(line.sides)
    if side.line:
        side.line.popleft()
        side.session.damaged(line.source.below(2))


def is_doubled(line: Line) -> None:
    side = line.source.pick(line.sides)
    if side.line:
        side.hear(line.now, side.line[0])


def is_sent(line: Line) -> None:
    side = line.source.pick(line.sides)
    message = b"%d" % len(side.sent) + bytes(line.source.pick((0, 30, 57, 58, 200, LONGEST - 9)))
    if side.session.wants and len(message) <= (side.session.peer.longest if side.session.peer else 0):
        side.session.send(message)
        side.sent.append(message)


def is_pondered(line: Line) -> None:
    """A side deals with its messages later, or at last."""
    side = line.source.pick(line.sides)
    side.keeps = bool(line.source.below(2))
    side.deal(line.now)


# What somebody else does ---------------------------------------------------------------------------------------------


def forge(line: Line) -> None:
    """A frame of a session, its fields chosen; once or very often."""
    side, source = line.source.pick(line.sides), line.source
    kind = source.below(5)
    number, ack, body = source.below(8), source.below(8), source.chunk(70)
    if kind == 0:
        frame = source.rest() or b"\0"
    elif kind == 1:
        frame = wire.datagram(body, source.below(64))
    elif kind == 2:
        frame = forged.compact_greeting(source)
    elif kind == 3:
        frame = Refusal(source.below(8), source.below(1 << 16)).frame()
    else:
        frame = wire.control(number, body, ack) if source.below(2) else wire.data(body, number, ack, more=bool(ack & 1))
    side.hear(line.now, *[frame] * source.pick((1, 1, 1, 9)))


def flood(line: Line) -> None:
    """Very many pieces of one message, in order; once is enough."""
    side, body, last = line.source.pick(line.sides), line.source.chunk(2), line.source.below(8)
    if not line.flooded:
        line.flooded = True
        side.hear(line.now, *(wire.data(body, number % 8, last, more=True) for number in range(FLOOD)))


def leaves(line: Line) -> None:
    line.source.pick(line.sides).session.leave()


def gossips(line: Line) -> None:
    """A datagram of a side itself."""
    side = line.source.pick(line.sides)
    message = line.source.chunk()
    if len(message) <= (side.session.peer.segment if side.session.peer else 0):
        side.session.send_datagram(message)


DEEDS: Sequence[Callable[[Line], None]] = (
    passes,
    arrives,
    arrives,
    is_lost,
    is_doubled,
    is_sent,
    is_sent,
    is_pondered,
    forge,
    forge,
    flood,
    leaves,
    gossips,
)


def one_input(data: bytes) -> None:
    line = Line(Source(data))
    line.run()
    line.settle()
    line.judge()
