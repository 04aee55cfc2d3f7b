"""The sessions of an entity that is dialled: to which of them a line belongs that was accepted."""

from __future__ import annotations

import threading
from collections import deque

from leadscomm.connections.endpoint import Endpoint
from leadscomm.connections.meeting import Meeting, Stale
from leadscomm.connections.session import SessionConnection
from leadscomm.connections.terms import Terms, compact_session
from leadscomm.connections.writer import weakly
from leadscomm.entities.line import LineStage
from leadscomm.entities.pair import FORMER
from leadscomm.entities.session import SessionStage
from leadscomm.entities.stage import Owner
from leadscomm.errors import CommError
from leadscomm.protocol.offer import Offer


class Sessions:
    """Which sessions there are, and who takes part in them.

    :param entity: runs them.
    :param endpoint: where it listens.
    """

    def __init__(self, entity: Owner, endpoint: Endpoint) -> None:
        self._entity = entity
        self._endpoint = endpoint
        self._terms = Terms.of(endpoint, endpoint.key())
        self._lock = threading.Lock()
        self._stages: list[SessionStage] = []
        self._former: deque[int] = deque(maxlen=FORMER)

    def join(self, line_stage: LineStage, deadline: float) -> None:
        """Find out which session an accepted line carries; what :class:`LineStage` wants.

        :raises CommError: none; the text says why.
        """
        connection, address = line_stage.connection, self._endpoint
        meeting = Meeting(connection, self._terms, self._knows)
        while True:
            try:
                guest = meeting.guest(deadline)
            except Stale:
                return
            if guest.offer is None:
                line_stage.hand_on(compact_session(connection, address, guest.frames))
                return
            stage = self._find(guest.offer)
            if stage is not None:
                break
            meeting.turn_away(guest.offer.epoch)
        line = stage.session.add(connection, address)
        line_stage.carry(stage, line)
        stage.session.took(line, guest.frames)
        stage.session.pump()

    def _find(self, offer: Offer) -> SessionStage | None:
        """The session that a peer speaks of, or a new one; None: that one is over.

        :raises CommError: there are too many.
        """
        echo, tag = offer.handshake.echo, offer.handshake.tag
        former = None
        with self._lock:
            self._sweep()
            for stage in self._stages:
                session = stage.session.session
                if session.me.epoch == echo or (session.peer is not None and session.peer.epoch == offer.epoch):
                    return stage
                if tag and stage.session.name == tag:
                    former = stage
            if echo or offer.epoch in self._former:
                return None
            most = self._endpoint.options["max_connections"]
            if len(self._stages) >= most:
                raise CommError(f"there are {most} sessions already (max_connections): raise it, or close some")
            stage = SessionStage(self._entity, SessionConnection(self._terms, asks=False, former=tuple(self._former)))
            stage.former = former
            stage.on_over = weakly(self._let_go)
            self._stages.append(stage)
            return stage

    def _knows(self, epoch: int) -> bool:
        """Whether there is a session with the peer of this epoch."""
        with self._lock:
            peers = [stage.session.session.peer for stage in self._stages if not stage.session.over]
        return any(peer is not None and peer.epoch == epoch for peer in peers)

    def _let_go(self) -> None:
        """A session has ended."""
        with self._lock:
            self._sweep()

    def _sweep(self) -> None:
        """Forget the sessions that are over, but not their epochs. Under the lock."""
        self._stages = [stage for stage in self._stages if not self._is_over(stage)]

    def _is_over(self, stage: SessionStage) -> bool:
        session = stage.session
        if session.over and session.session.peer is not None and session.session.peer.epoch not in self._former:
            self._former.append(session.session.peer.epoch)
        return session.over
