"""One connection, run on behalf of an entity: opened, read, its messages handed to the callbacks, and ended once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from leadscomm.connections.base import LINGER_S, ConnectionBase
from leadscomm.connections.losses import lost, odd
from leadscomm.connections.sending.how import PLAINLY, How
from leadscomm.connections.sending.outbox import Outbox
from leadscomm.connections.sending.writer import here, weakly
from leadscomm.connections.waiting import interrupted
from leadscomm.entities.running.flusher import FlusherThread
from leadscomm.entities.running.owner import Former, Owner
from leadscomm.entities.running.pool import ReaderPool, Task
from leadscomm.errors import ConnectFailed, DeliveryError
from leadscomm.protocol.framing import Framing, guess
from leadscomm.protocol.records.durable import STREAM

_log = logging.getLogger("leadscomm")
_NOTHING: Final[list[bytes]] = []
DRAIN_TIMEOUT_S: Final = 5.0
"""How long a closed connection goes on sending what was sent before."""


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
        "_wants",
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
        self._wants = ""  # what the peer wants instead of a plain conversation, once that was told
        self._opened = False
        self._pool: ReaderPool | None = None
        self._flusher: FlusherThread | None = None
        self._receive: Callable[[], list[bytes] | None]
        self._framing: Framing
        self.outbox: Outbox
        self._take_over(connection)
        if self.writes_apart:
            self._flusher = FlusherThread(f"{entity._name}-{connection}")
            self._flusher.start()
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
        wants = self._wants = guess.greeting(messages[0] if messages else self._framing.remainder)
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
    def has_to_ask(self) -> bool:
        """Whether its opening waits for the peer."""
        return self.connection.has_to_ask

    # Where it is run -------------------------------------------------------------------------------------------------

    def run_in(self, pool: ReaderPool | None) -> None:
        """Run it in the pool, or in a thread of its own if it cannot be polled. Returns at once."""
        fd = self.fileno()
        if pool is not None and fd is not None and self.connection.pooled:
            self._pool = pool
            self.waits = self.has_to_ask
            self.connection.set_blocking(False)
            pool.add(fd, self)
        else:
            threading.Thread(target=self.run_here, name=f"{self.entity._name}-{self.connection}", daemon=True).start()

    def not_run(self) -> None:
        """Nothing could run it, since the system had no thread left: let go of it."""
        self.ended = True
        self._guarded(self.connection.disconnect)
        self._guarded(self.connection.shut_sending)
        self._release()

    def run_here(self) -> None:
        """Run it in this thread until it ends."""
        if self._open():
            self.run_open()

    def run_open(self) -> None:
        """As :meth:`run_here`, for a connection that is open and announced already."""
        try:
            if self._did(self._begin):
                while not self.ended and self._did(self._step):
                    pass
        except BaseException:  # Ctrl-C in the main thread
            self.conclude()
            raise

    def _did(self, work: Callable[[], object]) -> bool:
        """Do a part of its work. What it raises ends this conversation, with a report, and nobody else's."""
        try:
            work()
        except Exception as error:
            self._tell_lost(error)
            self.abort()
            self._finish()
            return False
        return True

    def _guarded(self, call: Callable[[], object]) -> bool:
        """Call something of the transport's; if it fails, that is told, and ends nothing else. Any thread."""
        try:
            call()
        except Exception as error:
            self.entity._report(odd(str(self.connection), error))
            return False
        return True

    def conclude(self) -> None:
        """Close it and run it to its end, in the thread that ran it."""
        self.close()
        while not self.ended:
            self._step()

    def ready(self, ending: bool) -> None:
        """What the pool calls when there is something to read."""
        self._did(partial(self._read_all, ending))

    def _read_all(self, ending: bool) -> None:
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
            if not self.connection.displaced:
                self._tell_failed(lost(str(self.connection), error))
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
        if not self.ended and not self._guarded(self._turn_on):
            self.abort()

    def _turn_on(self) -> None:
        delay = self.connection.tick()
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
        self.entity._fail(lost(str(self.connection), error), self)

    def _tell_faults(self) -> None:
        for fault in self._framing.take_faults():
            told_already = self._wants and self._wants in str(fault)
            if not (told_already or self.connection.closed()):
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
                        returned = on_receive(entity, message)
                        if returned is not None:
                            entity._returned(returned, self)
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
        self._guarded(self._leave_pool)
        left: list[bytes] = []
        self._guarded(lambda: left.extend(self._let_go()))
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

    def send(self, message: bytes, how: How = PLAINLY) -> None:
        """Send one message to this peer."""
        self.outbox.send(message, *how)

    def closing(self) -> None:
        """The connection was closed here: send the rest and the goodbye, then wait a moment for the peer's."""
        self._shut = True
        self.batch.clear()  # nothing of this batch is delivered any more
        self._in_peace(self._say_goodbye)

    def _in_peace(self, call: Callable[[], None]) -> None:
        """Call it; in the middle of something that it would have to wait for, by the flusher."""
        if interrupted():
            self.entity._flusher.call_later(0.0, call)
        else:
            call()

    def _say_goodbye(self) -> None:
        """Send the rest, and the goodbye."""
        self._guarded(self.connection.disconnect)
        self.entity._flusher.call_later(DRAIN_TIMEOUT_S, weakly(self.abort))
        self.outbox.when_drained(lambda: self._in_peace(self._sent))

    def _sent(self) -> None:
        self._guarded(self.connection.shut_sending)
        self.entity._flusher.call_later(LINGER_S, weakly(self.abort))

    def close(self) -> None:
        """Close the connection, once what was sent to it is written. Does not wait."""
        self.connection.close()

    def abort(self) -> None:
        """End it at once."""
        if not self.ended:
            self._guarded(self.connection.abort)

    def give_up(self) -> None:
        """End it before it was announced. Any thread."""
        self.abort()

    def displace(self) -> None:
        """End it for a newcomer's sake, before it was announced. Any thread."""
        self.connection.displaced = True
        self.abort()

    def disown(self) -> None:
        """This process was forked, and the conversation is its parent's."""
        self.ended = self._shut = True
        self.connection.disown()
