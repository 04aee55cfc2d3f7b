"""The sessions of a node: one for each name, whichever side has dialled, over every line that leads there."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Final

from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.endpoint import Endpoint
from leadscomm.entities.entity import Entity
from leadscomm.entities.namesakes import NameTaken, check_away, check_gone
from leadscomm.entities.node_meeting import Introduction
from leadscomm.entities.registry import Registry
from leadscomm.entities.running.conversation import SessionStage
from leadscomm.entities.running.line import LineStage
from leadscomm.errors import CommError, ConnectFailed, ConnectionLost
from leadscomm.protocol.session.handshake import Handshake
from leadscomm.protocol.session.offer import token
from leadscomm.sessions.agreeing import agree
from leadscomm.sessions.line import Line
from leadscomm.sessions.meeting import Guest, Stale
from leadscomm.sessions.terms import SpeaksCompact, Terms, compact_session

PROVE_S: Final = 1.0
"""So long is waited at most for a sign that a peer that was restarted is there: others of its name wait meanwhile."""


class Peers:
    """Who is known by which name.

    Of each name there is at most one session, which asks and is asked: so two nodes that dial each other at the same
    time, or over several lines, find themselves in one.

    :param entity: runs the sessions.
    :param name: this node's own.
    """

    def __init__(self, entity: Entity, name: str) -> None:
        self._entity = entity
        self._name = name
        self._settled = threading.Condition()
        self._beginning: set[str] = set()  # whom a line begins a session with
        self.registry = Registry(entity)

    def epochs_with(self, name: str) -> tuple[int, int]:
        """The epochs of the session with a peer, this side's and its; 0 if there is none, or is not known yet."""
        stage = self.registry.find(name)
        if stage is None:
            return 0, 0
        session = stage.session.session
        return session.me.epoch, session.peer.epoch if session.peer is not None else 0

    def knows(self, epoch: int) -> bool:
        """Whether there is a session with the peer of this epoch."""
        return self.registry.knows(epoch)

    def partners(self) -> dict[Hashable, int]:
        """The names of those in a session, and their epochs."""
        found = {name: stage.session.session.peer for name, stage in self.registry.present().items()}
        return {name: peer.epoch for name, peer in found.items() if peer is not None}

    def check(self, name: str, connection: ConnectionBase) -> None:
        """:raises ConnectFailed: nobody can be known by this name."""
        if not name:
            raise ConnectFailed(
                f"{connection} has no name, and a node knows its peers by name: give it one (name= of its endpoint, "
                "beside reliable=1)"
            )
        if name == self._name:
            raise NameTaken(
                f"{connection} is called {name!r}, as this node itself is: give each node a name of its own, and let "
                "none connect to itself",
                name,
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
        if self._entity._stopping.is_set() and self.registry.find(name) is None:
            raise ConnectionLost(f"{self._name} is closing")
        return self.registry.wait_and_carry(name, connection, endpoint, terms, deadline, epoch=epoch)

    def withdraw(self, name: str, stage: SessionStage, line: Line, deadline: float) -> None:
        """A line does not carry the session. One that has never begun is kept, since the peer may have heard of it: for
        ever if it is still to be asked, and until ``deadline`` if it was asked for."""
        connection, session = stage.session, stage.session.session
        other = session.peer is not None and connection.name != name
        broken = not session.trusted and (session.trouble is not None or session.joining.compact_peer is not None)
        until = None if session.peer is None else deadline
        self.registry.withdraw(name, stage, line, until, hopeless=other or broken)

    @contextmanager
    def alone(self, name: str, deadline: float) -> Iterator[None]:
        """One line at a time begins a session with a peer: at the end of another there may be another of its name."""
        with self._settled:
            self._settled.wait_for(lambda: name not in self._beginning, max(0.0, deadline - time.monotonic()))
            self._beginning.add(name)
        try:
            yield
        finally:
            with self._settled:
                self._beginning.discard(name)
                self._settled.notify_all()

    def rival(self, name: str, epoch: int) -> SessionStage | None:
        """A session with a peer of this name, but of another epoch; one whose peer never proved itself is forgotten."""
        stage = self.registry.find(name)
        if stage is None:
            return None
        session = stage.session.session
        if session.peer is None or session.peer.epoch == epoch:
            return None
        if session.trusted:
            return stage
        self.registry.discard(stage)
        return None

    def succeed(self, name: str, former: SessionStage, stage: SessionStage, deadline: float) -> None:
        """The peer was restarted: its former session ends, and then this one takes its place.

        :raises CommError: that was not possible in time.
        """
        former.session.supersede(f"{name} began anew; it was restarted")
        self.registry.install(name, former, stage, deadline)


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
                if self._call_on(line_stage, who, before.get(who.tag), words, deadline):
                    return
                continue
            if who.offer is None:
                self._hand_on(line_stage, who)
                return
            if peers.registry.is_copy(who.offer):
                words.repeated()
                continue
            try:
                if self._receive(line_stage, who, deadline):
                    return
            except NameTaken:
                words.refuse_name()
                raise
            words.turn_away(who.offer.epoch)

    def _call_on(
        self, line_stage: LineStage, said: Handshake, known: int | None, words: Introduction, deadline: float
    ) -> bool:
        """Ask a peer for the session, now that its name is known.

        :param known: the epoch of the peer of this name, if it was in a session before it was asked.
        :return: False: it has come to be in one meanwhile, or is to show that it knows of the one that it is in; it was
            asked again.
        """
        peers, connection = self._peers, line_stage.connection
        peers.check(said.tag, connection)
        if known is None:
            with peers.alone(said.tag, deadline):
                present = peers.registry.find(said.tag)
                if present is not None and present.session.session.open:
                    words.ask_again()
                    return False
                self._ask(line_stage, said.tag, words.unread, deadline)
                return True
        present = peers.registry.find(said.tag)
        mine, theirs = peers.epochs_with(said.tag)
        if present is not None and said.epoch not in (known, token(theirs, mine)):
            if words.ask_again(echo=token(mine, theirs)):
                return False
            check_gone(said.tag, present, connection)
        self._ask(line_stage, said.tag, words.unread, deadline)
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
        if echo and echo != peers.epochs_with(offer.tag)[0]:
            return False
        if not echo and peers.rival(offer.tag, offer.epoch) is not None:
            with peers.alone(offer.tag, deadline):
                former = peers.rival(offer.tag, offer.epoch)
                if former is not None:
                    self._succeed(line_stage, former, offer.tag, guest.frames, deadline)
                    return True
        found = peers.add(offer.tag, connection, self._endpoint, self._terms, deadline, offer.epoch)
        if found is not None:
            self._agree(line_stage, offer.tag, *found, guest.frames, deadline)
        return found is not None

    def _succeed(
        self, line_stage: LineStage, former: SessionStage, name: str, frames: list[bytes], deadline: float
    ) -> None:
        """A peer that was restarted begins a session; the former one ends once it has shown that it is no copy."""
        connection, peers = line_stage.connection, self._peers
        gone_at = check_gone(name, former, connection)
        stage = peers.registry.successor(connection, self._terms)
        line = stage.session.add(connection, self._endpoint)
        try:
            stage.session.took(line, frames)
            agree(stage.session, line, min(deadline, time.monotonic() + PROVE_S))
            check_away(name, former, connection, gone_at)
            peers.succeed(name, former, stage, deadline)
        except BaseException:
            peers.withdraw(name, stage, line, deadline)
            raise
        self._carry(line_stage, stage, line)

    def _carry(self, line_stage: LineStage, stage: SessionStage, line: Line) -> None:
        self.stage = stage
        line_stage.carry(stage, line)

    def _agree(
        self, line_stage: LineStage, name: str, stage: SessionStage, line: Line, frames: list[bytes], deadline: float
    ) -> None:
        session = stage.session
        begun = session.session.open
        try:
            session.took(line, frames)
            agree(session, line, deadline)
            if session.name != name:
                raise ConnectFailed(f"{line} said that it was {name!r}, and is {session.name!r}")
        except Exception:
            self._peers.withdraw(name, stage, line, deadline)
            if begun and session.over:
                return  # its on_disconnect tells it
            raise
        self._carry(line_stage, stage, line)

    def _hand_on(self, line_stage: LineStage, guest: Guest) -> None:
        """A peer asks for a session of the compact profile."""
        said = Handshake.decode(guest.frames[0][1:])
        assert said is not None
        self._peers.check(said.tag, line_stage.connection)
        line_stage.hand_on(compact_session(line_stage.connection, self._endpoint, guest.frames))
