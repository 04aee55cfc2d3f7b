"""Host and device as programs, opposite each other and opposite plain sockets."""

from __future__ import annotations

import sys

import pytest

from tests.examples.peer import HEARTBEAT, DevicePeer, HostSocket
from tests.examples.programs import EXAMPLE, Program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a signal"),
]
GO = '{"type": 1, "cmd": "go é"}'


def test_host_and_devices() -> None:
    with Program(EXAMPLE + "host", "tcp://127.0.0.1:0") as host:
        endpoint = f"tcp://127.0.0.1:{host.port()}"
        with Program(EXAMPLE + "device", endpoint) as one, Program(EXAMPLE + "device", endpoint) as two:
            host.wait_for("connected to leadscomm-Server", 2)
            host.type("go")
            host.type(GO)
            for device in (one, two):
                device.wait_for("order: {'type': 1, 'cmd': 'go'}")
                device.wait_for("order: {'type': 1, 'cmd': 'go é'}")
            host.wait_for("has done", 4)
            assert one.interrupt() == 0
            assert "Traceback" not in one.said()
            host.wait_for("disconnected from leadscomm-Server")
            two.kill()
            host.wait_for("disconnected from leadscomm-Server", 2)
        assert host.interrupt() == 0
        assert "Traceback" not in host.said()


def test_an_order_that_killed_its_device_is_done_by_the_next() -> None:
    with Program(EXAMPLE + "host", "tcp://127.0.0.1:0") as host:
        host.type("go")
        port = host.port()
        with DevicePeer(port) as device:
            assert "go" in device.read()
        host.wait_for("waits for another device")
        with Program(EXAMPLE + "device", f"tcp://127.0.0.1:{port}"):
            host.wait_for("has done")


def test_a_device_outlives_its_host() -> None:
    with (
        HostSocket() as hosts,
        Program(EXAMPLE + "device", f"tcp://127.0.0.1:{hosts.port}?reconnect_max=0.1") as device,
    ):
        for _ in range(2):
            with hosts.accept() as host:
                for text in (HEARTBEAT, GO):
                    host.send_text(text)
                    assert host.status() == 1
        device.wait_for("order:", 2)
        assert device.interrupt() == 0


def test_more_orders_are_piped_in_than_may_wait() -> None:
    with Program(EXAMPLE + "host", "tcp://127.0.0.1:0", "--queue", "3") as host:
        for number in range(10):
            host.type(str(number))
        host.wait_for("waiting: 3 orders wait already")
        with DevicePeer(host.port()) as device:
            texts = device.obey(10)
        assert [f'"cmd": "{number}"' in text for number, text in enumerate(texts)] == [True] * 10


def test_a_port_that_is_taken() -> None:
    with HostSocket() as taken, Program(EXAMPLE + "host", f"tcp://127.0.0.1:{taken.port}") as host:
        assert host.process.wait(20) == 1
        assert "Traceback" not in host.said()
