"""The session with the one peer of an endpoint, for which this side asks: a client's, or at either end of a cable."""

from __future__ import annotations

import time
from collections import deque
from typing import Final

from leadscomm.connections.endpoint import Endpoint
from leadscomm.connections.sending.writer import weakly
from leadscomm.entities.running.conversation import SessionStage
from leadscomm.entities.running.line import LineStage
from leadscomm.entities.running.owner import Owner
from leadscomm.sessions.agreeing import agree
from leadscomm.sessions.session import SessionConnection
from leadscomm.sessions.terms import SpeaksCompact, Terms, compact_session

FORMER: Final = 64
"""So many sessions that are over are remembered, since frames of theirs may still be on the way."""


class Pair:
    """The present session, and the next one when that is over.

    :param entity: runs them.
    :param endpoint: where the peer is.
    """

    def __init__(self, entity: Owner, endpoint: Endpoint) -> None:
        self._entity = entity
        self._endpoint = endpoint
        self._terms = Terms.of(endpoint, endpoint.key())
        self._former: deque[int] = deque(maxlen=FORMER)
        self.stage: SessionStage | None = None
        self._agreed: SessionStage | None = None  # the peer has answered, and its line was lost before it was believed

    @property
    def in_session(self) -> bool:
        """Whether there is one that is not over."""
        stage = self.stage  # which goes when it has ended
        return stage is not None and not stage.session.over

    def join(self, line: LineStage, deadline: float) -> None:
        """Have a line carry the session; what :class:`LineStage` wants.

        :raises CommError: the peer does not agree; the text says why.
        """
        present = self.stage
        if present is not None and present.session.over:
            present = None
        stage = present or self._resumed() or self._begin(deadline)
        added = stage.session.add(line.connection, self._endpoint)
        try:
            agree(stage.session, added, deadline)
        except BaseException as error:
            stage.session.remove(added)
            ended = stage is present and stage.session.over
            if stage is not present:
                self._keep_or_discard(stage, error)
            if isinstance(error, SpeaksCompact):
                line.hand_on(compact_session(line.connection, self._endpoint))
            elif not ended:  # the end of the session itself is told by its on_disconnect
                raise
            return
        self.stage = stage
        stage.on_over = weakly(self._let_go)
        line.carry(stage, added)

    def _keep_or_discard(self, stage: SessionStage, error: BaseException) -> None:
        """A session that its peer has answered goes on over the next line: the peer may have heard that it has begun,
        and have sent messages in it."""
        if stage.session.session.peer is None or isinstance(error, SpeaksCompact):
            stage.discard()
        else:
            self._agreed = stage

    def _resumed(self) -> SessionStage | None:
        """The session that the peer has answered over an earlier line, if it is not over."""
        stage, self._agreed = self._agreed, None
        if stage is not None and stage.session.over:
            stage.discard()
            return None
        return stage

    def _begin(self, deadline: float) -> SessionStage:
        former = self.stage
        if former is not None:  # its on_disconnect comes before the next on_connect
            former.done.wait(max(0.0, deadline - time.monotonic()))
            self._let_go()
        connection = SessionConnection(self._terms, asks=True, former=tuple(self._former))
        return SessionStage(self._entity, connection)

    def _let_go(self) -> None:
        """Forget the session, if it is over, but not the peer's epoch."""
        stage = self.stage
        if stage is not None and stage.session.over:
            peer = stage.session.session.peer
            if peer is not None and peer.epoch not in self._former:
                self._former.append(peer.epoch)
            self.stage = None
