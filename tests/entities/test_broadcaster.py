"""Messages to all, of servers and of nodes: gathered, in order with what is sent to one, and no peer's trouble."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from leadscomm import Client, Node, Server
from leadscomm.connections.sending.fanout import FanOut
from leadscomm.connections.sending.outbox import Outbox
from leadscomm.errors import DeliveryError
from leadscomm.protocol.framing import LengthFraming
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until

LIMIT = 200_000
TCP = "tcp://127.0.0.1:0"


class Hub:
    """A hub and its peers, of either kind."""

    def __init__(self, stack: ExitStack, kind: str, **options: Any) -> None:
        self._stack = stack
        self.heard = Recorder()
        self.entity: Server | Node = (
            Node("hub", [TCP], callback=self.heard, **options)
            if kind == "node"
            else Server(f"{TCP}?reliable=1", self.heard, **options)
        )
        stack.enter_context(self.entity)

    def joined_by(self, name: str, callback: Recorder, **options: Any) -> Any:
        """One more peer; return the hub's connection with it."""
        before = len(self.heard.of("connect"))
        place = f"tcp://127.0.0.1:{self.entity.port()}"
        if isinstance(self.entity, Node):
            self._stack.enter_context(Node(name, connect=[place], callback=callback, **options))
        else:
            self._stack.enter_context(Client(f"{place}?reliable=1", callback, **options))
        connection = self.heard.wait("connect", before + 1)[-1]
        wait_until(lambda: len(self.entity._stages) > before)
        return connection


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.mark.parametrize("kind", ["server", "node"])
def test_what_is_sent_to_one_comes_behind_what_was_broadcast_before(stack: ExitStack, kind: str) -> None:
    hub = Hub(stack, kind)
    told = [Recorder() for _ in range(3)]
    connections = [hub.joined_by(f"peer-{number}", callback) for number, callback in enumerate(told)]
    for number in range(1000):
        hub.entity.broadcast(b"%d" % number)
        if number % 10 == 0:
            connections[number % 3].send(b"%d alone" % number)
    for index, callback in enumerate(told):
        alone = [number for number in range(0, 1000, 10) if number % 3 == index]
        expected: list[bytes] = []
        for number in range(1000):
            expected += [b"%d" % number] + [b"%d alone" % number] * (number in alone)
        assert callback.wait("receive", len(expected)) == expected


def test_what_goes_to_a_group_comes_behind_what_was_broadcast_before(stack: ExitStack) -> None:
    hub = Hub(stack, "node")
    assert isinstance(hub.entity, Node)
    arm, leg = Recorder(), Recorder()
    hub.joined_by("arm", arm, groups=["arms"])
    hub.joined_by("leg", leg)
    wait_until(lambda: hub.entity.groups_of("arm") == {"arms"})
    for number in range(500):
        hub.entity.broadcast(b"%d" % number)
        hub.entity.send_group(bytearray(b"%d to arms" % number), "arms")
    assert leg.wait("receive", 500) == [b"%d" % number for number in range(500)]
    assert arm.wait("receive", 1000) == [text % number for number in range(500) for text in (b"%d", b"%d to arms")]


@pytest.mark.parametrize("kind", ["server", "node"])
def test_a_session_that_has_no_room_for_a_broadcast_lives_on_and_it_is_told(stack: ExitStack, kind: str) -> None:
    hub = Hub(stack, kind, outbox=LIMIT)
    stuck, quick = threading.Event(), Recorder()
    slow = Recorder(lambda service, message: stuck.wait(PATIENCE_S) and None)
    hub.joined_by("quick", quick)
    hub.joined_by("slow", slow)
    total = 0
    while not hub.heard.of("fail"):
        hub.entity.broadcast(b"%08d" % total + bytes(20_000))
        total += 1
        quick.wait("receive", total)
    stuck.set()
    hub.entity.broadcast(b"last")
    wait_until(lambda: slow.of("receive")[-1:] == [b"last"])
    errors = hub.heard.of("fail")
    assert all(isinstance(error, DeliveryError) for error in errors)
    assert "outbox=200000 is full" in str(errors[0])
    missed = [message for error in errors for message in error.messages]
    assert sorted([*missed, *slow.of("receive")]) == sorted(quick.wait("receive", total + 1))
    assert not hub.heard.of("disconnect")


@pytest.mark.parametrize("kind", ["server", "node"])
def test_who_does_not_take_so_long_a_message_misses_that_one_alone(stack: ExitStack, kind: str) -> None:
    hub = Hub(stack, kind)
    narrow, wide = Recorder(), Recorder()
    hub.joined_by("narrow", narrow, max_message=100)
    hub.joined_by("wide", wide)
    hub.entity.broadcast(b"before")
    hub.entity.broadcast(bytes(1000))
    hub.entity.broadcast(b"behind")
    assert wide.wait("receive", 3) == [b"before", bytes(1000), b"behind"]
    assert narrow.wait("receive", 2) == [b"before", b"behind"]
    (error,) = hub.heard.wait("fail")
    assert isinstance(error, DeliveryError)
    assert error.messages == (bytes(1000),)
    assert "takes 100 at most" in str(error)


class Counted(LengthFraming):
    """Counts the blocks that are made."""

    blocks = 0

    def encode_all(self, messages: list[bytes]) -> bytes:
        self.blocks += len(messages) > 1  # a message that comes alone is looked at by encoding it
        return super().encode_all(messages)


class Gathering(Outbox):
    """A peer's outbox that keeps what a broadcast brings."""

    def __init__(self) -> None:
        self.got: list[tuple[list[bytes], bytes | None]] = []

    def put(self, messages: list[bytes], block: bytes | None) -> None:
        self.got.append((messages, block))


@pytest.mark.parametrize(("in_blocks", "made"), [((), 0), ((False,), 0), ((True, False, True), 1)])
def test_it_is_encoded_once_if_anybody_takes_blocks(in_blocks: tuple[bool, ...], made: int) -> None:
    peers = [(Gathering(), takes) for takes in in_blocks]
    framing, batch = Counted(), [b"one", b"two"]
    everybody = FanOut(framing, lambda: peers)
    everybody.queue.extend(batch)
    everybody.catch_up()
    assert framing.blocks == made
    for peer, takes in peers:
        assert peer.got == [(batch, LengthFraming().encode_all(batch) if takes else None)]


def test_the_lines_of_a_node_share_a_few_threads(stack: ExitStack) -> None:
    hub = Hub(stack, "node")
    told = [Recorder() for _ in range(24)]
    for number, callback in enumerate(told):
        hub.joined_by(f"peer-{number}", callback)
    hub.entity.broadcast(b"all of you")
    for callback in told:
        assert callback.wait("receive") == [b"all of you"]
    own = [thread for thread in threading.enumerate() if thread.name.startswith("leadscomm-node-hub-127.0.0.1")]
    assert len(own) <= 8
    assert any(thread.name == "leadscomm-node-hub-reader" for thread in threading.enumerate())
    hub.entity.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("leadscomm-node-hub-")]
