"""One timer, which any thread may set and only the flusher's own thread arms."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from math import inf

from leadscomm.connections.sending.writer import Flusher


class Reminder:
    """Calls once, at the earliest of the instants that were asked for since it has called last.

    Askers only leave their instants in a list. If they armed the timer, two at a time would each find it unarmed, and
    the later instant could take the place of the earlier one. The flusher holds an entry of this timer only if no
    earlier one is under way: so it holds one, as a rule, however often it is asked.

    :param call: what is to be called, by the flusher's thread; it must not block.
    :param least: seconds that it waits at least.
    :ivar at: when it is to call. The flusher's own; others may look at it.
    """

    __slots__ = ("_asked", "_call", "_calling", "_entries", "_least", "at")

    def __init__(self, call: Callable[[], None], least: float = 0.0) -> None:
        self._call = call
        self._least = least
        self._asked: list[float] = []
        self._calling = False
        # The flusher's own:
        self.at = inf
        self._entries: list[float] = []  # what the flusher holds of it, the next one last

    def ask(self, when: float, flusher: Flusher) -> None:
        """Have it call at ``when``, as ``time.monotonic()`` counts, at the latest. Any thread; waits for nobody."""
        if self.at <= when:
            return
        try:
            if self._asked[-1] <= when:  # not looked at yet
                return
        except IndexError:
            pass
        self._asked.append(when)
        if not self._calling:  # which looks after it
            flusher.call_later(0.0, partial(self._look, flusher))

    def stop(self) -> None:
        """Call nothing any more, and let go of what was to be called. Any thread."""
        self._call = _nothing

    # The flusher's thread --------------------------------------------------------------------------------------------

    def _look(self, flusher: Flusher) -> None:
        count = len(self._asked)
        earliest = min(self._asked[:count], default=inf)
        if earliest < self.at:
            self.at = earliest
            self._arm(flusher)
        del self._asked[:count]  # not before: who finds one there relies on it

    def _arm(self, flusher: Flusher) -> None:
        now = time.monotonic()
        at = max(self.at, now + self._least)
        if not self._entries or at < self._entries[-1]:
            self._entries.append(at)
            flusher.call_later(at - now, partial(self._due, flusher))

    def _due(self, flusher: Flusher) -> None:
        self._entries.pop()
        if self.at <= time.monotonic():
            self.at, self._calling = inf, True
            try:
                self._call()
            finally:
                self._calling = False  # first this, then look: who has asked meanwhile is seen
                self._look(flusher)
        elif self.at < inf:
            self._arm(flusher)


def _nothing() -> None: ...
