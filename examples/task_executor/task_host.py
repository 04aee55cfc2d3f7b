"""The host with tasks: orders them by the device's name, and follows each to its end.

::

    python -m examples.task_executor.task_host NAME ENDPOINT...

It listens at each endpoint. A line of the standard input orders a task: ``arm count to=3``; ``cancel 1`` ends the
first. Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
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
from examples.task_executor.peers import Peers
from examples.task_executor.terminal import read_lines
from examples.task_executor.timing import Timer
from leadscomm import Callback, ConnectionBase, DeliveryError, Server, Service

SECONDS: Final = 60.0
"""How long a task may take from its order to its end, unless it is said."""
log = logging.getLogger("task_executor.host")


class TaskHost(Callback):
    """The callback of a service with ``reliable=1`` that orders tasks. Inside ``with``.

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
        self._devices = Peers()
        self._links: Counter[ConnectionBase] = Counter()  # how many carry each session
        self._timer = Timer(self.tick)

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

    def on_connect(self, service: Service, connection: ConnectionBase) -> None:
        self._devices.came(connection)

    def on_link(self, service: Service, connection: Any, link: str, up: bool) -> None:
        with self._changed:
            self._links[connection] += 1 if up else -1
            links = self._links[connection]
        if up and links == 1:
            with self._changed:
                out = self._desk.came(connection.name, self._clock())
            self._send(out)
        elif links == 0 and self._devices.has(connection):
            self._gone(connection.name)

    def on_receive(self, service: Any, msg: bytes) -> None:
        with self._changed:
            task = self._desk.received(service.sender.name, msg)
        self._tell([task] if task else [])

    def on_disconnect(self, service: Service, connection: Any) -> None:
        with self._changed:
            del self._links[connection]
        if self._devices.left(connection):
            self._gone(connection.name)

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

    def _gone(self, device: str) -> None:
        with self._changed:
            tasks = self._desk.left(device)
        self._tell(tasks)

    def _send(self, out: list[tuple[str, bytes]]) -> None:
        for device, message in out:
            self._devices.send(device, message)


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
    parser = argparse.ArgumentParser(description="Order tasks from devices.")
    parser.add_argument("name", help="what devices call it")
    parser.add_argument("endpoint", help="where devices come to")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    host = TaskHost()
    read_lines(Terminal(host).obey)
    try:
        with host:
            Server(options.endpoint, host, reliable=1, name=options.name).start()
    except KeyboardInterrupt:
        log.info("ended by Ctrl-C")
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
