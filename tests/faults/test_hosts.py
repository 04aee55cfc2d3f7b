"""A host that is gone, and one that is alive though its program does not read: TCP has to tell them apart."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from leadscomm import CommTimeout, ConnectionLost, DeliveryError, connect, create_client, create_server
from tests.connections.sockets.test_tls import CA, client_url, server_url
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until
from tests.faults.namespaces import ADDRESSES, Network

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system's own limits count")
COUNT = 120
SIZE = 100_000
PROBES_AT = 3
BACKOFF_AT = 4


def asked(sock: socket.socket) -> int:
    """How often the system has asked a peer with a closed window for room, and was answered."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return 0 if info[PROBES_AT] else info[BACKOFF_AT]


class Sleeper:
    """A callback that does not return until it is woken."""

    def __init__(self) -> None:
        self.heard = Recorder(self._sleep)
        self._woken = threading.Event()

    def _sleep(self, *_: Any) -> None:
        self._woken.wait(PATIENCE_S)

    def wake(self) -> None:
        self._woken.set()


@pytest.mark.parametrize("kind", ["tcp", "tls", "session"])
def test_a_peer_that_does_not_read_is_alive(kind: str) -> None:
    """Its host answers for it far beyond what a host that is gone would be given."""
    sleeper, told = Sleeper(), Recorder()
    more = "reliable=1&" if kind == "session" else ""
    url = server_url("server") if kind == "tls" else f"tcp://127.0.0.1:0?{more}"
    with create_server(url, sleeper.heard) as server:
        place = client_url(server.port(), CA) if kind == "tls" else f"tcp://127.0.0.1:{server.port()}?{more}"
        client = create_client(place, told, outbox="64M", user_timeout=0.2).start(parallel=True)
        try:
            connection = told.wait("connect")[0]
            for i in range(COUNT):
                client.send(b"%d " % i + bytes(SIZE))
            sleeper.heard.wait("receive")
            if kind != "session":  # which sends no more than its peer takes
                wait_until(lambda: asked(connection._socket) >= 2)
            client.send(b"last")
            sleeper.wake()
            got = sleeper.heard.wait("receive", COUNT + 1)
        finally:
            sleeper.wake()
            client.close()
    assert [int(message.split()[0]) for message in got[:-1]] == list(range(COUNT))
    assert told.of("fail") == []


def test_a_peer_that_does_not_read_is_alive_for_a_bare_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection = connect(listener.getsockname()[1], user_timeout=0.1)
        peer, _ = listener.accept()
        with peer, closing(connection):
            connection.send(bytes(100_000))

            def still_waits() -> bool:
                with pytest.raises(CommTimeout):
                    connection.receive(timeout=0.05)
                return asked(connection._socket) >= 2

            wait_until(still_waits)
            peer.sendall(b"here;")
            assert connection.receive(timeout=PATIENCE_S) == b"here"
            connection.abort()


def test_closing_while_the_peer_does_not_read_takes_nothing_back() -> None:
    """What the system has taken arrives though the program has gone on: nothing is lost unreported."""
    told = Recorder()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client = create_client(listener.getsockname()[1], told, outbox="64M", user_timeout=0.1).start(parallel=True)
        peer, _ = listener.accept()
        with peer:
            for i in range(COUNT):
                client.send(b"%08d" % i + bytes(SIZE))
            wait_until(lambda: asked(told.of("connect")[0]._socket) >= 2)
            client.close(timeout=0.1)
            failed = [error for error in told.of("fail") if isinstance(error, DeliveryError)]
            left = [message for error in failed for message in error.messages]
            peer.settimeout(PATIENCE_S)
            data = bytearray()
            while chunk := peer.recv(1 << 20):
                data += chunk
    arrived = bytes(data).split(b";")
    assert [int(message[:8]) for message in arrived if len(message) == SIZE + 8] == list(range(COUNT - len(left)))


def stalled(server: Any) -> Callable[[], bool]:
    """Fill the connection of a server until the system asks its peer for room; whether it has been answered so far."""
    connection = server.connections()[0]
    for _ in range(COUNT):
        connection.send(bytes(SIZE))
    return lambda: asked(connection._socket) >= 2


@pytest.mark.parametrize("how", ["sent", "stalled"])
def test_a_host_that_is_gone_is_noticed(need_namespaces: Callable[[], None], how: str) -> None:
    """Whether what was sent is under way, or the peer's window is closed."""
    need_namespaces()
    told = Recorder()
    with Network() as network:
        with network.hosts[0].inside():
            url = f"tcp://{ADDRESSES[0]}:0"
            server = create_server(url, told, outbox="64M", user_timeout=0.5, keepalive=0).start(parallel=True)
        with network.hosts[1].inside():
            peer = socket.create_connection((ADDRESSES[0], server.port()))
        with peer:
            told.wait("connect")
            wait_until(lambda: server.num_connections() == 1)
            if how == "stalled":
                wait_until(stalled(server))
            network.vanish()
            if how == "sent":
                server.connections()[0].send(b"into the dark")
            told.wait("disconnect")
            lost = [error for error in told.of("fail") if isinstance(error, ConnectionLost)]
            assert "its host does not answer any more" in str(lost[0])
            if how == "stalled":
                wait_until(lambda: any(isinstance(error, DeliveryError) for error in told.of("fail")))
            server.close()


def test_a_bare_connection_notices_it_too(need_namespaces: Callable[[], None]) -> None:
    need_namespaces()
    with Network() as network:
        with network.hosts[1].inside():
            listener = socket.create_server((ADDRESSES[1], 0))
        with listener:
            with network.hosts[0].inside():
                place = f"tcp://{ADDRESSES[1]}:{listener.getsockname()[1]}"
                connection = connect(place, user_timeout=0.5, keepalive=0)
            network.vanish()
            connection.send(b"into the dark")
            assert connection.receive(timeout=PATIENCE_S) is None
            connection.close()
