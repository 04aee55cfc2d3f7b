"""Nodes: peers by name, one session over all lines, whoever dials."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from leadscomm import (
    AuthenticationFailed,
    ConnectFailed,
    ConnectionBase,
    ConnectionLost,
    EndpointError,
    LocalProtocolError,
    Service,
)
from leadscomm.connections.endpoint import Endpoint, dial
from leadscomm.entities.node import Node
from leadscomm.entities.running.conversation import SessionStage
from leadscomm.errors import DeliveryError
from leadscomm.sessions.doors import connect
from leadscomm.sessions.terms import Terms
from tests.connections.cable import Cable
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until

TCP = "tcp://127.0.0.1:0"
UDP = "udp://127.0.0.1:0"


class Notes(Recorder):
    """Also notes who has sent what, and the lines."""

    def on_receive(self, service: Service, msg: bytes) -> None:
        assert service.sender is not None
        self.note("from", (service.sender.name, msg))  # type: ignore[attr-defined]
        super().on_receive(service, msg)

    def on_link(self, service: Service, connection: ConnectionBase, link: str, up: bool) -> None:
        self.note("up" if up else "down", link)


class Nodes(ExitStack):
    """Makes nodes, and closes them at the end."""

    def start(self, name: str, *args: Any, **options: Any) -> Node:
        return self.enter_context(Node(name, *args, callback=Notes(), **options))


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with Nodes() as stack:
        yield stack


def notes(node: Node) -> Notes:
    assert isinstance(node.callback, Notes)
    return node.callback


def place(node: Node, scheme: str = "tcp") -> str:
    """Where to dial a node."""
    return str(next(endpoint for endpoint in node.listens if endpoint.scheme == scheme)).partition("?")[0]


def meet(*nodes: Node) -> None:
    """Wait until each knows all the others."""
    for node in nodes:
        others = {other.name for other in nodes} - {node.name}
        wait_until(lambda node=node, others=others: set(node.peers()) >= others, f"{node.name} knows {others}")


def lines(node: Node, peer: str) -> tuple[Any, ...]:
    return tuple(line for line in node.peer(peer).lines if line.link.joined)  # type: ignore[attr-defined]


# Talking by name -----------------------------------------------------------------------------------------------------


def test_messages_go_by_name(nodes: Nodes) -> None:
    base = nodes.start("base", [TCP])
    arm, leg = nodes.start("arm", connect=[place(base)]), nodes.start("leg", connect=[place(base)])
    meet(base, arm)
    meet(base, leg)
    base.send(b"bend", to="arm")
    base.send(b"step", to="leg", lane=0)
    arm.send(b"bent", to="base")
    assert notes(arm).wait("from") == [("base", b"bend")]
    assert notes(leg).wait("from") == [("base", b"step")]
    assert notes(base).wait("from") == [("arm", b"bent")]
    assert sorted(base.peers()) == ["arm", "leg"]
    assert arm.peers() == ("base",)


def test_who_is_not_there_is_named_with_those_who_are(nodes: Nodes) -> None:
    base = nodes.start("base", [TCP])
    with pytest.raises(ConnectionLost, match="'arm' is not there; there is nobody"):
        base.send(b"", to="arm")
    arm = nodes.start("arm", connect=[place(base)])
    meet(base, arm)
    with pytest.raises(ConnectionLost, match="'leg' is not there; there is arm"):
        base.send(b"", to="leg")


def test_to_all_and_to_groups(nodes: Nodes) -> None:
    base = nodes.start("base", [TCP], groups=["bases"])
    there = place(base)
    left = nodes.start("left", connect=[there], groups=["arms", "links"])
    right = nodes.start("right", connect=[there], groups=["arms"])
    head = nodes.start("head", connect=[there])
    for node in (left, right, head):
        meet(base, node)
        wait_until(lambda node=node: node.groups_of("base") == {"bases"})
    wait_until(lambda: base.groups_of("left") == {"arms", "links"} and base.groups_of("right") == {"arms"})
    assert base.groups_of("head") == frozenset()
    base.send_group(b"wave", "arms")
    base.broadcast(b"rest", lane=4)
    for node in (left, right):
        assert notes(node).wait("receive", 2) == [b"wave", b"rest"]
    assert notes(head).wait("receive") == [b"rest"]


def test_what_a_peer_does_not_take_is_told_and_the_others_get_it(nodes: Nodes) -> None:
    base = nodes.start("base", [TCP])
    narrow = nodes.start("narrow", connect=[place(base)], max_message=100)
    wide = nodes.start("wide", connect=[place(base)])
    meet(base, narrow)
    meet(base, wide)
    base.broadcast(bytes(1000))
    assert notes(wide).wait("receive") == [bytes(1000)]
    (error,) = notes(base).wait("fail")
    assert isinstance(error, DeliveryError)
    assert "narrow" in str(error)
    assert error.messages == (bytes(1000),)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"name": "", "listen": [TCP]}, "needs a name"),
        ({"name": "arm"}, "has no endpoint"),
        ({"name": "arm", "listen": TCP}, r"write a list, listen=\["),
        ({"name": "arm", "listen": ["tcp://:0?framing=separator"]}, "framing"),
        ({"name": "arm", "listen": [TCP], "groups": "arms"}, r"groups=\['arms'\]"),
        ({"name": "arm", "listen": [TCP], "groups": [""]}, "1 to 255 bytes"),
        ({"name": "arm", "listen": [TCP], "bauds": 1}, "no option 'bauds'"),
        ({"name": "a" * 256, "listen": [TCP]}, "255 bytes"),
    ],
)
def test_what_cannot_be_right_is_named(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(EndpointError, match=text):
        Node(**arguments)


# One session ---------------------------------------------------------------------------------------------------------


def free_ports(count: int) -> list[int]:
    import socket

    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


@pytest.mark.parametrize("attempt", range(5))
def test_two_that_dial_each_other_have_one_session(nodes: Nodes, attempt: int) -> None:
    ports = free_ports(2)
    places = [[f"tcp://127.0.0.1:{port}", f"udp://127.0.0.1:{port}"] for port in ports]
    one = nodes.start("one", places[0], places[1])
    two = nodes.start("two", places[1], places[0])
    meet(one, two)
    wait_until(lambda: len(lines(one, "two")) == len(lines(two, "one")) == 4, "four lines")
    for number in range(100):
        one.send(b"%d" % number, to="two")
        two.send(b"%d" % number, to="one")
    for node in (one, two):
        assert notes(node).wait("receive", 100) == [b"%d" % number for number in range(100)]
        assert len(notes(node).of("connect")) == 1
        assert not notes(node).of("disconnect")


def test_lines_that_come_at_the_same_time_employ_one_thread(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    employ = SessionStage._employ

    def both(stage: SessionStage) -> None:  # each has found that nobody is employed
        employ(stage)
        employ(stage)

    monkeypatch.setattr(SessionStage, "_employ", both)
    base = nodes.start("base", [TCP, UDP])
    arm = nodes.start("arm", connect=[place(base), place(base, "udp")])
    meet(base, arm)
    wait_until(lambda: len(lines(base, "arm")) == len(lines(arm, "base")) == 2, "two lines")
    for node, peer in ((base, arm), (arm, base)):
        node.send(b"hello", to=peer.name)
        assert notes(peer).wait("receive") == [b"hello"]
        name = f"leadscomm-node-{node.name}-{node.peer(peer.name)}"
        wait_until(lambda name=name: [thread.name for thread in threading.enumerate()].count(name) == 1, "one thread")
    for node in (base, arm):
        node.close()
        assert node.join(PATIENCE_S)


@pytest.mark.slow
def test_lines_die_one_after_the_other_and_nothing_is_lost_or_doubled(nodes: Nodes) -> None:
    with Cable() as cable:
        base = nodes.start("base", [TCP, UDP, f"serial://{cable.a}?baud=4000000"])
        arm = nodes.start("arm", connect=[place(base), place(base, "udp"), f"serial://{cable.b}?baud=4000000"])
        meet(base, arm)
        wait_until(lambda: len(lines(arm, "base")) == 3, "three lines")
        count = 0
        for _ in range(4):
            for turn in range(3):
                for _ in range(100):
                    arm.send(b"a%d" % count, to="base")
                    base.send(b"b%d" % count, to="arm")
                    count += 1
                wait_until(lambda: len(lines(arm, "base")) > 1)
                carriers = lines(arm, "base")
                dying = carriers[turn % len(carriers)]
                dying.connection.abort()
                wait_until(lambda dying=dying: dying not in lines(arm, "base"))
        assert notes(base).wait("receive", count) == [b"a%d" % number for number in range(count)]
        assert notes(arm).wait("receive", count) == [b"b%d" % number for number in range(count)]
        assert len(notes(arm).of("connect")) == len(notes(base).of("connect")) == 1
        assert len(notes(arm).wait("down", 12)) == 12
        wait_until(lambda: len(lines(arm, "base")) == 3, "three lines again")


def test_the_preference_says_which_line_carries(nodes: Nodes) -> None:
    base = nodes.start("base", [TCP, UDP])
    arm = nodes.start("arm", connect=[f"{place(base)}?preference=5", f"{place(base, 'udp')}?preference=1"])
    meet(base, arm)
    wait_until(lambda: len(lines(arm, "base")) == 2)
    arm.send(b"x", to="base")
    notes(base).wait("receive")
    wait_until(lambda: any(link.carries for link in arm.peer("base").stats().session.links))
    (carrier,) = [line for line in lines(arm, "base") if line.link.preference == 1]
    stats = arm.peer("base").stats().session.links
    assert [link.carries for link in stats] == [line is carrier for line in lines(arm, "base")]


def test_messages_wait_while_no_line_leads_there(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    base = nodes.start("base", [TCP])
    arm = nodes.start("arm", connect=[place(base)])
    meet(base, arm)
    with monkeypatch.context() as cut:
        cut.setattr("leadscomm.entities.running.dialler.dial", Mock(side_effect=ConnectFailed("the cable is pulled")))
        lines(arm, "base")[0].connection.abort()
        notes(base).wait("down")
        notes(arm).wait("down")
        for number in range(100):
            arm.send(b"%d" % number, to="base")
            base.send(b"%d" % number, to="arm")
        assert arm.peers() == ("base",)
    for node in (base, arm):
        assert notes(node).wait("receive", 100) == [b"%d" % number for number in range(100)]
        assert len(notes(node).of("connect")) == 1


# Who may not take part -----------------------------------------------------------------------------------------------


def test_a_peer_without_a_name_is_refused(nodes: Nodes) -> None:
    base = nodes.start("base", [TCP])
    with pytest.raises(ConnectionLost):
        connect(place(base), reliable=1)
    (error,) = notes(base).wait("fail")
    assert isinstance(error, ConnectFailed)
    assert "has no name" in str(error)


def test_a_node_does_not_dial_itself(nodes: Nodes) -> None:
    (port,) = free_ports(1)
    there = f"tcp://127.0.0.1:{port}"
    alone = nodes.start("alone", [there], [there])
    (error,) = notes(alone).wait("fail")
    assert "called 'alone', as this node itself is" in str(error)
    assert not alone.peers()


def test_two_of_one_name_are_told_apart_from_a_restart(nodes: Nodes) -> None:
    base = nodes.start("base", [TCP, UDP])
    first = nodes.start("arm", connect=[place(base)])
    meet(base, first)
    second = nodes.start("arm", connect=[place(base)])
    wait_until(lambda: second._diallers[0]._backoff.failures > 2)  # it comes again and again, and is told of once
    (error,) = notes(base).wait("fail")
    assert "two peers are called 'arm'" in str(error)
    base.send(b"x", to="arm")
    assert notes(first).wait("receive") == [b"x"]
    assert not notes(base).of("disconnect")
    assert not second.peers()
    assert "another peer of this name is there" in str(notes(second).wait("fail")[0])


def test_one_that_dials_two_of_one_name_keeps_the_first(nodes: Nodes) -> None:
    one, other = nodes.start("arm", [TCP]), nodes.start("arm", [TCP])
    base = nodes.start("base", connect=[place(one)])
    meet(base, one)
    late = nodes.start("late", connect=[place(one), place(other)])
    (error,) = notes(late).wait("fail")
    assert "two peers are called 'arm'" in str(error)
    assert late.peers() == ("arm",)
    assert len(notes(late).of("connect")) == 1


@pytest.mark.parametrize("key", [None, b"another key of 16 bytes"])
def test_another_key_is_named(nodes: Nodes, key: bytes | None) -> None:
    base = nodes.start("base", [TCP], key=b"a key of at least 16 bytes", handshake_timeout=0.5)
    other = nodes.start("other", connect=[place(base)], key=key, handshake_timeout=0.5)
    (error,) = notes(other).wait("fail")
    assert "give both sides the same key" in str(error)
    assert isinstance(notes(base).wait("fail")[0], AuthenticationFailed)
    assert not base.peers()


def test_with_a_key_several_lines_are_one_session(nodes: Nodes) -> None:
    key = b"a key of at least 16 bytes"
    base = nodes.start("base", [TCP, UDP], key=key)
    arm = nodes.start("arm", connect=[place(base), place(base, "udp")], key=key)
    meet(base, arm)
    wait_until(lambda: len(lines(arm, "base")) == 2)
    arm.send(b"x", to="base")
    assert notes(base).wait("from") == [("arm", b"x")]


def test_with_a_key_a_copied_hello_ends_no_session(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has recorded what arm once asked with, and says it while arm's cable is pulled."""
    key = b"a key of at least 16 bytes"
    base = nodes.start("base", [TCP], key=key, handshake_timeout=0.5)
    arm = nodes.start("arm", connect=[place(base)], key=key)
    meet(base, arm)
    with monkeypatch.context() as cut:
        cut.setattr("leadscomm.entities.running.dialler.dial", Mock(side_effect=ConnectFailed("the cable is pulled")))
        lines(arm, "base")[0].connection.abort()
        notes(base).wait("down")
        notes(arm).wait("down")
        base.send(b"still yours", to="arm")
        copycat = dial(Endpoint.parse(place(base), reliable=1), time.monotonic() + PATIENCE_S)
        try:
            copycat.send(Terms("arm", key).offer().hello())
            notes(base).wait("fail")
        finally:
            copycat.close()
    assert notes(arm).wait("receive") == [b"still yours"]
    assert len(notes(base).of("connect")) == 1
    assert not notes(base).of("disconnect")


