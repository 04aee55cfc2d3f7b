"""Hosts and devices with tasks, over real sessions in one process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from examples.task_executor.desk import Task
from examples.task_executor.ledger import Ledger
from examples.task_executor.task_device import TaskDevice, Work, add
from examples.task_executor.task_host import TaskHost
from examples.task_executor.tasks import State
from leadscomm import Node
from tests.entities.recorder import PATIENCE_S, wait_until


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Following(TaskHost):
    """Notes each change."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.followed: list[str] = []

    def changed(self, task: Task) -> None:
        super().changed(task)
        self.followed.append(str(task))


@contextmanager
def hosted(host: TaskHost, name: str = "base") -> Iterator[Node]:
    with Node(name, ["tcp://127.0.0.1:0"], callback=host) as node, host:
        yield node


@contextmanager
def device_of(hosts: list[Node], name: str = "arm", **functions: Callable[..., Any]) -> Iterator[Node]:
    places = [f"tcp://127.0.0.1:{host.port()}" for host in hosts]
    with closing(Ledger(":memory:")) as ledger:
        device = TaskDevice(functions, ledger)
        with Node(name, connect=places, callback=device) as node, device:
            yield node


def ended(host: TaskHost, task: Task) -> tuple[State, Any]:
    host.wait(task, PATIENCE_S)
    return task.state, task.value


def until_stopped(work: Work) -> None:
    work.progress(0.5, "half way")
    work.sleep(PATIENCE_S)


def test_many_hosts_and_many_devices() -> None:
    hosts = {name: TaskHost() for name in ("base", "spare")}
    with ExitStack() as stack:
        nodes = [stack.enter_context(hosted(host, name)) for name, host in hosts.items()]
        for name in ("arm", "leg", "head"):
            stack.enter_context(device_of(nodes, name, add=add))
        tasks = [
            (host, number, host.order(device, "add", a=number, b=1))
            for number in range(15)
            for host in hosts.values()
            for device in ("arm", "leg", "head")
        ]
        for host, number, task in tasks:
            assert ended(host, task) == (State.DONE, number + 1)


def test_over_a_bad_radio() -> None:
    host = TaskHost()
    faults = "drop=0.2,dup=0.1,reorder=0.1,corrupt=0.02,seed=7"
    with Node("base", ["udp://127.0.0.1:0"], callback=host) as base, host, closing(Ledger(":memory:")) as ledger:
        device = TaskDevice({"add": add}, ledger)
        with Node("arm", connect=[f"fault://{faults}/udp://127.0.0.1:{base.port()}"], callback=device), device:
            tasks = [host.order("arm", "add", a=number, b=1) for number in range(30)]
            assert [ended(host, task) for task in tasks] == [(State.DONE, number + 1) for number in range(30)]


def test_a_second_line_keeps_a_device_there() -> None:
    host = Following()
    with Node("base", ["tcp://127.0.0.1:0", "udp://127.0.0.1:0"], callback=host) as base, host:
        cable, radio = (f"{place.scheme}://127.0.0.1:{place.port}" for place in base.listens)
        places = [radio, f"fault://cut=15,seed=7/{cable}?reconnect_min=0.01&reconnect_max=0.05"]
        with closing(Ledger(":memory:")) as ledger:
            device = TaskDevice({"add": add}, ledger)
            with Node("arm", connect=places, callback=device), device:
                wait_until(lambda: "arm" in base.peers() and len(base.peer("arm").stats().links) == 2)
                for _ in range(5):
                    tasks = [host.order("arm", "add", a=number, b=1) for number in range(20)]
                    assert [ended(host, task) for task in tasks] == [(State.DONE, number + 1) for number in range(20)]
            assert not [change for change in host.followed if "not there" in change]


def test_progress_result_and_error() -> None:
    goes_on = threading.Event()

    def work_slowly(work: Work, to: int) -> str:
        work.progress(0.5, "half way")
        assert goes_on.wait(PATIENCE_S)
        return "x" * to

    host = Following()
    with hosted(host) as base, device_of([base], slowly=work_slowly):
        task = host.order("arm", "slowly", to=3)
        wait_until(lambda: task.share == 0.5)
        assert str(task) == "slowly of arm is accepted: 50% half way"
        goes_on.set()
        assert ended(host, task) == (State.DONE, "xxx")
        wait_until(lambda: host.followed[-1] == "slowly of arm is done: 'xxx'")
        task = host.order("arm", "slowly", to="3")
        assert ended(host, task) == (State.FAILED, None)
        assert "TypeError" in task.text
        task = host.order("arm", "slowly", wrong=3)
        assert ended(host, task) == (State.FAILED, None)
        assert ended(host, host.order("arm", "jump")) == (State.REFUSED, None)


def test_cancelling() -> None:
    host = TaskHost()
    with hosted(host) as base, device_of([base], stay=until_stopped):
        task = host.order("arm", "stay")
        wait_until(lambda: task.share == 0.5)
        host.cancel(task)
        assert ended(host, task) == (State.CANCELLED, None)


def test_a_deadline_ends_a_task_at_the_host_and_at_the_device() -> None:
    clock = Clock()
    host = TaskHost(clock=clock)
    over = threading.Event()

    def stay(work: Work) -> None:
        try:
            until_stopped(work)
        finally:
            over.set()

    with hosted(host) as base, device_of([base], stay=stay):
        task = host.order("arm", "stay", seconds=1000)
        wait_until(lambda: task.share == 0.5)
        clock.now = 1000
        host.tick()
        assert task.state is State.EXPIRED
        assert over.wait(PATIENCE_S)


def test_a_deadline_that_is_near() -> None:
    host = TaskHost()
    with hosted(host) as base, device_of([base], stay=until_stopped):
        assert ended(host, host.order("arm", "stay", seconds=0.1)) == (State.EXPIRED, None)
        assert ended(host, host.order("nobody", "stay", seconds=0.1)) == (State.EXPIRED, None)


def test_an_order_waits_for_its_device() -> None:
    host = TaskHost()
    with hosted(host) as base:
        task = host.order("arm", "add", a=1, b=2)
        with device_of([base], add=add):
            assert ended(host, task) == (State.DONE, 3)


def test_a_device_that_ends_says_so() -> None:
    host = TaskHost()
    with hosted(host) as base:
        with device_of([base], stay=until_stopped):
            task = host.order("arm", "stay")
            wait_until(lambda: task.share == 0.5)
        assert ended(host, task) == (State.INTERRUPTED, None)


def test_a_device_that_goes_is_told_of_and_its_task_goes_on() -> None:
    """The host loses the way to it; when it is back the host asks, and learns the result."""
    goes_on = threading.Event()

    def work_slowly(work: Work) -> str:
        assert goes_on.wait(PATIENCE_S)
        return "done meanwhile"

    host = Following()
    with hosted(host) as base, device_of([base], slowly=work_slowly):
        task = host.order("arm", "slowly")
        wait_until(lambda: task.state is State.ACCEPTED)
        base.peer("arm").abort()
        wait_until(lambda: not task.reachable)
        assert str(task) == "slowly of arm is accepted: 0%; arm is not there"
        goes_on.set()
        assert ended(host, task) == (State.DONE, "done meanwhile")


def test_a_task_that_does_not_end_holds_up_no_other() -> None:
    host = TaskHost()
    with hosted(host) as base, device_of([base], stay=until_stopped, add=add):
        for _ in range(3):
            host.order("arm", "stay")
        assert ended(host, host.order("arm", "add", a=1, b=2)) == (State.DONE, 3)
