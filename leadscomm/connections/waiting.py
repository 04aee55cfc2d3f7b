"""Waiting and being told without a lock, for code that may be called in the middle of itself.

A signal handler interrupts whatever the main thread does, and a finalizer whatever thread the collector runs in:
perhaps the very function that it then calls. A lock that the interrupted function holds would never be let go, and what
it has looked at under one would be told while it is on its way to wait for it. So here nothing is locked: who waits
first says so and then looks, and who tells something first does it and then wakes those who wait.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

_OURS: Final = (
    "leadscomm.protocol.",
    "leadscomm.connections.",
    "leadscomm.journal.",
    "leadscomm.sessions.",
    "leadscomm.streams.",
    "leadscomm.entities.",
)
_CALL_BACK: Final = ("dispatch", "_call", "_fail", "_move")
"""The functions of ours that call callbacks, in the middle of nothing."""


ATTENTIVE_S: Final = 1.0
"""Ctrl-C that comes in the instant before the main thread begins to wait does not end the wait, and would be seen only
after it: so it waits no longer at a time."""


class Interrupted(BlockingIOError):
    """It cannot be done now, in the middle of what was interrupted: another thread is to do it."""


def attentive(timeout: float | None) -> float | None:
    """How many of ``timeout`` seconds (None: for ever) this thread may wait at a time; the caller then looks, and goes
    on waiting."""
    return ATTENTIVE_S if timeout is None and threading.current_thread() is threading.main_thread() else timeout


class Waiters:
    """Those who wait for something. All methods are for any thread, signal handlers and finalizers too."""

    __slots__ = ("_gates",)

    def __init__(self) -> None:
        self._gates: list[threading.Lock] = []

    def __bool__(self) -> bool:
        """Whether somebody waits."""
        return bool(self._gates)

    def notify_all(self) -> None:
        """Have all who wait look again. Waits for nobody."""
        gates = self._gates
        for _ in range(len(gates)):
            try:
                gate = gates.pop()
            except IndexError:  # another was quicker
                return
            gate.release()

    def wait_for(self, done: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until ``done()``; whether it is, within ``timeout`` seconds (None: for ever)."""
        if done():
            return True
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            gate = threading.Lock()
            gate.acquire()
            self._gates.append(gate)
            try:
                if done():  # whoever changes it after this look finds the gate
                    return True
                rest = attentive(None) if end is None else min(end - time.monotonic(), threading.TIMEOUT_MAX)
                if end is not None and rest is not None and rest <= 0:
                    return False
                gate.acquire(timeout=-1.0 if rest is None else rest)
            finally:
                with contextlib.suppress(ValueError):
                    self._gates.remove(gate)


class Flag:
    """As :class:`threading.Event`, for signal handlers and finalizers too."""

    __slots__ = ("_set", "_waiters")

    def __init__(self) -> None:
        self._set = False
        self._waiters = Waiters()

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._set

    def set(self) -> None:
        """Set it, and wake all who wait for that."""
        self._set = True
        self._waiters.notify_all()

    def clear(self) -> None:
        """Take it back."""
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set; whether it is, within ``timeout`` seconds (None: for ever)."""
        return self._waiters.wait_for(self.is_set, timeout)


def interrupted(*of: object) -> bool:
    """Whether the caller was called out of the middle of our own code: by a signal handler or a finalizer, or by what
    we call of the user's that is no callback. What that code holds it lets go only after the caller has returned.

    Looks at the stack, which takes a microsecond or more: for those who are about to wait.

    :param of: only code of these objects counts.
    """
    frame: FrameType | None = sys._getframe(1)
    foreign = False
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if not module.startswith(_OURS):
            foreign = foreign or module != "contextlib"  # which stands between a context of ours and its user
        elif foreign:
            if frame.f_code.co_name in _CALL_BACK:
                foreign = False
            elif not of or any(frame.f_locals.get("self") is one for one in of):
                return True
        frame = frame.f_back
    return False


def enter(lock: threading.Lock) -> bool:
    """Take a lock that is held for an instant at a time; whether it was taken.

    It is not if another holds it and the caller must not wait, since it was called out of the middle of what may be
    that other's work (:func:`interrupted`): then the caller has to leave its own work to another thread.
    """
    return lock.acquire(blocking=False) or (not interrupted() and lock.acquire())
