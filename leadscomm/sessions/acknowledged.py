"""What the outboxes of both kinds of sessions share: "written" is acknowledged there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol

from leadscomm.connections.sending.bound import said_of
from leadscomm.connections.sending.held import HeldOutbox
from leadscomm.connections.sending.writer import Gone, Writer
from leadscomm.errors import CommError, DeliveryError, LocalProtocolError, OutboxFull
from leadscomm.protocol.framing.base import Framing, plain


class Acknowledging(Protocol):
    """A session, as far as its outbox goes."""

    @property
    def idle(self) -> bool:
        """Whether the peer has dealt with every message."""

    def check(self, message: bytes) -> None:
        """:raises LocalProtocolError: the peer does not take a message of this size."""

    def remains(self) -> tuple[list[bytes], list[bytes]]:
        """The messages that the peer is not known to have dealt with: those that were sent, if only in part, and those
        that were not."""


class Carrier(Writer):
    """What the outbox of a session gives its messages to."""

    __slots__ = ()

    @abstractmethod
    def run_until(self, done: Callable[[], bool], timeout: float | None) -> bool:
        """Turn the session's timers in this thread and take what comes, until it is done; whether it is, within
        ``timeout`` seconds."""


class NoCarrier(Gone, Carrier):
    """Takes the place of one that is over."""

    __slots__ = ()

    def run_until(self, done: Callable[[], bool], timeout: float | None) -> bool:
        return done()


class AcknowledgedOutbox(HeldOutbox):
    """The outbox of a session.

    :param carrier: takes the messages.
    :param session: theirs.
    :ivar left: the messages that had not been acknowledged when it was abandoned, those that were sent first.
    """

    __slots__ = ("_begun", "_carrier", "_session", "left")

    def __init__(self, carrier: Carrier, session: Acknowledging, framing: Framing) -> None:
        super().__init__(carrier, framing)
        self._carrier = carrier
        self._session = session
        self.left: list[bytes] = []
        self._begun = 0

    def idle(self) -> bool:
        return self._session.idle

    def run_until(self, done: Callable[[], bool], timeout: float) -> None:
        self._carrier.run_until(done, timeout)

    # A broadcast -----------------------------------------------------------------------------------------------------

    def put(self, messages: list[bytes], block: bytes | None) -> None:
        """As :meth:`Outbox.put`. What the peer does not take, or has no room for, is reported, and the session goes on:
        ``overflow=block`` ends none."""
        try:
            self._framing.check(max(messages, key=len))
        except LocalProtocolError:
            messages = [message for message in messages if self._is_taken(message)]
        if messages:
            super().put(messages, block)

    def _is_taken(self, message: bytes) -> bool:
        try:
            self._framing.check(message)
        except LocalProtocolError as error:
            self._tell_not_sent([message], error)
            return False
        return True

    def _overflow(self, messages: list[bytes]) -> bool:
        if self.policy != "block":
            return super()._overflow(messages)
        self._tell_not_sent(
            messages,
            OutboxFull(f"outbox={self.limit} is full; send less, raise outbox, or choose overflow=drop_oldest"),
        )
        return False

    def _tell_not_sent(self, messages: list[bytes], error: CommError) -> None:
        failure = DeliveryError(f"{said_of(messages)} to all not sent to {self._writer}: {error}", messages)
        failure.__cause__ = error
        self._tell(failure)

    # The end ---------------------------------------------------------------------------------------------------------

    def part(self) -> None:
        super().part()
        self._carrier = NoCarrier(str(self._writer))
        self.left = []

    def abandon(self) -> list[bytes]:
        sent, unsent = self._session.remains()
        queued = super().abandon()
        if not self.left:
            self.left = sent + unsent + queued
            self._begun = len(sent)
        self.begun = self._begun
        return self.left


class SessionFraming(Framing):
    """Says what the peer takes; what goes on the wire is the session's matter.

    :param mark: stands before each message in the outbox.
    """

    name = "session"
    joins = False

    def __init__(self, session: Acknowledging, mark: bytes = b"") -> None:
        super().__init__(1 << 62)
        self._session = session
        self._mark = mark

    def check(self, message: bytes) -> None:
        self._session.check(plain(message))

    def encode(self, message: bytes) -> bytes:
        return self._mark + message

    def feed(self, data: bytes) -> list[bytes]:
        raise AssertionError("a session is fed with frames")
