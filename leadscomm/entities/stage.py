"""One connection, run on behalf of an entity: opened, read, its messages handed to the callbacks, and ended once."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from leadscomm.connections.base import LINGER_S, ConnectionBase
from leadscomm.connections.outbox import Outbox
from leadscomm.connections.writer import Flusher, here, weakly
from leadscomm.entities.callback import Callback
from leadscomm.entities.flusher import FlusherThread
from leadscomm.entities.readers import ReaderPool, Task
from leadscomm.entities.service import Service
from leadscomm.errors import CommError, ConnectFailed, ConnectionLost, DeliveryError, ServiceError
from leadscomm.protocol import guess
from leadscomm.protocol.framing import Framing
from leadscomm.protocol.records import STREAM

_log = logging.getLogger("leadscomm")
_NOTHING: Final[list[bytes]] = []
DRAIN_TIMEOUT_S: Final = 5.0
"""How long a closed connection goes on sending what was sent before."""


class NotNow(Exception):
    """A record cannot be dealt with at the moment; it comes again in a while."""


class RecordHandler(ABC):
    """Deals with the toolkit's own records of one kind. In turn with the callbacks of the session."""

    @abstractmethod
    def session_began(self, stage: Stage) -> None:
        """A session begins; before its ``on_connect``."""

    @abstractmethod
    def handle(self, stage: Stage, lane: int, record: bytes) -> None:
        """A record came; it is acknowledged when this returns.

        :raises RemoteProtocolError: it cannot be; the session ends.
        :raises NotNow: it cannot be now. It is handled again in a while, and all other records wait behind it.
        """

    @abstractmethod
    def settled(self, stage: Stage, lane: int, record: bytes) -> None:
        """The peer has dealt with a record of this side."""

    @abstractmethod
    def session_ended(self, stage: Stage) -> None:
        """A session is over; before its ``on_disconnect``."""


class Owner(Service):
    """A service on whose behalf connections are run; what they need of it.

    The names have an underscore for the sake of users who subclass entities together with classes of their own.
    """

    callback: Callback
    _flusher: FlusherThread
    _handlers: Mapping[int, RecordHandler]
    _handshake_timeout: float = 5.0
    _why: Exception | None = None
    """Why it is not connected, or not running: the last reason."""

    @property
    @abstractmethod
    def _name(self) -> str:
        """What its threads are called."""

    @abstractmethod
    def _equip(self, outbox: Outbox, flusher: Flusher | None) -> None:
        """Set up the outbox of a connection; ``flusher`` instead of the common one, if given."""

    @abstractmethod
    def _report(self, error: Exception) -> None:
        """Tell ``on_fail`` from a thread of its own."""

    @abstractmethod
    def _announce(self, stage: Stage) -> None:
        """A conversation begins: tell ``on_connect``."""

    @abstractmethod
    def _carries(self, stage: Stage) -> None:
        """A line carries a session from now on."""

    @abstractmethod
    def _joined(self, stage: Stage) -> None:
        """A connection was announced to the callbacks."""

    @abstractmethod
    def _left(self, stage: Stage) -> None:
        """A connection has ended."""

    @abstractmethod
    def _call(self, callback: Callable[..., None], *args: Any, stage: Stage | None = None) -> None:
        """Call one callback in this thread; what it raises reaches ``on_fail``."""

    @abstractmethod
    def _take_on(self, connection: ConnectionBase) -> None:
        """Run a connection that another has become, in a thread of its own or when the present one is free."""

    def _heirs(self) -> Callable[[ConnectionBase], None] | None:
        """What runs a conversation that follows another on its line, where the peer has begun anew; None: nothing, and
        the line is closed."""
        return None

    @abstractmethod
    def _raised(self, error: BaseException, stage: Stage | None) -> None:
        """A callback raised."""

    @abstractmethod
    def _fail(self, error: Exception, stage: Stage | None = None) -> None:
        """Tell ``on_fail`` in this thread."""

    @abstractmethod
    def _could_not_connect(self, error: Exception) -> None:
        """An attempt to connect came to nothing: tell ``on_fail`` in this thread, and whoever sends."""


class Former:
    """Stands for the stage of a conversation that is over.

    :param entity: ran it; it is not kept in memory.
    """

    __slots__ = ("_entity",)

    def __init__(self, entity: Owner) -> None:
        self._entity = weakref.ref(entity)

    @property
    def streams(self) -> Any:
        """A peer that has a name is known again by it in a later session."""
        entity = self._entity()
        if entity is None:
            raise ServiceError("the service that ran this connection is gone: a stream needs one")
        return entity._handlers[STREAM]

    def closing(self) -> None:
        """It is over."""

    def parted(self) -> Former:
        return self


