"""The sessions of an entity that is dialled: to which of them a line belongs that was accepted."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

from leadscomm.connections.address import Address
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.meeting import Meeting
from leadscomm.connections.reliable import ReliableConnection
from leadscomm.connections.session import SessionConnection, Terms
from leadscomm.entities.line import LineStage
from leadscomm.entities.session import SessionStage
from leadscomm.entities.stage import Owner
from leadscomm.errors import ConnectFailed
from leadscomm.protocol.offer import Offer

_FORMER: Final = 64
"""So many sessions that are over are remembered, since frames of theirs may still be on the way."""


class Sessions:
    """Which sessions there are, and who takes part in them.

    :param entity: runs them.
    :param terms: what this side wants.
    """

    def __init__(self, entity: Owner, terms: Terms) -> None:
        self._entity = entity
        self.terms = terms
        self._lock = threading.Lock()
        self._stages: list[SessionStage] = []
        self._former: deque[int] = deque(maxlen=_FORMER)

    def receive(self, line_stage: LineStage, address: Address, deadline: float) -> None:
        """Find out which session an accepted line carries. In the thread that is to read it.

        :raises CommError: none; the text says why.
        """
        connection = line_stage.connection
        meeting = Meeting(connection, self.terms)
        while True:
            guest = meeting.guest(deadline)
            if guest.offer is None:
                line_stage.hand_on(_compact(connection, address, guest.frames, self.terms))
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
        """The session that a peer speaks of, or a new one; None: that one is over."""
        echo, tag = offer.handshake.echo, offer.handshake.tag
        superseded = None
        with self._lock:
            self._stages = [stage for stage in self._stages if not self._is_over(stage)]
            for stage in self._stages:
                session = stage.session.session
                if session.me.epoch == echo or (session.peer is not None and session.peer.epoch == offer.epoch):
                    return stage
                if tag and stage.session.name == tag:
                    superseded = stage
            if echo or offer.epoch in self._former:
                return None
            stage = SessionStage(self._entity, SessionConnection(self.terms, asks=False, former=tuple(self._former)))
            self._stages.append(stage)
        if superseded is not None:
            superseded.session.supersede(f"{tag} began anew; it was restarted")
        return stage

    def _is_over(self, stage: SessionStage) -> bool:
        session = stage.session
        if session.over and session.session.peer is not None and session.session.peer.epoch not in self._former:
            self._former.append(session.session.peer.epoch)
        return session.over


def _compact(connection: ConnectionBase, address: Address, frames: list[bytes], terms: Terms) -> ReliableConnection:
    """The compact session that a peer begins that knows no other."""
    if address.scheme == "udp":
        raise ConnectFailed(
            f"{connection} speaks the compact profile alone, which is for lines that keep the order, and UDP does not: "
            "use TCP or a serial line"
        )
    return ReliableConnection(connection, asks=False, longest=terms.longest, early=frames)
