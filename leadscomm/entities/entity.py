"""Entities: services that run connections and tell callbacks."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.handles import lead_nowhere
from leadscomm.connections.options import DELIVERY
from leadscomm.connections.sending.outbox import Outbox
from leadscomm.connections.sending.writer import Flusher, forget_frames, here
from leadscomm.connections.waiting import Waiters, interrupted
from leadscomm.entities.callback import Callback, checked, unawaited
from leadscomm.entities.records.durable import DurableMessages
from leadscomm.entities.records.handler import RecordHandler
from leadscomm.entities.records.streams import Streams
from leadscomm.entities.running.flusher import FlusherThread
from leadscomm.entities.running.foreign import staged
from leadscomm.entities.running.owner import Owner
from leadscomm.entities.running.reader import Stage
from leadscomm.entities.service import CLOSE_TIMEOUT_S
from leadscomm.errors import CommError
from leadscomm.packages import Self
from leadscomm.protocol.records.durable import DURABLE, STREAM

_log = logging.getLogger("leadscomm")
_AGAIN_S: Final = 0.25
"""After this a thread is asked for again where the system had none."""
_REPORTS: Final = 1000
"""How many errors may wait for a callback that is stuck."""


class Entity(Owner):
    """A service that runs connections. One of one's own writes :meth:`run` and calls :meth:`_stage` for each
    connection.

    :param port: what :meth:`port` answers.
    :param callback: what is told.
    """

    def __init__(self, port: Any, callback: Callback | None = None) -> None:
        super().__init__(port)
        self.callback: Callback = Callback() if callback is None else checked(callback)
        """What is told: the newest link of the chain."""
        self._flusher = FlusherThread(self._name)
        self._streams = Streams(self)
        self._durable = DurableMessages(self)
        # Of the records of sessions, by kind.
        self._handlers: dict[int, RecordHandler] = {STREAM: self._streams, DURABLE: self._durable}
        self._stages: tuple[Stage, ...] = ()  # replaced, never changed, so that it can be walked without a lock
        self._opening: set[Stage] = set()  # not announced yet
        self._carrying: set[Stage] = set()  # lines that carry a session
        self._changed = threading.Condition(self._lock)
        self._deliver_by({name: option.default for name, option in DELIVERY.items()})
        self._reports: deque[Exception] = deque()
        self._telling = threading.Lock()  # taken by who tells them
        self._told = Waiters()
        self._close_by = 0.0  # as time.monotonic() counts

    @property
    def _name(self) -> str:
        """What its threads are called."""
        return f"leadscomm-{type(self).__name__}"

    @abstractmethod
    def run(self, *args: Any, **kwargs: Any) -> None: ...

    @property
    def sender(self) -> ConnectionBase | None:
        """Inside a callback: the connection that it is about; elsewhere None. ``service.sender.send(...)`` answers."""
        inside = here.inside
        return inside.connection if isinstance(inside, Stage) and inside.entity is self else None

    @property
    def message_id(self) -> str | None:
        """Inside ``on_receive``, of a durable message: what no other message has, and this one has whenever it is
        delivered; otherwise None."""
        return here.message_id if self._calls else None

    @property
    def redelivered(self) -> bool:
        """Inside ``on_receive``, of a durable message: whether it was delivered before, perhaps, by a program that then
        died."""
        return here.redelivered and self._calls

    @property
    def _calls(self) -> bool:
        """Whether this thread is in a callback of this service."""
        inside = here.inside
        return inside is self or (isinstance(inside, Stage) and inside.entity is self)

    # Callbacks -------------------------------------------------------------------------------------------------------

    @property
    def _callback(self) -> Callback:
        """LEADS's name of :attr:`callback`."""
        return self.callback

    def set_callback(self, callback: Callback) -> None:
        """Put a link on top of the chain: it is called from now on, and reaches the present one by ``super``.

        :raises CallbackError: it cannot be called back.
        """
        if callback is not self.callback:
            checked(callback).bind_chain(self.callback)
            self.callback = callback

    def _call(self, callback: Callable[..., object], *args: Any, stage: Stage | None = None) -> None:
        """Call one callback in this thread; what it raises reaches ``on_fail``."""
        before = here.inside
        here.inside = self if stage is None else stage
        try:
            self._returned(callback(*args), stage)
        except BaseException as error:
            self._raised(error, stage)
        finally:
            here.inside = before

    def _returned(self, returned: object, stage: Stage | None) -> None:
        """A callback returned: something that somebody should await, perhaps."""
        if returned is not None and (error := unawaited(returned)) is not None:
            self._fail(error, stage)

    def _raised(self, error: BaseException, stage: Stage | None) -> None:
        """A callback raised. Ctrl-C in the main thread is no error of the callback's, and ends the program."""
        if isinstance(error, Exception):
            self._fail(error, stage)
        elif threading.current_thread() is threading.main_thread():
            raise error
        else:
            failure = CommError(
                f"a callback raised {error!r}, which ends only the main thread: call service.close() instead"
            )
            failure.__cause__ = error
            self._fail(failure, stage)

    def _fail(self, error: Exception, stage: Stage | None = None) -> None:
        """Tell ``on_fail`` in this thread. If nobody wrote one, the log is told."""
        on_fail = self.callback.on_fail
        if getattr(on_fail, "__func__", None) is Callback.on_fail:
            _log.error("%s: %s", type(self).__name__, str(error) or repr(error), exc_info=_surprising(error))
            return
        before = here.inside
        here.inside = self if stage is None else stage
        returned: object
        try:
            returned = on_fail(self, error)
        except Exception:
            _log.exception("on_fail raised while it was told of %r", error)
        else:
            if returned is not None and (unheard := unawaited(returned)) is not None:
                _log.error("on_fail was told of %r: %s", error, unheard)
        finally:
            here.inside = before

    def _could_not_connect(self, error: Exception) -> None:
        self._why = error
        self._ready.set()
        self._call(self._fail, error)

    def _report(self, error: Exception) -> None:
        """Tell ``on_fail`` from a thread of its own: for whoever holds a lock or must not wait for a callback. Any
        thread, signal handlers too; waits for nobody."""
        if len(self._reports) >= _REPORTS:  # the log is told of the one that makes room
            with contextlib.suppress(IndexError):
                _log.error("%s: on_fail does not return; it is not told of: %s", self._name, self._reports.popleft())
        self._reports.append(error)
        self._tell_apart()

    def _tell_apart(self) -> None:
        """Have a thread tell the reports, unless one is at it. Where there is none left, it is tried again; and what
        waits at the end is told by the thread that closes."""
        if not self._reports or not self._telling.acquire(blocking=False):
            return
        try:
            threading.Thread(target=self._tell_reports, name=f"{self._name}-reporter", daemon=True).start()
        except RuntimeError:
            self._telling.release()
            self._flusher.call_later(_AGAIN_S, self._tell_apart)

    def _tell_reports(self) -> None:
        """Tell the reports. By who has taken ``_telling``, which is let go."""
        going_on = True
        while going_on:
            try:
                while self._reports:
                    self._fail(self._reports.popleft())
            finally:
                self._telling.release()
            going_on = bool(self._reports) and self._telling.acquire(blocking=False)
        self._told.notify_all()

    def _tell_the_rest(self, timeout: float) -> None:
        """Tell the reports that nobody has told yet, in this thread if need be; within ``timeout`` seconds."""
        if self._reports and self._telling.acquire(blocking=False):
            self._tell_reports()
        self._told.wait_for(lambda: not (self._reports or self._telling.locked()), timeout)

    # Connections -----------------------------------------------------------------------------------------------------

    def _deliver_by(self, settings: Mapping[str, Any]) -> None:
        """Take the options of sending from those of an endpoint."""
        self._delivery = {name: settings[name] for name in DELIVERY}

    def _equip(self, outbox: Outbox, flusher: Flusher | None) -> None:
        """Set up the outbox of a connection that is to be run."""
        outbox.configure(flusher=flusher or self._flusher, report=self._report, **self._delivery)

    def _announce(self, stage: Stage) -> None:
        self._call(self.callback.on_connect, self, stage.connection, stage=stage)
        self._joined(stage)

    def _take_on(self, connection: ConnectionBase) -> None:
        """Run a connection that another has become.

        :raises RuntimeError: there is no thread left to run it.
        """
        stage = staged(self, connection)
        with self._lock:
            self._opening.add(stage)
        try:
            stage.run_in(None)
        except BaseException:
            stage.not_run()
            self._left(stage)
            raise

    def _carries(self, stage: Stage) -> None:
        with self._lock:
            self._opening.discard(stage)
            if not stage.ended:
                self._carrying.add(stage)

    def _joined(self, stage: Stage) -> None:
        """A connection was announced to the callbacks."""
        self._durable.joined(stage.connection)
        with self._lock:
            self._opening.discard(stage)
            if not stage.ended:
                self._stages = (*self._stages, stage)
        if self._stopping.is_set():
            stage.close()

    def _left(self, stage: Stage) -> None:
        """A connection has ended."""
        with self._lock:
            self._opening.discard(stage)
            self._carrying.discard(stage)
            self._stages = tuple(other for other in self._stages if other is not stage)
            self._changed.notify_all()

    def _stage(self, connection: ConnectionBase) -> None:
        """Run a connection in this thread until it ends. ``on_connect`` is the caller's; ``on_disconnect`` is called
        here."""
        stage = staged(self, connection)
        self._joined(stage)
        self._ready.set()
        stage.run_open()

    def start(self, parallel: bool = False, *args: Any, **kwargs: Any) -> Self:
        """As :meth:`Service.start`.

        :raises JournalError: the file of durable messages cannot be used.
        """
        self._durable.open()
        return super().start(parallel, *args, **kwargs)

    def _initialize(self) -> None:
        """Tell ``on_initialize``, and deliver what an earlier run has left."""
        self._call(self.callback.on_initialize, self)
        self._durable.redeliver()

    def _run(self, *args: Any, **kwargs: Any) -> None:
        """Run; whatever is raised reaches ``on_fail``."""
        self._flusher = FlusherThread(self._name)
        self._streams = self._handlers[STREAM] = Streams(self)
        self._why = None
        try:
            with self._threads_needed():
                self._flusher.start()
            super()._run(*args, **kwargs)
        except Exception as error:
            self._could_not_connect(error)
        finally:
            self._finally(self._wind_up)
            forget_frames(self._why)
            self._finally(self._durable.close)
            self._finally(partial(self._flusher.stop, 1.0))

    def _finally(self, step: Callable[[], None]) -> None:
        """Do a step of the end; whatever it raises keeps none of the others from being done."""
        try:
            step()
        except Exception as error:
            self._call(self._fail, error)

    def _not_started(self) -> None:
        super()._not_started()
        self._durable.close()

    def close(self, timeout: float = CLOSE_TIMEOUT_S) -> None:
        if not self.running():
            return
        self._ask_to_end(timeout)
        if here.inside is not None or threading.current_thread() is self._main_thread or interrupted():
            return
        if not self.join(timeout):
            self._cut_off()
            self.join(1.0)

    def _cut_off(self) -> None:
        for stage in self._stages:
            stage.abort()
        self._interrupt()  # what a session was still dialling for

    def _ask_to_end(self, timeout: float) -> None:
        close_by = time.monotonic() + timeout
        self._close_by = min(self._close_by, close_by) if self._stopping.is_set() else close_by
        super()._ask_to_end(timeout)
        self._interrupt()
        for stage in self._stages:
            stage.close()

    def _disown(self) -> None:
        super()._disown()
        for fd in self._listening_on():
            lead_nowhere(fd)
        for stage in (*self._opening, *self._carrying, *self._stages):
            stage.disown()
        self._stages, self._opening, self._carrying = (), set(), set()
        self._changed = threading.Condition(self._lock)
        self._telling = threading.Lock()
        self._reports.clear()
        self._durable.disown()
        self._flusher = FlusherThread(self._name)

    def _listening_on(self) -> Iterator[int]:
        """The descriptors that it listens with."""
        yield from ()

    def _held(self) -> int:
        """How many connections there are, whatever their state."""
        return len(self._stages) + len(self._opening) + len(self._carrying)

    def _interrupt(self) -> None:
        """Wake :meth:`run`, so that it sees that it is to stop. Any thread."""

    def _abandon_opening(self) -> None:
        """End what was not announced yet."""
        with self._lock:
            opening = tuple(self._opening)
        for stage in opening:
            stage.give_up()

    def _wind_up(self) -> None:
        """Wait for the connections to end, then end the threads. In the thread that ran the service."""
        deadline = self._close_by
        self._abandon_opening()
        for stage in self._stages:
            stage.close()
        with self._changed:
            self._changed.wait_for(lambda: not self._held(), max(0.0, deadline - time.monotonic()))
            left = (*self._opening, *self._carrying, *self._stages)
        for stage in left:
            stage.abort()
        self._streams.close(1.0)
        with self._changed:
            if not self._changed.wait_for(lambda: not self._held(), 0.5):
                _log.warning("%s closed while %d callback(s) have not returned", self._name, len(left))
        self._tell_the_rest(0.5)


def _surprising(error: Exception) -> Exception | None:
    """Errors of ours say what there is to say; of others the traceback is wanted."""
    return None if isinstance(error, (CommError, OSError)) else error
