"""The outbox of a session: the ordinary one, whose peer is the session's window."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Final

from leadscomm.connections.outbox import Outbox
from leadscomm.connections.outbox_held import HeldOutbox
from leadscomm.connections.writer import Flusher, Writer
from leadscomm.errors import DeliveryError
from leadscomm.protocol.base import Framing, plain
from leadscomm.protocol.session import Session

MARK: Final = b"\0"
"""Stands before each message in the outbox, where a block of no bytes would be none."""


class Carrier(Writer):
    """What the outbox writes to: takes one marked message at a time."""

    __slots__ = ()

    @abstractmethod
    def run_until(self, done: Callable[[], bool], timeout: float | None) -> bool:
        """Turn the session's timers in this thread and take what comes, until it is done; whether it is, within
        ``timeout`` seconds."""


class SessionOutbox(HeldOutbox):
    """The outbox of a session: what it writes to is the peer's window, and "written" is acknowledged.

    :param carrier: takes the messages.
    :param session: theirs.
    :param lower: the outbox of the line below.
    :ivar left: the messages that had not been acknowledged when it was abandoned.
    """

    __slots__ = ("_carrier", "_lower", "_session", "left")

    def __init__(self, carrier: Carrier, session: Session, lower: Outbox) -> None:
        super().__init__(carrier, SessionFraming(session))
        self._carrier = carrier
        self._session = session
        self._lower = lower
        self.left: list[bytes] = []

    def configure(self, *, flusher: Flusher | None, **settings: Any) -> None:
        super().configure(flusher=flusher, **settings)
        self._lower.configure(flusher=flusher, **settings)

    def has_room(self) -> bool:
        return self._session.wants

    def idle(self) -> bool:
        return self._session.idle

    def run_until(self, done: Callable[[], bool], timeout: float) -> None:
        self._carrier.run_until(lambda: done() or self._session.ended is not None, timeout)

    def refuse(self, message: bytes, error: Exception) -> None:
        """Report a message that the peer does not take."""
        self._tell(DeliveryError(f"{self._writer}: {error}", [message]))

    def abandon(self) -> list[bytes]:
        written = self._session.unacknowledged()
        queued = super().abandon()
        if not self.left:
            self.left = written + queued
        return self.left


class SessionFraming(Framing):
    """Says what the peer takes; what goes on the wire is the session's matter."""

    name = "session"
    joins = False

    def __init__(self, session: Session) -> None:
        super().__init__(1 << 62)
        self._session = session

    def check(self, message: bytes) -> None:
        self._session.check(plain(message))

    def encode(self, message: bytes) -> bytes:
        return MARK + message

    def feed(self, data: bytes) -> list[bytes]:
        raise AssertionError("a session is fed with frames")
