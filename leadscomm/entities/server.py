"""A server: accepts many connections, broadcasts to all of them or sends to one."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Final

from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.endpoint import Endpoint
from leadscomm.connections.sending.how import PLAINLY, how_to
from leadscomm.entities.broadcaster import Broadcaster
from leadscomm.entities.callback import Callback
from leadscomm.entities.pair import Pair
from leadscomm.entities.records.streams import TIMEOUT_S
from leadscomm.entities.running.acceptor import Acceptor
from leadscomm.entities.running.reader import Stage
from leadscomm.entities.sessions import Sessions
from leadscomm.errors import ConnectionLost, LocalProtocolError
from leadscomm.streams.files import Readable
from leadscomm.streams.transfer import Progress, Transfer

_START_S: Final = 10.0
"""How long ``start(parallel=True)`` waits at most until it listens."""


class Server(Broadcaster):
    """Accepts connections and runs each of them.

    :param port: a port on this machine, or any endpoint that can be listened on.
    :param callback: what is told.
    :param separator: what ends each message, if the endpoint does not name another framing.
    :param options: further options of the endpoint, by the names that they have in its URL.
    :raises EndpointError: the endpoint or an option is wrong.
    """

    def __init__(
        self,
        port: int | str | Endpoint = 16900,
        callback: Callback | None = None,
        separator: bytes | None = None,
        **options: Any,
    ) -> None:
        self._endpoint = Endpoint.parse(port, **{"separator": separator, **options})
        super().__init__(self._endpoint.port, callback, self._endpoint.framing.make())
        settings = self._endpoint.options
        self._deliver_by(settings)
        self._durable.keep(settings.get("durable"))
        self._handshake_timeout = settings["handshake_timeout"]
        self._acceptor: Acceptor | None = None

    # Looking ---------------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.endpoint.place()}>"

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens; with the real port, once it does."""
        return self._endpoint.at(port=self._port)

    def port(self) -> int:
        """The port that it listens on; with port 0 the real one once it was started."""
        return int(self._port)

    def connections(self) -> tuple[ConnectionBase, ...]:
        """The connections at this moment."""
        return tuple(stage.connection for stage in self._stages)

    def num_connections(self) -> int:
        """How many connections there are at this moment."""
        return len(self._stages)

    # Sending ---------------------------------------------------------------------------------------------------------

    def broadcast(
        self,
        msg: bytes,
        *,
        lane: int | None = None,
        lifetime: float | None = None,
        latest: Hashable | None = None,
        timeout: float | None = None,
    ) -> None:
        """Send a message to every connection. Waits for nobody: a peer that does not read is dealt with by
        ``overflow``.

        With ``durable`` it is stored for all peers that have a name, and the others get it as without.

        The parameters are those of :meth:`send`; with one of them, what a peer does not take is told to ``on_fail``.

        :raises LocalProtocolError: the framing cannot carry it, or a parameter is for sessions and there are none;
            nobody was sent anything.
        :raises JournalFull: there is no room for it; nobody was sent anything.
        """
        how = how_to(lane, lifetime, latest, timeout)
        if self._durable.kept:
            self._durable.broadcast(self.connections(), msg, how)
        elif not self.running():
            self._everybody.check(msg)
        elif how is PLAINLY:
            self._everybody.send(msg)
        else:
            if not self._endpoint.has_session:
                self._everybody.check(msg, how)
            self._send_each(self._stages, msg, how)

    def send(
        self,
        msg: bytes,
        to: ConnectionBase | str,
        *,
        lane: int | None = None,
        lifetime: float | None = None,
        latest: Hashable | None = None,
        timeout: float | None = None,
    ) -> None:
        """Send a message to one connection, as ``to.send(msg)`` does.

        :param to: the connection; with ``durable`` also a peer's name, whether it is there or not.
        :param lane: of a session, as ``lifetime`` and ``latest`` are: see :meth:`SessionConnection.send`.
        :param timeout: seconds to wait for room instead of ``send_timeout``; 0: raise at once.
        :raises ConnectionLost: it is not one of this server's, or not any more.
        """
        if isinstance(to, str):
            if self.running() and not self._durable.kept:
                raise LocalProtocolError(
                    f"to={to!r} is a name, and only a server with durable= knows names: give one of "
                    "server.connections(), or durable=FILE"
                )
            self._durable.send(to, msg, lane, lifetime, latest, timeout)
            return
        keeper = getattr(to, "keeper", None)
        stages = (keeper,) if isinstance(keeper, Stage) and keeper.entity is self else self._stages
        for stage in stages:
            if stage.connection is to:
                stage.send(msg, how_to(lane, lifetime, latest, timeout))
                return
        raise ConnectionLost(
            f"{to} is no connection of this server; server.connections() tells which there are"
        ) from self._why

    def send_file(
        self,
        path: str | os.PathLike[str],
        to: ConnectionBase,
        *,
        name: str | None = None,
        progress: Progress | None = None,
        wait: bool = True,
        timeout: float = TIMEOUT_S,
    ) -> Transfer:
        """Send a file as a stream (``docs/streams.md``); waits until the peer has all of it. In a later session the
        peer is known again by its name.

        :param name: what the receiver is told that it is called; the file's own name unless given.
        :param progress: is told how far it is, by the thread that sends.
        :param wait: False: return at once; :meth:`Transfer.wait` waits for it.
        :param timeout: seconds in which nothing moves, after which it is given up.
        :raises TransferError: it did not arrive whole; the next attempt goes on from there.
        :raises OSError: it cannot be read.
        :raises ServiceError: inside a callback only ``wait=False`` can be; or the connection has no session.
        """
        return self._streams.send_file(path, to, name=name, progress=progress, wait=wait, timeout=timeout)

    def send_stream(
        self,
        file: Readable,
        to: ConnectionBase,
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
        return self._streams.send_stream(file, to, name=name, size=size, progress=progress, wait=wait, timeout=timeout)

    def remove_connection(self, connection: ConnectionBase) -> None:
        """Close a connection, if it is one of this server's."""
        if connection in self.connections():
            connection.close()

    # Running ---------------------------------------------------------------------------------------------------------

    def _patience(self) -> float:
        return _START_S + float(self._endpoint.options["connect_timeout"])  # for the look-up of a name

    def run(self, max_connection: int | None = None) -> None:
        """Listen and accept until :meth:`close`.

        :param max_connection: for programs written for LEADS; there it limits nothing, and here ``max_connections``
            does.
        """
        self._everybody = self._fan_out()
        join = None
        if self._endpoint.has_session:
            sessions = Pair if self._endpoint.mutual else Sessions
            join = sessions(self, self._endpoint).join
        acceptor = self._acceptor = Acceptor(self, self._endpoint, join=join)
        if self._stopping.is_set():  # since a moment ago
            acceptor.interrupt()
        try:
            self._port = acceptor.bind().port
            self._ready.set()
            self._initialize()
            acceptor.run()
        finally:
            acceptor.release()

    def _listening_on(self) -> Iterator[int]:
        if self._acceptor is not None:
            yield from self._acceptor.handles()

    def _disown(self) -> None:
        super()._disown()
        self._acceptor = None

    def _interrupt(self) -> None:
        if self._acceptor is not None:
            self._acceptor.interrupt()

    def _heirs(self) -> Callable[[ConnectionBase], None] | None:
        return None if self._stopping.is_set() else self._take_on

    def _take_on(self, connection: ConnectionBase) -> None:
        assert self._acceptor is not None
        self._acceptor.launch(connection)

    def _left(self, stage: Stage) -> None:
        if self._acceptor is not None:
            self._acceptor.left(stage)
        super()._left(stage)

    def _wind_up(self) -> None:
        super()._wind_up()
        if self._acceptor is not None:
            self._acceptor.stop(self._close_by)
            self._acceptor = None
