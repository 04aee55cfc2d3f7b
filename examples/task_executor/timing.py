"""A thread that calls what has to be done at certain times."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from typing_extensions import Self


class Timer:
    """Calls `tick` again and again, from ``with`` to its end.

    :param tick: does what is due; returns the seconds until it is to be called again, None being never. What it raises
        ends the timer.
    """

    def __init__(self, tick: Callable[[], float | None]) -> None:
        self._tick = tick
        self._ended = False
        self._awake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="task-timer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended = True
        self.wake()
        self._thread.join()

    def wake(self) -> None:
        """Call `tick` now: something may be due sooner than it said."""
        self._awake.set()

    def _run(self) -> None:
        while not self._ended:
            self._awake.wait(self._tick())
            self._awake.clear()
