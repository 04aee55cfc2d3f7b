"""The session with the one peer of an endpoint, for which this side asks: a client's, or at either end of a cable."""

from __future__ import annotations

from typing import Final

from leadscomm.connections.endpoint import Endpoint
from leadscomm.entities.entity import Entity
from leadscomm.entities.registry import Registry
from leadscomm.entities.running.line import LineStage
from leadscomm.sessions.agreeing import agree
from leadscomm.sessions.terms import SpeaksCompact, Terms, compact_session

_ONLY: Final = "the only one"


class Pair:
    """The present session, and the next one when that is over.

    :param entity: runs them.
    :param endpoint: where the peer is.
    """

    def __init__(self, entity: Entity, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._terms = Terms.of(endpoint, endpoint.key())
        self._registry = Registry(entity)

    @property
    def in_session(self) -> bool:
        """Whether there is one that has begun, and is not over."""
        stage = self._registry.find(_ONLY)
        return stage is not None and stage.session.session.trusted

    def join(self, line: LineStage, deadline: float) -> None:
        """Have a line carry the session; what :class:`LineStage` wants.

        A session that its peer has answered goes on over the next line: the peer may have heard that it has begun, and
        have sent messages in it.

        :raises CommError: the peer does not agree; the text says why.
        """
        connection, registry = line.connection, self._registry
        found = registry.wait_and_carry(_ONLY, connection, self._endpoint, self._terms, deadline)
        assert found is not None  # of no epoch
        stage, added = found
        begun = stage.session.session.trusted
        try:
            agree(stage.session, added, deadline)
        except BaseException as error:
            compact = isinstance(error, SpeaksCompact)
            hopeless = not begun and (compact or stage.session.session.peer is None)
            registry.withdraw(_ONLY, stage, added, None, hopeless=hopeless)
            if compact:
                line.hand_on(compact_session(connection, self._endpoint))
            elif not (begun and stage.session.over):  # the end of the session itself is told by its on_disconnect
                raise
            return
        line.carry(stage, added)
