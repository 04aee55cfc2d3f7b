"""One connection, run on behalf of an entity: opened, read, its messages handed to the callbacks, and ended once."""

from __future__ import annotations

import logging
import threading
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Final

from leadscomm.connections.base import LINGER_S, ConnectionBase, Incomplete
from leadscomm.connections.outbox import Outbox
from leadscomm.connections.writer import Flusher, Writer, here
from leadscomm.entities.callback import Callback
from leadscomm.entities.flusher import FlusherThread
from leadscomm.entities.readers import ReaderPool, Task
from leadscomm.entities.service import Service
from leadscomm.errors import CommError, ConnectionLost, DeliveryError
from leadscomm.protocol.framing import DatagramFraming, plain

_log = logging.getLogger("leadscomm")
_NOTHING: Final[list[bytes]] = []
DRAIN_TIMEOUT_S: Final = 5.0
"""How long a closed connection goes on sending what was sent before."""


class Owner(Service):
    """A service on whose behalf connections are run; what they need of it."""

    callback: Callback
    flusher: FlusherThread
    handshake_timeout: float = 5.0

    @property
    @abstractmethod
    def name(self) -> str:
        """What its threads are called."""

    @abstractmethod
    def equip(self, outbox: Outbox, flusher: Flusher | None) -> None:
        """Set up the outbox of a connection; ``flusher`` instead of the common one, if given."""

    @abstractmethod
    def joined(self, stage: Stage) -> None:
        """A connection was announced to the callbacks."""

    @abstractmethod
    def left(self, stage: Stage) -> None:
        """A connection has ended."""

    @abstractmethod
    def call(self, callback: Callable[..., None], *args: Any, stage: Stage | None = None) -> None:
        """Call one callback in this thread; what it raises reaches ``on_fail``."""

    @abstractmethod
    def raised(self, error: BaseException, stage: Stage | None) -> None:
        """A callback raised."""

    @abstractmethod
    def fail(self, error: Exception, stage: Stage | None = None) -> None:
        """Tell ``on_fail`` in this thread."""


