"""The outbox of a session with a board: the ordinary one, whose peer is the session's window."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from leadscomm.connections.sending.outbox import Outbox
from leadscomm.connections.sending.writer import Flusher
from leadscomm.errors import DeliveryError
from leadscomm.protocol.framing.base import Framing
from leadscomm.protocol.session.compact.compact import CompactSession
from leadscomm.sessions.acknowledged import AcknowledgedOutbox, Carrier

MARK: Final = b"\0"
"""Stands before each message in the outbox, where a block of no bytes would be none."""


class SessionOutbox(AcknowledgedOutbox):
    """The outbox of a session: what it writes to is the peer's window, one marked message at a time.

    :param carrier: takes the messages.
    :param session: theirs.
    :param framing: marks each message.
    :param lower: the outbox of the line below.
    """

    _lacks: ClassVar[str] = "speaks the compact profile, as boards do, and has no {}: leave it out"
    __slots__ = ("_lower",)
    _session: CompactSession

    def __init__(self, carrier: Carrier, session: CompactSession, framing: Framing, lower: Outbox) -> None:
        super().__init__(carrier, session, framing)
        self._lower = lower

    def configure(self, *, flusher: Flusher | None, **settings: Any) -> None:
        super().configure(flusher=flusher, **settings)
        self._lower.configure(flusher=flusher, **settings)

    def has_room(self) -> bool:
        return self._session.wants

    def refuse(self, message: bytes, error: Exception) -> None:
        """Report a message that the peer does not take."""
        self._tell(DeliveryError(f"{self._writer}: {error}", [message]))
