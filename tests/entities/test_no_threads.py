"""The system has no thread left for a moment: what had to wait for one goes on once there are some again."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from leadscomm import Client, CommError, Node, Server, ServiceError
from leadscomm.entities.running import acceptor
from leadscomm.journal.journal import Journal
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until


class Threads:
    """Which threads cannot be started, by parts of their names."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.denied: tuple[str, ...] = ()
        self.asked = 0
        start = threading.Thread.start

        def limited(thread: threading.Thread) -> None:
            if any(part in thread.name for part in self.denied):
                self.asked += 1
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", limited)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Threads:
    return Threads(monkeypatch)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Takes(Recorder):
    def on_stream(self, service, connection, stream):
        self.target = io.BytesIO()
        stream.accept(self.target)

    def on_stream_end(self, service, connection, stream):
        self.note("stream_end", stream.error)


@pytest.mark.parametrize("part", ["Server", "flusher"])
def test_a_service_that_cannot_be_started_can_be_later(part: str, threads: Threads, tmp_path: Path) -> None:
    heard = Recorder()
    server = Server("tcp://127.0.0.1:0?reliable=1", heard, durable=str(tmp_path / "journal"))
    threads.denied = (part,)
    if part == "Server":
        with pytest.raises(ServiceError, match="no thread"):
            server.start(parallel=True)
    else:
        server.start(parallel=True)
        (failure,) = heard.wait("fail")
        assert isinstance(failure, ServiceError)
        assert "no thread left" in str(failure)
        assert server.join(5)
    assert not server.running()
    threads.denied = ()
    with server, Client(f"tcp://127.0.0.1:{server.port()}?reliable=1", Recorder()) as client:
        client.send(b"hello")
        heard.wait("receive")


def test_reports_wait_for_a_thread(threads: Threads) -> None:
    heard = Recorder()
    with Server("tcp://127.0.0.1:0", heard) as server:
        threads.denied = ("reporter",)
        server._report(CommError("one"))
        wait_until(lambda: threads.asked > 1)  # again and again
        assert not heard.of("fail")
        threads.denied = ()
        server._report(CommError("two"))
        assert [str(error) for error in heard.wait("fail", 2)] == ["one", "two"]


def test_reports_that_no_thread_could_tell_are_told_at_the_end(threads: Threads) -> None:
    heard = Recorder()
    with Server("tcp://127.0.0.1:0", heard) as server:
        threads.denied = ("reporter",)
        server._report(CommError("one"))
    assert [str(error) for error in heard.of("fail")] == ["one"]


def test_a_stream_waits_for_a_thread(threads: Threads, stack: ExitStack, tmp_path: Path) -> None:
    heard, path = Takes(), str(tmp_path / "journal")
    server = Server("tcp://127.0.0.1:0?reliable=1", heard, durable=path).start(parallel=True)
    client = stack.enter_context(Client(f"tcp://127.0.0.1:{server.port()}?reliable=1&name=c", Recorder()))
    wait_until(lambda: client.connection is not None)
    threads.denied = ("Server-stream",)
    asked = threads.asked
    waiting = client.send_stream(io.BytesIO(b"hello "), wait=False)
    wait_until(lambda: threads.asked > asked + 1)  # again and again
    threads.denied = ()
    assert waiting.wait(PATIENCE_S)
    threads.denied = ("Client-stream",)
    with pytest.raises(ServiceError, match="no thread left"):
        client.send_stream(io.BytesIO(b"hi"), wait=False)
    threads.denied = ()
    client.send_stream(io.BytesIO(b"again"))
    heard.wait("stream_end", 2)
    assert heard.target.getvalue() == b"again"
    assert not heard.of("disconnect")
    server.close()
    assert not server.running()
    Journal(path).close()  # it was let go


@pytest.mark.parametrize("pooled", [False, True])
def test_who_comes_meanwhile_is_turned_away(
    pooled: bool, threads: Threads, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptor, "OWN_THREADS", 0 if pooled else 8)
    monkeypatch.setattr(acceptor, "_PAUSE_S", 0.01)
    heard = Recorder()
    server = stack.enter_context(Server("tcp://127.0.0.1:0", heard))
    threads.denied = ("Server-reader", "Server-127")
    told = Recorder()
    client = stack.enter_context(Client(server.endpoint, told, reconnect_min=0.01, reconnect_max=0.02))
    heard.wait("fail")
    assert "turned away" in str(heard.of("fail")[0])
    told.wait("disconnect")
    threads.denied = ()
    heard.wait("connect")
    wait_until(lambda: client.connection is not None)
    server.broadcast(b"welcome")
    told.wait("receive")


def test_a_session_is_told_of_once_there_is_a_thread(threads: Threads, stack: ExitStack) -> None:
    """Its own thread, with two lines, and the one that tells its end."""
    heard = Recorder()
    base = stack.enter_context(Node("base", listen=["tcp://127.0.0.1:0"], callback=heard))
    threads.denied = ("leadscomm-node-base-arm",)
    arm = Node("arm", connect=[f"tcp://127.0.0.1:{base.port()}"] * 2).start(parallel=True)
    wait_until(lambda: "base" in arm.peers())
    arm.send(b"hello", "base")
    heard.wait("receive")
    threads.denied = ()
    arm.close()
    heard.wait("disconnect")


def test_a_node_that_cannot_start_its_threads_ends_and_can_be_started_later(threads: Threads) -> None:
    heard = Recorder()
    node = Node("arm", listen=["tcp://127.0.0.1:0"], callback=heard)
    threads.denied = ("leadscomm-node-arm",)
    node.start(parallel=True)
    heard.wait("fail")
    assert node.join(5)
    threads.denied = ()
    with node:
        assert node.port()