# Restarts ------------------------------------------------------------------------------------------------------------

CHILD = """
import sys
from leadscomm import Callback
from leadscomm.entities.node import Node

class Tell(Callback):
    def on_connect(self, service, connection):
        service.send(b"began " + sys.argv[2].encode(), to=connection.name)

Node("arm", connect=[sys.argv[1]], callback=Tell()).start()
"""


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_a_restarted_peer_begins_a_new_session(nodes: Nodes, scheme: str) -> None:
    base = nodes.start("base", [TCP, UDP])
    heard = notes(base)
    for life in range(3):
        command = [sys.executable, "-c", CHILD, place(base, scheme), str(life)]
        with subprocess.Popen(command) as child:
            assert heard.wait("receive", life + 1)[-1] == b"began %d" % life
            base.send(b"x", to="arm")
            child.send_signal(signal.SIGKILL)
            child.wait(PATIENCE_S)
    kinds = [kind for kind in heard.kinds() if kind in ("connect", "disconnect")]
    assert kinds == ["connect", "disconnect"] * 2 + ["connect"]
    base.peer("arm").abort()  # what was sent to it is not waited for


def test_a_node_may_be_started_again(nodes: Nodes) -> None:
    base = nodes.start("base", [TCP])
    arm = Node("arm", connect=[place(base)], callback=Notes())
    for life in range(2):
        with arm:
            meet(base, arm)
            arm.send(b"%d" % life, to="base")
            notes(base).wait("receive", life + 1)
        wait_until(lambda: not base.peers())
    assert notes(base).of("receive") == [b"0", b"1"]


