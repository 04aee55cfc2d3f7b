"""The two halves of the compact profile: go-back-N with three-bit numbers. ``docs/wire-protocol.md``.

Right on a wire that keeps the order, however much it loses, doubles or damages.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from leadscomm.protocol.framing.base import Pieces
from leadscomm.protocol.session.handshake import Handshake
from leadscomm.protocol.session.wire import NUMBERS, data

MAX_WINDOW: Final = NUMBERS - 1
MARGIN_S: Final = 0.002
"""What an answer may be late for reasons of its own: a thread that has to wait for its turn, say."""
FIRST_WAIT_S: Final = 0.05
"""How long an answer is waited for before any round trip was measured, where the peer does not say."""
MAX_RESEND_S: Final = 0.1
"""A board that was reset says so when it gets the next frame: nobody waits for that much longer."""
_PATIENT: Final = 48
"""After so many attempts in a row, and again after each so many more, the pace is halved."""
_SLOWEST: Final = 5
"""It is halved so often at most."""
_LEAST_FIRST_S: Final = 0.01
_DOUBTS: Final = 2
_RUN: Final = 254
"""COBS adds a byte for each run of so many."""


@dataclass(frozen=True)
class Wire:
    """What the sending half knows of the line.

    :ivar rate: bytes a second; 0: too many to matter. What is on its way is not missed before it can have arrived.
    :ivar overhead: bytes that the framing adds to a frame, for the peer's credit; 4 for COBS with 16 bits of CRC.
    """

    rate: float = 0.0
    overhead: int = 4

    def size(self, frame: int) -> int:
        """Bytes on the wire of a frame of so many bytes, at most."""
        return frame + self.overhead + frame // _RUN

    def seconds(self, size: int) -> float:
        """How long so many bytes take."""
        return size / self.rate if self.rate else 0.0


class RoundTrip:
    """How long the peer takes to answer.

    :param first: seconds that are waited for an answer before the first acknowledgement came.
    :ivar smoothed: seconds from a frame to its acknowledgement, as TCP smooths it (RFC 6298); None before the first.
    :ivar shortest: about the shortest time to any answer, without what the question took on the wire; None before one.
    """

    def __init__(self, first: float = FIRST_WAIT_S) -> None:
        self.smoothed: float | None = None
        self.shortest: float | None = None
        self._spread = 0.0
        self._first = first

    def measure(self, seconds: float, on_wire: float = 0.0) -> None:
        """A frame was acknowledged.

        :param on_wire: of these seconds, those that the frame itself took.
        """
        self.answered(max(0.0, seconds - on_wire))
        if self.smoothed is None:
            self.smoothed, self._spread = seconds, seconds / 2
        else:
            self._spread += (abs(self.smoothed - seconds) - self._spread) / 4
            self.smoothed += (seconds - self.smoothed) / 8

    def answered(self, seconds: float) -> None:
        """Anything was answered."""
        if self.shortest is None or seconds < self.shortest:
            self.shortest = seconds
        else:
            self.shortest += (seconds - self.shortest) / 256  # one that was wrong is not believed for ever

    @property
    def patience(self) -> float:
        """How many seconds without an answer say that something got lost."""
        return self._first if self.smoothed is None else self.smoothed + max(MARGIN_S, 4 * self._spread)

    def soonest(self, attempts: int) -> float:
        """Within how many seconds nothing that comes can be an answer."""
        shortest = self.shortest or 0.0
        return shortest / 2 * _slower(attempts)


def _slower(attempts: int) -> int:
    """How much slower the pace is after many attempts in a row: a peer that does not take what is sent, or a line that
    carries nothing, is not flooded."""
    return 1 << min(attempts // _PATIENT, _SLOWEST)


class _Piece:
    """A data frame under way."""

    __slots__ = ("doubtful", "first_at", "left_at", "more", "payload", "size")

    def __init__(self, payload: bytes, more: bool, size: int) -> None:
        self.payload = payload
        self.more = more
        self.size = size
        self.first_at = 0.0  # when it was sent the first time
        self.left_at = 0.0  # when its end left, the last time
        self.doubtful = False  # it, or what was said of it, got lost perhaps: its acknowledgement tells no round trip


class CompactSender:
    """Cuts messages into pieces, has a window of them under way, and sends again what is not acknowledged.

    :ivar credit: bytes that may be under way; 0: any number.
    :ivar lead: a byte stands before each frame.
    :ivar beside: bytes that the peer may hold besides the frames under way, for its credit.
    :ivar free_at: when all that was given to the line has left it, as far as its rate is known.
    :ivar resent: frames sent again.
    :ivar trip: how long the peer takes to acknowledge.
    """

    def __init__(self, peer: Handshake, wire: Wire) -> None:
        self._segment = max(1, peer.segment)
        self._window = min(max(1, peer.window), MAX_WINDOW)
        self._wire = wire
        self.credit = peer.credit
        self.lead = False
        self.beside = 0
        self.free_at = 0.0
        self.resent = 0
        self.trip = RoundTrip(min(max(peer.resend / 1000, _LEAST_FIRST_S), MAX_RESEND_S))
        self._messages: deque[bytes] = deque()  # not acknowledged as a whole
        self._cut = 0  # how many of them are pieces already
        self._offset = 0  # how much of the next one is
        self._under_way: deque[_Piece] = deque()
        self._base = 0  # the number of the oldest one under way
        self._sent_at = 0.0  # when a frame was sent last
        self._tries = 0  # how often in a row the timer went off, and nothing came
        self._again = 0  # how often in a row all was sent again
        self._said = 0  # how often it was said that the oldest one under way is expected
        self._go_back = False

    @property
    def wants(self) -> bool:
        """Whether another message should be given to :meth:`send`; it may be at any time."""
        return len(self._messages) - self._cut < 2

    @property
    def held_up(self) -> bool:
        """Whether something waits though the window has room: the credit has none."""
        return self._cut < len(self._messages) and len(self._under_way) < self._window

    @property
    def idle(self) -> bool:
        """Whether everything was acknowledged."""
        return not self._messages

    def send(self, message: bytes) -> None:
        self._messages.append(message)

    def unacknowledged(self) -> list[bytes]:
        """The messages that were not acknowledged as a whole, oldest first."""
        return list(self._messages)

    @property
    def begun(self) -> int:
        """How many of these were sent, if only in part."""
        return self._cut + (self._offset > 0)

    def acknowledge(self, number: int, now: float, *, explicit: bool) -> bool:
        """The peer expects ``number``; whether anything was acknowledged by it.

        :param explicit: an ACK or a PING says so, and not the header of another frame.
        """
        count = (number - self._base) % NUMBERS
        under_way = self._under_way
        if count > len(under_way):
            return False
        if not count:
            if explicit and under_way:
                self._missed(under_way[0], now)
            return False
        newest = under_way[count - 1]
        if not newest.doubtful:
            self.trip.measure(now - newest.first_at, newest.left_at - newest.first_at)
        for _ in range(count):
            if not under_way.popleft().more:
                self._messages.popleft()
                self._cut -= 1
        self._base = number
        self._tries = self._again = 0
        self._go_back = False
        self._said = int(explicit and bool(under_way))
        self._sent_at = now
        return True

    def _missed(self, oldest: _Piece, now: float) -> None:
        """The peer says that the oldest one under way is expected. It can only mean that it was lost if it had the time
        to arrive; before any round trip is known, that is believed when it is said for the second time."""
        self._said += 1
        self._doubt()
        if self.trip.shortest is None:
            self._go_back |= self._said == 2
        elif now >= oldest.left_at + self.trip.soonest(self._again):
            self._go_back = True

    def heard(self, *, damaged: bool) -> None:
        """Something came from the peer: it is there, and the line is to blame for what is missing.

        :param damaged: it may have been an acknowledgement; the next one tells no round trip.
        """
        self._tries = 0
        if damaged:
            self._doubt()

    def _doubt(self) -> None:
        for piece in self._under_way:
            piece.doubtful = True

    def deadline(self) -> float | None:
        """When :meth:`frames` is to be called at the latest; None: not before something comes."""
        if not self._under_way:
            return None
        wait = min(self.trip.patience * max(1 << self._tries, _slower(self._again)), MAX_RESEND_S)
        # There and back, as an answer may be as long as the question.
        return self._sent_at + wait + 2 * self._wire.seconds(sum(piece.size for piece in self._under_way))

    def frames(self, now: float, ack: int, *, only_again: bool = False) -> Iterator[bytes]:
        """What is to be sent now.

        :param ack: goes into the headers.
        :param only_again: nothing that was not sent before: others wait for the peer's credit, too.
        """
        due = self.deadline()
        timed_out = due is not None and now >= due
        if timed_out or self._go_back:
            self._tries = min(self._tries + timed_out, 16)
            self._go_back = False
            self._again += 1
            self._said = 3  # no sooner than by the timer, as long as no round trip is known
            for index, piece in enumerate(self._under_way):
                self.resent += 1
                yield self._frame(index, piece, now, ack)
        while not only_again and self._cut < len(self._messages) and len(self._under_way) < self._window:
            piece = self._next_piece()
            if not self.affords(piece.size):
                break
            self._take(piece)
            piece.first_at = now
            yield self._frame(len(self._under_way) - 1, piece, now, ack)

    def _frame(self, index: int, piece: _Piece, now: float, ack: int) -> bytes:
        self._sent_at = now
        piece.left_at = self.occupy(piece.size, now)
        return data(piece.payload, (self._base + index) % NUMBERS, ack, more=piece.more)

    def occupy(self, size: int, now: float) -> float:
        """Give the line so many bytes; when they have left."""
        self.free_at = max(now, self.free_at) + self._wire.seconds(size)
        return self.free_at

    def affords(self, size: int) -> bool:
        """Whether the peer's credit allows so many bytes more; a single frame is always allowed."""
        held = self.beside + sum(other.size for other in self._under_way)
        return not (self.credit and held) or held + size <= self.credit

    def _next_piece(self) -> _Piece:
        message = self._messages[self._cut]
        end = self._offset + self._segment
        payload = message[self._offset : end]
        return _Piece(payload, end < len(message), self._wire.size(len(payload) + 1) + self.lead)

    def _take(self, piece: _Piece) -> None:
        if not self._under_way:
            self._said = 0
        self._under_way.append(piece)
        if piece.more:
            self._offset += len(piece.payload)
        else:
            self._offset = 0
            self._cut += 1


