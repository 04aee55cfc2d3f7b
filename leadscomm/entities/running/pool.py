"""The threads that read: a pool over epoll for what can be polled, a thread each for what cannot.

The pool. Some threads wait in one epoll; the kernel hands each event to one of them, which reads that connection and
runs its callbacks. A callback that blocks holds up its thread and its connection; the others are served by the other
threads, and when none is left the pool grows; at once, where a thread waits for a peer that has not shown who it is:
so strangers who say nothing hold up nobody. So a thousand quiet connections cost a handful of threads, and a stuck
callback delays nobody.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from abc import ABC, abstractmethod
from typing import Any, Final

_log = logging.getLogger("leadscomm")


def can_pool() -> bool:
    """Whether this system has epoll."""
    return hasattr(select, "epoll")


_select: Final[Any] = select  # elsewhere than on Linux it has no epoll; can_pool() then says so
_ENDING: Final[int] = can_pool() and _select.EPOLLRDHUP | _select.EPOLLHUP | _select.EPOLLERR
_EVENTS: Final[int] = can_pool() and _select.EPOLLIN | _select.EPOLLRDHUP | _select.EPOLLET
MIN_THREADS: Final = 2
FREE_THREADS: Final = 8
"""Up to here the pool grows as soon as every thread is busy; beyond, only when they stay busy."""
GRACE_S: Final = 0.005
"""How long the last free thread waits for another to become free before the pool grows beyond FREE_THREADS."""
IDLE_S: Final = 5.0
"""A thread that had nothing to do for so long ends, if enough others wait."""


class Task(ABC):
    """Something that becomes ready.

    :ivar waits: it is about to wait for its peer, and may need its thread for seconds.
    """

    __slots__ = ("__weakref__", "again", "busy", "waits")

    def __init__(self) -> None:
        self.busy = False
        self.again = False
        self.waits = False

    @abstractmethod
    def ready(self, ending: bool) -> None:
        """Do what can be done without waiting for the peer. Never called by two threads at a time.

        :param ending: the peer has closed; read until the end.
        """


class ReaderPool:
    """Threads that share one epoll.

    :param name: of the threads.
    :param limit: how many threads there may be: one for each connection and two more are enough for any case.
    """

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._epoll = _select.epoll()
        self._tasks: dict[int, Task] = {}
        self._lock = threading.Lock()
        self._freed = threading.Condition(self._lock)
        self._starved = False
        self._waiting = 0  # threads in epoll
        self._threads: set[threading.Thread] = set()
        self._stopped = False
        self._woken, self._wake = os.pipe()
        self._epoll.register(self._woken, _select.EPOLLIN)
        try:
            for _ in range(MIN_THREADS):
                self._grow()
        except RuntimeError:  # there is no thread left; one will do
            if not self._threads:
                self._let_go()
                raise

    def add(self, fd: int, task: Task) -> None:
        """Call ``task.ready`` at once, and from then on whenever ``fd`` has something to read."""
        self._epoll.register(fd, 0)
        self._tasks[fd] = task
        # A thread may hold an event of the connection that had this number before, and run the task from here on.
        try:
            self._epoll.modify(fd, _select.EPOLLOUT | _EVENTS)  # writable at once: the first call
        except (OSError, ValueError):
            if self._tasks.get(fd) is task:
                raise

    def rearm(self, fd: int) -> None:
        """Look anew whether ``fd`` has something to read."""
        self._epoll.modify(fd, _EVENTS)

    def remove(self, fd: int) -> None:
        """Forget ``fd``; before it is closed, by the thread that runs its task."""
        self._tasks.pop(fd, None)
        self._epoll.unregister(fd)

    def stop(self, deadline: float) -> int:
        """End the threads; wait for them until ``deadline`` (as ``time.monotonic()`` counts).

        :return: how many are still inside a callback; they end when it returns.
        """
        self._stopped = True
        mine = threading.current_thread()
        threads = [thread for thread in list(self._threads) if thread is not mine]
        os.write(self._wake, b"\0")  # never read: every thread sees it
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return sum(thread.is_alive() for thread in threads)

    def _grow(self) -> None:
        """:raises RuntimeError: the system has no thread left."""
        thread = threading.Thread(target=self._work, name=f"{self._name}-reader", daemon=True)
        self._threads.add(thread)
        self._waiting += 1
        try:
            thread.start()
        except RuntimeError:
            self._threads.discard(thread)
            self._waiting -= 1
            raise

    def _work(self) -> None:
        poll, tasks = self._epoll.poll, self._tasks
        while True:
            events = poll(IDLE_S, 1)
            if self._stopped or (not events and self._surplus()):
                break
            for fd, mask in events:
                task = tasks.get(fd)
                if task is not None and self._claim(task):
                    self._run(task, bool(mask & _ENDING))
                    while self._unfinished(task):
                        self._run(task, True)  # which events came meanwhile is not known: read until there is nothing
                task = None  # it may have ended, and the next event be long in coming
        with self._lock:
            self._threads.discard(threading.current_thread())
            last = self._stopped and not self._threads
        if last:
            self._let_go()

    def _let_go(self) -> None:
        self._epoll.close()
        os.close(self._woken)
        os.close(self._wake)

    def _run(self, task: Task, ending: bool) -> None:
        try:
            task.ready(ending)
        except Exception:  # the others are read all the same
            _log.exception("%s: reading failed", self._name)

    def _claim(self, task: Task) -> bool:
        """Make ``task`` this thread's own, and see to it that another thread waits for events."""
        lock = self._lock
        lock.acquire()  # with a "with" this costs twice as much, and it is in the way of every message
        try:
            if task.busy:
                task.again = True
                return False
            task.busy = True
            self._waiting -= 1
            if not self._waiting:
                self._relieve(task.waits)
            return True
        finally:
            lock.release()

    def _unfinished(self, task: Task) -> bool:
        """Whether events came for ``task`` while it was busy; if not, it is let go."""
        lock = self._lock
        lock.acquire()
        try:
            if task.again:
                task.again = False
                return True
            task.busy = False
            self._waiting += 1
            if self._starved:
                self._starved = False
                self._freed.notify_all()
            return False
        finally:
            lock.release()

    def _relieve(self, at_once: bool) -> None:
        """Nobody waits for events any more. Under the lock.

        :param at_once: the thread that did is not to be expected back soon.
        """
        if len(self._threads) >= self._limit:
            return
        if len(self._threads) >= FREE_THREADS and not at_once:
            self._starved = True
            if self._freed.wait_for(lambda: self._waiting, GRACE_S):
                return
        with contextlib.suppress(RuntimeError):  # then whoever is done first waits for events
            self._grow()

    def _surplus(self) -> bool:
        with self._lock:
            if self._waiting <= MIN_THREADS:
                return False
            self._waiting -= 1
            return True
