"""The sessions of an entity that is dialled: to which of them a line belongs that was accepted."""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from functools import partial

from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.endpoint import Endpoint
from leadscomm.connections.sending.writer import weakly
from leadscomm.entities.entity import Entity
from leadscomm.entities.namesakes import NameTaken, check_away, check_gone
from leadscomm.entities.pair import FORMER
from leadscomm.entities.places import DISPLACED, displaced
from leadscomm.entities.running.conversation import SessionStage
from leadscomm.entities.running.line import LineStage
from leadscomm.protocol.session.offer import Offer
from leadscomm.sessions.agreeing import agree
from leadscomm.sessions.meeting import Guest, Meeting, Stale
from leadscomm.sessions.session import SessionConnection
from leadscomm.sessions.terms import Terms, compact_session


class Sessions:
    """Which sessions there are, and who takes part in them.

    :param entity: runs them.
    :param endpoint: where it listens.
    """

    def __init__(self, entity: Entity, endpoint: Endpoint) -> None:
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
        meeting = Meeting(connection, address, self._terms, self._knows)
        stage = None
        while stage is None:
            try:
                guest = meeting.guest(deadline)
            except Stale:
                return
            if guest.offer is None:
                self._hand_on(line_stage, guest, meeting)
                return
            if self._is_copy(guest.offer):
                meeting.repeated()
                continue
            former, gone_at = self._former_of(guest.offer, meeting, connection)
            stage = self._find(guest.offer, former, connection)
            if stage is None:
                meeting.turn_away(guest.offer.epoch)
        line = stage.session.add(connection, address)
        line_stage.answer()
        try:
            stage.session.took(line, guest.frames)
            agree(stage.session, line, deadline)
            if former is not None:
                check_away(stage.session.name, former, connection, gone_at)
        except BaseException:
            stage.session.remove(line)
            self._forget(stage, deadline)
            if stage.session.over and stage.session.session.trusted:
                return  # its on_disconnect tells it
            raise
        line_stage.carry(stage, line)

    def _hand_on(self, line_stage: LineStage, guest: Guest, meeting: Meeting) -> None:
        """The peer speaks the compact profile alone."""
        connection, address = line_stage.connection, self._endpoint
        if address.scheme == "udp":
            meeting.refuse_profile()
        with self._lock:
            self._check_room(connection)
        line_stage.hand_on(compact_session(connection, address, guest.frames))

    def _present(self) -> list[SessionStage]:
        """The sessions that are not over. Under the lock."""
        self._stages = [stage for stage in self._stages if not self._is_over(stage)]
        return self._stages

    def _is_copy(self, offer: Offer) -> bool:
        with self._lock:
            return any(stage.session.session.is_copy(offer) for stage in self._present())

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
        with self._lock:
            for stage in self._present():
                peer = stage.session.session.peer
                named = peer is not None and name and peer.tag == name and peer.epoch != epoch
                if named and stage.session.session.trusted:
                    return stage
        return None

    def _find(self, offer: Offer, former: SessionStage | None, connection: ConnectionBase) -> SessionStage | None:
        """The session that a peer speaks of, or a new one; None: that one is over.

        :param former: ends when the new one begins.
        :raises CommError: there are too many.
        """
        echo = offer.handshake.echo
        with self._lock:
            for stage in self._present():
                session = stage.session.session
                if session.me.epoch == echo or (session.peer is not None and session.peer.epoch == offer.epoch):
                    return stage
            if echo or offer.epoch in self._former:
                return None
            self._check_room(connection)
            stage = SessionStage(self._entity, SessionConnection(self._terms, asks=False, former=tuple(self._former)))
            stage.former, stage.origin = former, connection._origin
            stage.on_over = weakly(self._let_go)
            self._stages.append(stage)
            return stage

    def _check_room(self, connection: ConnectionBase) -> None:
        """One more session, of either profile. Under the lock.

        :raises CommError: there are too many.
        """
        origin, limits = connection._origin, self._endpoint.options
        compact = [stage for stage in self._entity._stages if not isinstance(stage, SessionStage)]
        while (idle := displaced([*self._present(), *compact], origin, limits)) is not None:
            if idle.session.session.trusted:
                idle.session.supersede(DISPLACED)
            else:  # nobody was told of it
                self._stages.remove(idle)
                idle.discard()

    def _forget(self, stage: SessionStage, deadline: float) -> None:
        """A line has come to nothing. A session that never began ends with its last one, but not before the time for it
        is over: its peer may have heard that it has begun, and lost the line since; it comes back by another one."""
        left = deadline - time.monotonic()
        with self._lock:
            if stage.session.session.trusted or stage.session.lines or stage.ended:
                return
            waits = left > 0 and not stage.session.over
            if not waits:
                self._stages = [other for other in self._stages if other is not stage]
        if waits:
            self._entity._flusher.call_later(left, partial(self._forget_later, weakref.ref(stage), deadline))
        else:
            stage.discard()

    def _forget_later(self, seen: weakref.ref[SessionStage], deadline: float) -> None:
        """As :meth:`_forget`, unless it had to make room for another meanwhile, and is gone."""
        stage = seen()
        if stage is not None:
            self._forget(stage, deadline)

    def _knows(self, epoch: int) -> bool:
        """Whether there is a session with the peer of this epoch."""
        with self._lock:
            peers = [stage.session.session.peer for stage in self._present()]
        return any(peer is not None and peer.epoch == epoch for peer in peers)

    def _let_go(self) -> None:
        """A session has ended."""
        with self._lock:
            self._present()

    def _is_over(self, stage: SessionStage) -> bool:
        session = stage.session
        if session.over and session.session.peer is not None and session.session.peer.epoch not in self._former:
            self._former.append(session.session.peer.epoch)
        return session.over
