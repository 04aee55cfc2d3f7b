"""The outbox of a connection that itself decides when it takes something: no poll of its handle would tell."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from leadscomm.connections.sending.outbox import Outbox
from leadscomm.connections.sending.writer import Flusher


class HeldOutbox(Outbox, ABC):
    """What it has written is still held by its connection, which calls :meth:`progressed` whenever one of the answers
    below has changed."""

    __slots__ = ()

    @abstractmethod
    def has_room(self) -> bool:
        """Whether the connection takes something now."""

    @abstractmethod
    def idle(self) -> bool:
        """Whether the connection holds nothing that a sender would wait for."""

    @abstractmethod
    def run_until(self, done: Callable[[], bool], timeout: float) -> None:
        """Turn the connection's timers in this thread until it is done, or over; ``timeout`` seconds at most."""

    @property
    def flusher(self) -> Flusher | None:
        """Who turns the connection's timers; None: whoever sends or receives."""
        return self._flusher

    def progressed(self) -> None:
        """There is room, or nothing is held any more, or the conversation is over. Any thread."""
        if self._blocked and self.error is None and self.has_room():
            self.resume()
        elif self._on_drained or (self._queue and self._flusher is None):
            self.flush()
        self._notify()

    def drained(self) -> bool:
        return super().drained() and self.idle()

    def drain(self, timeout: float) -> bool:
        if self._flusher is not None:
            return super().drain(timeout)
        self.flush()
        self.run_until(self.drained, timeout)
        return self.drained()

    def _block(self) -> None:
        self._blocked = self.waiting = True
        if self.has_room():  # room came before the line above, when nobody knew that it was waited for
            self._blocked = self.waiting = False
