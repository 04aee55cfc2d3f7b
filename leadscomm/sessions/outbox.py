"""The outbox of a session of the full profile: lanes, lifetimes, and messages that replace older ones."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Final, NamedTuple

from leadscomm.connections.sending.bound import BLOCK_BYTES, MESSAGE_BYTES
from leadscomm.connections.sending.outbox import Outbox
from leadscomm.connections.sending.writer import here
from leadscomm.connections.sending.writing import GRACE_S
from leadscomm.connections.waiting import enter, interrupted
from leadscomm.errors import CommError, ConnectionLost, DeliveryError, LocalProtocolError, OutboxFull
from leadscomm.protocol.framing.base import Framing, plain
from leadscomm.protocol.records.durable import read_durable
from leadscomm.protocol.session.full.full import FullSession
from leadscomm.protocol.session.full.lanes import DEFAULT_LANE
from leadscomm.protocol.session.segments import LANES
from leadscomm.sessions.acknowledged import AcknowledgedOutbox, Carrier, NoCarrier, SessionFraming

PACE_S: Final = 200e-6
"""As of the ordinary outbox; a frame of its own costs more here."""


class _Apart(NamedTuple):
    """A message with all that is to be known of it."""

    message: bytes
    lane: int
    deadline: float | None
    key: Hashable | None


class LaneCarrier(Carrier):
    """What takes the messages."""

    __slots__ = ()

    session: FullSession
    owes: Callable[[], bool]

    @property
    @abstractmethod
    def over(self) -> bool:
        """Whether the session has ended."""

    @property
    @abstractmethod
    def stuck(self) -> bool:
        """Whether frames wait at a line that takes nothing at the moment."""

    @abstractmethod
    def take(self, messages: list[bytes], *, anyway: bool = False) -> bool:
        """Give the session messages of the usual lane; False: it does not want more at the moment, or cannot be given
        any, in the middle of what was interrupted.

        :param anyway: it gets them all the same.
        """

    @abstractmethod
    def take_one(self, message: bytes, lane: int, deadline: float | None, key: Hashable | None) -> bool:
        """Give the session a message with all that is to be known of it; False: that cannot be now, in the middle of
        what was interrupted."""

    @abstractmethod
    def drop(self, excess: int, around: int) -> list[bytes]:
        """Take back the oldest messages that wait in the session: at least ``excess`` bytes, ``around`` for each."""

    @abstractmethod
    def emit(self) -> None:
        """Send what the session has to send."""


class NoLaneCarrier(NoCarrier, LaneCarrier):
    """Takes the place of one that is over."""

    __slots__ = ("owes",)
    over = True
    stuck = False

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.owes = bool

    def take(self, messages: list[bytes], *, anyway: bool = False) -> bool:
        return False

    def take_one(self, message: bytes, lane: int, deadline: float | None, key: Hashable | None) -> bool:
        raise ConnectionLost(f"the conversation with {self} is over")

    def drop(self, excess: int, around: int) -> list[bytes]:
        return []

    def emit(self) -> None:
        """There is nothing."""


class LaneOutbox(AcknowledgedOutbox):
    """What waits for the usual lane gathers here, and goes to the session in blocks; messages of other lanes go there
    at once."""

    __slots__ = ("_apart",)
    _carrier: LaneCarrier
    _session: FullSession

    def __init__(self, carrier: LaneCarrier, framing: Framing) -> None:
        super().__init__(carrier, carrier.session, framing)
        self._apart: deque[_Apart] = deque()  # of other lanes, or with something to be known of them

    def send(
        self,
        message: bytes,
        lane: int | None = None,
        lifetime: float | None = None,
        latest: Hashable | None = None,
        timeout: float | None = None,
    ) -> None:
        """As :meth:`Outbox.send`.

        :param lane: 0 is the most urgent one, 7 the least; each arrives in order by itself.
        :param lifetime: seconds after which it is not sent any more, but reported.
        :param latest: it replaces a message of the same lane and of this key that was not sent yet.
        :param timeout: seconds to wait for room, instead of ``send_timeout``.
        """
        if lifetime is None and latest is None and timeout is None and (lane is None or lane == DEFAULT_LANE):
            Outbox.send(self, message)  # super() would cost a burst a tenth of its rate
            return
        if lane is None:
            lane = DEFAULT_LANE
        message = plain(message)
        self._framing.check(message)
        if not 0 <= lane < LANES:
            raise LocalProtocolError(f"lane={lane}: the lanes are 0 (the most urgent one) to {LANES - 1}")
        if self._upstream:
            self._upstream_flush()
        if not self._has_place(message, timeout):
            return
        deadline = None if lifetime is None else time.monotonic() + lifetime
        apart = _Apart(message, lane, deadline, latest)
        self._apart.append(apart)
        if not self._give_apart(apart):
            self._leave()
            return
        self._carrier.emit()
        if self._flusher is None:
            self._wait_until_written()

    def _give_apart(self, own: _Apart | None = None) -> bool:
        """Give the session what is not for the usual lane, in turn; whether all was given. In the middle of a call that
        was interrupted it cannot be.

        :param own: what it raises of this one is raised here.
        """
        if not enter(self._front):
            return False
        try:
            while self._apart:
                apart = self._apart[0]
                if apart.lane == DEFAULT_LANE and not self._given_before():  # what waits there was sent before
                    return False
                try:
                    if not self._carrier.take_one(*apart):
                        return False
                except CommError as error:
                    self._apart.popleft()
                    if apart is own:
                        raise
                    self._tell(DeliveryError(f"{self._writer}: {error}", [apart.message]))
                else:
                    self._apart.popleft()
            return True
        finally:
            self._front.release()

    def due(self) -> None:
        if self._give_apart():
            super().due()
        else:
            self._leave()

    def drained(self) -> bool:
        return not self._apart and super().drained()

    def abandon(self) -> list[bytes]:
        apart = [one.message for one in self._apart]
        self._apart.clear()
        self.left += apart
        return super().abandon()

    def _given_before(self) -> bool:
        """Give the session what waits for the usual lane; whether it was given. Under ``_front``."""
        count = len(self._queue)  # others may append meanwhile
        if count and not self._carrier.take(self._queue[:count], anyway=True):
            return False
        self._cut(count)
        return True

    def _has_place(self, message: bytes, timeout: float | None) -> bool:
        """Whether a message may go to its lane; False: it was dropped, as ``overflow`` says."""
        if self.closed:
            raise self.late()
        size = len(message) + MESSAGE_BYTES
        if self._fits_now(size):
            return True
        if self.policy == "block":
            self._wait_for_place(size, timeout)
        elif self.policy == "drop_oldest":
            self._make_place(size)
        elif not self._overflow([message]):
            if self.closed:
                raise self.late()
            return False
        return True

    def _wait_for_place(self, size: int, timeout: float | None) -> None:
        seconds = self.timeout if timeout is None else timeout
        if here.inside is not None:
            seconds = 0.0
        if interrupted(self):
            seconds = 0.0
        if self._flusher is None:
            self._carrier.run_until(lambda: self._fits_now(size), seconds)
        elif seconds:
            self._wait(lambda: self._fits_now(size) or self.closed, seconds)
        if self.closed:
            raise self.late()
        if not self._fits_now(size):
            raise OutboxFull(
                f"{self._writer} takes nothing: {self._held()} bytes wait and outbox={self.limit}, and {seconds:g} s "
                "went by; send less, or raise outbox"
            )

    def _make_place(self, size: int) -> None:
        """Drop the oldest messages, until ``size`` bytes fit or there is none left."""
        dropped: list[bytes] = []
        while not self._fits_now(size):
            oldest = self._drop(self._excess(size))
            if not oldest:
                break
            dropped += oldest
        self._tell_dropped(dropped)

    def part(self) -> None:
        super().part()
        self._carrier = NoLaneCarrier(str(self._writer))
        self._session.forget()

    def _held(self) -> int:
        out = self._session.outgoing
        return super()._held() + out.waiting_bytes + MESSAGE_BYTES * out.waiting_messages

    def _drop(self, excess: int) -> list[bytes]:
        dropped = self._carrier.drop(excess, MESSAGE_BYTES)
        left = excess - sum(map(len, dropped)) - MESSAGE_BYTES * len(dropped)
        return dropped + super()._drop(left) if left > 0 else dropped

    def backlog(self) -> tuple[int, int]:
        with self._still():
            return len(self._queue) + self._session.outgoing.waiting_messages, self._held()

    def _fits(self, size: int) -> bool:
        held = self._held()
        return not held or held + size <= self.limit

    def _fits_now(self, size: int) -> bool:
        """As :meth:`_fits`, for who does not have ``_front``."""
        with self._still():
            return self._fits(size)

    @contextmanager
    def _still(self) -> Iterator[None]:
        """Nothing is on its way from the queue to the session, where it would not be counted. In the middle of a call
        that was interrupted it may be."""
        entered = enter(self._front)
        try:
            yield
        finally:
            if entered:
                self._front.release()

    # Giving to the session -------------------------------------------------------------------------------------------

    def _frame(self, message: bytes) -> bytes:
        return message

    def _alone(self, message: bytes, frame: bytes) -> bool:
        now = perf_counter()
        after = self._next
        if after - now > PACE_S or not self._writing.acquire(blocking=False):
            return False
        try:
            if self._queue or self._blocked or self.closed:
                return False
            self._next = (after if after > now else now) + PACE_S
            if not self.has_room() or not self._carrier.take([message], anyway=True):
                return False
        finally:
            self._writing.release()
        self._carrier.emit()
        self._look_again()
        if self._flusher is None:
            self._wait_until_written()
        return True

    def _wait_until_written(self) -> None:
        """Without a flusher: the sender itself waits until all has left once, as nobody else would send it."""
        # Who receives meanwhile may have something to send by now: what it was a moment ago is what counts.
        if self._carrier.run_until(self._has_left, self.timeout) or interrupted():
            return
        if not self._carrier.over:
            self._refuse(OutboxFull(f"{self._writer} took nothing for {self.timeout:g} s (send_timeout)"))
            self._writer.abort()
        raise self.late()

    def _has_left(self) -> bool:
        out = self._session.outgoing
        return not (self._queue or self._apart or out.waiting_messages or out.first or self._carrier.stuck)

    def _write_out(self, patient: bool = False) -> bool:
        """Give the session what waits, as long as it wants some. Under ``_writing``."""
        if self._apart and not self._give_apart():
            return False
        while not self._blocked and self._queue:
            if not self.has_room():
                self._carrier.emit()
                waits = patient and here.inside is None
                if not self.has_room() and not (waits and self._writer._wait_writable(GRACE_S)):
                    self._block()
                continue
            if not enter(self._front):
                return False
            try:
                batch = self._next_batch()
                taken = self._carrier.take(batch)
                if not taken:  # another thread has filled its lane since, or the session is over
                    self._put_back(batch)
            finally:
                self._front.release()
            if not taken:
                if self.has_room():  # what was interrupted is at it
                    return False
                self._block()
                continue
            self._look_soon()
        self._last = None
        self._carrier.emit()
        self._notify()
        return True

    def _next_batch(self) -> list[bytes]:
        """The front of the queue. Under ``_front``."""
        count = len(self._queue)
        if self._bytes + self._pending > BLOCK_BYTES:
            self._count()
            count = max(1, self._counted * BLOCK_BYTES // max(1, self._bytes))
        return self._cut(count)

    # What a connection that holds something is asked -----------------------------------------------------------------

    def has_room(self) -> bool:
        """No more is given to the session than the peer takes, and no more than may wait at all."""
        out = self._session.outgoing
        waits = out.waiting_bytes + MESSAGE_BYTES * out.waiting_messages if out.unsent else 0
        return waits < self.limit and self._session.takes()

    @property
    def expectant(self) -> bool:
        """Whether somebody waits for :meth:`progressed`, or something is still to be given to the session."""
        return bool(self._blocked or self._queue or self._apart or self._on_drained or self._changed)

    def idle(self) -> bool:
        return super().idle() and not self._carrier.owes()

    def progressed(self) -> None:
        super().progressed()
        if self._carrier.over:
            self._refuse(None)

    def give_up(self, late: list[bytes], refused: list[bytes], records: list[bytes]) -> None:
        """Report messages that are not sent any more.

        :param late: their time has run out.
        :param refused: they were too long for the peer; and records that were.
        """
        if late:
            text = f"{len(late)} message(s) to {self._writer} were not sent in their lifetime"
            self._tell(DeliveryError(text, late))
        refused += [durable.payload for durable in map(read_durable, records) if durable is not None]
        if refused:
            text = (
                f"{len(refused)} message(s) to {self._writer} had more than the {self._session.longest} bytes that it "
            )
            self._tell(DeliveryError(text + "takes (max_message there): it drops them", refused))


class LaneFraming(SessionFraming):
    """Most messages are judged by their length alone: a burst asks of each."""

    _session: FullSession

    def check(self, message: bytes) -> None:
        if type(message) is not bytes or len(message) > self._session.longest:
            super().check(message)
