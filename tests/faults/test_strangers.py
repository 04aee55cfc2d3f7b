"""Whoever does not speak the session, or too slowly, or too much: closed in time, and nobody suffers."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.faults.conftest import Lay
from tests.faults.peers import PATIENCE_S, Needs, Peer
from tests.faults.plug import Plug
from tests.faults.rigs import Pair, SerialRig, TcpRig
from tests.faults.test_cuts import goes_on

TIMEOUT = 0.5
OPTIONS = f"reliable=1&handshake_timeout={TIMEOUT}"
HELD_BYTES = 64 << 10
SLACK_BYTES = 8 << 20
"""What a program's memory may grow by, by whatever it does."""
MANY_FRAMES_BYTES = 48 << 20
"""The same where what is read at once is cut into thousands of frames, for a moment, on many threads."""
STRANGERS = 100
LOTS = 1 << 20


def garbage(count: int) -> bytes:
    return random.Random(7).randbytes(count)


SAID = {
    "nothing": b"",
    "a zero": b"\0",
    "half a frame": b"\x05\x01\x02",
    "LEADS": b"hello;world;disconnect;",
    "text": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "noise": garbage(1000),
    "an endless frame": b"\x01" * LOTS,
    "zeros": bytes(LOTS),
    "much noise": garbage(LOTS),
}


@contextmanager
def strangers(port: int, count: int = 1) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(count)]


def say(stranger: socket.socket, data: bytes) -> None:
    """Say as much of it as is taken."""
    stranger.settimeout(PATIENCE_S)
    try:
        stranger.sendall(data)
    except OSError:  # closed, which is what it is to be
        pass


def await_end(stranger: socket.socket) -> None:
    stranger.settimeout(PATIENCE_S)
    try:
        while stranger.recv(65536):
            pass
    except ConnectionError:
        pass


@pytest.mark.parametrize("what", SAID)
def test_no_session_is_spoken(lay: Lay, what: str) -> None:
    rig = lay(TcpRig, OPTIONS)
    with strangers(rig.server.port) as (stranger,):
        say(stranger, SAID[what])
        rig.exchange()
        await_end(stranger)
    rig.server.wait("fail")
    rig.exchange()
    assert len(rig.server.told("connect")) == 1


def test_a_byte_now_and_then(lay: Lay) -> None:
    """Signs of life that come to nothing keep nobody connected."""
    rig = lay(TcpRig, OPTIONS)
    with strangers(rig.server.port) as (stranger,):
        stranger.settimeout(TIMEOUT / 5)
        said = 0
        while said < PATIENCE_S / TIMEOUT * 5:
            try:
                stranger.send(b"\x05")
                said += 1
                if not stranger.recv(100):
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert said < PATIENCE_S / TIMEOUT * 5
    rig.exchange()


@pytest.mark.long  # memory is measured, of a process that nothing else looks into
@pytest.mark.parametrize(
    ("what", "slack"), [(b"\x01", SLACK_BYTES), (b"\0", MANY_FRAMES_BYTES), (b"\x03ab\0", MANY_FRAMES_BYTES)]
)
def test_memory_of_many(lay: Lay, what: bytes, slack: int) -> None:
    """All of them say as much as is taken."""
    rig = lay(TcpRig, f"reliable=1&handshake_timeout={PATIENCE_S}&max_connections={STRANGERS + 10}")
    rig.exchange()
    before = Needs.of(rig.server.pid).bytes
    with strangers(rig.server.port, STRANGERS) as crowd:
        for stranger in crowd:
            stranger.setblocking(False)
            try:
                while stranger.send(what * (65536 // len(what))):
                    pass
            except OSError:  # it takes no more, or has hung up
                pass
        rig.exchange()
        assert Needs.of(rig.server.pid).bytes - before < STRANGERS * HELD_BYTES + slack


@pytest.mark.long
def test_strangers_udp() -> None:
    """Datagrams of many senders that are no peers."""
    with Peer("server", f"udp://127.0.0.1:0?{OPTIONS}") as server:
        endpoint = f"udp://127.0.0.1:{server.port}?{OPTIONS}"
        with ExitStack() as stack, Peer("client", endpoint) as client:
            pair = Pair(server, client)
            pair.exchange()
            before = Needs.of(server.pid).bytes
            for number in range(STRANGERS):
                stranger = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                for length in range(0, 1400, 7):
                    stranger.sendto(garbage(length)[: number * length], ("127.0.0.1", server.port))
            pair.exchange()
            assert Needs.of(server.pid).bytes - before < STRANGERS * HELD_BYTES + SLACK_BYTES
            assert len(server.told("connect")) == 1


def test_noise_on_the_cable(lay: Lay) -> None:
    """Between the frames of a session, which goes on."""
    rig = lay(SerialRig, OPTIONS)
    for data in (garbage(3000), b"\0" * 3000, b"\x01" * 3000, b"hello;world;" * 100):
        rig.cable.say(data)
        rig.exchange()
    goes_on(rig)


@pytest.mark.long
def test_noise_on_the_cable_before(tmp_path: Path) -> None:
    """Somebody speaks otherwise before the session begins."""
    with Plug(tmp_path) as cable, Peer("server", f"serial://{cable.a}?{OPTIONS}") as server:
        cable.say(SAID["LEADS"] + SAID["noise"])
        with Peer("client", f"serial://{cable.b}?{OPTIONS}") as client:
            Pair(server, client).exchange()
