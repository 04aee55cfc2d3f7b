"""Ending while something is under way: a look-up, dialling, a handshake, the wait for another attempt. It is quick and
final, the service can be started again, and why nothing came of it is told."""

from __future__ import annotations

import contextlib
import os
import pty
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from leadscomm import (
    Callback,
    Client,
    CommError,
    ConnectFailed,
    ConnectionLost,
    Node,
    Scheme,
    Server,
    connect,
    create_client,
    create_server,
    listen,
    register_scheme,
)
from leadscomm.connections import endpoint
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until

BOUND_S = 4.0
"""What tells quick from waiting: every time limit here is longer."""
KEY = b"k" * 16


class Silence:
    """A name server that does not answer until it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers = threading.Event()
        self.asked = threading.Semaphore(0)
        self.questions = 0
        self._ask = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._slow)

    def _slow(self, host: Any, *args: Any, **more: Any) -> Any:
        if host != "silent.example":
            return self._ask(host, *args, **more)
        self.questions += 1
        self.asked.release()
        self.answers.wait(PATIENCE_S)
        return self._ask("127.0.0.1", *args, **more)


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> Iterator[Silence]:
    silence = Silence(monkeypatch)
    yield silence
    silence.answers.set()


@pytest.fixture
def unanswered() -> Iterator[int]:
    """The port of a host that answers nobody."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        yield full.getsockname()[1]


@pytest.fixture
def mute() -> Iterator[int]:
    """The port of somebody who takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock.getsockname()[1]


def quickly(close: Callable[[], None]) -> None:
    begun = time.monotonic()
    close()
    assert time.monotonic() - begun < BOUND_S


def dialling(service: Any, caller: Callable[[], Any]) -> None:
    """Wait until something is being opened for the service."""
    wait_until(lambda: bool(caller()._wakes), f"opening something for {service}")


WAYS = {
    "tcp": ("unanswered", "tcp://127.0.0.1:{port}", {}),
    "session over tcp": ("unanswered", "tcp://127.0.0.1:{port}?reliable=1", {}),
    "TLS": ("mute", "tls://127.0.0.1:{port}", {}),
    "key": ("mute", "tcp://127.0.0.1:{port}", {"key": KEY}),
    "session": ("mute", "tcp://127.0.0.1:{port}?reliable=1", {"key": KEY}),
    "name": (None, "tcp://silent.example:1", {}),
    "session by name": (None, "udp://silent.example:1?reliable=1", {}),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_is_left_while_it_connects(way: str, request: pytest.FixtureRequest, silence: Silence) -> None:
    fixture, place, options = WAYS[way]
    port = request.getfixturevalue(fixture) if fixture else 0
    told = Recorder()
    client = Client(place.format(port=port), told, connect_timeout=30, **options)
    for count in (1, 2):
        starting = threading.Thread(target=client.start, daemon=True)
        starting.start()
        if way == "session":  # over a line that is open already
            wait_until(lambda: bool(client._dialler and client._dialler._stage))
        else:
            dialling(client, lambda: client._dialler._caller if client._dialler else client._caller)
        quickly(client.close)
        assert not client.running()
        (*_, error) = told.wait("fail", count)
        assert isinstance(error, ConnectFailed)
        assert "had not answered when its client was closed" in str(error)
        with pytest.raises(ConnectionLost) as raised:
            client.send(b"x")
        assert raised.value.__cause__ is error
        starting.join(PATIENCE_S)
    assert told.of("connect") == []


def test_on_connect_does_not_follow_close(silence: Silence) -> None:
    """Though the name server answers at last, and the server is there."""
    heard, told = Recorder(), Recorder()
    with create_server(0, heard) as server:
        client = Client(f"tcp://silent.example:{server.port()}", told, connect_timeout=30)
        threading.Thread(target=client.start, daemon=True).start()
        silence.asked.acquire(timeout=PATIENCE_S)
        quickly(client.close)
        silence.answers.set()
        wait_until(lambda: not any("look-up" in thread.name for thread in threading.enumerate()))
        assert told.of("connect") == heard.of("connect") == []
        client.start(parallel=True)
        told.wait("connect")
        client.close()


@pytest.mark.parametrize("open_it", [connect, listen])
def test_the_time_limit_is_one_of_the_look_up_too(silence: Silence, open_it: Callable[..., Any]) -> None:
    with pytest.raises(
        ConnectFailed, match=r"'silent\.example' could not be looked up in time: is the name server reach"
    ):
        open_it("tcp://silent.example:1", connect_timeout=0.05)
    with pytest.raises(ConnectFailed, match="could not be looked up in time"):
        open_it("udp://silent.example:1", connect_timeout=0.05)


def test_a_name_is_looked_up_once_however_often_it_is_tried(silence: Silence) -> None:
    """Who tries again finds the answer to what he asked before."""
    told = Recorder()
    with create_server(0) as server:
        place = f"tcp://silent.example:{server.port()}"
        with Client(place, told, connect_timeout=0.02, reconnect_min=0.001, reconnect_max=0.001) as client:
            told.wait("fail", 3)
            silence.answers.set()
            told.wait("connect")
            client.close()
    assert silence.questions <= 2


def test_a_server_and_a_node_that_are_left_while_a_name_is_looked_up(silence: Silence) -> None:
    told = Recorder()
    server = Server("tcp://silent.example:0", told, connect_timeout=30)
    node = Node("arm", ["tcp://silent.example:9"], ["tcp://silent.example:1"], told, connect_timeout=30)
    for service in (server, node):
        starting = threading.Thread(target=service.start, daemon=True)
        starting.start()
        silence.asked.acquire(timeout=PATIENCE_S)
        quickly(service.close)
        assert not service.running()
        starting.join(PATIENCE_S)
    silence.answers.set()
    assert all(isinstance(error, CommError) for error in told.wait("fail", 2))


def test_a_transport_that_cannot_be_ended_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes of it afterwards is closed, and told to nobody."""
    monkeypatch.setattr(endpoint, "SCHEMES", dict(endpoint.SCHEMES))
    opening, goes_on = threading.Event(), threading.Event()
    ours, theirs = socket.socketpair()

    def stubborn(address: Any, deadline: float) -> Any:
        opening.set()
        goes_on.wait(PATIENCE_S)
        from leadscomm import Connection

        return Connection(ours, ("stubborn", 0))

    register_scheme("stubborn", Scheme(stubborn, place="path"))
    told = Recorder()
    client = Client("stubborn://x", told)
    threading.Thread(target=client.start, daemon=True).start()
    assert opening.wait(PATIENCE_S)
    quickly(client.close)
    assert not client.running()
    goes_on.set()
    with theirs:
        theirs.settimeout(PATIENCE_S)
        assert theirs.recv(100) in (b"", b"disconnect;")
    assert told.of("connect") == []


