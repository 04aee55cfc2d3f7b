"""The device of the task executor, opposite a host on plain sockets."""

from __future__ import annotations

from typing import Any

from examples.task_executor.device import Device
from leadscomm import Client
from tests.entities.recorder import wait_until
from tests.examples.peer import HEARTBEAT, HostSocket

GO = '{"type": 1, "cmd": "go"}'


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Counting(Device):
    """Counts the messages that it has dealt with."""

    count = 0

    def on_receive(self, service: Any, msg: bytes) -> None:
        super().on_receive(service, msg)
        self.count += 1


def refuse(order: dict[str, Any]) -> None:
    raise RuntimeError("the arm is stuck")


def test_what_cannot_be_done_is_confirmed_as_failed() -> None:
    with HostSocket() as hosts, Client(hosts.port, Device(refuse), framing="task-device"), hosts.accept() as host:
        for text, status in ((GO, 0), (HEARTBEAT, 1), ("go", 0), ("[1]", 0), ('{"a": "é"', 0), (GO, 0)):
            host.send_text(text)
            assert host.status() == status


def test_a_length_that_cannot_be_right_ends_the_conversation_and_the_device_comes_back() -> None:
    with HostSocket() as hosts, Client(hosts.port, Device(print), framing="task-device", reconnect_min=0.01):
        with hosts.accept() as host:
            host.send(b"}\0\0\0\x0b")  # what a length that counts characters leaves behind
            assert host.sock.recv(1) == b""
        with hosts.accept() as host:
            host.send_text(HEARTBEAT)
            assert host.status() == 1


def test_a_silent_host_is_left_and_dialled_again() -> None:
    clock = Clock()
    device = Counting(print, patience=10, clock=clock)
    assert device.tick() == 10
    with HostSocket() as hosts, Client(hosts.port, device, framing="task-device", reconnect_min=0.01):
        with hosts.accept() as host:
            clock.now = 9
            host.send_text(HEARTBEAT)
            assert host.status() == 1
            wait_until(lambda: device.count == 1)
            clock.now = 18.5
            assert device.tick() == 0.5
            clock.now = 19
            device.tick()
            assert host.sock.recv(1) == b""
        with hosts.accept() as host:
            host.send_text(HEARTBEAT)
            assert host.status() == 1


def test_a_host_is_not_silent_while_an_order_is_carried_out() -> None:
    clock = Clock()
    ticks = []

    def work(order: dict[str, Any]) -> None:
        clock.now += 1000
        ticks.append(device.tick())

    device = Device(work, patience=10, clock=clock)
    with HostSocket() as hosts, Client(hosts.port, device, framing="task-device"), hosts.accept() as host:
        host.send_text(GO)
        assert host.status() == 1
    assert ticks == [10]
