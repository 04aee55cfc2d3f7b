"""``send`` and ``close`` in the middle of each other, as a signal handler or a finalizer may call them."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from leadscomm import Client, ConnectionLost, JournalError, Node, Server, connect
from leadscomm.entities.running import reader as stage
from tests.entities.intruder import interrupt, interrupt_everywhere
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until

ENDPOINTS = {
    "tcp": "tcp://127.0.0.1:0",
    "cobs": "tcp://127.0.0.1:0?framing=cobs",
    "udp": "udp://127.0.0.1:0",
    "session": "tcp://127.0.0.1:0?reliable=1",
    "session-udp": "udp://127.0.0.1:0?reliable=1",
    "loop": "loop://anywhere",
    "faults": "fault://delay=0.001/tcp://127.0.0.1:0?framing=cobs",
}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def sorted_out(messages: list[bytes]) -> dict[bytes, list[int]]:
    """The numbers of each sender's messages, in the order in which they came."""
    found: dict[bytes, list[int]] = {}
    for message in messages:
        who, number = message.split()
        found.setdefault(who, []).append(int(number))
    return found


class Sending:
    """Two senders whose messages are numbered: the one is interrupted, and the other interrupts."""

    def __init__(self, send: Callable[[bytes], object], **how: Any) -> None:
        self.counters = {b"outer": itertools.count(), b"inner": itertools.count()}
        self.sent = {b"outer": 0, b"inner": 0}
        self.send = send

    def by(self, who: bytes) -> Callable[[], None]:
        def send() -> None:
            number = next(self.counters[who])
            self.sent[who] += 1
            self.send(b"%s %d" % (who, number))

        return send

    def check(self, heard: Recorder) -> None:
        heard.wait("receive", sum(self.sent.values()))
        assert sorted_out(heard.of("receive")) == {who: list(range(count)) for who, count in self.sent.items()}


@pytest.mark.parametrize("kind", ENDPOINTS)
def test_send_in_the_middle_of_send(kind: str, stack: ExitStack) -> None:
    heard = Recorder()
    server = stack.enter_context(Server(ENDPOINTS[kind], heard))
    client = stack.enter_context(Client(server.endpoint, Recorder()))
    sending = Sending(client.send)
    assert interrupt_everywhere(sending.by(b"outer"), sending.by(b"inner"), most=400)
    sending.check(heard)


@pytest.mark.parametrize("how", [{"lane": 2}, {"lifetime": 60.0}, {"latest": None, "timeout": 0}])
def test_send_in_the_middle_of_send_with_options(how: dict[str, Any], stack: ExitStack) -> None:
    heard = Recorder()
    server = stack.enter_context(Server("tcp://127.0.0.1:0?reliable=1", heard))
    client = stack.enter_context(Client(server.endpoint, Recorder()))
    sending = Sending(lambda message: client.send(message, **how))
    assert interrupt_everywhere(sending.by(b"outer"), sending.by(b"inner"), most=400)
    sending.check(heard)


@pytest.mark.parametrize("kind", ["tcp", "session"])
def test_broadcast_in_the_middle_of_broadcast_and_send(kind: str, stack: ExitStack) -> None:
    heard = [Recorder(), Recorder()]
    server = stack.enter_context(Server(ENDPOINTS[kind], Recorder()))
    for callback in heard:
        stack.enter_context(Client(server.endpoint, callback))
    wait_until(lambda: server.num_connections() == 2)
    sending = Sending(server.broadcast)
    assert interrupt_everywhere(sending.by(b"outer"), sending.by(b"inner"), most=400, each=2)
    for callback in heard:
        sending.check(callback)


def test_what_is_sent_to_one_in_the_middle_of_a_broadcast_comes_behind_earlier_ones(stack: ExitStack) -> None:
    heard = Recorder()
    server = stack.enter_context(Server("tcp://127.0.0.1:0", Recorder()))
    stack.enter_context(Client(server.endpoint, heard))
    wait_until(lambda: server.num_connections() == 1)
    (connection,) = server.connections()
    outer, inner = Sending(server.broadcast), Sending(server.broadcast)

    def intrude() -> None:
        inner.by(b"inner")()
        inner.send = connection.send
        inner.by(b"inner")()
        inner.send = server.broadcast

    assert interrupt_everywhere(outer.by(b"outer"), intrude, most=400)
    heard.wait("receive", outer.sent[b"outer"] + inner.sent[b"inner"])
    found = sorted_out(heard.of("receive"))
    assert found[b"outer"] == list(range(outer.sent[b"outer"]))
    assert found[b"inner"] == list(range(inner.sent[b"inner"]))


