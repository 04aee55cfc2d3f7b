"""The two halves of the compact profile: go-back-N with three-bit numbers. ``docs/wire-protocol.md``.

Right on a wire that keeps the order, however much it loses, doubles or damages.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from leadscomm.protocol.base import Pieces
from leadscomm.protocol.frames import NUMBERS, data
from leadscomm.protocol.handshake import Handshake

MAX_WINDOW: Final = NUMBERS - 1
MARGIN_S: Final = 0.01
"""What an answer may be late for reasons of its own: a thread that has to wait for its turn, say."""
MAX_RESEND_S: Final = 0.1
"""A board that was reset says so when it gets the next frame: nobody waits for that much longer."""
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


class _Piece:
    """A data frame under way."""

    __slots__ = ("more", "payload", "sent_at", "size")

    def __init__(self, payload: bytes, more: bool, size: int) -> None:
        self.payload = payload
        self.more = more
        self.size = size
        self.sent_at: float | None = None  # None: more than once, so that its answer tells no round trip


class CompactSender:
    """Cuts messages into pieces, has a window of them under way, and sends again what is not acknowledged.

    :ivar credit: bytes that may be under way; 0: any number.
    :ivar resent: frames sent again.
    :ivar round_trip: seconds from a frame to its acknowledgement, smoothed; None before the first.
    """

    def __init__(self, peer: Handshake, wire: Wire) -> None:
        self._segment = max(1, peer.segment)
        self._window = min(max(1, peer.window), MAX_WINDOW)
        self._first_wait = min(max(peer.resend / 1000, MARGIN_S), MAX_RESEND_S)
        self._wire = wire
        self.credit = peer.credit
        self.resent = 0
        self.round_trip: float | None = None
        self._spread = 0.0
        self._messages: deque[bytes] = deque()  # not acknowledged as a whole
        self._cut = 0  # how many of them are pieces already
        self._offset = 0  # how much of the next one is
        self._under_way: deque[_Piece] = deque()
        self._base = 0  # the number of the oldest one under way
        self._sent_at = 0.0  # when a frame was sent last
        self._tries = 0  # how often in a row the timer went off
        self._said = 0  # how often an ACK said that the oldest one under way is expected
        self._go_back = False

    @property
    def wants(self) -> bool:
        """Whether another message should be given to :meth:`send`; it may be at any time."""
        return len(self._messages) - self._cut < 2

    @property
    def idle(self) -> bool:
        """Whether everything was acknowledged."""
        return not self._messages

    def send(self, message: bytes) -> None:
        self._messages.append(message)

    def unacknowledged(self) -> list[bytes]:
        """The messages that were not acknowledged as a whole, oldest first."""
        return list(self._messages)

    def acknowledge(self, number: int, now: float, *, explicit: bool) -> bool:
        """The peer expects ``number``; whether anything was acknowledged by it.

        :param explicit: an ACK says so, and not the header of another frame.
        """
        count = (number - self._base) % NUMBERS
        under_way = self._under_way
        if count > len(under_way):
            return False
        if not count:
            self._said += bool(under_way) and explicit
            self._go_back |= self._said == 2
            return False
        sent_at = under_way[count - 1].sent_at
        if sent_at is not None:
            self._measure(now - sent_at)
        for _ in range(count):
            if not under_way.popleft().more:
                self._messages.popleft()
                self._cut -= 1
        self._base = number
        self._tries = 0
        self._go_back = False
        self._said = int(explicit and bool(under_way))
        self._sent_at = now
        return True

    def _measure(self, seconds: float) -> None:
        """Smooth the round trip as TCP does (RFC 6298)."""
        if self.round_trip is None:
            self.round_trip, self._spread = seconds, seconds / 2
        else:
            self._spread += (abs(self.round_trip - seconds) - self._spread) / 4
            self.round_trip += (seconds - self.round_trip) / 8

    def deadline(self) -> float | None:
        """When :meth:`frames` is to be called at the latest; None: not before something comes."""
        if not self._under_way:
            return None
        if self.round_trip is None:
            wait = self._first_wait
        else:
            wait = self.round_trip + max(MARGIN_S, 4 * self._spread)
        wait = min(wait * (1 << self._tries), MAX_RESEND_S)
        # There and back, as an answer may be as long as the question.
        return self._sent_at + wait + 2 * self._wire.seconds(sum(piece.size for piece in self._under_way))

    def frames(self, now: float, ack: int) -> Iterator[bytes]:
        """What is to be sent now.

        :param ack: goes into the headers.
        """
        due = self.deadline()
        timed_out = due is not None and now >= due
        if timed_out or self._go_back:
            self._tries = min(self._tries + timed_out, 16)
            self._go_back = False
            self._said = 3  # no sooner than by the timer
            for index, piece in enumerate(self._under_way):
                piece.sent_at = None
                self.resent += 1
                yield self._frame(index, piece, now, ack)
        while self._cut < len(self._messages) and len(self._under_way) < self._window:
            piece = self._next_piece()
            if not self._affords(piece):
                break
            self._take(piece)
            piece.sent_at = now
            yield self._frame(len(self._under_way) - 1, piece, now, ack)

    def _frame(self, index: int, piece: _Piece, now: float, ack: int) -> bytes:
        self._sent_at = now
        return data(piece.payload, (self._base + index) % NUMBERS, ack, more=piece.more)

    def _next_piece(self) -> _Piece:
        message = self._messages[self._cut]
        end = self._offset + self._segment
        payload = message[self._offset : end]
        return _Piece(payload, end < len(message), self._wire.size(len(payload) + 1))

    def _affords(self, piece: _Piece) -> bool:
        """Whether the peer's credit allows it; a single frame is always allowed."""
        if not self.credit or not self._under_way:
            return True
        return sum(other.size for other in self._under_way) + piece.size <= self.credit

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
        self._dealt_with: deque[bool] = deque()  # of the frames from ack to _expected
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
        self._dealt_with.append(message is None)
        self._settle()
        return message

    def expects(self, number: int) -> bool:
        """Whether a data frame is the next one; if not, it is to be dropped."""
        if number == self._expected and len(self._dealt_with) < MAX_WINDOW:
            return True
        self.duplicates += 1
        return False

    def delivered(self) -> None:
        """The oldest message that :meth:`take` returned was dealt with."""
        self._dealt_with[self._dealt_with.index(False)] = True
        self._settle()

    def _settle(self) -> None:
        while self._dealt_with and self._dealt_with[0]:
            self._dealt_with.popleft()
            self.ack = (self.ack + 1) % NUMBERS
