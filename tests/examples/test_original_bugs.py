"""What was wrong with the asyncio programs whose wire this is; each test fails with them.

The devices and hosts opposite are plain sockets.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from examples.task_executor.device import Device
from examples.task_executor.host import Host
from examples.task_executor.orders import QueueFull
from leadscomm import Client, ConnectionBase, Server
from tests.entities.recorder import PATIENCE_S, wait_until
from tests.examples.peer import HEARTBEAT, DevicePeer, HostPeer, HostSocket

ORDERS = [f'{{"type": 1, "number": {number}}}' for number in range(10)]


class HandTurned(Host):
    """A host whose clock stands still until it is turned, and which notes what it is told."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, clock=lambda: self.now)
        self.now = 0.0
        self.confirmations = 0
        self.reports: list[tuple[str, object]] = []  # order and status
        self.devices: list[ConnectionBase] = []  # of the reports

    def turn(self, seconds: float) -> None:
        self.now += seconds
        self.tick()

    def wait_for(self, confirmations: int) -> None:
        wait_until(lambda: self.confirmations >= confirmations, f"{confirmations} confirmations")

    def done(self, device: ConnectionBase, order: str, status: object) -> None:
        super().done(device, order, status)
        self.devices.append(device)
        self.reports.append((order, status))

    def on_receive(self, service: Any, msg: bytes) -> None:
        super().on_receive(service, msg)
        self.confirmations += 1


@contextmanager
def served(host: Host) -> Iterator[Server]:
    with Server("tcp://127.0.0.1:0", host, framing="task-host") as server:
        yield server


def hang_up(server: Server) -> None:
    """End every conversation once what was sent is out; does not wait."""
    for connection in server.connections():
        connection.close()


@contextmanager
def device_at_work() -> Iterator[tuple[HostPeer, list[dict[str, Any]]]]:
    """A device of ours: its host's end of the conversation, and the orders that it has carried out."""
    executed: list[dict[str, Any]] = []
    device = Device(executed.append)
    with HostSocket() as hosts, Client(hosts.port, device, framing="task-device"), hosts.accept() as host:
        yield host, executed


def test_1_a_device_confirms_and_goes_on() -> None:
    """It used an undefined name when it confirmed the first message, and ended."""
    with device_at_work() as (host, executed):
        for text in (HEARTBEAT, *ORDERS):
            host.send_text(text)
            assert host.status() == 1
    assert [order["number"] for order in executed] == list(range(10))


def test_2_messages_arrive_whole_however_the_stream_is_cut() -> None:
    """It took what one read returned for the whole length, or the whole message."""
    with device_at_work() as (host, executed):
        host.send_text('{"type": 1, "number": "1"}', piece=1)
        assert host.status() == 1
        host.send_text('{"type": 1, "number": "' + 300_000 * "x" + '"}', piece=7000)
        assert host.status() == 1
    assert [len(order["number"]) for order in executed] == [1, 300_000]


def test_3_the_length_counts_bytes() -> None:
    """It counted characters, so that the next message was looked for inside a text like these."""
    host = HandTurned()
    host.add('{"a": "é"}')
    host.add('{"b": "日本"}')
    with served(host) as server, DevicePeer(server.port()) as device:
        assert device.obey(2) == ['{"a": "é"}', '{"b": "日本"}']


def test_4_each_device_gets_one_heartbeat_a_period() -> None:
    """Each device's loop wrote to all devices: with three of them each got three heartbeats."""
    host = HandTurned()
    with served(host) as server, ExitStack() as stack:
        devices = [stack.enter_context(DevicePeer(server.port())) for _ in range(3)]
        for period in range(1, 5):
            for device in devices:
                assert device.obey(1) == [HEARTBEAT]
            host.wait_for(3 * period)
            host.turn(3)
        hang_up(server)
        assert [device.rest() for device in devices] == [[HEARTBEAT]] * 3  # that of the last turn


def test_5_confirmations_may_come_joined_and_in_pieces() -> None:
    """It parsed what one read returned: two confirmations, or half of one, ended the conversation."""
    host = HandTurned()
    with served(host) as server, DevicePeer(server.port()) as device:
        assert device.read() == HEARTBEAT
        device.send(b'{"status_code": 1}{"status_code": 1}{"stat')
        host.wait_for(2)
        host.add(ORDERS[0])
        assert device.read() == ORDERS[0]
        device.send(b'us_code": 0}')
        host.wait_for(3)
    assert host.reports == [(ORDERS[0], 0)]


