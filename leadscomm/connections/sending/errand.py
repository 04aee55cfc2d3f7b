"""Work that any thread may ask for, and one at a time does."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable


class Errand:
    """Whoever asks for the work does it, unless another is at it: that one then looks again after it.

    :param work: a method that does all that there is to do; it does not keep its object in memory.
    :ivar asked: somebody has asked since the work was begun last.
    """

    __slots__ = ("_at_it", "_work", "asked")

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = weakref.WeakMethod(work)
        self._at_it = threading.Lock()  # never waited for
        self.asked = False

    def do(self) -> None:
        """Have the work done. Any thread; waits for nobody."""
        self.asked = True
        work = self._work()
        while work is not None and self.asked and self._at_it.acquire(blocking=False):
            try:
                self.asked = False
                work()
            finally:
                self._at_it.release()
