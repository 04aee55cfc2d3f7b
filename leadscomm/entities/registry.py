"""Whose session is this line? The sessions that an entity is in, and the epochs of those that are over."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Hashable
from functools import partial
from typing import Final

from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.endpoint import Endpoint
from leadscomm.connections.sending.writer import weakly
from leadscomm.entities.entity import Entity
from leadscomm.entities.places import DISPLACED, displaced
from leadscomm.entities.running.conversation import SessionStage
from leadscomm.errors import CommTimeout, ConnectionLost
from leadscomm.protocol.session.offer import Offer
from leadscomm.sessions.line import Line
from leadscomm.sessions.session import SessionConnection
from leadscomm.sessions.terms import Terms

FORMER: Final = 256
"""So many sessions that are over are remembered, since frames of theirs may still be on the way."""


class Registry:
    """The sessions, each under a key: who is dialled knows its peers by their epochs, a node by their names, and who
    dials has one peer. Any thread.

    A session has its key until its ``on_disconnect`` has returned, so that ``on_connect`` of the next one comes after.

    :param entity: runs them.
    """

    def __init__(self, entity: Entity) -> None:
        self._entity = entity
        self._lock = threading.Lock()
        self._stages: dict[Hashable, SessionStage] = {}  # the oldest first
        self._former: tuple[int, ...] = ()  # replaced, never changed: the sessions share it

    # Looking ---------------------------------------------------------------------------------------------------------

    def present(self) -> dict[Hashable, SessionStage]:
        """The sessions that are not over."""
        with self._lock:
            self._sweep()
            return self._present()

    def find(self, key: Hashable) -> SessionStage | None:
        """The session of a key, if it is not over."""
        with self._lock:
            stage = self._stages.get(key)
        return None if stage is None or stage.session.over else stage

    def knows(self, epoch: int) -> bool:
        """Whether there is a session with the peer of this epoch."""
        peers = [stage.session.session.peer for stage in self.present().values()]
        return any(peer is not None and peer.epoch == epoch for peer in peers)

    def is_copy(self, offer: Offer) -> bool:
        """Whether it is the HELLO of a peer in a session that should know better by now: a late or a recorded one."""
        return any(stage.session.session.joining.is_copy(offer) for stage in self.present().values())

    def _present(self) -> dict[Hashable, SessionStage]:
        return {key: stage for key, stage in self._stages.items() if not stage.session.over}

    # Beginning -------------------------------------------------------------------------------------------------------

    def carry(
        self,
        key: Hashable,
        connection: ConnectionBase,
        endpoint: Endpoint,
        terms: Terms,
        *,
        asks: bool,
        epoch: int = 0,
        former: SessionStage | None = None,
    ) -> tuple[SessionStage, Line] | None:
        """Have one more line carry the session of a key, which begins if there is none.

        :param asks: this side begins.
        :param epoch: the peer's, if it is known.
        :param former: a session that ends when the new one begins.
        :return: None: that session is over.
        :raises CommError: there are too many.
        """
        with self._lock:
            self._sweep()
            stage = self._stages.get(key)
            if stage is None and epoch not in self._former:
                self._make_room(connection, endpoint)
                stage = self._stages[key] = self._new(connection, terms, asks=asks)
                stage.former = former
            if stage is None or stage.session.over:
                return None
            return stage, stage.session.add(connection, endpoint)

    def wait_and_carry(
        self,
        key: Hashable,
        connection: ConnectionBase,
        endpoint: Endpoint,
        terms: Terms,
        deadline: float,
        *,
        epoch: int = 0,
    ) -> tuple[SessionStage, Line] | None:
        """As :meth:`carry`, for who asks; of a session that is over the last callbacks are waited for.

        :param deadline: until then, as ``time.monotonic()`` counts.
        :raises CommTimeout: they have not returned.
        """
        while True:
            found = self.carry(key, connection, endpoint, terms, asks=True, epoch=epoch)
            if found is not None:
                return found
            with self._lock:
                ending = self._stages.get(key)
                if ending is None and epoch in self._former:
                    return None
            if ending is not None and ending.session.over:
                self.wait_for(ending, deadline)

    def successor(self, connection: ConnectionBase, terms: Terms) -> SessionStage:
        """A session without a key, which may take the place of another; :meth:`install` does so."""
        with self._lock:
            return self._new(connection, terms, asks=True)

    def install(self, key: Hashable, former: SessionStage, stage: SessionStage, deadline: float) -> None:
        """Have a successor follow, once the last callback of the former session has returned.

        :raises CommTimeout: it has not before ``deadline``.
        :raises ConnectionLost: there is another one meanwhile.
        """
        self.wait_for(former, deadline)
        with self._lock:
            self._sweep()
            if key in self._stages:
                raise ConnectionLost(f"{key} has begun another session meanwhile")
            self._stages[key] = stage

    def wait_for(self, ending: SessionStage, deadline: float) -> None:
        """Wait until the last callback of a session has returned.

        :raises CommTimeout: it has not before ``deadline``, as ``time.monotonic()`` counts.
        """
        if not ending.done.wait(max(0.0, deadline - time.monotonic())):
            raise CommTimeout(
                f"the former session with {ending.session} has not ended yet: a callback of it does not return"
            )

    def check_room(self, connection: ConnectionBase, endpoint: Endpoint) -> None:
        """Make room for a session that is not kept here: one of the compact profile.

        :raises CommError: there are too many.
        """
        with self._lock:
            self._make_room(connection, endpoint)

    def _new(self, connection: ConnectionBase, terms: Terms, *, asks: bool) -> SessionStage:
        stage = SessionStage(self._entity, SessionConnection(terms, asks=asks, former=self._former))
        stage.origin = _origin(connection)
        stage.on_over = weakly(self._let_go)
        return stage

    def _make_room(self, connection: ConnectionBase, endpoint: Endpoint) -> None:
        """One more session, of either profile. Under the lock."""
        compact = [stage for stage in self._entity._stages if not isinstance(stage, SessionStage)]
        while True:
            idle = displaced([*self._present().values(), *compact], _origin(connection), endpoint.options)
            if idle is None:
                return
            if idle.session.session.trusted:
                idle.session.supersede(DISPLACED)
            else:  # nobody was told of it
                self._drop(idle)
                idle.discard()

    # Ending ----------------------------------------------------------------------------------------------------------

    def withdraw(
        self, key: Hashable, stage: SessionStage, line: Line, until: float | None, *, hopeless: bool = False
    ) -> None:
        """A line has come to nothing. A session that never began goes with its last one, but not before its time: its
        peer may have heard that it has begun, and lost the line since; it comes back by another one.

        :param until: then, as ``time.monotonic()`` counts; None: as long as the peer may come.
        :param hopeless: it cannot begin any more, or must not go on.
        """
        stage.session.remove(line)
        self._forget(key, stage, until, hopeless)

    def discard(self, stage: SessionStage) -> None:
        """Let go of a session that never began."""
        with self._lock:
            self._drop(stage)
        stage.discard()

    def _forget(self, key: Hashable, stage: SessionStage, until: float | None, hopeless: bool = False) -> None:
        session = stage.session
        left = 0.0 if until is None else until - time.monotonic()
        with self._lock:
            if (session.session.trusted and not hopeless) or session.lines or stage.ended:
                return
            lost = hopeless or session.over or self._stages.get(key) is not stage
            if not lost and until is None:
                return
            useless = lost or left <= 0
            if useless:
                self._drop(stage)
        if useless:
            stage.discard()
        else:
            self._entity._flusher.call_later(left, partial(self._forget_later, key, weakref.ref(stage), until))

    def _forget_later(self, key: Hashable, seen: weakref.ref[SessionStage], until: float | None) -> None:
        """As :meth:`_forget`, unless it had to make room for another meanwhile, and is gone."""
        stage = seen()
        if stage is not None:
            self._forget(key, stage, until)

    def _drop(self, stage: SessionStage) -> None:
        """Under the lock."""
        self._stages = {key: other for key, other in self._stages.items() if other is not stage}

    def _let_go(self) -> None:
        """A session has ended."""
        with self._lock:
            self._sweep()

    def _sweep(self) -> None:
        """Forget the sessions that are over, but not their peers' epochs. Under the lock."""
        for key, stage in tuple(self._stages.items()):
            session = stage.session
            if not session.over:
                continue
            peer = session.session.peer
            if peer is not None and peer.epoch not in self._former:
                self._former = (*self._former, peer.epoch)[-FORMER:]
            began = session.session.trusted
            if stage.done.is_set() or not began:
                del self._stages[key]
                if not (began or session.lines):  # nobody was told of it; who reads a line of it finds out
                    stage.discard()


def _origin(connection: ConnectionBase) -> str | None:
    """What ``max_per_address`` counts a session under: only of who has come by himself is it asked."""
    return connection._origin if connection.accepted else None
