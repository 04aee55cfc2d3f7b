"""What connections with a session have in common: timers, turned by an entity's flusher or by whoever waits."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar, Final

from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.sending.writer import Flusher, weakly
from leadscomm.connections.timer import Reminder
from leadscomm.connections.waiting import Waiters, enter, interrupted
from leadscomm.errors import DeliveryError
from leadscomm.protocol.framing.base import Framing
from leadscomm.protocol.session.base import Beginning
from leadscomm.protocol.session.counters import LinkCounters
from leadscomm.protocol.session.handshake import Handshake

LOOK_S: Final = 0.5
"""How often a thread that waits looks whether the session has ended in silence."""
WRITE_S: Final = 0.002
"""How often it looks whether a line that takes nothing does so again."""
LEAST_S: Final = 0.001
"""How long the flusher leaves a session alone at least. What is due already waits for the line, or for the thread that
sends at the moment: to look again at once would be to look without end."""
AHEAD: Final = 4096
"""How many messages are read ahead, and acknowledged, for a connection that no entity runs."""


class TimedConnection(ConnectionBase):
    """A connection with a session above a line, or several.

    Where no entity runs it, ``receive`` and ``send`` turn its timers, and each reads for the other.
    """

    pooled: ClassVar[bool] = False  # that a session has ended in silence no poll would tell
    __slots__ = ("_aborted", "_changed", "_reading", "_timer", "_turn")

    def __init__(self, framing: Framing) -> None:
        self._turn = threading.Lock()  # around the session, for an instant at a time
        self._changed = Waiters()
        self._reading = threading.Lock()  # where no entity runs it, senders read too: for acknowledgements
        self._timer = Reminder(weakly(self.pump), LEAST_S)
        self._aborted = False
        super().__init__(framing=framing)

    session: Beginning

    # What a kind of session says -------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def over(self) -> bool:
        """Whether the session has ended."""

    @property
    @abstractmethod
    def peer(self) -> Handshake | None:
        """What the peer said of itself: its tag, the sizes that it takes, its epoch. None before the session is
        open."""

    @abstractmethod
    def counters(self) -> LinkCounters:
        """What happened on the way so far. Any thread."""

    @abstractmethod
    def send_datagram(self, message: bytes) -> None:
        """Send one message at once, without asking for an acknowledgement: it may be lost. Any thread.

        :raises LocalProtocolError: it is too long for one frame.
        :raises ConnectionLost: the session is over.
        """

    @property
    @abstractmethod
    def wants(self) -> bool:
        """Whether the session takes another message now."""

    @property
    @abstractmethod
    def due_at(self) -> float | None:
        """When :meth:`pump` is to be called at the latest, as ``time.monotonic()`` counts."""

    @property
    @abstractmethod
    def flusher(self) -> Flusher | None:
        """Who turns the timers; None: whoever sends or receives."""

    @abstractmethod
    def pump(self) -> None:
        """Send what there is room for, and do what is due. Any thread; does not block."""

    @abstractmethod
    def _carrier(self) -> ConnectionBase | None:
        """The line that is read where no entity runs the connection."""

    # Time, where an entity runs it -----------------------------------------------------------------------------------

    def tick(self) -> float | None:
        """Begins to turn the session's timers; they are set anew whenever something is sent."""
        self.pump()
        return None

    def call_at(self, when: float) -> None:
        """Have the flusher look after the session at ``when`` at the latest."""
        if self._timer.at <= when:
            return
        flusher = self.flusher
        if flusher is not None:
            self._timer.ask(when, flusher)

    def _in_turn(self, work: Callable[[], object]) -> bool:
        """Do something to the session; whether it was done. It cannot be in the middle of what was interrupted while it
        did the same."""
        if not enter(self._turn):
            return False
        try:
            work()
        finally:
            self._turn.release()
        return True

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """The turn, for who only looks: in the middle of what was interrupted he looks without it."""
        entered = enter(self._turn)
        try:
            yield
        finally:
            if entered:
                self._turn.release()

    def _later(self, work: Callable[[], None]) -> None:
        """Have the flusher do what could not be done. Without one it is left undone."""
        if self.flusher is not None:
            self.flusher.call_later(0.0, work)

    def tell_waiting(self) -> None:
        """There is room, or the session is over."""
        self._changed.notify_all()

    # Waiting ---------------------------------------------------------------------------------------------------------

    def _wait_writable(self, timeout: float) -> bool:
        if self.keeper is not None:
            return self._changed.wait_for(lambda: self.wants or self.over, timeout)
        return self.run_until(lambda: self.wants or self.over, timeout)

    def _wait_readable(self, timeout: float | None) -> bool:
        return self._turn_until(lambda: False, timeout, read=False)

    def run_until(self, done: Callable[[], bool], timeout: float | None) -> bool:
        """Turn the session's timers in this thread and take what comes, until it is done; whether it is, within
        ``timeout`` seconds."""
        return self._turn_until(done, timeout, read=True)

    def _turn_until(self, done: Callable[[], bool], timeout: float | None, *, read: bool) -> bool:
        """Turn the session's timers in this thread, for a connection that no entity runs.

        :param read: take what comes; otherwise return True as soon as something has.
        :return: whether it was done within ``timeout`` seconds.
        """
        end = None if timeout is None else time.monotonic() + timeout
        if interrupted(self):  # it goes on when this returns
            return done()
        while not done():
            self.pump()
            carrier = self._carrier()
            if not read and self.more():
                return True
            if carrier is None or self.over:
                return done()
            now = time.monotonic()
            due = [when - now for when in (end, self.due_at) if when is not None]
            if not carrier.outbox.drained():  # it may take bytes again before it has some
                due.append(WRITE_S)
            readable = carrier._wait_readable(max(0.0, min(due, default=LOOK_S)))
            if readable and not read:
                return True
            if readable and self._inbox is not None and len(self._inbox) >= AHEAD:
                time.sleep(WRITE_S)  # enough was read ahead: another thread, which receives, makes room again
            elif readable and not self._read_ahead():
                return done()
            if end is not None and time.monotonic() >= end:
                return done()
        return True

    def _read_ahead(self) -> bool:
        """Read while sending; False at the end of the line."""
        try:
            return self.read_batch() is not None
        except BlockingIOError:
            return True
        except Exception:
            return False

    def undelivered(self, messages: list[bytes]) -> DeliveryError:
        """The report of messages that were not acknowledged when the session ended."""
        sent = self.outbox.begun
        text = (
            f"{len(messages)} message(s) to {self} were not acknowledged: {sent} sent, and it is not known whether "
            f"they arrived; {len(messages) - sent} never sent"
        )
        why = self.session.ended
        return DeliveryError(text if why is None else f"{text}; {why}", messages, sent)

    # The end ---------------------------------------------------------------------------------------------------------

    def _close_alone(self) -> list[bytes]:
        """As :meth:`ConnectionBase._close_alone`; "sent" means acknowledged here.

        :raises DeliveryError: some messages were not acknowledged.
        """
        left = super()._close_alone()
        if left:
            raise self.undelivered(left)
        return left
