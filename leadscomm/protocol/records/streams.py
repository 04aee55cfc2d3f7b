"""Streams: data larger than memory, as records of a session. No I/O, no clock.

::

    sender     OFFER ──▶        ──▶ DATA DATA DATA … END ──▶
    receiver         ──▶ ACCEPT ──▶      GOT  GOT …      ──▶ DONE

The receiver says in ACCEPT how much of the stream it has, and the digest of that. A sender whose stream begins in the
same way goes on from there, any other one from the beginning. END carries the digest of the whole. So it does not
matter who was restarted meanwhile, nor what has changed.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Final, Protocol

from leadscomm.errors import RemoteProtocolError
from leadscomm.protocol.records.stream_records import (
    DATA_OVERHEAD,
    Accept,
    Answer,
    Data,
    Done,
    Drop,
    End,
    Got,
    Offer,
    Refuse,
    Said,
)

LARGEST_CHUNK: Final = 256 << 10
SMALLEST_CHUNK: Final = 64
FIRST_CHUNK: Final = 1024
CHUNKS: Final = 16
"""So many chunks of a stream are under way at once."""
CREDIT: Final = CHUNKS * LARGEST_CHUNK
"""What a receiver lets be under way of all streams of a session, in bytes; and of each"""
LEAST_CREDIT: Final = 64 << 10
"""so much, however many there are."""
PIECES: Final = 4096
"""So many pieces of a stream may be under way: each costs its receiver some memory beside its bytes."""
SHORT_S: Final = 0.25
"""As long as a chunk waits no longer than this on its way, larger ones are tried."""
LONG_S: Final = 1.0
"""A chunk that waits longer than this on its way is followed by smaller ones."""


def credit_beside(others: int) -> int:
    """What a receiver lets be under way of one more stream, in bytes: half of what is left, for others may follow.

    :param others: what it lets be under way of the other streams of the session.
    """
    return max(LEAST_CREDIT, (CREDIT - others) // 2)


class Digest(Protocol):
    """What is used of a hash of :mod:`hashlib`."""

    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


def new_digest() -> Digest:
    """The digest of nothing yet."""
    return hashlib.sha256(usedforsecurity=False)


class Pace:
    """How large the chunks of all streams of a session are: so that about a second's worth of each is under way.

    That is much on a quick link and little on a slow one, whose progress is then still told often, and on which
    cancelling is still soon heard.

    :param longest: bytes of the longest record that the peer takes.
    :ivar chunk: bytes of the next chunk.
    """

    def __init__(self, longest: int) -> None:
        self._largest = max(1, min(LARGEST_CHUNK, longest - DATA_OVERHEAD))
        self.chunk = min(FIRST_CHUNK, self._largest)
        self._shortest = float("inf")

    def took(self, seconds: float) -> None:
        """A chunk was told to be written so long after it was sent."""
        self._shortest = min(self._shortest, seconds)
        waited = seconds - self._shortest
        if waited > LONG_S:
            self.chunk = max(min(SMALLEST_CHUNK, self._largest), self.chunk // 2)
        elif waited < SHORT_S:
            self.chunk = min(self._largest, self.chunk * 2)


class SendingStream:
    """The sender's side. What is received may come in by another thread than what is sent goes out by.

    :param offer: what it is.
    :param pace: that of its session.
    :ivar accepted: what the receiver has answered; None: nothing yet.
    :ivar refused: why it does not take it any more; None as long as it does.
    :ivar done: all of it is there, and whole.
    :ivar sent: the offset behind what was sent.
    :ivar got: the offset behind what the receiver has written.
    """

    def __init__(self, offer: Offer, pace: Pace) -> None:
        self.offer = offer
        self.accepted: Accept | None = None
        self.refused: Refuse | None = None
        self.done = False
        self.sent = 0
        self.got = 0
        self._pace = pace
        self._digest = new_digest()
        self._begun = False
        self._ended = False
        self._ends: deque[int] = deque()  # of the pieces that are under way
        self._timed: tuple[int, float] | None = None  # a chunk whose way is timed: its end, when it was sent

    def receive(self, answer: Answer, now: float) -> None:
        """Take an answer of the receiver.

        :param now: any clock that only goes forward, in seconds.
        :raises RemoteProtocolError: it makes no sense.
        """
        if isinstance(answer, Got):
            self._written(answer.offset, now)
        elif isinstance(answer, Accept):
            if self.accepted is not None or not answer.credit or not self._may_begin_at(answer.offset):
                raise RemoteProtocolError(
                    f"the peer accepts the stream {self.offer.name!r} in a way that makes no sense"
                )
            self.accepted = answer
        elif isinstance(answer, Done):
            if not self._ended:
                raise RemoteProtocolError(f"the peer says that it has all of the stream {self.offer.name!r}: it cannot")
            self.got = self.sent
            self.done = True
        else:
            self.refused = answer

    def _may_begin_at(self, offset: int) -> bool:
        offer = self.offer
        return offset == 0 or (offer.repeatable and (offer.size is None or offset <= offer.size))

    def _written(self, offset: int, now: float) -> None:
        if not self._begun:
            return  # a sign of life: the receiver looks through what it has
        if not self.got <= offset <= self.sent:
            raise RemoteProtocolError(f"the peer has written what was not sent of the stream {self.offer.name!r}")
        self.got = offset
        while self._ends and self._ends[0] <= offset:
            self._ends.popleft()
        if self._timed is not None and offset >= self._timed[0]:
            self._pace.took(now - self._timed[1])
            self._timed = None

    def begin(self, known: Digest | None = None) -> bool:
        """Begin to send what was accepted.

        :param known: the digest of as much from the beginning of this stream as the receiver has.
        :return: True: from there on, because it has the same. False: from the beginning.
        """
        assert self.accepted is not None
        self._begun = True
        if known is None or known.digest() != self.accepted.digest:
            return False
        self._digest = known
        self.sent = self.got = self.accepted.offset
        return True

    def room(self) -> int:
        """How many bytes may be sent as the next piece; 0: none at the moment."""
        assert self.accepted is not None
        if len(self._ends) >= PIECES:
            return 0
        chunk = self._pace.chunk
        under_way = self.sent - self.got
        left = min(self.accepted.credit, CHUNKS * chunk) - under_way
        if left >= chunk:
            return chunk
        return 0 if under_way else left

    def data(self, payload: bytes, now: float) -> bytes:
        """The record that carries the next piece, of at most :meth:`room` bytes."""
        self._digest.update(payload)
        record = Data(self.offer.number, self.sent, payload).record()
        self.sent += len(payload)
        self._ends.append(self.sent)
        if self._timed is None:
            self._timed = (self.sent, now)
        return record

    def end(self) -> bytes:
        """The record that ends it."""
        self._ended = True
        return End(self.offer.number, self.sent, self._digest.digest()).record()


class ReceivingStream:
    """The receiver's side. What is received may come in by another thread than the answers go out by.

    :param offer: what the sender says that it is.
    :ivar written: the offset behind what was written.
    """

    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self.written = 0
        self._accepted: Accept | None = None
        self._expected = 0  # the offset that the next piece has
        self._fresh = True  # nothing of it came yet
        self._ended = False
        self._dropped = False
        self._came = self._wrote = 0  # pieces
        self._digest = new_digest()

    def accept(self, known: Digest | None = None, offset: int = 0, credit: int = CREDIT) -> bytes:
        """The record that accepts it.

        :param known: the digest of what there is of it already; the stream has it from now on.
        :param offset: how many bytes that are.
        :param credit: how many bytes may be under way.
        """
        if known is not None:
            self._digest = known
        self.written = self._expected = offset
        self._accepted = Accept(self.offer.number, offset, credit, self._digest.digest())
        return self._accepted.record()

    def receive(self, said: Said) -> None:
        """See whether what the sender says is allowed. It is to be passed on to :meth:`wrote` and :meth:`is_whole`,
        in order.

        :raises RemoteProtocolError: it is not.
        """
        if self._dropped or isinstance(said, Offer):
            raise self._broken("says what it may not say at this point")
        if isinstance(said, Drop):
            self._dropped = True
            return
        if self._accepted is None or self._ended:
            raise self._broken("says what it may not say at this point")
        if isinstance(said, End):
            self._begin(0 if said.size == 0 else self._expected)
            if said.size != self._expected or self.offer.size not in (None, said.size):
                raise self._broken(f"ends it at {said.size} after {self._expected} bytes")
            self._ended = True
        else:
            self._begin(said.offset)
            self._expected = end = said.offset + len(said.payload)
            self._came += 1
            if end - self.written > self._accepted.credit or self._came - self._wrote > PIECES:
                raise self._broken("sends more at once than it may")
            if not said.payload or (self.offer.size is not None and end > self.offer.size):
                raise self._broken("sends a piece that cannot be")

    def _begin(self, offset: int) -> None:
        """A piece comes that is to be at ``offset``."""
        if self._fresh and offset == 0:  # also if something else was accepted: then it begins anew
            self.written = self._expected = 0
        self._fresh = False
        if offset != self._expected:
            raise self._broken(f"sends what belongs at {offset}, and not at {self._expected}")

    def _broken(self, what: str) -> RemoteProtocolError:
        return RemoteProtocolError(f"the sender of the stream {self.offer.name!r} {what}")

    def wrote(self, piece: Data) -> bytes:
        """A piece was written; the record that says so. One at offset 0 replaces all that was there."""
        if piece.offset == 0:
            self._digest = new_digest()
        self._digest.update(piece.payload)
        self._wrote += 1
        self.written = piece.offset + len(piece.payload)
        return self.alive()

    def alive(self) -> bytes:
        """The record that says that this side is still at it."""
        return Got(self.offer.number, self.written).record()

    def is_whole(self, end: End) -> bool:
        """Whether what was written is what was sent."""
        if end.size == 0:
            self._digest = new_digest()
        return self._digest.digest() == end.digest

    def done(self) -> bytes:
        """The record that says that all of it is there."""
        return Done(self.offer.number).record()
