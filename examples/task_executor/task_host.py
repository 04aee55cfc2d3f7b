"""The host with tasks: orders them by the device's name, and follows each to its end.

::

    python -m examples.task_executor.task_host base --listen tcp://127.0.0.1:16900

A line of the standard input orders a task: ``arm count to=3``; ``cancel 1`` ends the first. Ctrl-C ends it.
"""

from __future__ import annotations

import json
import logging
import shlex
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

from typing_extensions import Self

from examples.task_executor.desk import MOST_OPEN, Desk, Task
from examples.task_executor.running import parser, run
from examples.task_executor.terminal import read_lines
from examples.task_executor.timing import Timer
from leadscomm import Callback, CommError, DeliveryError, Node, Service

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
        self._links: Counter[str] = Counter()  # how many lead to each device
        self._timer = Timer(self.tick)
        self._node: Any = None

    def __enter__(self) -> Self:
        self._timer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.__exit__(kind, error, traceback)

    def order(self, device: str, name: str, /, *, seconds: float = SECONDS, **arguments: Any) -> Task:
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
        log.info("%s: %s", task.id[:8], task)

    def tick(self) -> float | None:
        """End what is past its deadline; return the seconds to the next one."""
        with self._changed:
            late, out = self._desk.expire(self._clock())
        self._tell(late)
        self._send(out)
        with self._changed:
            return self._desk.wait(self._clock())

    def on_initialize(self, service: Service) -> None:
        self._node = service

    def on_link(self, service: Service, connection: Any, link: str, up: bool) -> None:
        device, now = connection.name, self._clock()
        with self._changed:
            before = self._links[device]
            self._links[device] += 1 if up else -1
            out = self._desk.came(device, now) if not before else []
            gone = self._desk.left(device) if not self._links[device] else []
        self._send(out)
        self._tell(gone)

    def on_receive(self, service: Any, msg: bytes) -> None:
        if service.sender is None:
            return  # a journal has it from before this start, and so it is about none of these tasks
        with self._changed:
            task = self._desk.received(service.sender.name, msg)
        self._tell([task] if task else [])

    def on_disconnect(self, service: Service, connection: Any) -> None:
        with self._changed:
            del self._links[connection.name]
            gone = self._desk.left(connection.name)
        self._tell(gone)

    def on_fail(self, service: Service, error: Exception) -> None:
        if isinstance(error, DeliveryError):
            log.info("%s", error)  # what matters of it is said again in the next session
        else:
            log.error("%s", error, exc_info=None if isinstance(error, OSError) else error)

    def _tell(self, tasks: list[Task]) -> None:
        with self._changed:
            self._changed.notify_all()
        for task in tasks:
            try:
                self.changed(task)
            except Exception:
                log.exception("changed() raised at %s", task)

    def _send(self, out: list[tuple[str, bytes]]) -> None:
        for device, message in out:
            try:
                self._node.send(message, to=device)
            except CommError as error:  # when it is there again it is sent what is open
                log.info("not sent to %s: %s", device, error)


class Terminal:
    """Orders tasks by what is typed."""

    def __init__(self, host: TaskHost) -> None:
        self._host = host
        self._tasks: list[Task] = []

    def obey(self, line: str) -> None:
        """Carry out a line: ``DEVICE TASK [NAME=VALUE ...]``, or ``cancel NUMBER``.

        :raises ValueError: it is neither; the text says how to write it.
        """
        words = shlex.split(line)
        numbers = map(str, range(1, len(self._tasks) + 1))
        if len(words) == 2 and words[0] == "cancel" and words[1] in numbers:
            self._host.cancel(self._tasks[int(words[1]) - 1])
        elif len(words) >= 2 and words[0] != "cancel" and all("=" in word for word in words[2:]):
            values = {name: _value(text) for name, _, text in (word.partition("=") for word in words[2:])}
            self._tasks.append(self._host.order(words[0], words[1], **values))
            log.info("%s: is number %d", self._tasks[-1].id[:8], len(self._tasks))
        else:
            raise ValueError("write for example: arm count to=3, or: cancel 1")


def _value(text: str) -> Any:
    """JSON where it is JSON, otherwise the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def main() -> int:
    options = parser("Order tasks from devices.").parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    host = TaskHost()
    read_lines(Terminal(host).obey)
    return run(Node(options.name, options.listen, options.connect, host), host)


if __name__ == "__main__":
    sys.exit(main())
