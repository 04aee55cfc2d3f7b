"""The device's side of tasks: what to answer, what to begin, what to end. No I/O of its own, no clock.

A task is written into the ledger before it begins. An order whose id the ledger knows begins nothing: it is answered
with how the task stands. So an order may come twice, or again after the device has died, and is carried out once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, Protocol

from examples.task_executor.tasks import BadMessage, State, pack, unpack

AT_ONCE: Final = 4
"""How many tasks are carried out at the same time."""
WAITING: Final = 30
"""How many more may wait for their turn."""


class Memory(Protocol):
    """What is needed of a `ledger.Ledger`."""

    def begin(self, task: str) -> None: ...
    def end(self, task: str, message: bytes) -> None: ...
    def look_up(self, task: str) -> tuple[bool, bytes | None]: ...


@dataclass(eq=False)
class Job:
    """A task that was accepted and has not ended."""

    id: str
    host: str
    name: str
    arguments: dict[str, Any]
    deadline: float  # an instant of the device's clock
    news: bytes  # the last that was told of it
    stopped: State | None = None  # it is to end, and as what


class Workbench:
    """The tasks of one device.

    :param names: the tasks that it can carry out.
    """

    def __init__(self, names: Collection[str], ledger: Memory, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        self._names, self._ledger = names, ledger
        self._at_once, self._most_waiting = at_once, waiting
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()  # those of them that have not begun
        self._closing = False

    def received(self, host: str, message: bytes, now: float) -> list[bytes]:
        """A host has said something; return what to answer.

        :raises BadMessage: it cannot be understood.
        """
        said = unpack(message)
        if said["op"] == "order":
            return self._ordered(host, said, now)
        if said["op"] == "cancel":
            return self._cancelled(said["id"])
        raise BadMessage(f"{host} sends {said['op']!r}, which devices send")

    def to_begin(self) -> list[Job]:
        """The jobs whose turn has come, written into the ledger. Each has to be given to `ended`, whatever it comes to.

        :raises Exception: the ledger cannot be written: nothing begins.
        """
        begun = []
        while self._waiting and len(self._jobs) - len(self._waiting) < self._at_once:
            self._ledger.begin(self._waiting[0].id)
            begun.append(self._waiting.popleft())
        return begun

    def progress(self, job: Job, share: float, text: str) -> bytes:
        """A job has got so far, 1.0 being all of it; return what tells its host."""
        job.news = pack("progress", job.id, share=share, text=text)
        return job.news

    def ended(self, job: Job, state: State, value: Any = None, text: str = "") -> bytes:
        """A job has come to its end; return what tells its host.

        :raises Exception: the ledger cannot be written; the job is gone nevertheless.
        """
        try:
            message = _end_of(job.id, state, value, text)
        except ValueError as error:
            message = _end_of(job.id, State.FAILED, None, f"what it returned cannot be sent: {error}")
        del self._jobs[job.id]
        self._ledger.end(job.id, message)
        return message

    def expire(self, now: float) -> list[tuple[str, bytes]]:
        """Stop what is past its deadline; return what tells hosts of it, as ``(host, message)``."""
        out = []
        for job in [job for job in self._jobs.values() if now >= job.deadline and job.stopped is None]:
            out += [(job.host, message) for message in self._stop(job, State.EXPIRED)]
        return out

    def interrupt(self) -> None:
        """The device is about to end: stop what was begun, and begin nothing more. What has not begun is forgotten
        without an answer: its host orders it again when the device is back."""
        self._closing = True
        for job in self._waiting:
            del self._jobs[job.id]
        self._waiting.clear()
        for job in self._jobs.values():
            job.stopped = job.stopped or State.INTERRUPTED

    def wait(self, now: float) -> float | None:
        """Seconds to the next deadline; None: there is none."""
        deadline = min((job.deadline for job in self._jobs.values() if job.stopped is None), default=None)
        return None if deadline is None else max(0.0, deadline - now)

    def _ordered(self, host: str, said: dict[str, Any], now: float) -> list[bytes]:
        task, name = said["id"], said["name"]
        known = self._how_it_stands(task)
        if known is not None:
            return [known]
        if self._closing:
            return []
        if name not in self._names:
            return [_end_of(task, State.REFUSED, None, f"there is no task {name!r}, but {', '.join(self._names)}")]
        if len(self._jobs) >= self._at_once + self._most_waiting:
            return [_end_of(task, State.REFUSED, None, f"{len(self._jobs)} tasks are to be done already")]
        job = Job(task, host, name, said["arguments"], now + said["seconds"], pack("accepted", task))
        self._jobs[task] = job
        self._waiting.append(job)
        return [job.news]

    def _cancelled(self, task: str) -> list[bytes]:
        job = self._jobs.get(task)
        if job is not None:
            return self._stop(job, State.CANCELLED)
        known = self._how_it_stands(task)
        if known is None:  # its order may still come, and shall begin nothing
            known = _end_of(task, State.CANCELLED)
            self._ledger.end(task, known)
        return [known]

    def _stop(self, job: Job, state: State) -> list[bytes]:
        """End a job that waits; of one that was begun, its function is told."""
        if job not in self._waiting:
            job.stopped = job.stopped or state
            return []
        self._waiting.remove(job)
        return [self.ended(job, state)]

    def _how_it_stands(self, task: str) -> bytes | None:
        """What tells the state of a task; None if it has never been heard of."""
        job = self._jobs.get(task)
        if job is not None:
            return job.news
        begun, end = self._ledger.look_up(task)
        if begun and end is None:  # by a process that died
            end = _end_of(task, State.INTERRUPTED, None, "the device ended while it was at it")
            self._ledger.end(task, end)
        return end


def _end_of(task: str, state: State, value: Any = None, text: str = "") -> bytes:
    return pack("ended", task, state=state.value, value=value, text=text)
