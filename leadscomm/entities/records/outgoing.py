"""Durable messages on their way from the journal to a session, each lane in the order of the numbers."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from leadscomm.errors import LocalProtocolError
from leadscomm.journal.records import Stored
from leadscomm.protocol.records.durable import DURABLE_OVERHEAD, Durable
from leadscomm.protocol.session.segments import LANES
from leadscomm.sessions.session import SessionConnection

if TYPE_CHECKING:
    from leadscomm.journal.journal import Journal

AHEAD_BYTES: Final = 1 << 20
"""So much of a lane is kept in memory until the session takes it; what is beyond is read from the journal again."""


class _Lane:
    """What is the next to be given to the session.

    :ivar given: the number of the last message that was.
    :ivar complete: nothing is in the journal behind it that is not in the queue.
    """

    __slots__ = ("complete", "given", "held", "queue")

    def __init__(self) -> None:
        self.given = 0
        self.complete = False
        self.queue: deque[Stored] = deque()
        self.held = 0  # bytes in the queue

    def stored(self, messages: list[Stored]) -> None:
        self.complete = self.complete and self.held < AHEAD_BYTES
        if self.complete:
            self.extend(messages)

    def extend(self, messages: list[Stored]) -> None:
        self.queue += messages
        self.held += sum(len(message.payload) + 1 for message in messages)

    def pop(self) -> None:
        message = self.queue.popleft()
        self.held -= len(message.payload) + 1
        self.given = message.seq


class Outgoing:
    """What goes to one peer while there is a session with it. All methods are for any thread.

    A new one begins with the oldest message that is not forgotten: what the session before had under way goes again,
    and the peer drops what it has.
    """

    def __init__(self, journal: Journal, peer: str, session: SessionConnection) -> None:
        self.peer = peer
        self.session = session
        self.refused: list[tuple[Stored, LocalProtocolError]] = []
        """Messages that the peer does not take; for who calls :meth:`feed` to take out."""
        self._journal = journal
        self._lanes = tuple(_Lane() for _ in range(LANES))
        self._lock = threading.RLock()  # around the lanes; never held while the journal is asked
        self._feeding = threading.Lock()  # held by who gives to the session; never waited for
        self._more = False  # something came up while another was at it

    def check(self, message: bytes) -> None:
        """:raises LocalProtocolError: the peer does not take a message of this size."""
        longest = self.session.longest - DURABLE_OVERHEAD
        if len(message) > longest:
            raise LocalProtocolError(
                f"the message has {len(message)} bytes, and of durable ones {self.session} takes {longest} at most: "
                "send it in parts"
            )

    def stored(self, messages: list[Stored]) -> None:
        """These, of one lane, are in the journal now: the next ones in the order of all. Does not wait."""
        with self._lock:
            self._lanes[messages[0].lane].stored(messages)

    def owes(self) -> bool:
        """Whether the session was not given everything."""
        return any(lane.queue or not lane.complete for lane in self._lanes)

    def feed(self) -> None:
        """Give the session what it takes, the most urgent first.

        :raises JournalError: the journal is closed or damaged.
        """
        self._more = True
        while self._more and self._feeding.acquire(blocking=False):
            try:
                self._more = False
                fed = [self._feed(number, lane) for number, lane in enumerate(self._lanes)]
            finally:
                self._feeding.release()
            if any(fed):
                self.session.emit()

    def _feed(self, number: int, lane: _Lane) -> bool:
        """Whether the session took anything."""
        fed = False
        while lane.queue or self._refill(number, lane):
            message = lane.queue[0]
            try:
                self.check(message.payload)
                record = Durable(self._journal.origin_of(message.seq), message.seq, message.payload).record()
                if not self.session.offer_record(record, number):
                    break
            except LocalProtocolError as error:
                self.refused.append((message, error))
            with self._lock:
                lane.pop()
            fed = True
        return fed

    def _refill(self, number: int, lane: _Lane) -> bool:
        """Fill an empty queue; whether there is anything in it now."""
        if lane.complete:
            return bool(lane.queue)
        with self._lock:
            lane.complete = True  # what is stored from here on comes by itself
        try:
            found = self._journal.waiting(self.peer, number, lane.given)
        except BaseException:
            lane.complete = False
            raise
        with self._lock:
            if found:  # and perhaps there is more between this and what has come by itself
                lane.queue.clear()
                lane.held, lane.complete = 0, False
                lane.extend(found)
        return bool(lane.queue)
