"""A server: accepts many connections, broadcasts to all of them or sends to one."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from leadscomm.connections.base import ConnectionBase, ListenerBase, leads_shaped
from leadscomm.connections.endpoint import Endpoint, listen_for_lines
from leadscomm.connections.outbox import Outbox
from leadscomm.connections.reliable import ReliableConnection
from leadscomm.connections.writer import Flusher
from leadscomm.entities.callback import Callback
from leadscomm.entities.entity import Entity
from leadscomm.entities.fanout import FanOut
from leadscomm.entities.foreign import staged
from leadscomm.entities.line import LineStage
from leadscomm.entities.pair import Pair
from leadscomm.entities.readers import ReaderPool, can_pool
from leadscomm.entities.sessions import Sessions
from leadscomm.entities.stage import Stage
from leadscomm.errors import CommError, ConnectionLost

_log = logging.getLogger("leadscomm")
OWN_THREADS: Final = 8
"""So many connections of a server are read by a thread each; a round trip is then a tenth shorter than by the pool."""
_PAUSE_S: Final = 0.25
"""How long accepting pauses when the process has no descriptor or thread left."""


class Server(Entity):
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
        super().__init__(self._endpoint.port, callback)
        settings = self._endpoint.options
        self._deliver_by(settings)
        self._handshake_timeout = settings["handshake_timeout"]
        self._framing = self._endpoint.framing
        self._key: bytes | None = None
        self._listener: ListenerBase | None = None
        self._pool: ReaderPool | None = None
        self._join: Callable[[LineStage, float], None] | None = None  # of an endpoint with sessions
        self._origins: dict[Stage, str] = {}  # of those that max_per_address counts
        self._everybody = self._fan_out()

    # Looking ---------------------------------------------------------------------------------------------------------

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

    def broadcast(self, msg: bytes) -> None:
        """Send a message to every connection. Waits for nobody: a peer that does not read is dealt with by
        ``overflow``.

        :raises LocalProtocolError: the framing cannot carry it; nobody was sent anything.
        """
        if self.running():
            self._everybody.send(msg)
        else:
            self._everybody.check(msg)

    def send(self, msg: bytes, to: ConnectionBase, **how: Any) -> None:
        """Send a message to one connection, as ``to.send(msg)`` does.

        :param how: of a session: ``lane``, ``lifetime``, ``latest`` and ``timeout``, as there.
        :raises ConnectionLost: it is not one of this server's, or not any more.
        """
        keeper = getattr(to, "keeper", None)
        stages = (keeper,) if isinstance(keeper, Stage) and keeper.entity is self else self._stages
        for stage in stages:
            if stage.connection is to:
                stage.send(msg, **how)
                return
        raise ConnectionLost(f"{to} is no connection of this server; server.connections() tells which there are")

    def remove_connection(self, connection: ConnectionBase) -> None:
        """Close a connection, if it is one of this server's."""
        if connection in self.connections():
            connection.close()

    def _fan_out(self) -> FanOut:
        everybody = FanOut(self._framing.make(), self._outboxes)
        everybody.configure(
            flusher=self._flusher, outbox=1 << 62, send_timeout=0.0, overflow="block", report=self._report
        )
        return everybody

    def _outboxes(self) -> Iterator[tuple[Outbox, bool]]:
        for stage in self._stages:
            yield stage.outbox, stage.in_blocks

    def _equip(self, outbox: Outbox, flusher: Flusher | None) -> None:
        super()._equip(outbox, flusher)
        outbox.follow(self._everybody.queue, self._everybody.catch_up)

    # Running ---------------------------------------------------------------------------------------------------------

    def _patience(self) -> float:
        return 10.0

    def run(self, max_connection: int | None = None) -> None:
        """Listen and accept until :meth:`close`.

        :param max_connection: for programs written for LEADS; there it limits nothing, and here ``max_connections``
            does.
        """
        self._key = self._endpoint.key()
        self._everybody = self._fan_out()
        if self._endpoint.has_session:
            sessions = Pair if self._endpoint.mutual else Sessions
            self._join = sessions(self, self._endpoint).join
        listener = listen_for_lines(self._endpoint)
        try:
            self._listener = listener
            self._port = listener.port() or self._endpoint.port
            if self._endpoint.exposed():
                _log.warning(
                    "anybody on other machines can reach %s: use tls://, or give both sides a key (key_file=)",
                    self.endpoint,
                )
            _log.info("%s listens", self.endpoint)
            self._ready.set()
            self._call(self.callback.on_initialize, self)
            self._accept_all(listener)
        finally:
            listener.close()
            listener.release()
            self._listener = None

    def _interrupt(self) -> None:
        if self._listener is not None:
            self._listener.close()

    def _accept_all(self, listener: ListenerBase) -> None:
        while not self._stopping.is_set():
            try:
                connection = listener.accept()
            except OSError as error:
                self._could_not_accept(error)
                continue
            if connection is None:
                return
            self._welcome(connection)

    def _could_not_accept(self, error: OSError) -> None:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
            failure = CommError(
                f"no connection can be accepted at the moment ({error.strerror}); raise `ulimit -n`, or close some"
            )
            failure.__cause__ = error
            self._fail(failure)
            self._stopping.wait(_PAUSE_S)
        else:
            self._fail(error)

    def _welcome(self, connection: ConnectionBase) -> None:
        origin = None
        if not leads_shaped(connection):
            connection.key = None if self._join is not None else self._key
            connection.accepted = True
            origin = connection._origin
        if not self._turned_away(connection, origin):
            self._launch(connection, origin)

    def _heirs(self) -> Callable[[ConnectionBase], None] | None:
        return None if self._stopping.is_set() else self._launch

    def _take_on(self, connection: ConnectionBase) -> None:
        self._launch(connection)

    def _launch(self, connection: ConnectionBase, origin: str | None = None) -> None:
        """Open and run a connection, in a thread of its own or in the pool."""
        stage = self._staged(connection)
        with self._lock:
            self._opening.add(stage)
            if origin is not None:
                self._origins[stage] = origin
        try:
            stage.run_in(self._pool_for(stage))
        except (OSError, RuntimeError) as error:  # no descriptor or no thread left
            self._drop(connection)
            self._left(stage)
            self._fail(CommError(f"{connection} was turned away: {error}; it may come again"))
            self._stopping.wait(_PAUSE_S)

    def _staged(self, connection: ConnectionBase) -> Stage:
        if self._join is None or isinstance(connection, ReliableConnection):
            return staged(self, connection)
        return LineStage(self, connection, self._join, self._fail)

    def _pool_for(self, stage: Stage) -> ReaderPool | None:
        """Where a connection is read: the first few by a thread each, which answers soonest; the others by the pool."""
        if not can_pool() or len(self._stages) + len(self._opening) + len(self._carrying) <= OWN_THREADS:
            return None
        if self._pool is None:
            self._pool = ReaderPool(self._name, self._endpoint.options["max_connections"] + 2)
        return self._pool

    def _turned_away(self, connection: ConnectionBase, origin: str | None) -> bool:
        limits = self._endpoint.options
        # Of an endpoint with sessions lines are counted: a session that waits for one must be given it.
        present = len(self._stages if self._join is None else self._carrying) + len(self._opening)
        if present >= limits["max_connections"]:
            why = f"there are {limits['max_connections']} connections already (max_connections)"
        elif origin is not None and list(self._origins.values()).count(origin) >= limits["max_per_address"]:
            why = f"there are {limits['max_per_address']} connections from {origin} already (max_per_address)"
        elif self._key is not None and leads_shaped(connection):
            why = "it cannot be asked for the key"
        else:
            return False
        self._drop(connection)
        self._fail(CommError(f"{connection} was turned away: {why}; raise it, or close some"))
        return True

    def _drop(self, connection: ConnectionBase) -> None:
        """Close a connection that nobody runs."""
        if leads_shaped(connection):
            self._call(connection.close)
            return
        connection.disconnect()  # a LEADS client that is not told goodbye never notices
        connection.shut_sending()
        connection.finish()

    def _left(self, stage: Stage) -> None:
        with self._lock:
            self._origins.pop(stage, None)
        super()._left(stage)

    def _wind_up(self) -> None:
        self._everybody.catch_up()
        super()._wind_up()
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop(max(self._close_by, time.monotonic() + 0.5))
