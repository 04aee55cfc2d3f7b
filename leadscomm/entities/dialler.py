"""Dials an endpoint again and again, so that a session has a line to it."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from math import inf
from typing import Final

from leadscomm.connections.endpoint import Endpoint, dial
from leadscomm.connections.waiting import Flag
from leadscomm.entities.line import LineStage
from leadscomm.entities.stage import Owner

_log = logging.getLogger("leadscomm")
AGAIN_S: Final = 0.5
"""While a session waits for a line, attempts are at most so far apart, ..."""
ATTEMPT_S: Final = 1.0
"""... and take at most so long: a path that comes back is found within a second."""


def backoff(endpoint: Endpoint, doublings: int, longest: float = inf) -> float:
    """Seconds until the next attempt: doubled so many times, and spread, so that many do not come at once.

    :param longest: seconds at most, besides what the endpoint says.
    """
    options = endpoint.options
    delay = min(options["reconnect_max"], longest, options["reconnect_min"] * 2 ** min(doublings, 30))
    return float(delay * random.uniform(0.5, 1.0))


class Dialler:
    """Keeps a line to one endpoint as long as it is wanted. One thread calls :meth:`run`.

    :param entity: on whose behalf.
    :param endpoint: where to.
    :param join: as for :class:`LineStage`.
    :param waited_for: whether a session waits for a line.
    :param over: whether to end.
    """

    def __init__(
        self,
        entity: Owner,
        endpoint: Endpoint,
        join: Callable[[LineStage, float], None],
        *,
        waited_for: Callable[[], bool],
        over: Callable[[], bool],
    ) -> None:
        self._entity = entity
        self._endpoint = endpoint
        self._join = join
        self._waited_for = waited_for
        self._over = over
        self._failures = 0
        self._told = ""
        self._stage: LineStage | None = None  # the newest line
        self._wakes = Flag()

    def interrupt(self) -> None:
        """Look at once whether to end; a line that carries nothing yet is given up. Any thread."""
        self._wakes.set()
        stage = self._stage
        if stage is not None and not stage.joined and self._over():
            stage.abort()

    def run(self) -> None:
        """Dial, run the line until it ends, and dial again, until :attr:`over`."""
        while not self._over():
            self.once()
            if not self._over():
                self.pause()

    def pause(self) -> None:
        """Wait for the time of the next attempt."""
        self._wakes.wait(self._delay())
        self._wakes.clear()

    def once(self) -> None:
        """One attempt, and the line that comes of it until its end.

        A failure is told to ``on_fail``, once as long as it stays the same one.
        """
        try:
            connection = dial(self._endpoint, time.monotonic() + self._patience())
            stage = LineStage(self._entity, connection, self._join, self._failed)
        except Exception as error:  # whatever it is: it is tried again
            self._failed(error)
            return
        self._stage = stage
        if self._over():  # since a moment ago
            stage.abort()
        stage.run_here()
        if stage.joined or stage.heir is not None:
            self._failures, self._told = 0, ""

    def _patience(self) -> float:
        longest = float(self._endpoint.options["connect_timeout"])
        return min(longest, ATTEMPT_S) if self._waited_for() else longest

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        if self._waited_for() and str(error) == self._told:
            return  # the session outlasts it; one report is enough
        self._told = str(error)
        self._entity._ready.set()
        self._entity._call(self._entity._fail, error)

    def _delay(self) -> float:
        """Seconds until the next attempt."""
        if not self._failures:
            return 0.0
        return backoff(self._endpoint, self._failures - 1, AGAIN_S if self._waited_for() else inf)
