"""Accepts connections at one endpoint on behalf of an entity, and runs each of them."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

from leadscomm.connections.address import Caller
from leadscomm.connections.base import ConnectionBase, leads_shaped
from leadscomm.connections.endpoint import Endpoint, listen_for_lines
from leadscomm.connections.listener import ListenerBase
from leadscomm.connections.losses import odd
from leadscomm.connections.sending.writer import weakly
from leadscomm.connections.shortage import is_short, why
from leadscomm.entities.entity import Entity
from leadscomm.entities.running.dialler import Backoff
from leadscomm.entities.running.foreign import staged
from leadscomm.entities.running.line import LineStage
from leadscomm.entities.running.pool import ReaderPool, can_pool
from leadscomm.entities.running.reader import Stage
from leadscomm.entities.service import CLOSE_TIMEOUT_S
from leadscomm.errors import CommError, MissingExtra
from leadscomm.sessions.board import ReliableConnection

_log = logging.getLogger("leadscomm")
OWN_THREADS: Final = 8
"""So many connections are read by a thread each; a round trip is then a tenth shorter than by the pool."""
_PAUSE_S: Final = 0.25
"""How long accepting pauses when the process has no descriptor or thread left."""
_LEAVES_S: Final = 0.1
"""How long one that has to make room is waited for."""
_TELL_EVERY_S: Final = 10.0
"""How often it is told that some had to."""


class Held(NamedTuple):
    """A connection that was accepted and has not ended.

    :ivar stage: runs it.
    :ivar origin: the address that ``max_per_address`` counts it under; None: it is not counted.
    """

    stage: Stage
    origin: str | None

    @property
    def displaced(self) -> bool:
        """Whether it has made room for another, and is about to end."""
        connection = self.stage.connection
        return not leads_shaped(connection) and connection.displaced


class Acceptor:
    """Where an entity listens. :meth:`bind`, :meth:`run`, :meth:`release`; then the same again, if need be.

    :param entity: runs what comes.
    :param endpoint: where to listen.
    :param join: of an endpoint with sessions; as for :class:`LineStage`.
    :param tell: told why a line carries no session.
    :param bound: told where it listens, with the real port.
    :ivar listener: what is listened with, while it is.
    """

    def __init__(
        self,
        entity: Entity,
        endpoint: Endpoint,
        *,
        join: Callable[[LineStage, float], None] | None = None,
        tell: Callable[[Exception], None] | None = None,
        bound: Callable[[Endpoint], None] | None = None,
    ) -> None:
        self._entity = entity
        self._caller = Caller(weakly(entity._report))
        self._endpoint = endpoint.called_by(self._caller)
        self._join = join
        self._tell = tell or entity._fail
        self._bound = bound
        self._key = endpoint.key()
        self._pool: ReaderPool | None = None
        self._held: dict[ConnectionBase, Held] = {}
        self._lock = threading.Lock()
        self._made_room = 0  # for others, and was not told
        self._told_at = -_TELL_EVERY_S
        self.listener: ListenerBase | None = None

    # Listening -------------------------------------------------------------------------------------------------------

    def bind(self) -> Endpoint:
        """Listen.

        :return: where, with the real port.
        :raises ConnectFailed: it cannot be listened on; the text says why and what to do.
        """
        listener = self.listener = listen_for_lines(self._endpoint)
        endpoint = self._endpoint.at(port=listener.port() or self._endpoint.port)
        if endpoint.exposed() and not listener.local():  # a name may lead to this machine alone
            _log.warning(
                "anybody on other machines can reach %s: use tls://, or give both sides a key (key_file=)", endpoint
            )
        _log.info("%s listens", endpoint)
        if self._bound is not None:
            self._bound(endpoint)
        return endpoint

    def _bind_later(self, failure: CommError) -> None:
        """Try again until it can be listened on; each other reason is told."""
        backoff, told = Backoff(self._endpoint), str(failure)
        backoff.failed()
        while self.listener is None and not self._entity._stopping.wait(backoff.delay()):
            try:
                self.bind()
            except CommError as error:
                backoff.failed()
                if str(error) != told and not self._caller.given_up:
                    told = str(error)
                    self._entity._call(self._entity._fail, error)

    def run(self, failure: CommError | None = None) -> None:
        """Accept until the entity ends, or :meth:`interrupt`, or what it needs for that turns out not to be installed.

        :param failure: why :meth:`bind` failed: then it is tried again first, until it does not.
        """
        if failure is not None:
            self._bind_later(failure)
        listener = self.listener
        while listener is not None and not self._entity._stopping.is_set():
            try:
                connection = listener.accept()
                if connection is None:
                    break
                self._welcome(connection)
                del connection  # the next one may be long in coming
            except MissingExtra as error:  # no trying again mends that
                self._entity._could_not_connect(error)
                break
            except Exception as error:
                self._could_not_accept(error)
        if listener is not None and self._join is not None:  # sessions end with an acknowledgement, and a farewell
            self._entity._abandon_opening()
            listener.linger(CLOSE_TIMEOUT_S)

    def interrupt(self) -> None:
        """Accept nobody any more. Any thread."""
        self._caller.give_up()
        listener = self.listener
        if listener is not None:
            listener.close()

    def handles(self) -> list[int]:
        """The descriptors that it listens with."""
        return [] if self.listener is None else self.listener.handles()

    def release(self) -> None:
        """Let go of the place. After :meth:`run`."""
        listener, self.listener = self.listener, None
        if listener is not None:
            listener.close()
            listener.release()

    def stop(self, deadline: float) -> None:
        """End its threads, until ``deadline`` as ``time.monotonic()`` counts. All that was accepted has ended."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop(max(deadline, time.monotonic() + 0.5))

    def _could_not_accept(self, error: Exception) -> None:
        if not isinstance(error, OSError):
            self._entity._fail(odd("what was to be accepted", error))
            self._entity._stopping.wait(_PAUSE_S)
        elif is_short(error):
            failure = CommError(f"no connection can be accepted at the moment: {why(error)}")
            failure.__cause__ = error
            self._entity._fail(failure)
            self._entity._stopping.wait(_PAUSE_S)
        else:
            self._entity._fail(error)

    # What was accepted -----------------------------------------------------------------------------------------------

    def _welcome(self, connection: ConnectionBase) -> None:
        if not leads_shaped(connection):
            connection.key = None if self._join is not None else self._key
            connection.accepted = True
        if not self._turned_away(connection):
            self.launch(connection)

    def launch(self, connection: ConnectionBase) -> None:
        """Open and run a connection, in a thread of its own or in the pool. Any thread.

        A session of the compact profile takes over the place of its line.
        """
        entity = self._entity
        try:
            stage = self._staged(connection)
        except Exception as error:
            self._not_run(connection, error)
            return
        with entity._lock:
            entity._opening.add(stage)
        with self._lock:
            self._held[_line_of(connection)] = Held(stage, _origin_of(connection))
        try:
            stage.run_in(self._pool_for(stage))
        except Exception as error:  # no descriptor or no thread left, as a rule
            stage.not_run()
            entity._left(stage)
            self._not_run(connection, error)

    def _not_run(self, connection: ConnectionBase, error: Exception) -> None:
        if not connection.closed():
            self._drop(connection)
        self._entity._fail(CommError(f"{connection} was turned away: {error}; it may come again"))
        self._entity._stopping.wait(_PAUSE_S)

    def _staged(self, connection: ConnectionBase) -> Stage:
        if self._join is None or isinstance(connection, ReliableConnection):
            return staged(self._entity, connection)
        return LineStage(self._entity, connection, self._join, self._tell)

    def _pool_for(self, stage: Stage) -> ReaderPool | None:
        """Where a connection is read: the first few by a thread each, which answers soonest; the others by the pool."""
        if not can_pool() or self._entity._held() <= OWN_THREADS:
            return None
        if self._pool is None:
            self._pool = ReaderPool(self._entity._name, self._endpoint.options["max_connections"] + 2)
        return self._pool

    def holds(self, connection: ConnectionBase) -> bool:
        """Whether it has accepted a connection, or the line below it, which has not ended. Any thread."""
        with self._lock:
            return _line_of(connection) in self._held

    def left(self, stage: Stage) -> None:
        """A connection has ended. Any thread."""
        if isinstance(stage, LineStage) and stage.heir is not None:
            return  # the line goes on
        line = _line_of(stage.connection)
        with self._lock:
            held = self._held.get(line)
            if held is not None and held.stage is stage:
                del self._held[line]

    def _turned_away(self, connection: ConnectionBase) -> bool:
        limit = self._limit_of(connection)
        if limit is not None and self._displaced(connection, limit):
            limit = None
        if limit is not None:
            why = f"there are {self._said_of(limit, connection)}; raise it, or close some"
        elif self._key is not None and leads_shaped(connection):
            why = "it cannot be asked for the key; raise it, or close some"
        else:
            return False
        self._drop(connection)
        self._entity._fail(CommError(f"{connection} was turned away: {why}"))
        return True

    def _limit_of(self, connection: ConnectionBase) -> str | None:
        """Which limit has no room for one more; None: both have.

        Of an endpoint with sessions lines are counted: a session that waits for one must be given it. Over UDP the
        listener has counted, since what it turns away costs nothing there.
        """
        if self._endpoint.scheme == "udp":
            return None
        limits, origin = self._endpoint.options, _origin_of(connection)
        with self._lock:
            origins = [held.origin for held in self._held.values() if not held.displaced]
        if len(origins) >= limits["max_connections"]:
            return "max_connections"
        return "max_per_address" if origin is not None and origins.count(origin) >= limits["max_per_address"] else None

    def _said_of(self, limit: str, connection: ConnectionBase) -> str:
        whose = f" from {_origin_of(connection)}" if limit == "max_per_address" else ""
        return f"{self._endpoint.options[limit]} connections{whose} already ({limit})"

    def _displaced(self, connection: ConnectionBase, limit: str) -> bool:
        """Whether another one has made room: whoever comes, and does not show who he is, keeps nobody out.

        Of the address that most of them come from it is the one that came first. It has left when this returns, as a
        rule, so that they do not become more than the limit.
        """
        entity = self._entity
        stage = self._stranger(_origin_of(connection) if limit == "max_per_address" else None)
        if stage is None:
            return False
        stage.displace()
        with entity._changed:
            entity._changed.wait_for(lambda: stage not in entity._opening, _LEAVES_S)
        self._tell_displaced(limit, connection)
        return True

    def _stranger(self, origin: str | None) -> Stage | None:
        """Whoever is to make room for another: of all, or of those from one address."""
        entity = self._entity
        with entity._lock:
            opening = frozenset(entity._opening)
        with self._lock:
            held = [held for held in self._held.values() if held.stage in opening and held.stage.has_to_ask]
        unknown = [held for held in held if not held.displaced and origin in (None, held.origin)]
        origins = Counter(held.origin for held in unknown)
        return max(unknown, key=lambda held: origins[held.origin]).stage if unknown else None

    def _tell_displaced(self, limit: str, connection: ConnectionBase) -> None:
        """Now and then: a flood of them must not become a flood of errors."""
        self._made_room += 1
        now = time.monotonic()
        if now >= self._told_at + _TELL_EVERY_S:
            count, self._made_room, self._told_at = self._made_room, 0, now
            self._entity._fail(
                CommError(
                    f"{count} connection(s) that had not shown who they are were closed, so that others can come: "
                    f"there are {self._said_of(limit, connection)}; raise it, or close some"
                )
            )

    def _drop(self, connection: ConnectionBase) -> None:
        """Close a connection that nobody runs."""
        if leads_shaped(connection):
            self._entity._call(connection.close)
            return
        connection.disconnect()  # a LEADS client that is not told goodbye never notices
        connection.shut_sending()
        connection.finish()


def _line_of(connection: ConnectionBase) -> ConnectionBase:
    """What was accepted: below a session of the compact profile it is its line."""
    return connection.line if isinstance(connection, ReliableConnection) else connection


def _origin_of(connection: ConnectionBase) -> str | None:
    return None if leads_shaped(connection) else connection._origin
