"""Services: what can be started, and closed, and started again."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final

from leadscomm.connections.sending.writer import here
from leadscomm.connections.waiting import Flag
from leadscomm.errors import ServiceError
from leadscomm.packages import Self

_log = logging.getLogger("leadscomm")
CLOSE_TIMEOUT_S: Final = 5.0
REPORT_S: Final = 3.0
"""How long the interpreter's end waits for services that had not sent everything in time, and tell of it."""

_running: weakref.WeakSet[Service] = weakref.WeakSet()


class Service(ABC):
    """Runs in the caller's thread, or in one of its own.

    :param port: what :meth:`port` answers.
    """

    def __init__(self, port: Any) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._main_thread: threading.Thread | None = None
        self._stopping = Flag()
        self._ready = Flag()  # start(parallel=True) may return
        self._done = Flag()
        self._done.set()

    def port(self) -> Any:
        """The port that the service listens on or connects to."""
        return self._port

    def _disown(self) -> None:
        """Belong to the parent alone: this process was forked. No other thread is left, and any lock may be held for
        ever."""
        self._lock = threading.Lock()
        self._main_thread = None
        self._done.set()
        self._ready.set()

    @abstractmethod
    def run(self, *args: Any, **kwargs: Any) -> None:
        """Do the work; return when it is done or :meth:`close` was called. Called by :meth:`start`."""

    def start(self, parallel: bool = False, *args: Any, **kwargs: Any) -> Self:
        """Start.

        :param parallel: True: in a thread of its own; returns once the service is up (a server listens, a client has
            tried to connect). False: in this thread; returns when the service is closed.
        :param args: for :meth:`run`, with ``kwargs``.
        :return: the service itself.
        :raises ServiceError: it is running already.
        """
        with self._lock:
            if not self._done.is_set():
                raise ServiceError(f"{type(self).__name__} is running already; close() it before starting it again")
            self._done.clear()
            self._ready.clear()
            self._stopping.clear()
            self._main_thread = threading.current_thread()
            if parallel:
                self._main_thread = threading.Thread(
                    target=self._main, args=args, kwargs=kwargs, name=f"leadscomm-{type(self).__name__}", daemon=True
                )
        _running.add(self)
        if parallel:
            try:
                with self._threads_needed():
                    self._main_thread.start()
            except ServiceError:
                self._not_started()
                raise
            self._ready.wait(self._patience())
        else:
            self._main(*args, **kwargs)
        return self

    @contextlib.contextmanager
    def _threads_needed(self) -> Iterator[None]:
        """Inside this threads are started that it cannot run without.

        :raises ServiceError: the system has none left.
        """
        try:
            yield
        except RuntimeError as error:
            raise ServiceError(f"{type(self).__name__} cannot be started: the system has no thread left") from error

    def _not_started(self) -> None:
        """No thread could be started for it: it may be started later."""
        _running.discard(self)
        self._done.set()

    def _patience(self) -> float:
        """How long ``start(parallel=True)`` waits for :attr:`_ready`."""
        return 0.0

    def _main(self, *args: Any, **kwargs: Any) -> None:
        try:
            self._run(*args, **kwargs)
        finally:
            _running.discard(self)
            self._ready.set()
            self._done.set()

    def _run(self, *args: Any, **kwargs: Any) -> None:
        """What is done around :meth:`run`; as in LEADS it closes the service afterwards."""
        try:
            self.run(*args, **kwargs)
        finally:
            self.close()

    def close(self, timeout: float = CLOSE_TIMEOUT_S) -> None:
        """Stop, deliver what was sent, and release everything; at most ``timeout`` seconds. Any thread, also inside a
        callback.

        From inside a callback, from the thread that runs the service, or in the middle of a call that was interrupted
        for it (by a signal, say), it returns at once and the rest follows.
        """
        self._ask_to_end(timeout)

    def _ask_to_end(self, timeout: float) -> None:
        """Let :meth:`run` know that it is to end, within ``timeout`` seconds. Any thread; does not wait."""
        self._stopping.set()

    def _cut_off(self) -> None:
        """The time for sending is over: end at once, and report what was not sent. Any thread; does not wait."""

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the service has ended, at most ``timeout`` seconds; whether it has."""
        return self._done.wait(timeout)

    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return not self._done.is_set()

    def __enter__(self) -> Self:
        return self.start(True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        self.join(CLOSE_TIMEOUT_S)


@atexit.register
def _end_all() -> None:
    """At the interpreter's end: what was sent is still delivered, or reported. All end at once, and the time is one for
    all. No thread is started for it, since Python 3.12 starts none any more."""
    services = list(_running)
    _do_to_all(services, lambda service: service._ask_to_end(CLOSE_TIMEOUT_S))
    if not _all_ended(services, CLOSE_TIMEOUT_S):
        _do_to_all(services, lambda service: service._cut_off())
        _all_ended(services, REPORT_S)


def _do_to_all(services: Sequence[Service], work: Callable[[Service], None]) -> None:
    for service in services:
        try:
            work(service)
        except Exception:
            _log.exception("%r could not be closed", service)


def _all_ended(services: Sequence[Service], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    for service in services:
        service.join(max(0.0, deadline - time.monotonic()))
    return not any(service.running() for service in services)


def _forked() -> None:
    """In a child that was just forked: what its parent runs is the parent's alone. Nothing of it is closed or said in
    the child, however that ends, and its descriptors do not keep a port, a device or a conversation open."""
    here.__dict__.clear()  # a child that was forked in a callback is in none
    _do_to_all(list(_running), lambda service: service._disown())
    _running.clear()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forked)