class Stage(Task):
    """Runs one connection. One thread at a time reads it and calls back; any thread may send and close.

    :param entity: whose callbacks are called.
    :param connection: open, or to be opened here.
    :ivar heard: the peer has said something.
    """

    __slots__ = (
        "_flusher",
        "_framing",
        "_opened",
        "_pool",
        "_receive",
        "_rest",
        "_shut",
        "batch",
        "came_at",
        "connection",
        "ended",
        "entity",
        "heard",
        "outbox",
    )

    def __init__(self, entity: Owner, connection: ConnectionBase) -> None:
        super().__init__()
        self.entity = entity
        self.connection = connection
        self.batch = _NOTHING
        self._rest: Iterator[bytes] = iter(())  # of the batch, what was not handed out
        self.ended = False
        self.heard = False
        self.came_at = time.monotonic()  # what precedes the first message is waited for from here on
        self._shut = False  # closed by this side: nothing more is delivered
        self._opened = False
        self._pool: ReaderPool | None = None
        self._flusher: FlusherThread | None = None
        self._receive: Callable[[], list[bytes] | None]
        self._framing: Framing
        self.outbox: Outbox
        self._take_over(connection)
        if self.writes_apart:
            self._flusher = FlusherThread(f"{entity._name}-{connection}")
        self._equip()

    def _equip(self) -> None:
        """Set up the outbox."""
        self.entity._equip(self.outbox, self._flusher)

    @property
    def streams(self) -> Any:
        return self.entity._handlers[STREAM]

    def parted(self) -> Former:
        return Former(self.entity)

    def _take_over(self, connection: ConnectionBase) -> None:
        connection.keeper = self
        self._framing = connection.framing
        self._receive = self._receive_first if self._plain else connection.read_batch
        self.outbox = connection.outbox

    def _receive_first(self) -> list[bytes] | None:
        """Read for the first time: a peer that means another kind of conversation is named."""
        messages = self.connection.read_batch()
        self._receive = self.connection.read_batch
        wants = guess.greeting(messages[0] if messages else self._framing.remainder)
        if wants:
            self.entity._fail(ConnectFailed(f"{self.connection} {wants}"), self)
        return messages

    @property
    def _plain(self) -> bool:
        """Whether there is nothing between the connection and the callbacks."""
        return True

    @property
    def shut(self) -> bool:
        """Whether this side has closed it, so that nothing more is delivered."""
        return self._shut

    @property
    def in_blocks(self) -> bool:
        """Whether its outbox takes blocks of the common framing."""
        return True

    @property
    def writes_apart(self) -> bool:
        """Whether its writing may wait, and so has a flusher of its own: for nobody else."""
        return self.fileno() is None

    def fileno(self) -> int | None:
        """What can be polled, or None: then its reading and writing wait in threads of its own."""
        return self.connection.fileno()

    @property
    def _has_to_ask(self) -> bool:
        """Whether its opening waits for the peer."""
        return self.connection.has_to_ask

    # Where it is run -------------------------------------------------------------------------------------------------

    def run_in(self, pool: ReaderPool | None) -> None:
        """Run it in the pool, or in a thread of its own if it cannot be polled. Returns at once."""
        fd = self.fileno()
        if pool is not None and fd is not None and self.connection.pooled:
            self._pool = pool
            self.waits = self._has_to_ask
            self.connection.set_blocking(False)
            pool.add(fd, self)
        else:
            name = f"{self.entity._name}-{self.connection}"
            threading.Thread(target=self.run_here, name=name, daemon=True).start()

    def run_here(self) -> None:
        """Run it in this thread until it ends."""
        if self._open():
            self.run_open()

    def run_open(self) -> None:
        """As :meth:`run_here`, for a connection that is open and announced already."""
        try:
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
            opened = self._open()
            self.waits = False
            if not opened:
                return
            self._begin()
        while self._step() and not self.ended:
            if not (ending or self.connection.more()):
                break

    # Its life --------------------------------------------------------------------------------------------------------

    def _open(self) -> bool:
        try:
            self._prepare(self.came_at + self.entity._handshake_timeout)
        except Exception as error:
            self.ended = True
            self._release()
            self.entity._left(self)
            self._tell_failed(_lost(self.connection, error))
            return False
        self._announce()
        return not self.ended

    def _tell_failed(self, error: Exception) -> None:
        """It could not be opened."""
        self.entity._fail(error)

    def _announce(self) -> None:
        """It is open."""
        _log.info("%s connected to %s", self.connection, self.entity._name)
        self.entity._announce(self)

    def _prepare(self, deadline: float) -> None:
        """Say what has to be said before the first message, until ``deadline`` as ``time.monotonic()`` counts."""
        self.connection.open(deadline)
        fd = self.fileno()
        if self._pool is not None and fd is not None:
            self._pool.rearm(fd)

    def _begin(self) -> None:
        """It is open and announced: hand on what came with the opening, and start its timer."""
        if self._pool is None:
            self.connection.set_blocking(True)
        self._tick()
        self.dispatch(self.connection.unread())

    def _tick(self) -> None:
        delay = None if self.ended else self.connection.tick()
        if delay is not None:
            self.entity._flusher.call_later(delay, weakly(self._tick))

    def _step(self) -> bool:
        """Read once and hand on what came. False: there is nothing now."""
        try:
            messages = self._receive()
        except BlockingIOError:
            return False
        except Exception as error:
            messages = None
            if not self.connection.closed():
                self._tell_lost(error)
        if messages and not self._shut:
            self.dispatch(messages)
        if self._framing.faults:
            self._tell_faults()
        if messages is None:
            self._finish()
        return True

    def _tell_lost(self, error: Exception) -> None:
        """Reading failed: the conversation is over."""
        self.entity._fail(_lost(self.connection, error), self)

    def _tell_faults(self) -> None:
        for fault in self._framing.take_faults():
            if not self.connection.closed():
                self.entity._fail(type(fault)(f"{self.connection}: {fault}"), self)

    def dispatch(self, messages: list[bytes]) -> None:
        """Hand messages to ``on_receive``, in order. A callback that raises loses none of the others."""
        entity = self.entity
        before = here.inside
        here.inside = self
        self.batch = messages
        self.heard = self.heard or bool(messages)
        rest = self._rest = iter(messages)
        try:
            while True:
                on_receive = entity.callback.on_receive
                try:
                    for message in rest:
                        on_receive(entity, message)
                    return
                except BaseException as error:
                    entity._raised(error, self)
        finally:
            self.batch = _NOTHING
            here.inside = before
            if self.outbox.waiting:
                self.outbox.flush()  # the answers of a batch leave together

    def _finish(self) -> None:
        """The conversation is over."""
        if self.ended:
            return
        self.ended = True
        entity, connection = self.entity, self.connection
        _log.info("%s disconnected from %s", connection, entity._name)
        entity._call(entity.callback.on_disconnect, entity, connection, stage=self)
        left = self._release()
        entity._left(self)
        if left:
            sent = connection.outbox.begun
            text = (
                f"{len(left)} message(s) to {connection} could not be sent before it was gone: {sent} sent in part, "
                f"{len(left) - sent} never sent"
            )
            entity._fail(DeliveryError(text, left, sent), self)

    def _release(self) -> list[bytes]:
        """Let go of everything; return what was not sent."""
        self._leave_pool()
        left = self._let_go()
        if self._flusher is not None:
            self._flusher.stop(0.0)
        return left

    def _leave_pool(self) -> None:
        fd = self.fileno()
        if self._pool is not None and fd is not None:
            self._pool.remove(fd)

    def _let_go(self) -> list[bytes]:
        return self.connection.finish()

    # Called by any thread --------------------------------------------------------------------------------------------

    def send(self, message: bytes, **how: Any) -> None:
        """Send one message to this peer.

        :param how: what a session's outbox takes besides.
        """
        self.outbox.send(message, **how)

    def closing(self) -> None:
        """The connection was closed here: send the rest and the goodbye, then wait a moment for the peer's."""
        self._shut = True
        self.batch.clear()  # nothing of this batch is delivered any more
        self.connection.disconnect()
        self.entity._flusher.call_later(DRAIN_TIMEOUT_S, weakly(self.abort))
        self.outbox.when_drained(self._sent)

    def _sent(self) -> None:
        self.connection.shut_sending()
        self.entity._flusher.call_later(LINGER_S, weakly(self.abort))

    def close(self) -> None:
        """Close the connection, once what was sent to it is written. Does not wait."""
        self.connection.close()

    def abort(self) -> None:
        """End it at once."""
        if not self.ended:
            self.connection.abort()

    def give_up(self) -> None:
        """End it before it was announced. Any thread."""
        self.abort()


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
