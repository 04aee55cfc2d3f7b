"""Reads one line of a session: what it brings goes into the session, which outlives it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.reliable import ReliableConnection
from leadscomm.connections.session_line import Line
from leadscomm.entities.session import SessionStage
from leadscomm.entities.stage import Owner, Stage

_log = logging.getLogger("leadscomm")


class LineStage(Stage):
    """A line from its opening to its end.

    :param connection: plain; to be opened here.
    :param join: finds out, in the thread that is to read it and before ``deadline`` (as ``time.monotonic()`` counts),
        which session it carries, and calls :meth:`carry`; or, with a peer that speaks the compact profile alone,
        :meth:`hand_on`.
    :param tell: told why it carries none.
    :ivar joined: it carried a session.
    """

    __slots__ = ("_join", "_line", "_session_stage", "_tell", "heir", "joined")

    def __init__(
        self,
        entity: Owner,
        connection: ConnectionBase,
        join: Callable[[LineStage, float], None],
        tell: Callable[[Exception], None],
    ) -> None:
        self._join = join
        self._tell = tell
        self._line: Line | None = None
        self._session_stage: SessionStage | None = None
        self.heir: ReliableConnection | None = None
        self.joined = False
        super().__init__(entity, connection)

    def carry(self, stage: SessionStage, line: Line) -> None:
        """It carries this session."""
        self._session_stage, self._line = stage, line
        self.joined = True

    def hand_on(self, heir: ReliableConnection) -> None:
        """It is a compact session's from now on."""
        self.heir = heir

    def _equip(self) -> None:
        self.outbox.configure(
            flusher=self._flusher or self.entity._flusher,
            outbox=1 << 62,  # it is bounded by the session
            send_timeout=0.0,
            overflow="block",
            report=self.entity._report,
        )

    def _tell_failed(self, error: Exception) -> None:
        if not self.entity._stopping.is_set():
            self._tell(error)

    def _prepare(self, deadline: float) -> None:
        super()._prepare(deadline)
        self._join(self, deadline)

    def _announce(self) -> None:
        if self._session_stage is None:
            self._yield()
        else:
            self.entity._carries(self)
            self._session_stage.line_came(str(self._line))

    def _yield(self) -> None:
        """Leave the line to its heir, or let go of one that carries nothing."""
        self.ended = True
        if self.heir is None:
            self._release()
        else:
            self._leave_pool()
        self.entity._left(self)
        if self.heir is not None:
            self.entity._take_on(self.heir)

    def dispatch(self, messages: list[bytes]) -> None:
        if self._line is not None and self._session_stage is not None:
            session = self._session_stage.session
            session.took(self._line, messages)
            if not self._session_stage.deliver():
                session.pump()

    def _tell_faults(self) -> None:
        self.dispatch([])

    def _tell_lost(self, error: Exception) -> None:
        if isinstance(error, OSError):
            _log.info("%s: %s", self.connection, error)
        else:
            super()._tell_lost(error)

    def _finish(self) -> None:
        if self.ended:
            return
        self.ended = True
        name = str(self._line)
        self._release()
        if self._line is not None and self._session_stage is not None:
            self._session_stage.session.remove(self._line)
            self._session_stage.line_went(name)
        self.entity._left(self)
