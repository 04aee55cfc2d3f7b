"""The device with tasks: carries out what hosts order, and tells them how it gets on.

::

    python -m examples.task_executor.task_device arm --connect tcp://127.0.0.1:16900

Ctrl-C ends it; what it was at is then interrupted, and its hosts are told.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from types import TracebackType
from typing import Any, Final

from typing_extensions import Self

from examples.task_executor.ledger import Ledger
from examples.task_executor.running import parser, run
from examples.task_executor.tasks import State
from examples.task_executor.timing import Timer
from examples.task_executor.workbench import AT_ONCE, WAITING, Job, Memory, Workbench
from leadscomm import Callback, CommError, DeliveryError, Node, Service

PROGRESS_LANE: Final = 6
"""Progress lets everything else pass, and a newer one replaces an older one that waits."""
CLOSE_S: Final = 5.0
log = logging.getLogger("task_executor.device")


class Stopped(Exception):
    """Raised inside a task that has been cancelled, or whose time is over. It is best let through."""


class Work:
    """What a task's function gets: its way to tell how far it is, and to learn that it is to end."""

    def __init__(self, device: TaskDevice, job: Job) -> None:
        self._device, self._job = device, job

    def progress(self, share: float, text: str = "") -> None:
        """Tell the host how much of the task is done, 1.0 being all of it.

        :raises Stopped: the task is to end.
        """
        self.sleep(0.0)
        self._device._progress(self._job, share, text)

    def sleep(self, seconds: float) -> None:
        """Wait; a task that only waits in this way ends at once when it is to.

        :raises Stopped: the task is to end.
        """
        self._device._sleep(self._job, seconds)


class TaskDevice(Callback):
    """The callback of a `Node` that carries out tasks. Inside ``with``; leave that before the node is closed.

    :param functions: the tasks by their names. Each is called as ``function(work, **arguments)`` in a thread of its
        own; what it returns goes to the host, and what it raises as text.
    :param ledger: what was begun; it is the caller's to close.
    :param at_once: how many tasks are carried out at the same time.
    :param waiting: how many more may wait; beyond them orders are refused.
    """

    def __init__(
        self,
        functions: Mapping[str, Callable[..., Any]],
        ledger: Memory,
        at_once: int = AT_ONCE,
        waiting: int = WAITING,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._functions = functions
        self._clock = clock
        self._bench = Workbench(functions, ledger, at_once, waiting)
        self._changed = threading.Condition()  # guards the bench; told when a job is to end, or has ended
        self._working = 0
        self._timer = Timer(self.tick)
        self._node: Any = None

    def __enter__(self) -> Self:
        self._timer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            self._bench.interrupt()
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: not self._working, CLOSE_S):
                log.warning("%d task(s) do not end", self._working)
        self._timer.__exit__(kind, error, traceback)

    def on_initialize(self, service: Service) -> None:
        self._node = service

    def on_receive(self, service: Any, msg: bytes) -> None:
        if service.sender is None:
            return  # a journal has it from before this start; the host will order it again
        host = service.sender.name
        with self._changed:
            answers = self._bench.received(host, msg, self._clock())
            self._changed.notify_all()
        for answer in answers:
            self._tell(host, answer)
        self._begin()
        self._timer.wake()

    def on_fail(self, service: Service, error: Exception) -> None:
        if isinstance(error, DeliveryError):
            log.info("%s", error)  # what matters of it is said again in the next session
        else:
            log.error("%s", error, exc_info=None if isinstance(error, OSError) else error)

    def tick(self) -> float | None:
        """Stop what is past its deadline; return the seconds to the next one."""
        with self._changed:
            late = self._bench.expire(self._clock())
            self._changed.notify_all()
        for host, message in late:
            self._tell(host, message)
        with self._changed:
            return self._bench.wait(self._clock())

    def _begin(self) -> None:
        with self._changed:
            jobs = self._bench.to_begin()
            self._working += len(jobs)
        for job in jobs:
            log.info("%s: %s%r for %s", job.id[:8], job.name, job.arguments, job.host)
            threading.Thread(target=self._work, args=(job,), name=f"task-{job.name}", daemon=True).start()

    def _work(self, job: Job) -> None:
        state, value, text = State.DONE, None, ""
        try:
            value = self._functions[job.name](Work(self, job), **job.arguments)
        except Stopped:
            state = job.stopped or State.FAILED
        except Exception as error:
            log.exception("%s: failed", job.id[:8])
            state, text = State.FAILED, repr(error)
        try:
            self._end(job, state, value, text)
        except Exception:
            log.exception("%s: its end could not be written into the ledger", job.id[:8])
        self._begin()
        with self._changed:
            self._working -= 1
            self._changed.notify_all()

    def _end(self, job: Job, state: State, value: Any, text: str) -> None:
        with self._changed:
            message = self._bench.ended(job, state, value, text)
        log.info("%s: %s", job.id[:8], state.value)
        self._tell(job.host, message)

    def _progress(self, job: Job, share: float, text: str) -> None:
        with self._changed:
            message = self._bench.progress(job, share, text)
        self._tell(job.host, message, lane=PROGRESS_LANE, latest=job.id)

    def _sleep(self, job: Job, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: job.stopped is not None, seconds)
        if job.stopped is not None:
            raise Stopped(job.stopped.value)

    def _tell(self, host: str, message: bytes, **how: Any) -> None:
        try:
            self._node.send(message, to=host, **how)
        except CommError as error:  # when it is there again it asks for what it has open
            log.info("%s is not told: %s", host, error)


def count(work: Work, to: int, pause: float = 1.0) -> int:
    """Count, as an example of a task that takes time."""
    for number in range(to):
        work.progress(number / to, f"at {number}")
        work.sleep(pause)
    return to


def add(work: Work, a: float, b: float) -> float:
    return a + b


def main() -> int:
    words = parser("Carry out the tasks that hosts order: count and add.")
    words.add_argument("--ledger", help="file of what was begun; default: NAME.ledger")
    options = words.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with closing(Ledger(options.ledger or f"{options.name}.ledger")) as ledger:
        device = TaskDevice({"count": count, "add": add}, ledger)
        return run(Node(options.name, options.listen, options.connect, device), device)


if __name__ == "__main__":
    sys.exit(main())
