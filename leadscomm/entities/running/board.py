"""Runs a reliable connection: its messages are acknowledged one by one, and another may follow it on the same line."""

from __future__ import annotations

from leadscomm.entities.running.owner import Owner
from leadscomm.entities.running.reader import Stage
from leadscomm.sessions.board import ReliableConnection


class ReliableStage(Stage):
    """A session from its beginning to its end, as a stage is a connection."""

    __slots__ = ("_session",)

    def __init__(self, entity: Owner, connection: ReliableConnection) -> None:
        self._session = connection
        super().__init__(entity, connection)

    @property
    def _plain(self) -> bool:
        return False

    @property
    def in_blocks(self) -> bool:
        return False  # the session numbers each message by itself

    def dispatch(self, messages: list[bytes]) -> None:
        for message in messages:
            if self._shut:
                break  # nothing is delivered any more, and so nothing acknowledged
            super().dispatch([message])
            self._session.delivered()
        self._session.pump()

    def _release(self) -> list[bytes]:
        """Let go of everything, tell what was not acknowledged, and hand the line on if the peer has begun anew."""
        entity, session = self.entity, self._session
        keep = entity._heirs()
        heir = session.succeed() if keep is not None else None
        left = super()._release()
        if left:
            entity._fail(session.undelivered(left), self)
        if heir is not None and keep is not None:
            try:
                keep(heir)
            except RuntimeError as error:  # there is no thread left to run it
                entity._fail(error, self)
        return []
