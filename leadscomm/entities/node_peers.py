"""The sessions of a node: one for each name, whichever side has dialled, over every line that leads there."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.endpoint import Endpoint
from leadscomm.connections.meeting import Guest, Stale
from leadscomm.connections.session import SessionConnection
from leadscomm.connections.session_line import Line
from leadscomm.connections.terms import SpeaksCompact, Terms, compact_session
from leadscomm.entities.line import LineStage
from leadscomm.entities.node_meeting import Introduction
from leadscomm.entities.pair import FORMER
from leadscomm.entities.session import SessionStage
from leadscomm.entities.stage import Owner
from leadscomm.errors import CommError, CommTimeout, ConnectFailed, ConnectionLost
from leadscomm.protocol.handshake import Handshake
from leadscomm.protocol.link import MEASURE_EVERY_S

SETTLE_S: Final = 0.2
"""What a peer that is gone has sent may still be on its way for so long."""
ANSWER_S: Final = 0.5
"""A peer that is there answers within this time."""


class Peers:
    """Who is known by which name.

    Of each name there is at most one session, which asks and is asked: so two nodes that dial each other at the same
    time, or over several lines, find themselves in one.

    :param entity: runs the sessions.
    :param name: this node's own.
    """

    def __init__(self, entity: Owner, name: str) -> None:
        self._entity = entity
        self._name = name
        self._lock = threading.Lock()
        self._settled = threading.Condition(self._lock)
        self._courting: set[str] = set()  # whom a line asks for a first session
        self._stages: dict[str, SessionStage] = {}  # of each name the last one, until its on_disconnect has returned
        self._former: deque[int] = deque(maxlen=4 * FORMER)

    def epoch_for(self, name: str) -> int:
        """The epoch of this side's session with a peer; 0 if there is none."""
        with self._lock:
            stage = self._stages.get(name)
        return stage.session.session.me.epoch if stage is not None and not stage.session.over else 0

    def partners(self) -> dict[str, int]:
        """The names of those in a session, and their epochs."""
        with self._lock:
            stages = tuple(self._stages.items())
        found = {name: stage.session.session.peer for name, stage in stages if not stage.session.over}
        return {name: peer.epoch for name, peer in found.items() if peer is not None}

    def knows(self, epoch: int) -> bool:
        """Whether there is a session with the peer of this epoch."""
        return epoch in self.partners().values()

    def check(self, name: str, connection: ConnectionBase) -> None:
        """:raises ConnectFailed: nobody can be known by this name."""
        if not name:
            raise ConnectFailed(
                f"{connection} has no name, and a node knows its peers by name: give it one (name= of its endpoint, "
                "beside reliable=1)"
            )
        if name == self._name:
            raise ConnectFailed(
                f"{connection} is called {name!r}, as this node itself is: give each node a name of its own, and let "
                "none connect to itself"
            )

    def add(
        self, name: str, connection: ConnectionBase, endpoint: Endpoint, terms: Terms, deadline: float, epoch: int = 0
    ) -> tuple[SessionStage, Line] | None:
        """Have one more line carry the session with a peer, which begins if there is none.

        :param epoch: the peer's, if it is known.
        :return: None: the session of that epoch is over.
        :raises CommTimeout: ``on_disconnect`` of the former session has not returned before ``deadline``.
        :raises CommError: this node is closing, or has too many sessions.
        """
        while True:
            with self._lock:
                self._sweep()
                stage = self._stages.get(name)
                if stage is None:
                    if epoch in self._former:
                        return None
                    stage = self._stages[name] = self._begin(terms, endpoint.options["max_connections"])
                if not stage.session.over:
                    return stage, stage.session.add(connection, endpoint)
            if not stage.done.wait(max(0.0, deadline - time.monotonic())):
                raise CommTimeout(f"the former session with {name} has not ended yet: a callback of it does not return")

    def _sweep(self) -> None:
        """Forget the sessions that are over, but not their epochs. Under the lock."""
        for name, stage in tuple(self._stages.items()):
            if stage.done.is_set():
                peer = self._stages.pop(name).session.session.peer
                if peer is not None:
                    self._former.append(peer.epoch)

    def _begin(self, terms: Terms, most: int) -> SessionStage:
        """Under the lock."""
        if self._entity._stopping.is_set():
            raise ConnectionLost(f"{self._name} is closing")
        if len(self._stages) >= most:
            raise CommError(f"there are {most} sessions already (max_connections): raise it, or close some")
        return SessionStage(self._entity, SessionConnection(terms, asks=True, former=tuple(self._former)))

    def withdraw(self, name: str, stage: SessionStage, line: Line) -> None:
        """A line does not carry the session. One that has never begun is kept, since the peer may have heard of it, but
        not if it never can."""
        connection, session = stage.session, stage.session.session
        with self._lock:
            connection.remove(line)
            hopeless = connection.over or session.trouble or session.compact_peer or connection.name
            useless = connection.name != name and not connection.lines and hopeless
            if useless and self._stages.get(name) is stage:
                del self._stages[name]
        if useless:
            stage.discard()

    @contextmanager
    def courting(self, name: str, deadline: float) -> Iterator[bool]:
        """One line at a time asks a peer for a first session: at the end of another there may be another of this name.

        :return: whether it is this line's turn; otherwise there is a session by now.
        """
        with self._lock:
            self._settled.wait_for(lambda: name not in self._courting, max(0.0, deadline - time.monotonic()))
            stage = self._stages.get(name)
            first = stage is None or not stage.session.session.open
            if first:
                self._courting.add(name)
        try:
            yield first
        finally:
            with self._lock:
                self._courting.discard(name)
                self._settled.notify_all()

    def make_way(self, name: str, epoch: int, connection: ConnectionBase) -> None:
        """A peer wants to begin a session: end the one that it had before it was restarted.

        :raises ConnectFailed: that peer is still there: two have the same name.
        """
        with self._lock:
            stage = self._stages.get(name)
        if stage is None or stage.session.over:
            return
        peer = stage.session.session.peer
        if peer is None or peer.epoch == epoch:
            return
        self.check_gone(name, stage, connection)
        stage.session.supersede(f"{name} began anew; it was restarted")

    def check_gone(self, name: str, stage: SessionStage, connection: ConnectionBase) -> None:
        """See whether the peer of a session still answers, though another one has its name.

        :raises ConnectFailed: it does.
        """
        session = stage.session
        if not session.lines or stage.done.wait(SETTLE_S):
            return
        asked_at = _ask_for_life(session)
        if not stage.done.wait(ANSWER_S) and any(line.link.heard_at > asked_at for line in session.lines):
            raise ConnectFailed(
                f"two nodes are called {name!r}: one at {connection}, and one at "
                f"{', '.join(map(str, session.lines))}; give each node a name of its own"
            )

    def session(self, name: str) -> SessionStage | None:
        """The session with a peer that is not over."""
        with self._lock:
            stage = self._stages.get(name)
        return None if stage is None or stage.session.over else stage


