"""Dials an endpoint again and again, so that a session has a line to it."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Final

from leadscomm.connections.address import Caller, Gate
from leadscomm.connections.base import ConnectionBase, leads_shaped
from leadscomm.connections.endpoint import Endpoint, dial
from leadscomm.connections.sending.writer import weakly
from leadscomm.entities.running.line import LineStage
from leadscomm.entities.running.owner import Owner
from leadscomm.errors import ConnectFailed

_log = logging.getLogger("leadscomm")
PROVED_S: Final = 10.0
"""So long lasts no conversation that the peer does not want: it is longer than a handshake may take."""
HEARD_S: Final = 1.0
"""So long lasts none that the peer ends with a word."""
_LEAVE_S: Final = 0.5
"""How long an attempt that was given up is waited for; what can be ended is at once."""
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


class Backoff:
    """How long to wait before the next attempt: longer and longer, until a conversation has proved itself.

    One has that lasted ten seconds, or a second in which the peer said something. One that ended sooner is counted as
    an attempt that failed: a server that is full, for instance, takes a connection and closes it again.

    :param endpoint: says how long.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.failures = 0

    def failed(self) -> None:
        """An attempt came to nothing."""
        self.failures += 1

    def succeeded(self) -> None:
        """There is no reason to wait."""
        self.failures = 0

    def ended(self, lasted: float, heard: bool) -> None:
        """A conversation has ended.

        :param lasted: seconds.
        :param heard: the peer had said something.
        """
        if lasted >= PROVED_S or (heard and lasted >= HEARD_S):
            self.succeeded()
        else:
            self.failed()

    def delay(self, longest: float = inf) -> float:
        """Seconds to wait, as :func:`backoff` has it."""
        return backoff(self._endpoint, max(0, self.failures - 1), longest)


def attempt(open_it: Callable[[], ConnectionBase], caller: Caller, name: str) -> ConnectionBase | None:
    """Open a connection in a thread of its own, so that giving it up waits for nobody: neither for a transport that
    cannot be ended, nor for one that pays no heed to its deadline. What comes of it afterwards is closed.

    :param caller: may give it up; None is returned then.
    :param name: of the thread.
    :raises Exception: whatever ``open_it`` raises.
    """
    outcome: deque[ConnectionBase | Exception] = deque()
    done = Gate()

    def work() -> None:
        try:
            outcome.append(open_it())
        except Exception as error:
            outcome.append(error)
        if caller.given_up:
            _discard(outcome)
        done.open()

    worker = threading.Thread(target=work, name=f"{name}-dialler", daemon=True)
    try:
        worker.start()
    except RuntimeError as error:
        raise ConnectFailed(f"{name}: {error}; it may be tried again") from error
    try:
        with caller.waking(done.open):
            done.wait()
    except BaseException:  # Ctrl-C in the main thread
        caller.give_up()
        raise
    finally:
        if caller.given_up:
            worker.join(_LEAVE_S)  # what it has open would be in the way of the next attempt
            _discard(outcome)
    return _taken(outcome)


def _taken(outcome: deque[ConnectionBase | Exception]) -> ConnectionBase | None:
    result = outcome.popleft() if outcome else None
    try:
        if isinstance(result, Exception):
            raise result
        return result
    finally:
        del result  # what is raised knows this frame, which would know it


def _discard(outcome: deque[ConnectionBase | Exception]) -> None:
    """Let go of a connection that nobody wants any more. Either side may come to it; one of them finds it."""
    try:
        connection = outcome.popleft()
    except IndexError:
        return
    if isinstance(connection, Exception):
        _log.debug("given up: %s", connection)
    elif leads_shaped(connection):
        connection.close()
    else:
        connection.abort()
        connection._close()


class Dialler:
    """Keeps a line to one endpoint as long as it is wanted. One thread calls :meth:`run`.

    :param entity: on whose behalf.
    :param endpoint: where to.
    :param join: as for :class:`LineStage`.
    :param waited_for: whether a session waits for a line.
    :param over: whether to end.
    :param backoff: shared with others who wait.
    """

    def __init__(
        self,
        entity: Owner,
        endpoint: Endpoint,
        join: Callable[[LineStage, float], None],
        *,
        waited_for: Callable[[], bool],
        over: Callable[[], bool],
        backoff: Backoff | None = None,
    ) -> None:
        self._entity = entity
        self._endpoint = endpoint
        self._join = join
        self._waited_for = waited_for
        self._over = over
        self._backoff = Backoff(endpoint) if backoff is None else backoff
        self._told = ""
        self._stage: LineStage | None = None  # the newest line
        self._wakes = Gate()
        self._caller = Caller(weakly(entity._report))

    def interrupt(self) -> None:
        """Look at once whether to end; what is being dialled, and a line that carries nothing yet, is given up. Any
        thread."""
        self._wakes.open()
        if not self._over():
            return
        self._caller.give_up()
        stage = self._stage
        if stage is not None and stage.joined_at is None:
            stage.give_up()

    def run(self) -> None:
        """Dial, run the line until it ends, and dial again, until :attr:`over`."""
        while not self._over():
            self.once()
            if not self._over():
                self.pause()

    def pause(self) -> None:
        """Wait for the time of the next attempt."""
        self._wakes.wait(self._delay())

    def once(self) -> None:
        """One attempt, and the line that comes of it until its end.

        A failure is told to ``on_fail``, once as long as it stays the same one.
        """
        begun, waited_for = time.monotonic(), self._waited_for()
        endpoint = self._endpoint.called_by(self._caller)
        try:
            connection = attempt(lambda: dial(endpoint, begun + self._patience()), self._caller, self._entity._name)
            if connection is None:
                return
            deadline = None if waited_for else begun + self._endpoint.options["connect_timeout"]
            stage = LineStage(self._entity, connection, self._join, self._failed, deadline)
        except Exception as error:  # whatever it is: it is tried again
            self._failed(error)
            return
        self._stage = stage
        if self._over():  # since a moment ago
            stage.give_up()
        stage.run_here()
        self._stage = None
        self._ended(stage, time.monotonic())

    def _ended(self, stage: LineStage, now: float) -> None:
        """A line has ended; one that carried nothing was told of already."""
        if stage.heir is not None:  # whoever ran that knows how it was
            self._told = ""
        elif stage.joined_at is not None:
            self._told = ""
            lasted = now - stage.joined_at
            if self._waited_for() and (stage.progressed or lasted >= HEARD_S):
                self._backoff.succeeded()  # the session lives, and wants another line at once
            else:
                self._backoff.ended(lasted, stage.progressed)

    def _patience(self) -> float:
        longest = float(self._endpoint.options["connect_timeout"])
        return min(longest, ATTEMPT_S) if self._waited_for() else longest

    def _failed(self, error: Exception) -> None:
        self._backoff.failed()
        if self._waited_for() and str(error) == self._told:
            return  # the session outlasts it; one report is enough
        self._told = str(error)
        self._entity._could_not_connect(error)

    def _delay(self) -> float:
        """Seconds until the next attempt."""
        if not self._backoff.failures:
            return 0.0
        return self._backoff.delay(AGAIN_S if self._waited_for() else inf)
