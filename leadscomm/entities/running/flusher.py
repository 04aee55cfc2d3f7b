"""The thread of a service that writes what senders left behind, and turns its timers."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from leadscomm.connections.sending.writer import Flusher, Waiting

_log = logging.getLogger("leadscomm")
_IDLE_S: Final = 3600.0
_AGAIN_S: Final = 0.25
"""After this a blocked peer is watched where there was no descriptor for it."""


class FlusherThread(Flusher):
    """One thread. It is started with what it works for, since at the interpreter's end none can be.

    It sleeps on a lock, which costs a sender a microsecond to release; only while peers are blocked it sleeps in the
    selector. What others ask of it they leave in queues that need no lock: they may be signal handlers.

    :param name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._due: deque[Waiting] = deque()
        self._blocked: deque[Waiting] = deque()
        self._planned: deque[tuple[float, Callable[[], None]]] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []  # the thread's own
        self._order = itertools.count()
        self._gate = threading.Lock()
        self._gate.acquire()
        self._asleep = False
        self._selecting = False
        self._stopped = False
        self._ended = False  # it looks at its queues no more
        self._thread: threading.Thread | None = None
        self._selector: selectors.BaseSelector | None = None
        self._woken: socket.socket | None = None
        self._wake: socket.socket | None = None

    # Called by any thread --------------------------------------------------------------------------------------------

    def wake(self, outbox: Waiting) -> None:
        self._due.append(outbox)
        self._nudge()

    def watch(self, outbox: Waiting) -> None:
        self._blocked.append(outbox)
        self._nudge()

    def call_later(self, delay: float, call: Callable[[], None]) -> None:
        """Call ``call`` in ``delay`` seconds from this thread. It must not block, and is dropped when the flusher
        stops."""
        self._planned.append((time.monotonic() + delay, call))
        self._nudge()

    def start(self) -> None:
        """Start the thread.

        :raises RuntimeError: the system has none left.
        """
        thread = threading.Thread(target=self._run, name=f"{self._name}-flusher", daemon=True)
        thread.start()
        self._thread = thread

    def stop(self, timeout: float) -> None:
        """End the thread; wait for it ``timeout`` seconds. What was not written stays in its outbox."""
        self._stopped = True
        thread = self._thread
        if thread is None:
            self._forget()
        elif thread is not threading.current_thread():
            self._nudge()
            thread.join(timeout)

    def _nudge(self) -> None:
        if self._asleep:
            self._asleep = False
            try:
                self._gate.release()
            except RuntimeError:
                pass  # somebody was quicker
        elif self._selecting and self._wake is not None:
            self._selecting = False
            try:
                self._wake.send(b"\0")
            except OSError:
                pass  # stopped meanwhile
        elif self._ended:
            self._forget()

    def _forget(self) -> None:
        """Let go of what was asked: much of it knows this flusher, and would stay in memory with it.

        Flag first, then clear, while others leave their wish first and then look at the flag: nothing stays."""
        self._ended = True
        for wishes in (self._due, self._blocked, self._planned):
            wishes.clear()

    # The thread ------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopped:
                try:
                    self._work()
                    self._sleep()
                except Exception:  # nothing that one of them raises may keep the others waiting
                    _log.exception("%s: what was to be done failed", self._name)
        finally:
            if self._selector is not None and self._woken is not None and self._wake is not None:
                self._selector.close()
                self._woken.close()
                self._wake.close()
                self._selector = None
            self._timers.clear()
            self._forget()

    def _work(self) -> None:
        for _ in range(len(self._due)):  # an outbox that has had its turn may ask for another one, behind the rest
            self._due.popleft().due()
        while self._blocked:
            self._register(self._blocked.popleft())
        while self._planned:
            when, call = self._planned.popleft()
            heapq.heappush(self._timers, (when, next(self._order), call))
        now = time.monotonic()  # asked once: timers that set themselves anew must not keep blocked outboxes waiting
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()

    def _sleep(self) -> None:
        selector = self._selector
        selecting = selector is not None and len(selector.get_map()) > 1
        if selecting:
            self._selecting = True
        else:
            self._asleep = True
        try:
            # Flag first, look again, then sleep: whoever came before the flag is seen here, whoever comes after it
            # wakes us.
            timeout = _IDLE_S
            if self._due or self._blocked or self._planned or self._stopped:
                timeout = 0.0
            elif self._timers:
                timeout = max(0.0, min(_IDLE_S, self._timers[0][0] - time.monotonic()))
            if selector is None or not selecting:
                self._gate.acquire(timeout=timeout)
            else:
                for key, _ in selector.select(timeout):
                    self._ready(key)
        finally:
            self._asleep = self._selecting = False

    def _ready(self, key: selectors.SelectorKey) -> None:
        assert self._selector is not None
        assert self._woken is not None
        if key.data is None:
            self._woken.recv(4096)
        else:
            self._selector.unregister(key.fileobj)
            key.data.resume()

    def _select(self) -> selectors.BaseSelector:
        """What blocked peers are waited with.

        :raises OSError: there is no descriptor left for it.
        """
        if self._selector is None:
            with contextlib.ExitStack() as opened:
                selector = opened.enter_context(selectors.DefaultSelector())
                woken, wake = socket.socketpair()
                opened.enter_context(woken)
                opened.enter_context(wake)
                woken.setblocking(False)
                wake.setblocking(False)
                selector.register(woken, selectors.EVENT_READ, None)
                opened.pop_all()
            self._selector, self._woken, self._wake = selector, woken, wake
        return self._selector

    def _register(self, outbox: Waiting) -> None:
        try:
            selector = self._select()
        except OSError:  # the peer is waited for all the same, as soon as there is one again
            self.call_later(_AGAIN_S, partial(self.watch, outbox))
            return
        fd = outbox.fileno()
        if fd is None or fd < 0:
            return  # closed meanwhile
        try:
            selector.register(fd, selectors.EVENT_WRITE, outbox)
        except KeyError:  # the number belonged to a connection that was closed while it was watched
            selector.unregister(fd)
            selector.register(fd, selectors.EVENT_WRITE, outbox)
        except (ValueError, OSError):
            pass  # closed meanwhile
