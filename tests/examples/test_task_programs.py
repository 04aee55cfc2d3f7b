"""Hosts and devices with tasks, as programs that are killed."""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from examples.task_executor.task_host import TaskHost
from examples.task_executor.tasks import State
from leadscomm import Server
from tests.examples.programs import EXAMPLE, Program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a signal"),
]
TASKS = 150
KILLS = 6


def test_no_task_is_carried_out_twice_by_a_device_that_is_killed(tmp_path: Path) -> None:
    chance = random.Random(4)
    host = TaskHost()
    marks = tmp_path / "marks"
    marks.touch()
    with Server("tcp://127.0.0.1:0", host, reliable=1, name="base") as server, host:
        endpoint = f"tcp://127.0.0.1:{server.port()}"

        def device() -> Program:
            return Program("tests.examples.marking_device", endpoint, str(tmp_path))

        open_tasks = [host.order("arm", "mark", seconds=600, text=str(number)) for number in range(20)]
        tasks = list(open_tasks)
        kills = sorted(chance.sample(range(1, TASKS // 2), KILLS))
        arm = device()
        try:
            while len(tasks) < TASKS or open_tasks:
                if kills and len(marks.read_text().splitlines()) >= kills[0]:
                    kills.pop(0)
                    arm.close()
                    arm = device()
                host.wait(open_tasks[0], 0.01)
                open_tasks = [task for task in open_tasks if not task.state.final]
                new = range(len(tasks), min(TASKS, len(tasks) + 20 - len(open_tasks)))
                added = [host.order("arm", "mark", seconds=600, text=str(number)) for number in new]
                open_tasks += added
                tasks += added
        finally:
            arm.close()
    begun = Counter(marks.read_text().split())
    assert not kills
    assert set(begun.values()) == {1}
    done = {task.value for task in tasks if task.state is State.DONE}
    interrupted = {task.arguments["text"] for task in tasks if task.state is State.INTERRUPTED}
    assert done | interrupted == {str(number) for number in range(TASKS)}
    assert done <= set(begun)
    assert len(interrupted) <= 4 * KILLS


def test_a_host_is_told_that_its_device_died_and_came_back(tmp_path: Path) -> None:
    with Program(EXAMPLE + "task_host", "base", "tcp://127.0.0.1:0") as host:
        where = ["arm", f"tcp://127.0.0.1:{host.port()}", "--ledger", str(tmp_path / "ledger")]
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
    with Program(EXAMPLE + "task_host", "base", "tcp://127.0.0.1:0") as host:
        endpoint = f"tcp://127.0.0.1:{host.port()}"
        where = ["arm", f"{endpoint}?reconnect_max=0.1", "--ledger", str(tmp_path / "ledger")]
        with Program(EXAMPLE + "task_device", *where) as device:
            host.type("arm count to=1000")
            host.wait_for("% at 1")
            host.kill()
            with Program(EXAMPLE + "task_host", "base", endpoint) as successor:
                successor.type("arm add a=1 b=2")
                successor.wait_for("add of arm is done: 3")
                assert device.interrupt() == 0


def test_two_hosts_share_a_device(tmp_path: Path) -> None:
    with (
        Program(EXAMPLE + "task_host", "base", "tcp://127.0.0.1:0") as base,
        Program(EXAMPLE + "task_host", "spare", "tcp://127.0.0.1:0") as spare,
    ):
        endpoints = [f"tcp://127.0.0.1:{host.port()}" for host in (base, spare)]
        with Program(EXAMPLE + "task_device", "arm", *endpoints, "--ledger", str(tmp_path / "ledger")):
            for number, host in enumerate((base, spare)):
                host.type(f"arm add a={number} b=1")
            base.wait_for("add of arm is done: 1")
            spare.wait_for("add of arm is done: 2")
