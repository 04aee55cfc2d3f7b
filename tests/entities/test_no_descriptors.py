"""The process has no descriptor left for a moment: who is told what, and what goes on once there are some again."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from leadscomm import Client, CommError, ConnectFailed, JournalError, Server, connect, listen
from leadscomm.entities.running.flusher import FlusherThread
from tests.connections.transports import TLS_CLIENT, TLS_SERVER
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until
from tests.entities.watched import Watched

resource = pytest.importorskip("resource", reason="Windows has no such limit")
SCARCE = "Too many open files; raise `ulimit -n`"


class Descriptors:
    """Takes all that the process has left, but some."""

    def __init__(self) -> None:
        self._taken: list[int] = []
        self._limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    def leave(self, count: int) -> None:
        """Leave so many."""
        highest = max(map(int, os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 8, self._limits[1]))
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                self._taken.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(count):
            os.close(self._taken.pop())

    def give_back(self) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)
        while self._taken:
            os.close(self._taken.pop())


@pytest.fixture
def descriptors() -> Iterator[Descriptors]:
    descriptors = Descriptors()
    yield descriptors
    descriptors.give_back()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def endpoints(kind: str, folder: Path) -> tuple[str, str]:
    """Where to listen, and where to dial then; ``{port}`` is the real port."""
    return {
        "tcp": ("tcp://127.0.0.1:0", "tcp://127.0.0.1:{port}"),
        "session": ("tcp://127.0.0.1:0?reliable=1", "tcp://127.0.0.1:{port}?reliable=1"),
        "udp": ("udp://127.0.0.1:0", "udp://127.0.0.1:{port}"),
        "session-udp": ("udp://127.0.0.1:0?reliable=1", "udp://127.0.0.1:{port}?reliable=1"),
        "tls": (TLS_SERVER, TLS_CLIENT),
        "unix": (f"unix://{folder}/socket", f"unix://{folder}/socket"),
        "loop": ("loop://scarce", "loop://scarce"),
    }[kind]


KINDS = ["tcp", "session", "udp", "session-udp", "tls", "unix", "loop"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_dialled_or_listened_on_says_so(
    kind: str, descriptors: Descriptors, tmp_path: Path, stack: ExitStack
) -> None:
    there, dialled = endpoints(kind, tmp_path)
    server = stack.enter_context(Server(there, Recorder()))
    place = dialled.format(port=server.port())
    other = there.replace("socket", "another").replace("scarce", "another")
    for count in range(8):
        descriptors.leave(count)
        errors: list[Exception] = []
        try:
            connect(place, timeout=0.2).close()
        except Exception as error:
            errors.append(error)
        try:
            listening = listen(other)
            listening.close()
            listening.release()
        except Exception as error:
            errors.append(error)
        descriptors.give_back()
        assert all(isinstance(error, CommError) for error in errors), (count, errors)
        assert count or SCARCE in str(errors[0])
    listening = listen(other)  # nothing of what failed has stayed
    listening.close()
    listening.release()


@pytest.mark.parametrize("count", range(2))
def test_a_journal_that_cannot_be_opened_says_so(count: int, descriptors: Descriptors, tmp_path: Path) -> None:
    server = Server("tcp://127.0.0.1:0?reliable=1", Recorder(), durable=str(tmp_path / "journal"))
    descriptors.leave(count)
    try:
        with pytest.raises(JournalError, match="ulimit -n"):
            server.start(parallel=True)
    finally:
        descriptors.give_back()
    with server:
        assert server.port()


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_goes_on_once_there_are_some(
    kind: str, descriptors: Descriptors, tmp_path: Path, stack: ExitStack
) -> None:
    there, dialled = endpoints(kind, tmp_path)
    heard, told = Recorder(), Recorder()
    server = stack.enter_context(Server(there, heard))
    client = Client(dialled.format(port=server.port()), told, reconnect=True, connect_timeout=2)
    descriptors.leave(0)
    stack.enter_context(client)
    failures = told.wait("fail")
    descriptors.give_back()
    assert all(isinstance(error, CommError) for error in failures)
    told.wait("connect")
    client.send(b"hello")
    heard.wait("receive")


@pytest.mark.parametrize("count", range(4))
def test_a_server_that_cannot_listen_says_so_and_can_be_started_later(count: int, descriptors: Descriptors) -> None:
    told = Recorder()
    server = Server("tcp://127.0.0.1:0", told)
    descriptors.leave(count)
    server.start(parallel=True)
    descriptors.give_back()
    server.close()
    assert all(isinstance(error, ConnectFailed) for error in told.of("fail"))
    assert count or told.of("fail")
    with server:
        connect(server.endpoint).close()


@pytest.mark.parametrize("count", range(3))
def test_a_blocked_peer_is_watched_once_there_are_some(count: int, descriptors: Descriptors, stack: ExitStack) -> None:
    ours, theirs = socket.socketpair()
    stack.enter_context(ours)
    stack.enter_context(theirs)
    flusher = FlusherThread("test")
    flusher.start()
    stack.callback(flusher.stop, 1.0)
    blocked = Watched(flusher, ours.fileno())
    descriptors.leave(count)
    flusher.watch(blocked)
    wait_until(lambda: bool(flusher._timers))
    descriptors.give_back()
    assert blocked.resumed.wait(PATIENCE_S)