def test_6_an_order_whose_device_leaves_is_given_to_another() -> None:
    """It was taken out of the queue before it was sent, and so was lost with the device."""
    host = HandTurned()
    host.add(ORDERS[0])
    host.add(ORDERS[1])
    with served(host) as server:
        with DevicePeer(server.port()) as first:
            assert first.read() == ORDERS[0]
        wait_until(lambda: not server.num_connections(), "the first has left")
        with DevicePeer(server.port()) as second:
            assert second.obey(2) == ORDERS[:2]


def test_7_it_is_known_who_confirmed_what() -> None:
    """A confirmation names neither order nor device, and several orders were on their way to one device at a time."""
    host = HandTurned()
    with served(host) as server, DevicePeer(server.port()) as one, DevicePeer(server.port()) as two:
        for device in (one, two):
            assert device.obey(1) == [HEARTBEAT]
        for order in ORDERS[:2]:
            host.add(order)
        confirmed = 2
        for device, statuses in ((two, [1, 0]), (one, [0, 1])):
            for order, status in zip(ORDERS, statuses):
                assert device.read() == order
                device.confirm(status)
                confirmed += 1
                host.wait_for(confirmed)
    assert host.reports == [(ORDERS[0], 1), (ORDERS[1], 0), (ORDERS[0], 0), (ORDERS[1], 1)]
    assert host.devices[0] is host.devices[1] is not host.devices[2] is host.devices[3]


def test_8_a_silent_device_holds_nobody_up_and_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    """The loops of the others went on writing to it, and nobody was told."""
    host = HandTurned(patience=30)
    with served(host) as server, DevicePeer(server.port()) as silent, DevicePeer(server.port()) as busy:
        assert silent.read() == HEARTBEAT
        assert busy.obey(1) == [HEARTBEAT]
        for number in range(100):
            host.add(str(number))
            assert busy.obey(1) == [str(number)]
        host.wait_for(101)
        host.turn(30)
        assert silent.rest() == []
    assert "does not confirm; hanging up" in caplog.text


def test_9_a_device_that_is_cut_off_ends_no_other_conversation() -> None:
    """The loops of the others wrote to it as well, and its error ended theirs."""
    host = HandTurned()
    with served(host) as server, DevicePeer(server.port()) as steady:
        assert steady.obey(1) == [HEARTBEAT]
        for number in range(20):
            dead = DevicePeer(server.port())
            assert dead.read() == HEARTBEAT
            dead.reset()
            host.add(str(number))
            assert steady.obey(1) == [str(number)]
            host.wait_for(number + 2)


def test_10_devices_may_come_and_go_while_others_are_served() -> None:
    """Each that left changed the list that others were walking through."""
    host = HandTurned()

    def come_and_go(port: int) -> None:
        for _ in range(25):
            with DevicePeer(port) as device:
                device.obey(1)

    with served(host) as server, DevicePeer(server.port()) as steady:
        assert steady.obey(1) == [HEARTBEAT]
        visitors = [threading.Thread(target=come_and_go, args=(server.port(),)) for _ in range(4)]
        for visitor in visitors:
            visitor.start()
        for number in range(200):
            host.add(str(number), PATIENCE_S)
            assert steady.obey(1) == [str(number)]
        for visitor in visitors:
            visitor.join()


def test_11_a_full_queue_is_refused_with_a_reason() -> None:
    """It raised a bare QueueFull, which ended whoever had not thought of it."""
    host = HandTurned(limit=2)
    for order in ORDERS[:2]:
        host.add(order)
    with pytest.raises(QueueFull, match=r"2 orders wait already, and 0 device\(s\) are there to do them: add this one"):
        host.add(ORDERS[2])
    with pytest.raises(QueueFull):
        host.add(ORDERS[2], timeout=0.01)


def test_11_a_full_queue_may_be_waited_for() -> None:
    host = HandTurned(limit=1)
    host.add(ORDERS[0])
    waiting = threading.Thread(target=host.add, args=(ORDERS[1], PATIENCE_S))
    waiting.start()
    with served(host) as server, DevicePeer(server.port()) as device:
        device.obey(1)
        waiting.join()
        assert device.obey(1) == [ORDERS[1]]


def test_11_a_full_queue_may_drop_the_oldest(caplog: pytest.LogCaptureFixture) -> None:
    host = HandTurned(limit=2, drop_oldest=True)
    for order in ORDERS[:3]:
        host.add(order)
    assert f"dropped: {ORDERS[0]}" in caplog.text
    with served(host) as server, DevicePeer(server.port()) as device:
        assert device.obey(2) == ORDERS[1:3]


def test_12_an_idle_device_gets_an_order_at_once() -> None:
    """It slept for three seconds after each confirmation, whatever came into the queue."""
    host = HandTurned()
    with served(host) as server, DevicePeer(server.port()) as device:
        assert device.obey(1) == [HEARTBEAT]
        host.wait_for(1)
        host.add(ORDERS[0])
        assert device.obey(1) == [ORDERS[0]]