class CompactReceiver:
    """Takes data frames in order, puts pieces together, and knows what to acknowledge.

    :param longest: bytes of a message at most.
    :ivar ack: the next number that the peer may take as expected: all before it were dealt with.
    :ivar duplicates: frames dropped because they had come before, or because one before them is missing.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self.ack = 0
        self.duplicates = 0
        self._expected = 0
        self._delivered: deque[bool] = deque()  # of the frames from ack to _expected
        self._pieces = Pieces()
        self._size = 0

    def take(self, number: int, payload: bytes, more: bool) -> bytes | None:
        """Take a data frame that is the expected one.

        :return: the message, if it is whole now; None also for the last piece of one that is too long.
        """
        self._expected = (number + 1) % NUMBERS
        self._size += len(payload)
        if self._size <= self._longest:
            self._pieces.add(payload)
        else:
            self._pieces.clear()
        message = None
        if not more:
            message = self._pieces.peek() if self._size <= self._longest else None
            self._pieces.clear()
            self._size = 0
        self._delivered.append(message is None)
        self._settle()
        return message

    def expects(self, number: int) -> bool:
        """Whether a data frame is the next one; if not, it is to be dropped."""
        if number == self._expected and len(self._delivered) < MAX_WINDOW:
            return True
        self.duplicates += 1
        return False

    def gap(self, number: int, window: int) -> bool:
        """Whether a data frame that is not expected shows that one before it is missing.

        :param window: how many frames the peer has under way at most; of many that cannot be told.
        """
        return 0 < (number - self._expected) % NUMBERS < (window if window <= NUMBERS // 2 else 0)

    def delivered(self) -> None:
        """The oldest message that :meth:`take` returned was dealt with."""
        self._delivered[self._delivered.index(False)] = True
        self._settle()

    def _settle(self) -> None:
        while self._delivered and self._delivered[0]:
            self._delivered.popleft()
            self.ack = (self.ack + 1) % NUMBERS


class Missing:
    """What may not have arrived here: something came damaged, and so the peer is asked for what it has under way.

    :param trip: how long it takes to answer.
    """

    def __init__(self, trip: RoundTrip) -> None:
        self._trip = trip
        self._asked_at = 0.0
        self._attempts = 0  # questions in a row that nothing new came after
        self._doubts = 0  # answers without data that are wanted: before one of them the question may have got lost
        self._gap = False  # it is known that something is missing
        self._spoiled = False  # something came damaged, and was not looked at yet
        self._again = False  # the question is to be put again at once

    def spoiled(self) -> None:
        """Something came damaged."""
        self._spoiled = True

    def gap(self) -> None:
        """A frame came before which another is missing."""
        self._gap = True
        self._doubts = self._doubts or _DOUBTS

    def filled(self) -> None:
        """The data that was expected came."""
        self._attempts = self._doubts = 0
        self._gap = False

    def answered(self, now: float) -> None:
        """An ACK or a PING came."""
        if self._doubts and now >= self._heard_at():
            self._doubts -= not self._gap
            self._again = self._doubts > 0

    def _heard_at(self) -> float:
        """What comes before had left before the last question was heard."""
        return self._asked_at + self._trip.soonest(self._attempts)

    def deadline(self) -> float | None:
        """When :meth:`asks` is to be called at the latest."""
        if not self._doubts:
            return None
        return self._asked_at + min(self._trip.patience * _slower(self._attempts), MAX_RESEND_S)

    def asks(self, now: float) -> bool:
        """Whether a question is due; it is put then."""
        again = self._again or (self._spoiled and (not self._doubts or now >= self._heard_at()))
        due = self.deadline()
        if self._spoiled:
            self._doubts = _DOUBTS
        self._spoiled = self._again = False
        if not again and (due is None or now < due):
            return False
        self._asked_at = now
        self._attempts += 1
        return True
