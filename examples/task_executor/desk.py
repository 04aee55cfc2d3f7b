"""The host's side of tasks: what was ordered from whom, and how it stands. No I/O, no clock.

An order may be sent as often as one likes, since a device knows tasks by their ids. So there is one answer to all that
can happen to a device or to the way to it: when the device is there again, it is sent anew what is still open.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from examples.task_executor.tasks import BadMessage, State, pack, unpack

MOST_OPEN: Final = 1000
"""How many tasks may be open at once."""


class TooManyTasks(Exception):
    """As many tasks as may be open are open already."""


@dataclass
class Task:
    """One task, as its host knows it. `Desk` changes it."""

    id: str
    device: str
    name: str
    arguments: dict[str, Any]
    deadline: float  # an instant of the host's clock
    state: State = State.ORDERED
    share: float = 0.0  # of it that is done, as the device judges
    text: str = ""  # what the device says about that; at the end, why it ended so
    value: Any = None  # what it returned
    reachable: bool = False  # whether the device is there; what it did since it left is not known
    cancelled: bool = field(default=False, repr=False)  # the device has been asked to end it

    def __str__(self) -> str:
        """How it stands, for people."""
        if self.state is State.ACCEPTED:
            how = f"{self.share:.0%} {self.text}".rstrip()
        else:
            how = f"{self.value!r}" if self.state is State.DONE else self.text
        away = "" if self.reachable or self.state.final else f"; {self.device} is not there"
        return f"{self.name} of {self.device} is {self.state.value}{how and ': '}{how}{away}"


class Desk:
    """All tasks of one host that have not ended.

    Each method returns the tasks that it has changed, or what is to be sent, as ``(device, message)``.
    """

    def __init__(self, most_open: int = MOST_OPEN) -> None:
        self._most_open = most_open
        self._tasks: dict[str, Task] = {}
        self._there: set[str] = set()

    def order(self, task: Task, now: float) -> list[tuple[str, bytes]]:
        """Open a task. Where its device is not there, the order is sent when it comes.

        :raises TooManyTasks: no more may be open.
        :raises ValueError: the arguments cannot be sent.
        """
        if len(self._tasks) >= self._most_open:
            raise TooManyTasks(f"{len(self._tasks)} tasks are open: wait until some have ended, or cancel some")
        message = self._message(task, now)
        self._tasks[task.id] = task
        task.reachable = task.device in self._there
        return [(task.device, message)] if task.reachable else []

    def cancel(self, task: Task) -> list[tuple[str, bytes]]:
        """Ask for a task to be ended. Its end is told as every other; it may have been done before."""
        if task.state.final:
            return []
        task.cancelled = True
        return [(task.device, pack("cancel", task.id))] if task.reachable else []

    def came(self, device: str, now: float) -> list[tuple[str, bytes]]:
        """A device is there: it is sent what is open."""
        self._there.add(device)
        out = []
        for task in self._of(device):
            task.reachable = True
            out.append((device, self._message(task, now)))
            if task.cancelled:
                out.append((device, pack("cancel", task.id)))
        return out

    def left(self, device: str) -> list[Task]:
        """A device is gone, for a moment or for ever."""
        self._there.discard(device)
        tasks = [task for task in self._of(device) if task.reachable]
        for task in tasks:
            task.reachable = False
        return tasks

    def received(self, device: str, message: bytes) -> Task | None:
        """A device has said something; return the task that it was about, None if that has ended already.

        :raises BadMessage: it cannot be understood.
        """
        said = unpack(message)
        op = said["op"]
        if op not in ("accepted", "progress", "ended"):
            raise BadMessage(f"{device} sends {op!r}, which hosts send")
        task = self._tasks.get(said["id"])
        if task is None or task.device != device:
            return None
        if op == "ended":
            self._end(task, _final(said["state"]), said["text"], said["value"])
            return task
        task.state = State.ACCEPTED
        if op == "progress":
            task.share, task.text = float(said["share"]), said["text"]
        return task

    def expire(self, now: float) -> tuple[list[Task], list[tuple[str, bytes]]]:
        """End the tasks whose deadline has passed; return them, and what tells their devices."""
        late = [task for task in self._tasks.values() if now >= task.deadline]
        for task in late:
            self._end(task, State.EXPIRED, "" if task.reachable else f"{task.device} is not there")
        return late, [(task.device, pack("cancel", task.id)) for task in late if task.reachable]

    def wait(self, now: float) -> float | None:
        """Seconds to the next deadline; None: there is none."""
        deadline = min((task.deadline for task in self._tasks.values()), default=None)
        return None if deadline is None else max(0.0, deadline - now)

    def _end(self, task: Task, state: State, text: str, value: Any = None) -> None:
        task.state, task.text, task.value = state, text, value
        del self._tasks[task.id]

    def _of(self, device: str) -> list[Task]:
        return [task for task in self._tasks.values() if task.device == device]

    @staticmethod
    def _message(task: Task, now: float) -> bytes:
        seconds = max(0.0, task.deadline - now)
        return pack("order", task.id, name=task.name, arguments=task.arguments, seconds=seconds)


def _final(name: str) -> State:
    try:
        state = State(name)
    except ValueError as error:
        raise BadMessage(str(error)) from None
    if not state.final:
        raise BadMessage(f"a task cannot end as {name!r}")
    return state
