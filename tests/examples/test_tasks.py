"""Tasks between a desk and a workbench, with messages passed by hand and a clock that is a number."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.task_executor import ledger as ledgers
from examples.task_executor.desk import Desk, Task, TooManyTasks
from examples.task_executor.ledger import Ledger
from examples.task_executor.tasks import LONGEST, BadMessage, State, pack, unpack
from examples.task_executor.workbench import Job, Workbench


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    book = Ledger(str(tmp_path / "ledger"))
    yield book
    book.close()


@pytest.fixture
def bench(ledger: Ledger) -> Workbench:
    return Workbench(["count"], ledger, at_once=2, waiting=2)


def order(task: str = "1", name: str = "count", seconds: float = 10) -> bytes:
    return pack("order", task, name=name, arguments={"to": 3}, seconds=seconds)


def told(message: bytes) -> tuple[str, str]:
    """What an answer says, in short."""
    said = unpack(message)
    return said["op"], said.get("state", "")


def open_task(task: str = "1", deadline: float = 10, device: str = "arm") -> Task:
    return Task(task, device, "count", {"to": 3}, deadline)


# Messages


def test_messages_of_the_page() -> None:
    assert json.loads(order()) == {"op": "order", "id": "1", "name": "count", "arguments": {"to": 3}, "seconds": 10}
    assert unpack(pack("ended", "1", state="done", value=None, text=""))["value"] is None


@pytest.mark.parametrize("message", [b"", b"\xff", b"1", b"[]", b"{}", b'{"op": "jump"}', b'{"op": ["order"]}'])
def test_what_is_no_message(message: bytes) -> None:
    with pytest.raises(BadMessage):
        unpack(message)


@pytest.mark.parametrize("field", ["id", "name", "arguments", "seconds"])
def test_a_field_that_is_missing_or_of_another_type(field: str) -> None:
    fields = json.loads(order())
    for wrong in ({**fields, field: None}, {key: value for key, value in fields.items() if key != field}):
        with pytest.raises(BadMessage, match=field):
            unpack(json.dumps(wrong).encode())


def test_what_cannot_be_sent() -> None:
    for value in (object(), float("nan"), "x" * LONGEST):
        with pytest.raises(ValueError):
            pack("order", "1", value=value)


def test_depth_is_no_way_in() -> None:
    with pytest.raises(BadMessage):
        unpack(b'{"op": ' + b"[" * 100_000)


# The device's side


def test_a_task_from_its_order_to_its_end(bench: Workbench) -> None:
    assert list(map(told, bench.received("base", order(), 0))) == [("accepted", "")]
    (job,) = bench.to_begin()
    assert (job.host, job.name, job.arguments, job.deadline) == ("base", "count", {"to": 3}, 10)
    assert told(bench.progress(job, 0.5, "half way")) == ("progress", "")
    assert told(bench.ended(job, State.DONE, 3)) == ("ended", "done")


def test_an_order_that_comes_again_is_answered_and_begins_nothing(bench: Workbench, ledger: Ledger) -> None:
    bench.received("base", order(), 0)
    assert list(map(told, bench.received("base", order(), 0))) == [("accepted", "")]
    (job,) = bench.to_begin()
    bench.progress(job, 0.5, "half way")
    assert list(map(told, bench.received("base", order(), 0))) == [("progress", "")]
    bench.ended(job, State.DONE, 3)
    for workbench in (bench, Workbench(["count"], ledger)):
        (answer,) = workbench.received("base", order(), 0)
        assert unpack(answer)["value"] == 3
        assert workbench.to_begin() == []


def test_what_a_dead_device_was_at_is_not_begun_again(bench: Workbench, ledger: Ledger) -> None:
    bench.received("base", order("begun"), 0)
    assert bench.to_begin()
    bench.received("base", order("waiting"), 0)
    reborn = Workbench(["count"], ledger)
    for _ in range(2):
        assert list(map(told, reborn.received("base", order("begun"), 0))) == [("ended", "interrupted")]
    assert list(map(told, reborn.received("base", order("waiting"), 0))) == [("accepted", "")]
    assert [job.id for job in reborn.to_begin()] == ["waiting"]


def test_what_is_refused(bench: Workbench) -> None:
    (answer,) = bench.received("base", order(name="fly"), 0)
    assert unpack(answer)["text"] == "there is no task 'fly', but count"
    for number in range(4):
        assert told(bench.received("base", order(str(number)), 0)[0]) == ("accepted", "")
    assert told(bench.received("base", order("5"), 0)[0]) == ("ended", "refused")
    assert [job.id for job in bench.to_begin()] == ["0", "1"]
    assert bench.to_begin() == []


def test_cancelling(bench: Workbench) -> None:
    for number in range(3):
        bench.received("base", order(str(number)), 0)
    first, second = bench.to_begin()
    assert bench.received("base", pack("cancel", "0"), 0) == []
    assert first.stopped is State.CANCELLED
    assert list(map(told, bench.received("base", pack("cancel", "2"), 0))) == [("ended", "cancelled")]  # it waited
    assert told(bench.ended(first, State.CANCELLED)) == ("ended", "cancelled")
    assert told(bench.ended(second, State.DONE)) == ("ended", "done")
    assert list(map(told, bench.received("base", pack("cancel", "1"), 0))) == [("ended", "done")]  # too late
    assert bench.to_begin() == []


def test_a_task_that_is_cancelled_before_its_order_comes(bench: Workbench) -> None:
    for message in (pack("cancel", "1"), order()):
        assert list(map(told, bench.received("base", message, 0))) == [("ended", "cancelled")]
    assert bench.to_begin() == []


def test_deadlines_at_the_device(bench: Workbench) -> None:
    for number in range(3):
        bench.received("base", order(str(number), seconds=number + 1), 0)
    first, second = bench.to_begin()
    assert bench.wait(0) == 1
    assert bench.expire(0.9) == []
    assert bench.expire(1) == []
    assert (first.stopped, second.stopped) == (State.EXPIRED, None)
    assert bench.wait(1) == 1
    assert [(host, told(message)) for host, message in bench.expire(3)] == [("base", ("ended", "expired"))]
    assert bench.wait(3) is None


def test_a_device_that_is_about_to_end(bench: Workbench) -> None:
    for number in range(3):
        bench.received("base", order(str(number)), 0)
    first, second = bench.to_begin()
    bench.interrupt()
    assert first.stopped is second.stopped is State.INTERRUPTED
    assert bench.received("base", order("3"), 0) == []
    assert told(bench.ended(first, State.INTERRUPTED)) == ("ended", "interrupted")
    assert bench.to_begin() == []
    assert bench.received("base", order("2"), 0) == []  # it has not begun, and is asked for again


def test_a_result_that_cannot_be_sent(bench: Workbench) -> None:
    bench.received("base", order(), 0)
    (job,) = bench.to_begin()
    said = unpack(bench.ended(job, State.DONE, object()))
    assert said["state"] == "failed"
    assert "cannot be sent" in said["text"]


def test_who_says_what(bench: Workbench) -> None:
    with pytest.raises(BadMessage, match="devices send"):
        bench.received("base", pack("accepted", "1"), 0)
    with pytest.raises(BadMessage, match="hosts send"):
        Desk().received("arm", order())


def test_the_ledger_is_bounded(monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> None:
    monkeypatch.setattr(ledgers, "KEPT", 3)
    for number in range(10):
        ledger.begin(str(number))
        ledger.end(str(number), b"x")
    assert [ledger.look_up(str(number))[0] for number in range(10)] == [False] * 7 + [True] * 3


# The host's side


def test_an_order_waits_for_its_device() -> None:
    desk, task = Desk(), open_task()
    assert desk.order(task, 0) == []
    assert not task.reachable
    ((device, message),) = desk.came("arm", 4)
    assert (device, unpack(message)["seconds"]) == ("arm", 6)
    assert task.reachable
    second = open_task("2")
    assert [device for device, _ in desk.order(second, 0)] == ["arm"]


def test_what_the_host_is_told() -> None:
    desk, task = Desk(), open_task()
    desk.came("arm", 0)
    desk.order(task, 0)
    assert desk.received("arm", pack("accepted", "1")) is task
    assert task.state is State.ACCEPTED
    desk.received("arm", pack("progress", "1", share=0.5, text="half way"))
    assert (task.share, task.text) == (0.5, "half way")
    assert desk.received("leg", pack("ended", "1", state="done", value=3, text="")) is None  # not its task
    desk.received("arm", pack("ended", "1", state="done", value=3, text=""))
    assert (task.state, task.value) == (State.DONE, 3)
    assert desk.received("arm", pack("progress", "1", share=0.6, text="")) is None  # overtaken by the end
    assert desk.cancel(task) == []


@pytest.mark.parametrize("state", ["ordered", "flying"])
def test_an_end_that_is_none(state: str) -> None:
    desk = Desk()
    desk.order(open_task(), 0)
    with pytest.raises(BadMessage):
        desk.received("arm", pack("ended", "1", state=state, value=None, text=""))


def test_a_device_that_leaves_and_comes_back() -> None:
    desk, task = Desk(), open_task()
    desk.came("arm", 0)
    desk.order(task, 0)
    assert desk.left("arm") == [task]
    assert not task.reachable
    assert desk.cancel(task) == []
    assert [unpack(message)["op"] for _, message in desk.came("arm", 1)] == ["order", "cancel"]


def test_deadlines_at_the_host() -> None:
    desk, near, far = Desk(), open_task("1"), open_task("2", device="leg")
    desk.came("arm", 0)
    desk.order(near, 0)
    desk.order(far, 0)
    assert desk.wait(4) == 6
    assert desk.expire(9.9) == ([], [])
    late, messages = desk.expire(10)
    assert late == [near, far]
    assert [(device, unpack(message)["op"]) for device, message in messages] == [("arm", "cancel")]
    assert (near.state, far.text) == (State.EXPIRED, "leg is not there")
    assert desk.wait(10) is None


def test_open_tasks_are_bounded() -> None:
    desk = Desk(most_open=1)
    desk.order(open_task("1"), 0)
    with pytest.raises(TooManyTasks):
        desk.order(open_task("2"), 0)
    with pytest.raises(ValueError):
        Desk().order(Task("1", "arm", "count", {"to": object()}, 10), 0)


# Both


class World:
    """Hosts and devices, and messages that are on their way in order and are lost with the conversation."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = 0.0
        self.desks = {name: Desk() for name in ("base", "spare")}
        self.ledgers = {name: Ledger(":memory:") for name in ("arm", "leg")}
        self.benches = {name: Workbench(["count"], book, 2, 2) for name, book in self.ledgers.items()}
        self.running: dict[str, list[Job]] = {name: [] for name in self.benches}
        self.wires: dict[tuple[str, str], tuple[list[bytes], list[bytes]]] = {}  # down and up
        self.begun: Counter[str] = Counter()
        self.tasks: list[Task] = []

    def connect(self, host: str, device: str) -> None:
        if (host, device) not in self.wires:
            down = [message for _, message in self.desks[host].came(device, self.now)]
            self.wires[host, device] = (down, [])

    def cut(self, host: str, device: str) -> None:
        if self.wires.pop((host, device), None):
            self.desks[host].left(device)

    def kill(self, device: str) -> None:
        for host in self.desks:
            self.cut(host, device)
        self.running[device] = []
        self.benches[device] = Workbench(["count"], self.ledgers[device], 2, 2)

    def tell(self, host: str, device: str, message: bytes) -> None:
        if (host, device) in self.wires:
            self.wires[host, device][1].append(message)

    def down(self, out: list[tuple[str, bytes]], host: str) -> None:
        for device, message in out:
            self.wires[host, device][0].append(message)

    def carry(self, host: str, device: str) -> None:
        """One message each way."""
        down, up = self.wires.get((host, device), ([], []))
        if down:
            for answer in self.benches[device].received(host, down.pop(0), self.now):
                self.tell(host, device, answer)
        if up:
            self.desks[host].received(device, up.pop(0))

    def work(self, device: str) -> None:
        bench, running = self.benches[device], self.running[device]
        for job in bench.to_begin():
            self.begun[job.id] += 1
            running.append(job)
        if running and self.chance.random() < 0.5:
            job = running.pop(0)
            end = bench.ended(job, job.stopped) if job.stopped else bench.ended(job, State.DONE, job.id)
            self.tell(job.host, device, end)

    def order(self, host: str, device: str) -> None:
        task = Task(f"{len(self.tasks)}", device, "count", {}, self.now + self.chance.choice((5, 50, 500)))
        self.tasks.append(task)
        self.down(self.desks[host].order(task, self.now), host)

    def expire(self) -> None:
        for host, desk in self.desks.items():
            self.down(desk.expire(self.now)[1], host)
        for device, bench in self.benches.items():
            for host, message in bench.expire(self.now):
                self.tell(host, device, message)

    def step(self) -> None:
        host, device = self.chance.choice(list(self.desks)), self.chance.choice(list(self.benches))
        acts: list[tuple[float, Any]] = [
            (10, lambda: self.carry(host, device)),
            (4, lambda: self.work(device)),
            (2, lambda: self.order(host, device)),
            (2, lambda: self.connect(host, device)),
            (0.5, lambda: self.cut(host, device)),
            (0.2, lambda: self.kill(device)),
            (1, self.expire),
            (0.5, lambda: self.cancel(host)),
        ]
        weights, calls = zip(*acts)
        self.now += self.chance.random()
        self.chance.choices(calls, weights)[0]()

    def cancel(self, host: str) -> None:
        task = self.chance.choice(self.tasks) if self.tasks else None
        if task is not None and task.id in self.desks[host]._tasks:
            self.down(self.desks[host].cancel(task), host)


def test_no_task_is_carried_out_twice_and_each_ends() -> None:
    ends: Counter[State] = Counter()
    for seed in range(30):
        world = World(seed)
        for _ in range(1500):
            world.step()
        for _ in range(3000):  # then nothing goes wrong any more
            for host, device in [(host, device) for host in world.desks for device in world.benches]:
                world.connect(host, device)
                world.carry(host, device)
                world.work(device)
            world.now += 1
            world.expire()
            if all(task.state.final for task in world.tasks):
                break
        assert all(task.state.final for task in world.tasks)
        assert all(count == 1 for count in world.begun.values())
        for task in world.tasks:
            assert task.value == (task.id if task.state is State.DONE else None)
            assert task.id in world.begun or task.state is not State.DONE
        ends.update(task.state for task in world.tasks)
        for book in world.ledgers.values():
            book.close()
    assert set(ends) == {State.DONE, State.REFUSED, State.CANCELLED, State.EXPIRED, State.INTERRUPTED}