def test_nodes(stack: ExitStack) -> None:
    heard = Recorder()
    base = stack.enter_context(Node("base", listen=["tcp://127.0.0.1:0"], callback=heard))
    arm = stack.enter_context(Node("arm", connect=[f"tcp://127.0.0.1:{base.port()}"]))
    wait_until(lambda: "base" in arm.peers())
    sending = Sending(lambda message: arm.send(message, "base"))
    assert interrupt_everywhere(sending.by(b"outer"), lambda: arm.broadcast(b"inner 0"), most=400, each=3)
    heard.wait("receive", 2 * sending.sent[b"outer"] - 1)


@pytest.mark.parametrize("reliable", [False, True])
def test_without_an_entity(reliable: bool, stack: ExitStack) -> None:
    heard = Recorder()
    server = stack.enter_context(Server(f"tcp://127.0.0.1:0?reliable={int(reliable)}", heard))
    connection = connect(str(server.endpoint))
    sending = Sending(connection.send)
    assert interrupt_everywhere(sending.by(b"outer"), sending.by(b"inner"), most=300, each=2)
    sending.check(heard)
    connection.close()


def send_if_open(client: Client) -> None:
    with contextlib.suppress(ConnectionLost):  # it was closed before it had come so far
        client.send(b"message")


@pytest.mark.parametrize("kind", ENDPOINTS)
def test_close_in_the_middle_of_send(kind: str, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not wait for what it has interrupted, and ends all the same."""
    monkeypatch.setattr(stage, "DRAIN_TIMEOUT_S", 10 * PATIENCE_S)  # nothing else ends what waits for itself
    server = stack.enter_context(Server(ENDPOINTS[kind], Recorder()))
    for line in (1, 4, 9, 15, 22, 30, 40, 60, 90, 130):
        client = Client(server.endpoint, Recorder()).start(parallel=True)
        interrupt(line, partial(send_if_open, client), client.close)
        client.close()
        assert client.join(PATIENCE_S)


@pytest.mark.parametrize("kind", ["tcp", "udp", "session"])
def test_close_in_the_middle_of_close(kind: str, stack: ExitStack) -> None:
    server = stack.enter_context(Server(ENDPOINTS[kind], Recorder()))
    for line in (1, 5, 12, 25, 50):
        client = Client(server.endpoint, Recorder()).start(parallel=True)
        client.send(b"message")
        interrupt(line, client.close, client.close)
        assert client.join(PATIENCE_S)


def test_a_finalizer_may_send(stack: ExitStack) -> None:
    heard = Recorder()
    server = stack.enter_context(Server("tcp://127.0.0.1:0?reliable=1", heard))
    client = stack.enter_context(Client(server.endpoint, Recorder()))

    class Leaves:
        def __del__(self) -> None:
            client.send(b"inner 0")

    def intrude() -> None:
        Leaves()

    sending = Sending(client.send)
    times = interrupt_everywhere(sending.by(b"outer"), intrude, most=300, each=3)
    heard.wait("receive", times + sending.sent[b"outer"])


@pytest.mark.parametrize("line", range(1, 60, 4))
def test_a_server_is_closed_in_the_middle_of_its_turn_to_receive(line: int) -> None:
    """What the handler of SIGTERM does while the main thread serves. In UDP that thread receives for all peers."""
    heard = Recorder()
    server = Server("udp://127.0.0.1:0", heard)
    over = threading.Event()

    def flood() -> None:
        heard.wait("initialize")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            while not over.wait(0.001):
                peer.sendto(b"something to do", ("127.0.0.1", server.port()))

    flooding = threading.Thread(target=flood)
    flooding.start()
    try:
        interrupt(line, server.start, server.close, begun=lambda: bool(heard.of("receive")))
        assert server.join(PATIENCE_S)
    finally:
        over.set()
        flooding.join()


def test_a_durable_message_in_the_middle_of_another_is_stored_or_refused(stack: ExitStack, tmp_path: Path) -> None:
    heard = Recorder()
    server = stack.enter_context(Server("tcp://127.0.0.1:0?reliable=1", heard))
    url = f"tcp://127.0.0.1:{server.port()}?reliable=1&name=me"
    client = stack.enter_context(Client(url, Recorder(), durable=str(tmp_path / "journal")))
    client.send(b"outer")
    sending = Sending(client.send)
    stored = itertools.count()

    def intrude() -> None:
        with contextlib.suppress(JournalError):
            client.send(b"inner %d" % next(stored))
            sending.sent[b"inner"] += 1

    assert interrupt_everywhere(sending.by(b"outer"), intrude, most=300, each=7)
    assert sending.sent[b"inner"]
    heard.wait("receive", 1 + sum(sending.sent.values()))
    found = sorted_out(heard.of("receive")[1:])
    assert found[b"outer"] == list(range(sending.sent[b"outer"]))
    assert found[b"inner"] == sorted(found[b"inner"])
    assert len(found[b"inner"]) == sending.sent[b"inner"]