def _ask_for_life(session: SessionConnection) -> float:
    """Have the peer asked for a sign of life over each line; return when that was."""
    now = time.monotonic()
    with session._turn:
        for line in session.lines:
            line.link.pinged_at = now - MEASURE_EVERY_S
    session.emit()
    return now


class Way:
    """One endpoint of a node: finds out who is at the other end of each of its lines.

    :param asks: whether this side asks who is there; a line that was accepted waits to be asked.
    :ivar stage: the session that a line of this endpoint has carried last.
    """

    def __init__(self, peers: Peers, endpoint: Endpoint, *, asks: bool) -> None:
        self._peers = peers
        self._endpoint = endpoint
        self._terms = Terms.of(endpoint, endpoint.key())
        self._asks = asks
        self.stage: SessionStage | None = None

    @property
    def waited_for(self) -> bool:
        """Whether the session that it carried last is not over."""
        return self.stage is not None and not self.stage.session.over

    def join(self, line_stage: LineStage, deadline: float) -> None:
        """Have a line carry the session with whoever is at its end; what :class:`LineStage` wants.

        :raises CommError: it carries none; the text says why.
        """
        peers, connection = self._peers, line_stage.connection
        words = Introduction(connection, self._endpoint, self._terms, asks=self._asks, known=peers)
        while True:
            before = peers.partners()
            try:
                who = words.who(deadline)
            except Stale:
                return
            if isinstance(who, Handshake):
                if self._call_on(line_stage, who, before.get(who.tag), words.unread, deadline):
                    return
                words.ask_again()
                continue
            if who.offer is None:
                self._hand_on(line_stage, who)
                return
            if self._receive(line_stage, who, deadline):
                return
            words.turn_away(who.offer.epoch)

    def _call_on(
        self, line_stage: LineStage, said: Handshake, known: int | None, unread: list[bytes], deadline: float
    ) -> bool:
        """Ask a peer for the session, now that its name is known.

        :param known: the epoch of the peer of this name, if it was in a session before it was asked.
        :return: False: it has come to be in one meanwhile, so that it is to be asked again whether it is that one.
        """
        peers, connection = self._peers, line_stage.connection
        peers.check(said.tag, connection)
        if known is None:
            with peers.courting(said.tag, deadline) as first:
                if first:
                    self._ask(line_stage, said.tag, unread, deadline)
                return first
        present = peers.session(said.tag)
        if present is not None and known != said.epoch:
            peers.check_gone(said.tag, present, connection)
        self._ask(line_stage, said.tag, unread, deadline)
        return True

    def _ask(self, line_stage: LineStage, name: str, unread: list[bytes], deadline: float) -> None:
        connection = line_stage.connection
        found = self._peers.add(name, connection, self._endpoint, self._terms, deadline)
        assert found is not None
        try:
            self._agree(line_stage, name, *found, unread, deadline)
        except SpeaksCompact:
            line_stage.hand_on(compact_session(connection, self._endpoint))
        except CommError as error:
            session = found[0].session.session
            if session.open or session.trouble is not None:
                raise
            raise ConnectFailed(
                f"{connection} says that it is {name!r}, and begins no session: give both sides the same key "
                "(key_file=), or neither, and each node a name of its own"
            ) from error

    def _receive(self, line_stage: LineStage, guest: Guest, deadline: float) -> bool:
        """A peer asks for a session; whether there is one that it may join."""
        offer, peers, connection = guest.offer, self._peers, line_stage.connection
        assert offer is not None
        peers.check(offer.tag, connection)
        echo = offer.handshake.echo
        if echo and echo != peers.epoch_for(offer.tag):
            return False
        if not echo:
            peers.make_way(offer.tag, offer.epoch, connection)
        found = peers.add(offer.tag, connection, self._endpoint, self._terms, deadline, offer.epoch)
        if found is not None:
            self._agree(line_stage, offer.tag, *found, guest.frames, deadline)
        return found is not None

    def _agree(
        self, line_stage: LineStage, name: str, stage: SessionStage, line: Line, frames: list[bytes], deadline: float
    ) -> None:
        session = stage.session
        begun = session.session.open
        try:
            session.took(line, frames)
            session.agree(line, deadline)
            if session.name != name:
                raise ConnectFailed(f"{line} said that it was {name!r}, and is {session.name!r}")
        except Exception:
            self._peers.withdraw(name, stage, line)
            if begun and session.over:
                return  # its on_disconnect tells it
            raise
        self.stage = stage
        line_stage.carry(stage, line)

    def _hand_on(self, line_stage: LineStage, guest: Guest) -> None:
        """A peer asks for a session of the compact profile."""
        said = Handshake.decode(guest.frames[0][1:])
        assert said is not None
        self._peers.check(said.tag, line_stage.connection)
        line_stage.hand_on(compact_session(line_stage.connection, self._endpoint, guest.frames))
