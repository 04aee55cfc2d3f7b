"""The sessions of an entity that is dialled: to which of them a line belongs that was accepted."""

from __future__ import annotations

from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.endpoint import Endpoint
from leadscomm.entities.entity import Entity
from leadscomm.entities.namesakes import NameTaken, check_away, check_gone
from leadscomm.entities.registry import Registry
from leadscomm.entities.running.conversation import SessionStage
from leadscomm.entities.running.line import LineStage
from leadscomm.protocol.session.offer import Offer
from leadscomm.sessions.agreeing import agree
from leadscomm.sessions.line import Line
from leadscomm.sessions.meeting import Guest, Meeting, Stale
from leadscomm.sessions.terms import Terms, compact_session


class Sessions:
    """Who takes part in which session. Peers are known by their epochs.

    :param entity: runs the sessions.
    :param endpoint: where it listens.
    """

    def __init__(self, entity: Entity, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._terms = Terms.of(endpoint, endpoint.key())
        self._registry = Registry(entity)

    def join(self, line_stage: LineStage, deadline: float) -> None:
        """Find out which session an accepted line carries; what :class:`LineStage` wants.

        :raises CommError: none; the text says why.
        """
        connection, registry = line_stage.connection, self._registry
        meeting = Meeting(connection, self._endpoint, self._terms, registry.knows)
        found, epoch = None, 0
        while found is None:
            try:
                guest = meeting.guest(deadline)
            except Stale:
                return
            offer = guest.offer
            if offer is None:
                self._hand_on(line_stage, guest, meeting)
                return
            if registry.is_copy(offer):
                meeting.repeated()
                continue
            epoch = offer.epoch
            former, gone_at = self._former_of(offer, meeting, connection)
            found = self._find(offer, former, connection)
            if found is None:
                meeting.turn_away(epoch)
        stage, line = found
        line_stage.answer()
        try:
            stage.session.took(line, guest.frames)
            agree(stage.session, line, deadline)
            if former is not None:
                check_away(stage.session.name, former, connection, gone_at)
        except BaseException as error:
            registry.withdraw(epoch, stage, line, deadline, hopeless=isinstance(error, NameTaken))
            if stage.session.over and stage.session.session.trusted and not isinstance(error, NameTaken):
                return  # its on_disconnect tells it
            raise
        line_stage.carry(stage, line)

    def _hand_on(self, line_stage: LineStage, guest: Guest, meeting: Meeting) -> None:
        """The peer speaks the compact profile alone."""
        connection, endpoint = line_stage.connection, self._endpoint
        if endpoint.scheme == "udp":
            meeting.refuse_profile()
        self._registry.check_room(connection, endpoint)
        line_stage.hand_on(compact_session(connection, endpoint, guest.frames))

    def _former_of(
        self, offer: Offer, meeting: Meeting, connection: ConnectionBase
    ) -> tuple[SessionStage | None, float]:
        """The session of another one with the name of a peer that wants to begin one, and when it was found to be gone.

        :raises NameTaken: it is not.
        """
        former = None if offer.handshake.echo else self._bearer_of(offer.tag, offer.epoch)
        if former is None:
            return None, 0.0
        try:
            return former, check_gone(offer.tag, former, connection)
        except NameTaken:
            meeting.refuse_name()
            raise

    def _bearer_of(self, name: str, epoch: int) -> SessionStage | None:
        """The session of a peer of this name, if its epoch is another one."""
        for stage in self._registry.present().values():
            peer = stage.session.session.peer
            named = peer is not None and name and peer.tag == name and peer.epoch != epoch
            if named and stage.session.session.trusted:
                return stage
        return None

    def _find(
        self, offer: Offer, former: SessionStage | None, connection: ConnectionBase
    ) -> tuple[SessionStage, Line] | None:
        """The session that a peer speaks of, or a new one; None: that one is over.

        :param former: ends when the new one begins.
        :raises CommError: there are too many.
        """
        registry, epoch = self._registry, offer.epoch
        if offer.handshake.echo and registry.find(epoch) is None:
            return None  # it is in a session, as it says, and that is none of these
        return registry.carry(epoch, connection, self._endpoint, self._terms, asks=False, epoch=epoch, former=former)
