"""Who deals with the records that the toolkit itself says in sessions: streams, durable messages, groups."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class NotNow(Exception):
    """A record cannot be dealt with at the moment; it comes again in a while."""


class RecordHandler(ABC):
    """Deals with the toolkit's own records of one kind. In turn with the callbacks of the session.

    What is called a stage here is the :class:`~leadscomm.entities.running.reader.Stage` that runs the session.
    """

    @abstractmethod
    def session_began(self, stage: Any) -> None:
        """A session begins; before its ``on_connect``."""

    @abstractmethod
    def handle(self, stage: Any, lane: int, record: bytes) -> None:
        """A record came; it is acknowledged when this returns.

        :raises RemoteProtocolError: it cannot be; the session ends.
        :raises NotNow: it cannot be now. It is handled again in a while, and all other records wait behind it.
        """

    @abstractmethod
    def settled(self, stage: Any, lane: int, record: bytes) -> None:
        """The peer has dealt with a record of this side."""

    @abstractmethod
    def session_ended(self, stage: Any) -> None:
        """A session is over; before its ``on_disconnect``."""