LISTENER = """
import sys
from leadscomm import Callback, Node

class Note(Callback):
    def on_receive(self, service, msg):
        with open(sys.argv[3], "ab") as heard:
            heard.write(msg + b"\\n")

Node("arm", connect=[sys.argv[1]], callback=Note(), durable=sys.argv[2]).start()
"""

# Durable messages ----------------------------------------------------------------------------------------------------


def test_what_is_stored_for_an_absent_peer_arrives_when_it_comes(nodes: Nodes, tmp_path: Path) -> None:
    base = nodes.start("base", [TCP], durable=tmp_path / "base.journal")
    base.send(b"for later", to="arm")
    with Node("arm", connect=[place(base)], callback=Notes(), durable=tmp_path / "arm.journal") as arm:
        assert notes(arm).wait("receive") == [b"for later"]
        wait_until(lambda: base.peers() == ("arm",))
        base.broadcast(b"to all", lane=4)
        assert notes(arm).wait("receive", 2)[1] == b"to all"
    base.send(b"and later", to="arm")
    base.close()
    with (
        Node("base", [TCP], callback=Notes(), durable=tmp_path / "base.journal") as again,
        Node("arm", connect=[place(again)], callback=Notes(), durable=tmp_path / "arm.journal") as arm,
    ):
        assert notes(arm).wait("receive") == [b"and later"]


