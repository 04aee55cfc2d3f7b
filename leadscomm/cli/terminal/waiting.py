"""How long commands wait, and how, so that Ctrl-C always ends it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Final

CLOSE_S: Final = 5.0
"""How long a peer has, in the end, to take what was sent."""
INTERRUPTED_S: Final = 1.0
"""The same after Ctrl-C."""
LOOK_S: Final = 0.2
"""Where the system cannot interrupt a wait, this often somebody looks."""


def wait_until(condition: threading.Condition, done: Callable[[], bool], timeout: float | None = None) -> bool:
    """``condition.wait_for``, which Ctrl-C ends on every system. Takes the condition's lock; whether ``done()``."""
    with condition:
        if sys.platform != "win32" and (timeout is None or timeout > threading.TIMEOUT_MAX):
            return condition.wait_for(done, None)
        if sys.platform != "win32":
            return condition.wait_for(done, timeout)
        left = float("inf") if timeout is None else timeout
        while left > 0 and not condition.wait_for(done, min(LOOK_S, left)):
            left -= LOOK_S
        return done()
