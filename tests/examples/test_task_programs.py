"""Hosts and devices with tasks, as programs that are killed."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from examples.task_executor.desk import Task
from examples.task_executor.task_host import TaskHost
from examples.task_executor.tasks import State
from leadscomm import Node
from tests.examples.programs import EXAMPLE, Program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a signal"),
]
TASKS = 100
KILLS = 4


def order_all(host: TaskHost, device: Callable[[], Program], marks: Path) -> list[Task]:
    """Have every task done, twenty at a time, by a device that is killed now and then."""
    kills = sorted(random.Random(4).sample(range(1, TASKS // 2), KILLS))
    tasks: list[Task] = []
    waiting: list[Task] = []
    arm = device()
    try:
        while len(tasks) < TASKS or waiting:
            while len(tasks) < TASKS and len(waiting) < 20:
                waiting.append(host.order("arm", "mark", seconds=600, text=str(len(tasks))))
                tasks.append(waiting[-1])
            if kills and len(marks.read_text().splitlines()) >= kills[0]:
                del kills[0]
                arm.close()
                arm = device()
            host.wait(waiting[0], 0.01)
            waiting = [task for task in waiting if not task.state.final]
    finally:
        arm.close()
    assert not kills
    return tasks


@pytest.mark.parametrize("durable", [False, True], ids=["in memory", "durable"])
def test_no_task_is_carried_out_twice_by_a_device_that_is_killed(tmp_path: Path, durable: bool) -> None:
    host = TaskHost()
    marks = tmp_path / "marks"
    marks.touch()
    journal = str(tmp_path / "base.journal") if durable else None
    with Node("base", ["tcp://127.0.0.1:0"], callback=host, durable=journal) as node, host:
        place = f"tcp://127.0.0.1:{node.port()}"
        more = [str(tmp_path / "arm.journal")] if durable else []
        tasks = order_all(host, lambda: Program("tests.examples.marking_device", place, str(tmp_path), *more), marks)
    begun = Counter(marks.read_text().split())
    assert set(begun.values()) == {1}
    done = {task.value for task in tasks if task.state is State.DONE}
    interrupted = {task.arguments["text"] for task in tasks if task.state is State.INTERRUPTED}
    assert done | interrupted == {str(number) for number in range(TASKS)}
    assert done <= set(begun)
    assert len(interrupted) <= 4 * KILLS


def test_a_host_is_told_that_its_device_died_and_came_back(tmp_path: Path) -> None:
    with Program(EXAMPLE + "task_host", "base", "--listen", "tcp://127.0.0.1:0") as host:
        where = ["arm", "--connect", f"tcp://127.0.0.1:{host.port()}", "--ledger", str(tmp_path / "ledger")]
        with Program(EXAMPLE + "task_device", *where) as device:
            host.type("arm count to=1000")
            host.wait_for("% at 1")
            device.kill()
            host.wait_for("arm is not there")
        with Program(EXAMPLE + "task_device", *where) as device:
            host.wait_for("count of arm is interrupted")
            host.type("arm add a=1 b=2")
            host.wait_for("add of arm is done: 3")
            host.type("arm count to=1000")
            host.type("cancel 3")
            host.wait_for("count of arm is cancelled")
            host.type("cancel 7")
            host.wait_for("write for example: arm count to=3")
            assert device.interrupt() == 0
            assert "Traceback" not in device.said()
        assert host.interrupt() == 0
        assert "Traceback" not in host.said()


def test_a_device_outlives_its_host_and_serves_the_next(tmp_path: Path) -> None:
    with Program(EXAMPLE + "task_host", "base", "--listen", "tcp://127.0.0.1:0") as host:
        endpoint = f"tcp://127.0.0.1:{host.port()}"
        where = ["arm", "--connect", f"{endpoint}?reconnect_max=0.1", "--ledger", str(tmp_path / "ledger")]
        with Program(EXAMPLE + "task_device", *where) as device:
            host.type("arm count to=1000")
            host.wait_for("% at 1")
            host.kill()
            with Program(EXAMPLE + "task_host", "base", "--listen", endpoint) as successor:
                successor.type("arm add a=1 b=2")
                successor.wait_for("add of arm is done: 3")
                assert device.interrupt() == 0


def test_two_hosts_share_a_device(tmp_path: Path) -> None:
    with (
        Program(EXAMPLE + "task_host", "base", "--listen", "tcp://127.0.0.1:0") as base,
        Program(EXAMPLE + "task_host", "spare", "--listen", "tcp://127.0.0.1:0") as spare,
    ):
        places = [word for host in (base, spare) for word in ("--connect", f"tcp://127.0.0.1:{host.port()}")]
        with Program(EXAMPLE + "task_device", "arm", *places, "--ledger", str(tmp_path / "ledger")):
            for number, host in enumerate((base, spare)):
                host.type(f"arm add a={number} b=1")
            base.wait_for("add of arm is done: 1")
            spare.wait_for("add of arm is done: 2")