def test_sender_and_receiver_are_killed_and_each_message_comes_once(nodes: Nodes, tmp_path: Path) -> None:
    """The receiver is one process after another; each notes what came, and is killed in the middle."""
    count, heard = 300, tmp_path / "heard"
    base = nodes.start("base", [TCP], durable=tmp_path / "base.journal")
    for number in range(count):
        base.send(b"%d" % number, to="arm")
    command = [sys.executable, "-c", LISTENER, place(base), str(tmp_path / "arm.journal"), str(heard)]
    for life in range(3):
        with subprocess.Popen(command) as child:
            wait_until(lambda life=life: heard.exists() and heard.read_bytes().count(b"\n") > life * 60)
            child.send_signal(signal.SIGKILL)
            child.wait(PATIENCE_S)
    with subprocess.Popen(command) as child:
        wait_until(lambda: heard.read_bytes().endswith(b"%d\n" % (count - 1)))
        child.kill()
        child.wait(PATIENCE_S)
    lines = heard.read_text().split()
    assert list(dict.fromkeys(lines)) == [str(number) for number in range(count)]
    assert len(lines) - count <= 3  # what a callback died of comes again


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals")
def test_a_board_is_a_peer_too(nodes: Nodes, tmp_path: Path) -> None:
    from tests.connections.wire_board import WireBoard

    with WireBoard() as board:
        base = nodes.start("base", connect=[f"serial://{board.port}?baud=115200"])
        notes(base).wait("connect")
        (name,) = base.peers()
        base.send(b"bend", to=name)
        base.broadcast(b"rest")
        wait_until(lambda: board.heard == [b"bend", b"rest"])
        with pytest.raises(LocalProtocolError, match="as boards do, and has no lane: leave it out"):
            base.send(b"", to=name, lane=0)
        base.close()
        keeping = nodes.start("keeping", connect=[f"serial://{board.port}?baud=115200"], durable=tmp_path / "journal")
        notes(keeping).wait("connect")
        with pytest.raises(LocalProtocolError, match="is a board, and knows no durable messages"):
            keeping.send(b"", to=name)


def test_a_place_that_cannot_be_listened_at_takes_no_other_along_and_is_tried_again(nodes: Nodes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        base = nodes.start("base", [f"tcp://127.0.0.1:{port}", TCP], reconnect_min=0.01, reconnect_max=0.01)
        (error,) = notes(base).wait("fail")
        assert f"127.0.0.1:{port} is in use" in str(error)
        arm = nodes.start("arm", connect=[str(base.listens[1]).partition("?")[0]])
        meet(base, arm)
    late = nodes.start("late", connect=[f"tcp://127.0.0.1:{port}"], reconnect_min=0.01, reconnect_max=0.01)
    meet(base, late)
    assert [error for error in notes(base).of("fail") if "in use" in str(error)] == [error]


def test_a_node_that_can_do_nothing_ends_and_says_why(nodes: Nodes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        base = nodes.start("base", [f"tcp://127.0.0.1:{taken.getsockname()[1]}"])
        assert base.join(PATIENCE_S)
        (error,) = notes(base).wait("fail")
        with pytest.raises(ConnectionLost) as raised:
            base.send(b"x", to="arm")
        assert raised.value.__cause__ is error