def test_a_client_that_waits_for_a_device_or_for_another_attempt(unanswered: int) -> None:
    for place in ("serial:///dev/no-such-device", "serial:///dev/no-such-device?reliable=1", "tcp://127.0.0.1:1"):
        told = Recorder()
        client = Client(place, told, reconnect_min=30, reconnect_max=30).start(parallel=True)
        (error,) = told.wait("fail")
        with pytest.raises(ConnectionLost, match="not connected at the moment") as raised:
            client.send(b"x")
        assert raised.value.__cause__ is error
        quickly(client.close)
        assert not client.running()
        assert told.of("fail") == [error]


def test_a_client_that_asks_a_board_who_it_is() -> None:
    """The port is free at once for whoever comes next."""
    ours, theirs = pty.openpty()
    try:
        place = f"serial://{os.ttyname(theirs)}?identity=arm&connect_timeout=30"
        client = Client(place, told := Recorder())
        threading.Thread(target=client.start, daemon=True).start()
        dialling(client, lambda: client._caller)
        quickly(client.close)
        assert not client.running()
        assert "had not answered" in str(told.wait("fail")[0])
        other = connect(f"serial://{os.ttyname(theirs)}")
        other.abort()
        other.close()
    finally:
        os.close(ours)
        os.close(theirs)


def test_the_reason_of_a_failed_start_is_told_before_it_is_left() -> None:
    """However soon: a peer that holds another key is found out in the last moment."""
    told = Recorder()
    with Server("tcp://127.0.0.1:0?reliable=1", Callback(), key=KEY) as server:
        place = f"tcp://127.0.0.1:{server.port()}?reliable=1&connect_timeout=0.2"
        with Client(place, told, reconnect=False, key=b"K" * 16) as client:
            pass
        (error,) = told.of("fail")
        assert isinstance(error, CommError)
        with pytest.raises(ConnectionLost, match="must be running") as raised:
            client.send(b"x")
        assert raised.value.__cause__ is error


def test_a_server_that_could_not_listen_says_why_later_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = create_server(taken.getsockname()[1], told := Recorder()).start(parallel=True)
        (error,) = told.wait("fail")
        with socket.socket() as nobody, pytest.raises(ConnectionLost) as raised:
            server.send(b"x", nobody)  # type: ignore[arg-type]
        assert raised.value.__cause__ is error
        server.close()


def test_a_server_is_left_in_the_middle_of_handshakes() -> None:
    heard = Recorder()
    for options in ({"key": KEY}, {"reliable": True}):
        server = Server("tcp://127.0.0.1:0", heard, handshake_timeout=30, **options).start(parallel=True)
        with socket.create_connection(("127.0.0.1", server.port())):
            wait_until(lambda server=server: server._held() == 1)
            quickly(server.close)
        assert not server.running()
    assert heard.of("connect") == []


def test_a_connection_that_comes_at_the_last_moment_is_not_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    """close() comes between the connecting and on_connect."""
    told = Recorder()
    with create_server(0) as server:
        client = create_client(server.port(), told)
        converse = client._converse

        def late(connection: Any) -> None:
            threading.Thread(target=client.close, daemon=True).start()
            client._stopping.wait(PATIENCE_S)
            converse(connection)

        monkeypatch.setattr(client, "_converse", late)
        client.start(parallel=True)
        assert client.join(PATIENCE_S)
    assert told.kinds().count("connect") == told.kinds().count("disconnect")
