"""Hosts and devices with tasks, over real sessions in one process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from examples.task_executor.desk import Task
from examples.task_executor.ledger import Ledger
from examples.task_executor.task_device import TaskDevice, Work, add
from examples.task_executor.task_host import TaskHost
from examples.task_executor.tasks import State
from leadscomm import Client, Server
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
def hosted(host: TaskHost, name: str = "base") -> Iterator[Server]:
    with Server("tcp://127.0.0.1:0", host, reliable=1, name=name) as server, host:
        yield server


@contextmanager
def device_of(servers: list[Server], name: str = "arm", **functions: Callable[..., Any]) -> Iterator[TaskDevice]:
    ledger = Ledger(":memory:")
    device = TaskDevice(functions, ledger)
    with ExitStack() as stack:
        stack.callback(ledger.close)
        for server in servers:
            stack.enter_context(Client(f"tcp://127.0.0.1:{server.port()}", device, reliable=1, name=name))
        yield stack.enter_context(device)


def ended(host: TaskHost, task: Task) -> tuple[State, Any]:
    host.wait(task, PATIENCE_S)
    return task.state, task.value


def until_stopped(work: Work) -> None:
    work.progress(0.5, "half way")
    work.sleep(PATIENCE_S)


def test_many_hosts_and_many_devices() -> None:
    hosts = {name: TaskHost() for name in ("base", "spare")}
    with ExitStack() as stack:
        servers = [stack.enter_context(hosted(host, name)) for name, host in hosts.items()]
        for name in ("arm", "leg", "head"):
            stack.enter_context(device_of(servers, name, add=add))
        tasks = [
            (host, number, host.order(device, "add", a=number, b=1))
            for number in range(15)
            for host in hosts.values()
            for device in ("arm", "leg", "head")
        ]
        for host, number, task in tasks:
            assert ended(host, task) == (State.DONE, number + 1)


def test_over_a_bad_radio() -> None:
    host, ledger = TaskHost(), Ledger(":memory:")
    device = TaskDevice({"add": add}, ledger)
    faults = "drop=0.2,dup=0.1,reorder=0.1,corrupt=0.02,seed=7"
    with Server("udp://127.0.0.1:0", host, reliable=1, name="base") as server, host:
        radio = f"fault://{faults}/udp://127.0.0.1:{server.port()}"
        with Client(radio, device, reliable=1, name="arm"), device:
            tasks = [host.order("arm", "add", a=number, b=1) for number in range(30)]
            assert [ended(host, task) for task in tasks] == [(State.DONE, number + 1) for number in range(30)]
    ledger.close()


def test_progress_result_and_error() -> None:
    goes_on = threading.Event()

    def work_slowly(work: Work, to: int) -> str:
        work.progress(0.5, "half way")
        assert goes_on.wait(PATIENCE_S)
        return "x" * to

    host = Following()
    with hosted(host) as server, device_of([server], slowly=work_slowly):
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
    with hosted(host) as server, device_of([server], stay=until_stopped):
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

    with hosted(host) as server, device_of([server], stay=stay):
        task = host.order("arm", "stay", seconds=1000)
        wait_until(lambda: task.share == 0.5)
        clock.now = 1000
        host.tick()
        assert task.state is State.EXPIRED
        assert over.wait(PATIENCE_S)


def test_a_deadline_that_is_near() -> None:
    host = TaskHost()
    with hosted(host) as server, device_of([server], stay=until_stopped):
        assert ended(host, host.order("arm", "stay", seconds=0.1)) == (State.EXPIRED, None)
        assert ended(host, host.order("nobody", "stay", seconds=0.1)) == (State.EXPIRED, None)


def test_an_order_waits_for_its_device() -> None:
    host = TaskHost()
    with hosted(host) as server:
        task = host.order("arm", "add", a=1, b=2)
        with device_of([server], add=add):
            assert ended(host, task) == (State.DONE, 3)


def test_a_device_that_ends_says_so() -> None:
    host = TaskHost()
    with hosted(host) as server:
        with device_of([server], stay=until_stopped):
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
    with hosted(host) as server, device_of([server], slowly=work_slowly):
        task = host.order("arm", "slowly")
        wait_until(lambda: task.state is State.ACCEPTED)
        (session,) = server.connections()
        session.abort()
        wait_until(lambda: not task.reachable)
        assert str(task) == "slowly of arm is accepted: 0%; arm is not there"
        goes_on.set()
        assert ended(host, task) == (State.DONE, "done meanwhile")


def test_a_peer_without_a_name_is_turned_away(caplog: pytest.LogCaptureFixture) -> None:
    host = TaskHost()
    with hosted(host) as server, Client(f"tcp://127.0.0.1:{server.port()}", reliable=1):
        wait_until(lambda: "give it one (name=arm)" in caplog.text)


def test_a_task_that_does_not_end_holds_up_no_other() -> None:
    host = TaskHost()
    with hosted(host) as server, device_of([server], stay=until_stopped, add=add):
        for _ in range(3):
            host.order("arm", "stay")
        assert ended(host, host.order("arm", "add", a=1, b=2)) == (State.DONE, 3)
