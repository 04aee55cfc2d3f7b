"""What becomes of segments on a link: how many may be sent over it, and which of them are lost.

There are two kinds of paths. :class:`Lossless` is a stream of bytes: as long as it lives it loses nothing, so nothing
is asked, measured or paced for a message; what came is told by acknowledgements that have all the time in the world.
:class:`Measured` may lose anything: ``recovery.py`` finds out what, and ``congestion.py`` how much it carries.

That a path loses nothing is a guess, made of the kind of the line. The link takes it back, for good, as soon as one
segment is seen to be missing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import inf
from typing import Final

from leadscomm.protocol.session.full.congestion import FIRST_SEGMENT, Congestion
from leadscomm.protocol.session.full.lanes import DONE, Sent
from leadscomm.protocol.session.full.recovery import Recovery

ASK_AFTER_S: Final = 0.25
"""After this a peer that told nothing is asked what came over a path that loses nothing."""
ASK_SOON_S: Final = 0.02
"""The same, where there is another link that could be used instead."""
BLOCK_BYTES: Final = 1 << 18
"""So much is handed to a line at a time, at most: its own buffer is the window."""
MIXED_SEGMENT: Final = 1 << 14
"""Bytes on the wire of a segment while there are urgent messages beside others, as these wait until it has left."""
_LEAST_S: Final = 0.001
"""Between two measurements, however short the path is."""
_ASKED: Final = 8
"""So many questions are remembered."""


class Path(ABC):
    """:param recovery: counts what was sent, and knows the round trip.

    :ivar probing: a segment may go, whatever the window.
    """

    lossless = False
    probing = False

    def __init__(self, recovery: Recovery) -> None:
        self.recovery = recovery

    @property
    def rate(self) -> float:
        """Bytes a second that arrive; 0: not measured."""
        return 0.0

    @property
    def segment(self) -> int:
        """Bytes on the wire that a segment has at present."""
        return FIRST_SEGMENT

    @property
    def measure_every(self) -> float:
        """After so many seconds the round trip is to be measured anew."""
        return inf

    @property
    def told_by_itself(self) -> bool:
        """Whether what is under way will be asked after by :meth:`lost`."""
        return False

    @abstractmethod
    def wait(self, *, alone: bool) -> float:
        """How long to wait for an answer, in seconds.

        :param alone: there is no other link.
        """

    @abstractmethod
    def cut(self, shortest: int, longest: int, *, mixed: bool) -> int:
        """As :meth:`Congestion.cut`."""

    @abstractmethod
    def budget(self, now: float, *, urgent: bool) -> int:
        """As :meth:`Congestion.budget`."""

    @abstractmethod
    def next_at(self, *, urgent: bool) -> float | None:
        """As :meth:`Congestion.next_at`."""

    @abstractmethod
    def sent(self, sent: Sent, now: float) -> None:
        """A segment goes out."""

    @abstractmethod
    def acknowledged(self, segments: list[Sent], now: float) -> None:
        """Segments that were sent over it came."""

    def spend(self, size: int, now: float) -> None:
        """Something else goes out."""

    def starved(self) -> None:
        """There is nothing more to send, though there might be."""

    def trip(self, seconds: float, now: float) -> None:
        """A question was answered after so many seconds."""
        self.recovery.answered(seconds)

    def lost(self, now: float) -> list[Sent]:
        """The segments that are found to be lost now."""
        return []

    def deadline(self) -> float | None:
        """When :meth:`lost` is to be called at the latest; None: not before something came."""
        return None

    @abstractmethod
    def give_up(self, under_way: list[Sent]) -> None:
        """Nothing more is sent over it, and what is under way is lost."""

    def asks(self, clock: int) -> None:
        """A question goes out.

        :param clock: by which its answer is known.
        """

    def answered(self, clock: int) -> None:
        """The answer came."""

    def known_to_have_come(self, behind: Sequence[Sent]) -> int:
        """An acknowledgement came: up to which one, in the order of sending, all segments came if nothing was lost.

        :param behind: what was told to have come behind a gap.
        :return: its order; 0: nothing is known of it.
        """
        return 0


class Lossless(Path):
    """A stream of bytes. What is sent over it is kept until it is acknowledged, and nothing else is known of it."""

    lossless = True

    def __init__(self, recovery: Recovery) -> None:
        super().__init__(recovery)
        self._barrier = 0  # a question was answered that was sent behind so many segments; 0: none was
        self._asked: list[tuple[int, int]] = []  # clocks of questions, and how many segments were sent before

    def wait(self, *, alone: bool) -> float:
        if alone:
            return ASK_AFTER_S
        return max(ASK_SOON_S, 4 * (self.recovery.round_trip or ASK_SOON_S))

    def cut(self, shortest: int, longest: int, *, mixed: bool) -> int:
        return max(shortest, min(longest, MIXED_SEGMENT)) if mixed else longest

    def budget(self, now: float, *, urgent: bool) -> int:
        return BLOCK_BYTES

    def next_at(self, *, urgent: bool) -> float | None:
        return 0.0

    def sent(self, sent: Sent, now: float) -> None:
        recovery = self.recovery
        recovery.count += 1
        sent.order = recovery.count

    def acknowledged(self, segments: list[Sent], now: float) -> None:
        self.recovery.tries = 0
        for sent in segments:
            sent.state = DONE  # also of one that counts as lost, with the line that had brought it

    def give_up(self, under_way: list[Sent]) -> None:
        self.recovery.resent += len(under_way)

    # Whether it is one

    def asks(self, clock: int) -> None:
        self._asked.append((clock, self.recovery.count))
        del self._asked[:-_ASKED]

    def answered(self, clock: int) -> None:
        self._barrier = max([self._barrier, *[count for asked, count in self._asked if asked == clock]])

    def known_to_have_come(self, behind: Sequence[Sent]) -> int:
        known, self._barrier = max([self._barrier, *[sent.order for sent in behind]]), 0
        return known


class Measured(Path):
    """:param rate: bytes a second that the line carries at most, where that is known; 0 if not."""

    def __init__(self, recovery: Recovery, rate: float) -> None:
        super().__init__(recovery)
        self._congestion = Congestion(rate)

    @property
    def rate(self) -> float:
        return self._congestion.rate

    @property
    def segment(self) -> int:
        return self._congestion.segment

    @property
    def measure_every(self) -> float:
        congestion = self._congestion
        return max(_LEAST_S, congestion.shortest) if congestion.measuring else inf

    @property
    def told_by_itself(self) -> bool:
        return self.recovery.in_flight > 0

    def wait(self, *, alone: bool) -> float:
        return self.recovery.wait()

    def cut(self, shortest: int, longest: int, *, mixed: bool) -> int:
        return self._congestion.cut(shortest, longest, mixed=mixed)

    def budget(self, now: float, *, urgent: bool) -> int:
        budget = self._congestion.budget(now, self.recovery.in_flight, urgent=urgent)
        return max(budget, 1) if self.probing else budget

    def next_at(self, *, urgent: bool) -> float | None:
        return 0.0 if self.probing else self._congestion.next_at(self.recovery.in_flight, urgent=urgent)

    def sent(self, sent: Sent, now: float) -> None:
        self._congestion.sent(sent, now, self.recovery.in_flight)
        self.recovery.sent(sent, now)
        self.probing = False

    def acknowledged(self, segments: list[Sent], now: float) -> None:
        newest = self.recovery.acknowledged(segments, now)
        self._congestion.acknowledged(segments, newest, now, self.recovery.in_flight)

    def spend(self, size: int, now: float) -> None:
        self._congestion.spend(size, now)

    def starved(self) -> None:
        self._congestion.starved(self.recovery.in_flight)

    def trip(self, seconds: float, now: float) -> None:
        super().trip(seconds, now)
        self._congestion.measure_trip(seconds, now)

    def lost(self, now: float) -> list[Sent]:
        tries = self.recovery.tries
        lost = self.recovery.lost(now)
        self.probing |= self.recovery.tries > tries
        self._congestion.lost(lost)
        return lost

    def deadline(self) -> float | None:
        return self.recovery.deadline()

    def give_up(self, under_way: list[Sent]) -> None:
        self.probing = False
        self.recovery.abandon()
