"""Reads one line of a session: what it brings goes into the session, which outlives it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.sending.writer import weakly
from leadscomm.entities.running.conversation import SessionStage
from leadscomm.entities.running.owner import Owner
from leadscomm.entities.running.reader import Stage
from leadscomm.sessions.board import ReliableConnection
from leadscomm.sessions.line import Line

_log = logging.getLogger("leadscomm")
_GRACE_S: Final = 1.0
"""So long a peer that was answered already is waited for, though this side closes."""


class LineStage(Stage):
    """A line from its opening to its end.

    :param connection: plain; to be opened here.
    :param join: finds out, in the thread that is to read it and before ``deadline`` (as ``time.monotonic()`` counts),
        which session it carries, and calls :meth:`carry`; or, with a peer that speaks the compact profile alone,
        :meth:`hand_on`.
    :param tell: told why it carries none.
    :param deadline: when it must have been joined, as ``time.monotonic()`` counts; None: as the entity has it.
    :ivar joined_at: since when it carries a session, as ``time.monotonic()`` counts; None: it never has.
    :ivar progressed: the peer has said something in that session over it.
    """

    __slots__ = (
        "_answered",
        "_deadline",
        "_given_up",
        "_join",
        "_line",
        "_session_stage",
        "_tell",
        "heir",
        "joined_at",
        "progressed",
    )

    def __init__(
        self,
        entity: Owner,
        connection: ConnectionBase,
        join: Callable[[LineStage, float], None],
        tell: Callable[[Exception], None],
        deadline: float | None = None,
    ) -> None:
        self._join = join
        self._deadline = deadline
        self._answered = self._given_up = False
        self._tell = tell
        self._line: Line | None = None
        self._session_stage: SessionStage | None = None
        self.heir: ReliableConnection | None = None
        self.joined_at: float | None = None
        self.progressed = False
        super().__init__(entity, connection)

    def answer(self) -> None:
        """The peer, who has asked for a session, is answered from now on: it may take it for open at any moment."""
        self._answered = True

    def carry(self, stage: SessionStage, line: Line) -> None:
        """It carries this session."""
        self._session_stage, self._line = stage, line
        self.joined_at = time.monotonic()

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

    def give_up(self) -> None:
        """It is not wanted any more: what comes of that is no failure. Any thread.

        A peer that was answered has to be told that the session is over, or it would go on looking for this side: so
        the session is opened first, if the peer is not long about it, and then closed like any other.
        """
        self._given_up = True
        if self._answered:
            self.entity._flusher.call_later(_GRACE_S, weakly(self._abandon))
        else:
            self.abort()

    def _abandon(self) -> None:
        if self.joined_at is None:
            self.abort()

    @property
    def _plain(self) -> bool:
        return False

    @property
    def has_to_ask(self) -> bool:
        return True

    def _tell_failed(self, error: Exception) -> None:
        closing = self.entity._stopping.is_set() and self._deadline is None  # who has dialled it is told all the same
        if not (closing or self._given_up):
            self._tell(error)

    def _prepare(self, deadline: float) -> None:
        deadline = deadline if self._deadline is None else self._deadline
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
            self.progressed = self.progressed or bool(messages)
            session = self._session_stage.session
            session.took(self._line, messages)
            if not self._session_stage.deliver():
                session.look()

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
