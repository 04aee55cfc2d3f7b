"""The outbox of a connection that itself decides when it takes something: no poll of its handle would tell."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from leadscomm.connections.outbox import Outbox
from leadscomm.connections.writer import Flusher, Writer
from leadscomm.protocol.base import Framing


class Holder(Writer):
    """What such an outbox writes to. It calls :meth:`HeldOutbox.progressed` whenever one of its answers has changed."""

    __slots__ = ()

    @abstractmethod
    def has_room(self) -> bool:
        """Whether it takes something now."""

    @abstractmethod
    def idle(self) -> bool:
        """Whether what it took is out of the sender's hands."""

    @abstractmethod
    def run_until(self, done: Callable[[], bool], timeout: float) -> bool:
        """Turn its timers in this thread until it is done; whether it is, within ``timeout`` seconds."""


class HeldOutbox(Outbox):
    """What is written is with the holder, which writes it to the line.

    :param holder: takes the blocks.
    :param framing: makes blocks of messages.
    """

    __slots__ = ("_holder",)

    def __init__(self, holder: Holder, framing: Framing) -> None:
        super().__init__(holder, framing)
        self._holder = holder

    @property
    def flusher(self) -> Flusher | None:
        """Who turns the holder's timers; None: whoever sends or receives."""
        return self._flusher

    def progressed(self) -> None:
        """The holder has room, or is idle. Any thread."""
        if self._blocked and self.error is None and self._holder.has_room():
            self.resume()
        elif self._on_drained is not None:
            self.flush()
        self._notify()

    def drained(self) -> bool:
        return super().drained() and self._holder.idle()

    def drain(self, timeout: float) -> bool:
        if self._flusher is not None:
            return super().drain(timeout)
        self.flush()
        return self._holder.run_until(self.drained, timeout)

    def _block(self) -> None:
        self._blocked = self.waiting = True
        if self._holder.has_room():  # room came before the line above, when nobody knew that it was waited for
            self._blocked = self.waiting = False
