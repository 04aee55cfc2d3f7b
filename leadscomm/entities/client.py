"""A client: holds one connection, and opens it again if it is told to."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Final

from leadscomm.connections.address import Caller
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.endpoint import Endpoint, opened
from leadscomm.connections.sending.writer import weakly
from leadscomm.entities.callback import Callback
from leadscomm.entities.entity import Entity
from leadscomm.entities.pair import Pair
from leadscomm.entities.records.streams import TIMEOUT_S, Streams
from leadscomm.entities.running.conversation import SessionStage
from leadscomm.entities.running.dialler import Backoff, Dialler, attempt
from leadscomm.entities.running.foreign import staged
from leadscomm.entities.running.reader import Stage
from leadscomm.errors import CommError, ConnectFailed, ConnectionLost, EndpointError, MissingExtra, ServiceError
from leadscomm.sessions.doors import connect
from leadscomm.streams.files import Readable
from leadscomm.streams.transfer import Progress, Transfer

_log = logging.getLogger("leadscomm")
_TELLING_S: Final = 1.0
"""How much longer than an attempt may take ``start(parallel=True)`` waits: so that ``on_fail`` is told of it first."""


class Client(Entity):
    """Holds one connection and runs it.

    :param port: a port, or any endpoint that can be dialled.
    :param callback: what is told.
    :param separator: what ends each message, if the endpoint does not name another framing.
    :param options: further options of the endpoint, by the names that they have in its URL. ``reconnect`` is on
        unless it is switched off here or there.
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
        self._named = not (isinstance(port, int) or (isinstance(port, str) and port.isdecimal()))
        super().__init__(self._endpoint.port, callback)
        settings = self._endpoint.options
        self._deliver_by(settings)
        self._durable.keep(settings.get("durable"))
        self._reconnect = settings["reconnect"] is not False
        self._current: Stage | None = None
        self._heir: ConnectionBase | None = None
        self._pair: Pair | None = None  # of an endpoint with sessions
        self._dialler: Dialler | None = None
        self._caller = Caller()
        self._backoff = Backoff(self._endpoint)
        self._connected_at = 0.0  # as time.monotonic() counts
        self._was_connected = False
        self._send: Callable[..., None] | None = None  # None: it is not connected

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.endpoint.place()}>"

    @property
    def endpoint(self) -> Endpoint:
        """Where it connects to."""
        return self._endpoint

    @property
    def connection(self) -> ConnectionBase | None:
        """The connection, while there is one."""
        stage = self._current
        return None if stage is None else stage.connection

    def send(
        self,
        msg: bytes,
        *,
        lane: int | None = None,
        lifetime: float | None = None,
        latest: Hashable | None = None,
        timeout: float | None = None,
    ) -> None:
        """Send a message. Any thread.

        With ``durable`` the message is stored before this returns; it has no ``lifetime`` and no ``latest`` then.

        :param lane: of a session: 0 is the most urgent one, 7 the least.
        :param lifetime: of a session: seconds after which the message is not begun any more, but reported.
        :param latest: of a session: a key; the message replaces an older one of it that was not begun yet.
        :param timeout: seconds to wait for room instead of ``send_timeout``; 0: raise at once.
        :raises ConnectionLost: there is no connection at the moment; with ``durable``: the client does not run.
        :raises JournalFull: with ``durable``: there is no room for it.
        :raises LocalProtocolError: the framing cannot carry it; nothing was sent.
        :raises OutboxFull: the peer does not take it (see ``send_timeout`` and ``outbox``).
        """
        (self._send or self._not_connected)(msg, lane, lifetime, latest, timeout)

    def send_file(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        progress: Progress | None = None,
        wait: bool = True,
        timeout: float = TIMEOUT_S,
    ) -> Transfer:
        """Send a file as a stream (``docs/streams.md``); waits until the peer has all of it, through lost
        connections and restarts of the peer.

        :param name: what the receiver is told that it is called; the file's own name unless given.
        :param progress: is told how far it is, by the thread that sends.
        :param wait: False: return at once; :meth:`Transfer.wait` waits for it.
        :param timeout: seconds in which nothing moves, after which it is given up.
        :raises TransferError: it did not arrive whole; the next attempt goes on from there.
        :raises OSError: it cannot be read.
        :raises ServiceError: inside a callback only ``wait=False`` can be.
        """
        return self._session_streams().send_file(path, None, name=name, progress=progress, wait=wait, timeout=timeout)

    def send_stream(
        self,
        file: Readable,
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
        return self._session_streams().send_stream(
            file, None, name=name, size=size, progress=progress, wait=wait, timeout=timeout
        )

    def _session_streams(self) -> Streams:
        if not self._endpoint.has_session:
            raise ServiceError(f"{self._endpoint} has no session, which streams need: give both sides reliable=1")
        return self._streams

    def _not_connected(self, msg: bytes, *how: object) -> None:
        state = "is not connected at the moment" if self.running() else "must be running to send; start it first"
        raise ConnectionLost(f"the client of {self._endpoint} {state}") from self._why

    def _disown(self) -> None:
        super()._disown()
        self._send = self._not_connected
        self.__dict__.pop("send", None)
        self._current = self._heir = self._pair = self._dialler = None

    # Running ---------------------------------------------------------------------------------------------------------

    def _patience(self) -> float:
        return float(self._endpoint.options["connect_timeout"]) + _TELLING_S

    def run(self, server_address: str | None = None) -> None:
        """Connect and run the connection until it ends; with ``reconnect``, again and again until :meth:`close`.

        :param server_address: the host to connect to, if the endpoint does not name one.
        """
        self._caller = Caller(weakly(self._report))
        endpoint = self._aim(server_address).called_by(self._caller)
        self._backoff = Backoff(endpoint)
        self._was_connected = False
        if self._durable.kept:
            self._durable.only_peer(endpoint.place())
            self._send = partial(self._durable.send, endpoint.place())
        self._initialize()
        if endpoint.has_session:
            self._run_sessions(endpoint)
        else:
            self._run_connections(endpoint)
        if self._heir is not None:  # closed between two conversations on one line
            self._heir.close()
        if self._why is None and not self._was_connected:
            self._could_not_connect(ConnectFailed(f"{endpoint} had not answered when its client was closed"))

    def _run_connections(self, endpoint: Endpoint) -> None:
        while not self._stopping.is_set():
            try:
                connection = self._inherited() or attempt(lambda: connect(endpoint), self._caller, self._name)
            except Exception as error:  # whatever the transport raises
                # What cannot be right is told at the start; what was right, a file say, may be so again.
                lasting = isinstance(error, (EndpointError, MissingExtra)) and not self._was_connected
                if lasting or not self._reconnect:
                    raise
                self._could_not_connect(error)
                self._backoff.failed()
            else:
                if connection is None:
                    return
                self._converse(connection)
                if not self._reconnect:
                    return
            if self._heir is not None:
                continue
            delay = self._backoff.delay()
            _log.info("connecting to %s again in %.1f s", endpoint, delay)
            self._stopping.wait(delay)

    def _run_sessions(self, endpoint: Endpoint) -> None:
        """Keep a line to the server under the session, and begin another session when one is over."""
        pair = self._pair = Pair(self, endpoint)
        dialler = self._dialler = Dialler(
            self,
            endpoint,
            pair.join,
            waited_for=lambda: pair.in_session,
            over=self._has_ended,
            backoff=self._backoff,
        )
        while not self._has_ended():
            dialler.once()
            self._run_compact()
            if not self._reconnect and not pair.in_session:
                return
            if not self._has_ended():
                dialler.pause()

    def _run_compact(self) -> None:
        """Run the sessions with a peer that speaks the compact profile alone: one after the other on one line."""
        try:
            connection = self._inherited()
            while connection is not None:
                self._converse(connection)
                connection = self._inherited()
        except (OSError, CommError) as error:
            if not self._stopping.is_set():
                self._could_not_connect(error)
                self._backoff.failed()

    def _has_ended(self) -> bool:
        """Whether nothing is to be dialled any more; a session that is being closed still has something to deliver."""
        return self._stopping.is_set() and not (self._pair is not None and self._pair.in_session)

    def _interrupt(self) -> None:
        if self._dialler is not None:
            self._dialler.interrupt()
        if self._has_ended():
            self._caller.give_up()

    def _wind_up(self) -> None:
        super()._wind_up()
        self._pair = self._dialler = None

    def _aim(self, server_address: str | None) -> Endpoint:
        if server_address is None or server_address == self._endpoint.host:
            return self._endpoint
        if self._named:
            raise EndpointError(
                f"the client goes to {self._endpoint}, so it cannot go to {server_address!r}: leave one of them out"
            )
        self._endpoint = self._endpoint.at(host=server_address.strip("[]"))
        return self._endpoint

    def _converse(self, connection: ConnectionBase) -> None:
        """Run one connection from ``on_connect`` to ``on_disconnect``."""
        stage = staged(self, connection)
        try:
            _log.info("connected to %s", connection)
            self._announce(stage)
            stage.run_open()
        except BaseException:  # Ctrl-C in the main thread
            stage.conclude()
            raise
        finally:
            self._left(stage)

    def _announce(self, stage: Stage) -> None:
        again, self._was_connected = self._was_connected, True
        self._why = None
        self._connected_at = time.monotonic()
        self._current = stage
        if not self._durable.kept:
            self._send = stage.outbox.send
        if type(self).send is Client.send:
            self.send = self._send or self._not_connected  # type: ignore[assignment, method-assign]  # one call less: a quarter of what a message in a burst costs
        self._joined(stage)
        self._ready.set()
        self._call(self.callback.on_connect, self, stage.connection, stage=stage)
        if again:
            self._call(self.callback.on_reconnect, self, stage.connection, stage=stage)

    def _left(self, stage: Stage) -> None:
        if stage is self._current:
            if not self._durable.kept:
                self._send = None
            self._current = None
            if not isinstance(stage, SessionStage):  # of which the dialler knows what becomes of its lines
                self._backoff.ended(time.monotonic() - self._connected_at, stage.heard)
            self.__dict__.pop("send", None)
            stage.outbox.heir = self.send  # who kept the quick one sends over the next connection
        super()._left(stage)

    def _heirs(self) -> Callable[[ConnectionBase], None] | None:
        return self._take_on if self._reconnect and not self._stopping.is_set() else None

    def _take_on(self, connection: ConnectionBase) -> None:
        self._heir = connection

    def _inherited(self) -> ConnectionBase | None:
        """The conversation that follows the last one on its line, opened, if there is one."""
        connection, self._heir = self._heir, None
        if connection is None:
            return None
        with self._caller.waking(connection.abort):
            return opened(connection, time.monotonic() + self._endpoint.options["connect_timeout"])
