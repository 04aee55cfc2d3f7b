"""The host with tasks: orders them by the device's name, and follows each to its end.

::

    python -m examples.task_executor.task_host NAME ENDPOINT...

It listens at each endpoint. A line of the standard input orders a task: ``arm count to=3``; ``cancel 1`` ends the
first. Ctrl-C ends it.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

from typing_extensions import Self

from examples.task_executor.desk import MOST_OPEN, Desk, Task
from examples.task_executor.timing import Timer
from leadscomm import Callback, CommError, ConnectionBase

SECONDS: Final = 60.0
"""How long a task may take from its order to its end, unless it is said."""
log = logging.getLogger("task_executor.host")


class TaskHost(Callback):
    """The callback of a `Node` that orders tasks. Inside ``with``.

    Threads: all methods may be called from any thread. `changed` is called by the one that reads the device, or by the
    one that turns the clock.

    :param most_open: how many tasks may be open at once.
    :param clock: seconds that only grow.
    """

    def __init__(self, most_open: int = MOST_OPEN, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._desk = Desk(most_open)
        self._clock = clock
        self._changed = threading.Condition()  # guards the desk; told when a task has changed
        self._sessions: dict[str, ConnectionBase] = {}
        self._timer = Timer(self.tick)
        self._node: Any = None

    def __enter__(self) -> Self:
        self._timer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.__exit__(kind, error, traceback)

    def order(self, device: str, name: str, *, seconds: float = SECONDS, **arguments: Any) -> Task:
        """Order a task; it is sent at once, or when the device comes.

        :param seconds: from now to the task's deadline. Then it ends as EXPIRED here, whatever the device does.
        :param arguments: what goes through JSON.
        :raises TooManyTasks: too many are open.
        :raises ValueError: the arguments cannot be sent.
        """
        now = self._clock()
        task = Task(uuid.uuid4().hex, device, name, arguments, now + seconds)
        with self._changed:
            out = self._desk.order(task, now)
        self._send(out)
        self._timer.wake()
        return task

    def cancel(self, task: Task) -> None:
        """Ask for a task to be ended; its end tells whether it was."""
        with self._changed:
            out = self._desk.cancel(task)
        self._send(out)

    def wait(self, task: Task, timeout: float | None = None) -> Task:
        """Wait until a task has ended, at most `timeout` seconds; return it, ended or not."""
        with self._changed:
            self._changed.wait_for(lambda: task.state.final, timeout)
        return task

    def changed(self, task: Task) -> None:
        """A task has changed, or its device has come or gone. To be overridden."""
        there = "" if task.reachable or task.state.final else f" ({task.device} is not there)"
        log.info(
            "%s of %s: %s %3.0f %% %s%s", task.name, task.device, task.state.value, 100 * task.share, task.text, there
        )

    def tick(self) -> float | None:
        """End what is past its deadline; return the seconds to the next one."""
        with self._changed:
            late, out = self._desk.expire(self._clock())
        self._tell(late)
        self._send(out)
        with self._changed:
            return self._desk.wait(self._clock())

    def on_initialize(self, service: Any) -> None:
        self._node = service

    def on_connect(self, service: Any, connection: ConnectionBase) -> None:
        with self._changed:
            self._sessions[connection.name] = connection
            out = self._desk.came(connection.name, self._clock())
        self._send(out)

    def on_receive(self, service: Any, msg: bytes) -> None:
        with self._changed:
            task = self._desk.received(service.sender.name, msg)
        self._tell([task] if task else [])

    def on_disconnect(self, service: Any, connection: ConnectionBase) -> None:
        with self._changed:
            if self._sessions.get(connection.name) is not connection:
                return  # the device has begun anew, and that was told first
            del self._sessions[connection.name]
            tasks = self._desk.left(connection.name)
        self._tell(tasks)

    def on_fail(self, service: Any, error: Exception) -> None:
        log.error("%s", error, exc_info=None if isinstance(error, OSError) else error)

    def _tell(self, tasks: list[Task]) -> None:
        with self._changed:
            self._changed.notify_all()
        for task in tasks:
            self.changed(task)

    def _send(self, out: list[tuple[str, bytes]]) -> None:
        for device, message in out:
            try:
                self._node.send(message, to=device)
            except CommError as error:  # when it is there again it is sent all that is open
                log.info("not sent to %s: %s", device, error)