class Stage(Task):
    """Runs one connection. One thread at a time reads it and calls back; any thread may send and close.

    :param entity: whose callbacks are called.
    :param connection: open, or to be opened by :meth:`open`.
    """

    __slots__ = (
        "_closing",
        "_flusher",
        "_opened",
        "_pool",
        "_receive",
        "_shut",
        "batch",
        "connection",
        "ended",
        "entity",
        "foreign",
        "outbox",
    )

    def __init__(self, entity: Owner, connection: ConnectionBase) -> None:
        super().__init__()
        self.entity = entity
        self.connection = connection
        self.foreign = type(connection).receive is not ConnectionBase.receive
        self.batch = _NOTHING
        self._receive = self._receive_foreign if self.foreign else connection.read_batch
        self.ended = False
        self._closing = threading.Lock()  # taken by who closes a foreign connection
        self._shut = False  # closed by this side: nothing more is delivered
        self._opened = False
        self._pool: ReaderPool | None = None
        self._flusher: FlusherThread | None = None
        self.outbox = Outbox(_Foreign(connection), _Whole()) if self.foreign else connection.outbox
        if self.foreign or connection.fileno() is None:
            self._flusher = FlusherThread(f"{entity.name}-{connection}")  # its writing may wait: for nobody else
        entity.equip(self.outbox, self._flusher)
        connection.keeper = self

    # Where it is run -------------------------------------------------------------------------------------------------

    def run_in(self, pool: ReaderPool | None) -> None:
        """Run it in the pool, or in a thread of its own if it cannot be polled. Returns at once."""
        fd = None if self.foreign else self.connection.fileno()
        if pool is not None and fd is not None and self.connection.pooled:
            self._pool = pool
            self.connection.set_blocking(False)
            pool.add(fd, self)
        else:
            name = f"{self.entity.name}-{self.connection}"
            threading.Thread(target=self.run_here, name=name, daemon=True).start()

    def run_here(self) -> None:
        """Run it in this thread until it ends."""
        if self._open():
            self.run_open()

    def run_open(self) -> None:
        """As :meth:`run_here`, for a connection that is open and announced already."""
        try:
            self.connection.set_blocking(True)
            self._begin()
            while not self.ended:
                self._step()
        except BaseException:  # Ctrl-C in the main thread
            self.conclude()
            raise

    def conclude(self) -> None:
        """Close it and run it to its end, in the thread that ran it."""
        self.close()
        while not self.ended:
            self._step()

    def ready(self, ending: bool) -> None:
        """What the pool calls when there is something to read."""
        if self.ended:
            return
        if not self._opened:
            self._opened = ending = True
            if not self._open():
                return
            self._begin()
        while self._step() and not self.ended:
            if not (ending or self.connection.more()):
                break

    # Its life --------------------------------------------------------------------------------------------------------

    def _open(self) -> bool:
        try:
            self.connection.open(time.monotonic() + self.entity.handshake_timeout)
            fd = self.connection.fileno()
            if self._pool is not None and fd is not None:
                self._pool.rearm(fd)
        except Exception as error:
            self.ended = True
            self._release()
            self.entity.left(self)
            self.entity.fail(error)
            return False
        _log.info("%s connected to %s", self.connection, self.entity.name)
        self.call(self.entity.callback.on_connect, self.entity, self.connection)
        self.entity.joined(self)
        return True

    def _begin(self) -> None:
        """It is open and announced: hand on what came with the opening, and start its timer."""
        self._tick()
        self.dispatch(self.connection.unread())

    def _tick(self) -> None:
        delay = None if self.ended else self.connection.tick()
        if delay is not None:
            self.entity.flusher.call_later(delay, self._tick)

    def _step(self) -> bool:
        """Read once and hand on what came. False: there is nothing now."""
        connection = self.connection
        try:
            messages = self._receive()
        except BlockingIOError:
            return False
        except Exception as error:
            messages = None
            if not connection.closed():
                self.entity.fail(_lost(connection, error), self)
        if messages and not self._shut:
            self.dispatch(messages)
        if connection.framing.faults:
            for fault in connection.framing.take_faults():
                if not connection.closed():
                    self.entity.fail(type(fault)(f"{connection}: {fault}"), self)
        if messages is None:
            self._finish()
        return True

    def _receive_foreign(self) -> list[bytes] | None:
        try:
            message = self.connection.receive()
        except Incomplete:
            return []
        return None if message is None or message == self.connection.framing.farewell else [message]

    def dispatch(self, messages: list[bytes]) -> None:
        """Hand messages to ``on_receive``, in order. A callback that raises loses none of the others."""
        entity = self.entity
        before = here.inside
        here.inside = self
        self.batch = messages
        rest = iter(messages)
        try:
            while True:
                on_receive = entity.callback.on_receive
                try:
                    for message in rest:
                        on_receive(entity, message)
                    return
                except BaseException as error:
                    entity.raised(error, self)
        finally:
            self.batch = _NOTHING
            here.inside = before
            if self.outbox.waiting:
                self.outbox.flush()  # the answers of a batch leave together

    def call(self, callback: Callable[..., None], *args: Any) -> None:
        """Call one callback; what it raises reaches ``on_fail``."""
        self.entity.call(callback, *args, stage=self)

    def _finish(self) -> None:
        """The conversation is over."""
        if self.ended:
            return
        self.ended = True
        _log.info("%s disconnected from %s", self.connection, self.entity.name)
        self.call(self.entity.callback.on_disconnect, self.entity, self.connection)
        left = self._release()
        self.entity.left(self)
        if left:
            self.entity.fail(
                DeliveryError(
                    f"{len(left)} message(s) to {self.connection} could not be sent before it was gone", left
                ),
                self,
            )

    def _release(self) -> list[bytes]:
        connection = self.connection
        fd = None if self.foreign else connection.fileno()
        if self._pool is not None and fd is not None:
            self._pool.remove(fd)
        if self.foreign:
            left = self.outbox.abandon()
            self._close_foreign()
        else:
            left = connection.finish()
        if self._flusher is not None:
            self._flusher.stop(0.0)
        return left

    # Called by any thread --------------------------------------------------------------------------------------------

    def send(self, message: bytes) -> None:
        """Send one message to this peer."""
        self.outbox.send(message)

    def closing(self) -> None:
        """The connection was closed here: send the rest and the goodbye, then wait a moment for the peer's."""
        self._shut = True
        self.batch.clear()  # nothing of this batch is delivered any more
        connection = self.connection
        connection.disconnect()
        self.entity.flusher.call_later(DRAIN_TIMEOUT_S, self.abort)
        self.outbox.when_drained(self._sent)

    def _sent(self) -> None:
        self.connection.shut_sending()
        self.entity.flusher.call_later(LINGER_S, self.abort)

    def close(self) -> None:
        """Close the connection, in its own way, once what was sent to it is written. Does not wait."""
        if self.foreign:
            self.outbox.send_last(b"")
            self.outbox.when_drained(self._close_foreign)
        else:
            self.connection.close()

    def abort(self) -> None:
        """End it at once."""
        if self.foreign:
            self._close_foreign()
        elif not self.ended:
            self.connection.abort()

    def _close_foreign(self) -> None:
        """Once, whoever is first: in LEADS's shape each close says goodbye."""
        if self._closing.acquire(blocking=False) and not self.connection.closed():
            self.call(self.connection.close)


class _Foreign(Writer):
    """The outbox of a connection that sends in its own way, one message at a time."""

    __slots__ = ("_connection",)

    def __init__(self, connection: ConnectionBase) -> None:
        self._connection = connection

    def __str__(self) -> str:
        return str(self._connection)

    def _write(self, data: bytes | memoryview) -> int:
        self._connection.send(bytes(data))
        return len(data)

    def _wait_writable(self, timeout: float) -> bool:
        return True

    def abort(self) -> None:
        self._connection.close()


class _Whole(DatagramFraming):
    """Messages as they are, of any size: what they become is the connection's matter."""

    def __init__(self) -> None:
        super().__init__()
        self.max_message = 1 << 62

    def check(self, message: bytes) -> None:
        plain(message)


def _lost(connection: ConnectionBase, error: Exception) -> Exception:
    if isinstance(error, CommError) or not isinstance(error, OSError):
        return error
    if isinstance(error, ConnectionResetError):
        why = "it ended the conversation abruptly (reset)"
    elif isinstance(error, TimeoutError):
        why = "its host does not answer any more"
    else:
        why = error.strerror or str(error)
    lost = ConnectionLost(f"{connection}: {why}")
    lost.__cause__ = error
    return lost
