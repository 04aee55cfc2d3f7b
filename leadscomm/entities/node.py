"""A node: many to many by name, over whichever line lives."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import partial
from typing import Any, Final

from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.endpoint import Endpoint
from leadscomm.connections.sending.how import PLAINLY, How, how_to
from leadscomm.entities.broadcaster import Broadcaster
from leadscomm.entities.callback import Callback
from leadscomm.entities.namesakes import NameTaken
from leadscomm.entities.node_file import from_file
from leadscomm.entities.node_peers import Peers, Way
from leadscomm.entities.records.groups import Groups
from leadscomm.entities.records.streams import TIMEOUT_S
from leadscomm.entities.running.acceptor import Acceptor
from leadscomm.entities.running.conversation import SessionStage
from leadscomm.entities.running.dialler import Dialler
from leadscomm.entities.running.foreign import staged
from leadscomm.entities.running.reader import Stage
from leadscomm.errors import CommError, ConnectionLost, EndpointError, LocalProtocolError
from leadscomm.packages import Self
from leadscomm.protocol.framing import WholeFraming, plain
from leadscomm.protocol.records.durable import GROUPS
from leadscomm.streams.files import Readable
from leadscomm.streams.transfer import Progress, Transfer

_START_S: Final = 10.0


class Node(Broadcaster):
    """Talks to other nodes by their names. It listens at several places and dials several; all lines that lead to the
    same peer carry one session.

    Peers are told to the callbacks as connections are elsewhere: ``on_connect`` when a peer's session begins,
    ``on_disconnect`` when it is over, ``on_link`` when a line of it comes or goes. ``connection.name`` is the peer's
    name, in ``on_receive`` as ``service.sender.name``.

    :param name: what this node is called; each node has a name of its own.
    :param listen: endpoints to listen on. ``reliable=1`` and ``name=`` are set here.
    :param connect: endpoints to dial, again and again as long as the node runs.
    :param callback: what is told.
    :param groups: the groups that this node is in; peers are told.
    :param options: further options of all these endpoints, by the names that they have in URLs; what concerns sending
        is that of the first endpoint.
    :raises EndpointError: the name, an endpoint or an option is wrong.
    """

    def __init__(
        self,
        name: str,
        listen: Iterable[int | str | Endpoint] = (),
        connect: Iterable[int | str | Endpoint] = (),
        callback: Callback | None = None,
        groups: Iterable[str] = (),
        **options: Any,
    ) -> None:
        if not name:
            raise EndpointError("a node needs a name, by which the others know it")
        self.name = name
        self._listen = [self._endpoint(place, options) for place in _several("listen", listen)]
        self._connect = [self._endpoint(place, options) for place in _several("connect", connect)]
        places = [*self._listen, *self._connect]
        if not places:
            raise EndpointError(
                f"node {name!r} has no endpoint: give it some in listen=[...], in connect=[...], or both"
            )
        super().__init__(None, callback, WholeFraming())  # what each peer takes is told by its session
        settings = places[0].options
        self._deliver_by(settings)
        self._durable.keep(settings["durable"])
        self._handshake_timeout = settings["handshake_timeout"]
        self._groups = self._handlers[GROUPS] = Groups(groups)
        self._acceptors: list[Acceptor] = []
        self._diallers: list[Dialler] = []
        self._workers: list[threading.Thread] = []
        self._places: tuple[Endpoint, ...] = tuple(self._listen)
        self._namesakes: set[str] = set()  # the names that others have too, which was told
        self._peers: dict[str, Stage] = {}  # replaced, never changed, so that it can be walked without a lock

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], callback: Callback | None = None) -> Self:
        """A node as a TOML file has it::

            [node]
            name = "arm"
            groups = ["arms"]
            listen = ["tcp://0.0.0.0:16900", "udp://0.0.0.0:16900"]
            connect = ["tcp://base.local:16900"]
            key_file = "arm.key"

        Whatever else stands there is an option of all its endpoints. Files are looked for from where this one is.

        :raises EndpointError: something in it cannot be right; the text names the place and the mend.
        :raises MissingExtra: this Python reads no TOML; the text says what to install.
        :raises OSError: the file cannot be read.
        """
        return from_file(path, lambda said: cls(callback=callback, **said))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def _endpoint(self, place: int | str | Endpoint, options: dict[str, Any]) -> Endpoint:
        endpoint = Endpoint.parse(place, **{**options, "reliable": True, "name": self.name})
        if not endpoint.has_session:
            raise EndpointError(f"{endpoint.scheme}:// carries no sessions, and so no node")
        return endpoint

    @property
    def _name(self) -> str:
        return f"leadscomm-node-{self.name}"

    # Looking ---------------------------------------------------------------------------------------------------------

    def port(self) -> int | None:
        """The first port that it listens on, if it does on one; with port 0 the real one once it was started."""
        return next((place.port for place in self._places if place.port), None)

    @property
    def listens(self) -> tuple[Endpoint, ...]:
        """Where it listens; with the real ports, once it does."""
        return self._places

    def peers(self) -> tuple[str, ...]:
        """The names of those that it is in a session with, whether a line leads there at the moment or not."""
        return tuple(self._peers)

    def peer(self, name: str) -> ConnectionBase:
        """The session with a peer; its ``stats()`` tell how its lines are.

        :raises ConnectionLost: there is none.
        """
        return self._stage_of(name).connection

    def groups_of(self, name: str) -> frozenset[str]:
        """The groups that a peer is in, as far as it has told.

        :raises ConnectionLost: there is no session with it.
        """
        return self._groups.of(self._stage_of(name))

    def _stage_of(self, name: str) -> Stage:
        stage = self._peers.get(name)
        if stage is None:
            there = ", ".join(sorted(self._peers)) or "nobody"
            raise ConnectionLost(f"{name!r} is not there; there is {there}") from self._why
        return stage

    # Sending ---------------------------------------------------------------------------------------------------------

    def send(
        self,
        msg: bytes,
        to: str,
        *,
        lane: int | None = None,
        lifetime: float | None = None,
        latest: Hashable | None = None,
        timeout: float | None = None,
    ) -> None:
        """Send a message to a peer. While no line leads there, and the session lives, it waits in the outbox.

        With ``durable`` it is stored before this returns, whether the peer is there or not; it has no ``lifetime`` and
        no ``latest`` then.

        :param to: the peer's name.
        :param lane: 0 is the most urgent one, 7 the least.
        :param lifetime: seconds after which the message is not begun any more, but reported.
        :param latest: a key; the message replaces an older one of it that was not begun yet.
        :param timeout: seconds to wait for room instead of ``send_timeout``; 0: raise at once.
        :raises ConnectionLost: there is no session with a peer of this name; the text tells who is there.
        :raises LocalProtocolError: the peer does not take so long a one, or is a board, which knows nothing of lanes
            and durable messages; nothing was sent.
        :raises OutboxFull: there was no room in time.
        :raises JournalFull: with ``durable``: there is no room for it.
        """
        stage = self._peers.get(to)
        if not self._durable.kept:
            self._stage_of(to).send(msg, how_to(lane, lifetime, latest, timeout))
        elif stage is None or isinstance(stage, SessionStage):
            self._durable.send(to, msg, lane, lifetime, latest, timeout)
        else:
            raise LocalProtocolError(f"{to} is a board, and knows no durable messages: node.peer({to!r}).send(...)")

    def send_file(
        self,
        path: str | os.PathLike[str],
        to: str,
        *,
        name: str | None = None,
        progress: Progress | None = None,
        wait: bool = True,
        timeout: float = TIMEOUT_S,
    ) -> Transfer:
        """Send a file to a peer as a stream (``docs/streams.md``); waits until the peer has all of it, also in its next
        session.

        :param name: what the receiver is told that it is called; the file's own name unless given.
        :param progress: is told how far it is, by the thread that sends.
        :param wait: False: return at once; :meth:`Transfer.wait` waits for it.
        :param timeout: seconds in which nothing moves, after which it is given up.
        :raises ConnectionLost: there is no session with a peer of this name.
        :raises TransferError: it did not arrive whole; the next attempt goes on from there.
        :raises OSError: it cannot be read.
        :raises ServiceError: inside a callback only ``wait=False`` can be; or the peer is a board.
        """
        return self._streams.send_file(path, self.peer(to), name=name, progress=progress, wait=wait, timeout=timeout)

    def send_stream(
        self,
        file: Readable,
        to: str,
        *,
        name: str = "",
        size: int | None = None,
        progress: Progress | None = None,
        wait: bool = True,
        timeout: float = TIMEOUT_S,
    ) -> Transfer:
        """Send what a binary file holds, from where it is, as :meth:`send_file` does. It is not closed.

        :param size: how many bytes that are, where it is known: for the receiver's progress.
        """
        return self._streams.send_stream(
            file, self.peer(to), name=name, size=size, progress=progress, wait=wait, timeout=timeout
        )

    def broadcast(
        self,
        msg: bytes,
        *,
        lane: int | None = None,
        lifetime: float | None = None,
        latest: Hashable | None = None,
        timeout: float | None = None,
    ) -> None:
        """Send a message to every peer that is there. Waits for nobody: what one does not take is told to ``on_fail``.

        The parameters are those of :meth:`send`.

        :raises JournalFull: with ``durable``: there is no room for it; nobody was sent anything.
        :raises LocalProtocolError: with ``durable``: a peer does not take so long a one; likewise.
        """
        how = how_to(lane, lifetime, latest, timeout)
        stages = self._not_stored(self._stages, msg, how)
        if how is not PLAINLY or self._durable.kept:
            self._send_each(stages, msg, how)
        elif self.running():
            self._everybody.send(msg)

    def send_group(
        self,
        msg: bytes,
        group: str,
        *,
        lane: int | None = None,
        lifetime: float | None = None,
        latest: Hashable | None = None,
        timeout: float | None = None,
    ) -> None:
        """Send a message to every peer that is in a group, as :meth:`broadcast` does.

        A peer tells its groups as the first thing in a session; until that has come it is in none.
        """
        how = how_to(lane, lifetime, latest, timeout)
        members = tuple(stage for stage in self._stages if group in self._groups.of(stage))
        members = self._not_stored(members, msg, how)
        if how is not PLAINLY:
            self._send_each(members, msg, how)
            return
        self._everybody.catch_up()
        for stage in members:
            stage.outbox.put([plain(msg)], None)

    def _not_stored(self, stages: tuple[Stage, ...], msg: bytes, how: How) -> tuple[Stage, ...]:
        """With ``durable`` a message to some is stored for all but boards, which are returned; else all are."""
        if not self._durable.kept:
            return stages
        named = [name_of(stage.connection) for stage in stages if isinstance(stage, SessionStage)]
        self._durable.send_all(named, msg, how)
        return tuple(stage for stage in stages if not isinstance(stage, SessionStage))

    # Running ---------------------------------------------------------------------------------------------------------

    def _patience(self) -> float:
        return _START_S

    def run(self) -> None:
        """Listen and dial until :meth:`close`. Where it cannot listen is told to ``on_fail``, and tried again.

        :raises CommError: it can listen nowhere, and dials nobody; the text says why and what to do.
        """
        self._everybody = self._fan_out()
        peers = Peers(self, self.name)
        self._places = tuple(self._listen)
        self._diallers = [self._dialler(Way(peers, endpoint, asks=True), endpoint) for endpoint in self._connect]
        self._acceptors = [self._acceptor(peers, *place) for place in enumerate(self._listen)]
        self._workers = []
        if self._stopping.is_set():  # since a moment ago
            self._interrupt()
        try:
            failures = self._bind_all()
            self._ready.set()
            self._initialize()
            listens = [partial(acceptor.run, failures.get(acceptor)) for acceptor in self._acceptors]
            self._work([*listens, *(dialler.run for dialler in self._diallers)])
            self._stopping.wait()
        finally:
            for acceptor in self._acceptors:
                acceptor.interrupt()

    def _dialler(self, way: Way, endpoint: Endpoint) -> Dialler:
        return NodeDialler(
            self,
            endpoint,
            way.join,
            waited_for=lambda: way.waited_for,
            over=lambda: self._stopping.is_set() and not way.waited_for,
        )

    def _acceptor(self, peers: Peers, number: int, endpoint: Endpoint) -> Acceptor:
        way = Way(peers, endpoint, asks=endpoint.mutual)
        bound = partial(self._listens_at, number)
        return Acceptor(self, endpoint, join=way.join, tell=self._refused, bound=bound)

    def _bind_all(self) -> dict[Acceptor, CommError]:
        """Listen wherever it can be listened on; return who does not, and why.

        :raises CommError: there is nothing that it could do.
        """
        failures: dict[Acceptor, CommError] = {}
        for acceptor in self._acceptors:
            try:
                acceptor.bind()
            except CommError as error:
                failures[acceptor] = error
        reasons = [*failures.values()]
        nothing_left = bool(reasons) and len(reasons) == len(self._acceptors) and not self._diallers
        for reason in reasons[:-1] if nothing_left else reasons:
            self._could_not_connect(reason)
        if nothing_left:
            raise reasons[-1]
        return failures

    def _listens_at(self, number: int, place: Endpoint) -> None:
        """It listens at one place more. The thread that does."""
        with self._lock:
            self._places = (*self._places[:number], place, *self._places[number + 1 :])

    def _refused(self, error: Exception) -> None:
        """A line that was accepted carries no session. Of somebody who comes again and again it is told once."""
        if isinstance(error, NameTaken):
            with self._lock:
                told = error.name in self._namesakes
                self._namesakes.add(error.name)
            if told:
                return
        self._fail(error)

    def _work(self, works: list[Callable[[], None]]) -> None:
        for work in works:
            worker = threading.Thread(target=work, name=self._name, daemon=True)
            with self._threads_needed():
                worker.start()
            self._workers.append(worker)

    def _listening_on(self) -> Iterator[int]:
        for acceptor in self._acceptors:
            yield from acceptor.handles()

    def _disown(self) -> None:
        super()._disown()
        self._acceptors, self._diallers, self._workers, self._peers = [], [], [], {}

    def _interrupt(self) -> None:
        for acceptor in self._acceptors:
            acceptor.interrupt()
        for dialler in self._diallers:
            dialler.interrupt()

    def _take_on(self, connection: ConnectionBase) -> None:
        """A peer speaks the compact profile: run it where its line was read until now. A line that was dialled has a
        thread of its own, which does."""
        for acceptor in self._acceptors:
            if acceptor.holds(connection):
                acceptor.launch(connection)
                return
        staged(self, connection).run_here()

    def _joined(self, stage: Stage) -> None:
        name = name_of(stage.connection)
        with self._lock:
            self._peers = {**self._peers, name: stage}
        super()._joined(stage)

    def _left(self, stage: Stage) -> None:
        for acceptor in self._acceptors:
            acceptor.left(stage)
        with self._lock:
            self._namesakes.discard(name_of(stage.connection))
            self._peers = {name: other for name, other in self._peers.items() if other is not stage}
        super()._left(stage)

    def _announce(self, stage: Stage) -> None:
        self._why = None
        self._joined(stage)  # first, so that on_connect may send by name
        self._call(self.callback.on_connect, self, stage.connection, stage=stage)

    def _wind_up(self) -> None:
        super()._wind_up()
        deadline = max(self._close_by, time.monotonic() + 0.5)
        self._interrupt()
        for worker in self._workers:
            worker.join(max(0.0, deadline - time.monotonic()))
        for acceptor in self._acceptors:
            acceptor.release()
            acceptor.stop(self._close_by)
        self._acceptors, self._diallers, self._workers = [], [], []


class NodeDialler(Dialler):
    """A peer may be absent for long: what is wrong is told once, until it is something else."""

    def _failed(self, error: Exception) -> None:
        if str(error) == self._told:
            self._backoff.failed()
        else:
            super()._failed(error)


def _several(option: str, places: Iterable[int | str | Endpoint]) -> list[int | str | Endpoint]:
    if isinstance(places, (str, int, Endpoint)):
        raise EndpointError(f"{option}={places!r}: write a list, {option}=[{places!r}]")
    return list(places)


def name_of(connection: ConnectionBase) -> str:
    """What the peer of a session calls itself."""
    return str(getattr(connection, "name", "")) or getattr(getattr(connection, "peer", None), "tag", "")
