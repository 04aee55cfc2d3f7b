"""The sessions of a node: one for each name, whichever side has dialled, over every line that leads there."""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.endpoint import Endpoint
from leadscomm.connections.sending.writer import weakly
from leadscomm.entities.namesakes import NameTaken, check_away, check_gone
from leadscomm.entities.node_meeting import Introduction
from leadscomm.entities.pair import FORMER
from leadscomm.entities.places import DISPLACED, displaced
from leadscomm.entities.running.conversation import SessionStage
from leadscomm.entities.running.line import LineStage
from leadscomm.entities.running.owner import Owner
from leadscomm.errors import CommError, CommTimeout, ConnectFailed, ConnectionLost
from leadscomm.protocol.session.handshake import Handshake
from leadscomm.protocol.session.offer import Offer, token
from leadscomm.sessions.agreeing import agree
from leadscomm.sessions.line import Line
from leadscomm.sessions.meeting import Guest, Stale
from leadscomm.sessions.session import SessionConnection
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

    def __init__(self, entity: Owner, name: str) -> None:
        self._entity = entity
        self._name = name
        self._lock = threading.Lock()
        self._settled = threading.Condition(self._lock)
        self._beginning: set[str] = set()  # whom a line begins a session with
        self._stages: dict[str, SessionStage] = {}  # of each name the last one, until its on_disconnect has returned
        self._former: deque[int] = deque(maxlen=4 * FORMER)

    def epochs_with(self, name: str) -> tuple[int, int]:
        """The epochs of the session with a peer, this side's and its; 0 if there is none, or is not known yet."""
        stage = self.session(name)
        if stage is None:
            return 0, 0
        session = stage.session.session
        return session.me.epoch, session.peer.epoch if session.peer is not None else 0

    def is_copy(self, offer: Offer) -> bool:
        """Whether it is the HELLO of a peer in a session that should know better by now: a late or a recorded one."""
        stage = self.session(offer.tag)
        return stage is not None and stage.session.session.is_copy(offer)

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
        while True:
            with self._lock:
                self._sweep()
                stage = self._stages.get(name)
                if stage is None:
                    if epoch in self._former:
                        return None
                    stage = self._begin(terms, connection)
                    self._make_room(stage.origin, endpoint)
                    self._stages[name] = stage
                if not stage.session.over:
                    return stage, stage.session.add(connection, endpoint)
            self._wait_for(name, stage, deadline)

    def _sweep(self) -> None:
        """Forget the sessions that are over, but not their epochs. Under the lock."""
        for name, stage in tuple(self._stages.items()):
            if stage.done.is_set():
                peer = self._stages.pop(name).session.session.peer
                if peer is not None:
                    self._former.append(peer.epoch)

    def _make_room(self, origin: str | None, endpoint: Endpoint) -> None:
        """One more session; whom this node has dialled counts in all, and not under an address. Under the lock.

        :raises CommError: there are too many.
        """
        while True:
            present = {name: stage for name, stage in self._stages.items() if not stage.session.over}
            idle = displaced(list(present.values()), origin, endpoint.options)
            if idle is None:
                return
            if idle.session.session.trusted:
                idle.session.supersede(DISPLACED)
            else:  # nobody was told of it
                del self._stages[next(name for name, stage in present.items() if stage is idle)]
                idle.discard()

    def _begin(self, terms: Terms, connection: ConnectionBase) -> SessionStage:
        """Under the lock."""
        if self._entity._stopping.is_set():
            raise ConnectionLost(f"{self._name} is closing")
        stage = SessionStage(self._entity, SessionConnection(terms, asks=True, former=tuple(self._former)))
        stage.origin = connection._origin if connection.accepted else None
        stage.on_over = weakly(self._let_go)
        return stage

    def _let_go(self) -> None:
        """A session has ended."""
        with self._lock:
            self._sweep()

    def withdraw(self, name: str, stage: SessionStage, line: Line, deadline: float) -> None:
        """A line does not carry the session. One that has never begun is kept, since the peer may have heard of it: for
        ever if it is still to be asked, and until ``deadline`` if it was asked for."""
        with self._lock:
            stage.session.remove(line)
        self._forget(name, stage, deadline)

    def _forget(self, name: str, stage: SessionStage, deadline: float) -> None:
        connection, session = stage.session, stage.session.session
        left = deadline - time.monotonic()
        with self._lock:
            begun = connection.name == name and session.trusted
            if begun or connection.lines or stage.ended:
                return
            present = self._stages.get(name) is stage
            hopeless = connection.over or session.trouble or session.compact_peer or not present
            hopeless = hopeless or (session.peer is not None and connection.name != name)
            waits = session.peer is not None and left > 0 and not hopeless
            useless = bool(hopeless or session.peer) and not waits
            if useless and present:
                del self._stages[name]
        if useless:
            stage.discard()
        elif waits:
            self._entity._flusher.call_later(left, partial(self._forget_later, name, weakref.ref(stage), deadline))

    def _forget_later(self, name: str, seen: weakref.ref[SessionStage], deadline: float) -> None:
        """As :meth:`_forget`, unless it had to make room for another meanwhile, and is gone."""
        stage = seen()
        if stage is not None:
            self._forget(name, stage, deadline)

    @contextmanager
    def alone(self, name: str, deadline: float) -> Iterator[None]:
        """One line at a time begins a session with a peer: at the end of another there may be another of its name."""
        with self._lock:
            self._settled.wait_for(lambda: name not in self._beginning, max(0.0, deadline - time.monotonic()))
            self._beginning.add(name)
        try:
            yield
        finally:
            with self._lock:
                self._beginning.discard(name)
                self._settled.notify_all()

    def rival(self, name: str, epoch: int) -> SessionStage | None:
        """A session with a peer of this name, but of another epoch; one whose peer never proved itself is forgotten."""
        with self._lock:
            stage = self._stages.get(name)
            if stage is None or stage.session.over:
                return None
            session = stage.session.session
            if session.peer is None or session.peer.epoch == epoch:
                return None
            if session.trusted:
                return stage
            del self._stages[name]
        stage.discard()
        return None

    def successor(self, terms: Terms, connection: ConnectionBase) -> SessionStage:
        """A session that may take the place of another; :meth:`install` does so."""
        with self._lock:
            return self._begin(terms, connection)

    def install(self, name: str, former: SessionStage, stage: SessionStage, deadline: float) -> None:
        """The peer was restarted: its former session ends, and then this one takes its place.

        :raises CommError: that was not possible in time.
        """
        former.session.supersede(f"{name} began anew; it was restarted")
        self._wait_for(name, former, deadline)
        with self._lock:
            self._sweep()
            if name in self._stages:
                raise ConnectionLost(f"{name} has begun another session meanwhile")
            self._stages[name] = stage

    def _wait_for(self, name: str, former: SessionStage, deadline: float) -> None:
        if not former.done.wait(max(0.0, deadline - time.monotonic())):
            raise CommTimeout(f"the former session with {name} has not ended yet: a callback of it does not return")

    def session(self, name: str) -> SessionStage | None:
        """The session with a peer that is not over."""
        with self._lock:
            stage = self._stages.get(name)
        return None if stage is None or stage.session.over else stage


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
            if peers.is_copy(who.offer):
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
                present = peers.session(said.tag)
                if present is not None and present.session.session.open:
                    words.ask_again()
                    return False
                self._ask(line_stage, said.tag, words.unread, deadline)
                return True
        present = peers.session(said.tag)
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
        stage = peers.successor(self._terms, connection)
        line = stage.session.add(connection, self._endpoint)
        try:
            stage.session.took(line, frames)
            agree(stage.session, line, min(deadline, time.monotonic() + PROVE_S))
            check_away(name, former, connection, gone_at)
            peers.install(name, former, stage, deadline)
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
