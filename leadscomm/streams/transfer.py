"""What streams have in common, whichever way they go: how far they are, how they ended, and how they are cancelled."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from leadscomm.errors import CommError, TransferError
from leadscomm.protocol.records.stream_records import ANSWERED_ON, SAID_ON
from leadscomm.protocol.records.streams import Pace
from leadscomm.sessions.session import SessionConnection


class Runner(Protocol):
    """What streams use of the stage that runs a session."""

    entity: Any

    @property
    def session(self) -> SessionConnection: ...

    def in_turn(self, call: Callable[[], None]) -> None: ...


class Side:
    """One session with a peer, as its streams see it.

    :param stage: runs it.
    :ivar over: it has ended.
    :ivar sending: the streams of this side, by number.
    :ivar receiving: those of the peer.
    """

    def __init__(self, stage: Runner) -> None:
        self.stage = stage
        self.connection = stage.session
        self.pace = Pace(self.connection.certain)
        self.over = False
        self.sending: dict[int, Transfer] = {}
        self.receiving: dict[int, Transfer] = {}
        self.next_number = 1

    def say(self, record: bytes, timeout: float | None = None) -> None:
        """Send what belongs to a stream of this side."""
        self.connection.send_record(record, SAID_ON, timeout)

    def answer(self, record: bytes, timeout: float | None = None) -> None:
        """Send what belongs to a stream of the peer."""
        self.connection.send_record(record, ANSWERED_ON, timeout)


class Transfer(ABC):
    """A stream under way.

    :param name: what its sender calls it.
    :param size: its bytes; None: unknown.
    :param lock: guards what several threads look at.
    :ivar moved: how many bytes are known to be written at the receiver.
    :ivar resumed_at: how many of them were there already when this began.
    :ivar credit: how many bytes of it this side lets be under way to it.
    :ivar error: why it did not arrive whole; None: it did, or is under way.
    """

    def __init__(self, name: str, size: int | None, lock: threading.RLock) -> None:
        self.name = name
        self.size = size
        self.moved = 0
        self.resumed_at = 0
        self.credit = 0
        self.error: TransferError | None = None
        self._changed = threading.Condition(lock)
        self._finished = False
        self._cancelled: str | None = None
        self._progress: Progress | None = None

    @property
    def finished(self) -> bool:
        """Whether it has ended, well or not."""
        return self._finished

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end, at most ``timeout`` seconds; whether it has come. Not inside a callback.

        :raises TransferError: it ended, and not well.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._finished, timeout)
        if self.error is not None:
            raise self.error
        return self._finished

    def cancel(self, reason: str = "cancelled") -> None:
        """Give it up; the peer is told. Any thread, returns at once."""
        with self._changed:
            if self._cancelled is None:
                self._cancelled = reason
            self.wake()

    @abstractmethod
    def said(self, said: Any) -> None:
        """The peer says something of it. Does not wait."""

    def wake(self) -> None:
        """Something has changed that it looks at; its lock is held."""
        self._changed.notify_all()

    def _finish(self, error: TransferError | None) -> None:
        with self._changed:
            self.error = error
            self._finished = True
            self._changed.notify_all()

    def _move(self, moved: int) -> None:
        """So far it is."""
        if moved != self.moved:
            self.moved = moved
            if self._progress is not None:
                self._progress(self)

    def _far(self) -> str:
        """How far it came, for an error."""
        return f"{self.moved:,} bytes" if self.size is None else f"{self.moved:,} of {self.size:,} bytes"


Progress: TypeAlias = Callable[[Transfer], None]
"""Is told whenever the receiver has written more. In the thread that sends, or in that which writes what came."""


def told(error: BaseException) -> str:
    """An error in words for the peer: without paths, which are nobody else's matter."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) if isinstance(error, CommError) else f"{type(error).__name__}: {error}"
