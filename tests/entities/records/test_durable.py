"""Durable messages: they outlive sender, receiver and session, and arrive once; what a callback died of comes again."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leadscomm import (
    Client,
    ConnectionLost,
    DeliveryError,
    EndpointError,
    JournalError,
    JournalFull,
    LocalProtocolError,
    Server,
    connect,
    listen,
)
from leadscomm.journal.journal import Journal
from leadscomm.sessions.session import SessionConnection
from tests.entities.recorder import Recorder, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent.parent


class Told(Recorder):
    """A recorder that notes of each message what ``service`` says of it."""

    def on_receive(self, service: Any, msg: bytes) -> None:
        self.note("about", (msg, service.message_id, service.redelivered))
        super().on_receive(service, msg)


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def at(port: int, name: str = "", **options: object) -> str:
    more = "".join(f"&{key}={value}" for key, value in options.items())
    return f"tcp://127.0.0.1:{port}?reliable=1&name={name}&reconnect_max=0.05{more}"


def waiting(path: Path) -> dict[str, tuple[int, int]]:
    with Journal(path) as journal:
        return journal.peers()


def test_what_is_sent_before_there_is_a_server_arrives(tmp_path: Path, free_port: int) -> None:
    told = Told()
    with Client(at(free_port), Recorder(), durable=tmp_path / "out") as client:
        client.send(b"first")
        client.send(b"second")
        with Server(at(free_port), told, durable=tmp_path / "in"):
            assert told.wait("receive", 2) == [b"first", b"second"]
            (_, first, again), (_, second, _) = told.of("about")
            assert first != second
            assert not again
            client.send(b"third")
            assert told.wait("receive", 3)[2] == b"third"
    assert waiting(tmp_path / "out") == {}
    with Journal(tmp_path / "in") as journal:
        assert journal.left() == []


def test_it_arrives_in_a_later_run_of_both(tmp_path: Path, free_port: int) -> None:
    with Client(at(free_port), Recorder(), durable=tmp_path / "out") as client:
        client.send(b"kept", lane=2)
        with pytest.raises(JournalError, match="in use by this program itself"):
            Client(at(free_port), durable=tmp_path / "out").start(True)
    assert waiting(tmp_path / "out") == {f"tcp://127.0.0.1:{free_port}": (1, 4)}
    told = Told()
    with Server(at(free_port), told), Client(at(free_port), durable=tmp_path / "out"):
        assert told.wait("receive") == [b"kept"]
        wait_until(lambda: told.kinds().count("receive") == 1)
    assert waiting(tmp_path / "out") == {}


def test_without_a_journal_there_is_no_id(free_port: int) -> None:
    told = Told()
    with Server(at(free_port), told) as server, Client(at(free_port)) as client:
        client.send(b"ordinary")
        assert told.wait("about") == [(b"ordinary", None, False)]
        assert (server.message_id, server.redelivered) == (None, False)


def test_close_sends_what_waits(tmp_path: Path, free_port: int) -> None:
    told = Told()
    with Server(at(free_port), told):
        with Client(at(free_port), durable=tmp_path / "out") as client:
            wait_until(lambda: client.connection is not None)
            for number in range(50):
                client.send(b"%d" % number)
        assert told.wait("receive", 50) == [b"%d" % number for number in range(50)]
    assert waiting(tmp_path / "out") == {}


def test_a_new_session_goes_on_where_the_last_one_was(tmp_path: Path, free_port: int) -> None:
    """Nothing twice, though the receiver keeps its table in memory alone."""
    told = Told()
    with Server(at(free_port), told) as server, Client(at(free_port), durable=tmp_path / "out") as client:
        for turn in range(5):
            told.wait("connect", turn + 1)
            for number in range(20):
                client.send(b"%d" % (20 * turn + number), lane=number % 3)
            for connection in server.connections():
                assert isinstance(connection, SessionConnection)
                connection.abort()
        told.wait("receive", 100)
        wait_until(lambda: client._durable._journal is not None and not client._durable._journal.peers())
    found = [int(message) for message in told.of("receive")]
    assert sorted(found) == list(range(100))
    for lane in range(3):
        of_lane = [number for number in found if number % 20 % 3 == lane]
        assert of_lane == sorted(of_lane)


def test_more_than_the_session_takes_at_once(tmp_path: Path, free_port: int) -> None:
    """A backlog goes from the disk, in order, and an urgent message overtakes it."""
    told = Told()
    with Client(at(free_port), Recorder(), durable=tmp_path / "out") as client:
        big = b"x" * 500_000
        for number in range(30):
            client.send(b"%d " % number + big, lane=7)
        client.send(b"urgent", lane=0)
        with Server(at(free_port), told):
            found = [message.split()[0] for message in told.wait("receive", 31)]
        assert found.index(b"urgent") < 20
        assert [message for message in found if message != b"urgent"] == [b"%d" % number for number in range(30)]


def test_a_server_sends_to_peers_by_their_names(tmp_path: Path, free_port: int) -> None:
    arm, base, nameless = Told(), Recorder(), Told()
    with Server(at(free_port, "base"), base, durable=tmp_path / "out") as server:
        server.send(b"for the arm", to="arm")
        with Client(at(free_port, "arm"), arm), Client(at(free_port), nameless):
            assert arm.wait("receive") == [b"for the arm"]
            base.wait("connect", 2)
            wait_until(lambda: server.num_connections() == 2)
            server.broadcast(b"for all")
            assert arm.wait("receive", 2)[1] == b"for all"
            assert nameless.wait("about") == [(b"for all", None, False)]
            (unknown,) = [connection for connection in server.connections() if not connection.name]  # type: ignore[attr-defined]
            for send in (unknown.send, lambda message: server.send(message, to=unknown)):
                with pytest.raises(LocalProtocolError, match="has no name to keep durable messages for"):
                    send(b"x")
            (known,) = [connection for connection in server.connections() if connection is not unknown]
            known.send(b"one more")
            server.send(b"and one", to=known, lane=1)
            assert set(arm.wait("receive", 4)[2:]) == {b"one more", b"and one"}
            assert None not in [message_id for _, message_id, _ in arm.of("about")]
    assert waiting(tmp_path / "out") == {}


def test_what_a_durable_message_cannot_have(tmp_path: Path, free_port: int) -> None:
    client = Client(at(free_port), Recorder(), durable=tmp_path / "out")
    with pytest.raises(ConnectionLost, match="must be running"):
        client.send(b"x")
    with client:
        for how in ({"lifetime": 1.0}, {"latest": "pose"}, {"lane": 8}):
            with pytest.raises(LocalProtocolError):
                client.send(b"x", **how)
        with pytest.raises(TypeError):
            client.send("text")  # type: ignore[arg-type]
    with pytest.raises(ConnectionLost, match="must be running"):
        client.send(b"x")
    assert waiting(tmp_path / "out") == {}


def test_what_the_peer_does_not_take_is_reported(tmp_path: Path, free_port: int) -> None:
    """At send if the peer is there; otherwise when it comes, and what is behind it is not held up."""
    here, there = Recorder(), Told()
    with Client(at(free_port), here, durable=tmp_path / "out") as client:
        client.send(bytes(5000))
        client.send(b"short")
        with Server(at(free_port, max_message=1000), there):
            assert there.wait("receive") == [b"short"]
            wait_until(lambda: any(isinstance(error, DeliveryError) for error in here.of("fail")))
            with pytest.raises(LocalProtocolError, match="takes 983 at most"):
                client.send(bytes(984))
            client.send(bytes(983))
            there.wait("receive", 2)
    (failure,) = [error for error in here.of("fail") if isinstance(error, DeliveryError)]
    assert failure.messages == (bytes(5000),)
    assert waiting(tmp_path / "out") == {}


def test_a_full_journal_is_an_error_at_send(tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Journal.__init__, "__defaults__", (1000,))
    with Client(at(free_port), Recorder(), durable=tmp_path / "out") as client:
        client.send(bytes(500))
        with pytest.raises(JournalFull, match="the outbox has room for 1000 bytes"):
            client.send(bytes(500))


def test_a_receiver_without_room_takes_it_in_later(
    tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so once, acknowledges nothing, and goes on with ordinary messages meanwhile."""
    monkeypatch.setattr("leadscomm.entities.running.conversation.AGAIN_S", 0.05)
    there = Told()
    with Server(at(free_port), there, durable=tmp_path / "in") as server, Client(at(free_port)) as ordinary:
        with Client(at(free_port), Recorder(), durable=tmp_path / "out") as client:
            journal = server._durable._journal
            assert journal is not None
            journal._inbox._limit = 10
            for number in range(3):
                client.send(b"%d" % number)
            there.wait("fail")
            ordinary.send(b"ordinary")
            assert there.wait("receive") == [b"ordinary"]
            assert [type(error) for error in there.of("fail")] == [JournalFull]
            journal._inbox._limit = 1000
            assert there.wait("receive", 4)[1:] == [b"0", b"1", b"2"]
            wait_until(lambda: client._durable._journal is not None and not client._durable._journal.peers())
        assert len(there.of("fail")) == 1


def test_a_callback_that_raises_has_dealt_with_it(tmp_path: Path, free_port: int) -> None:
    def fail(_: Any, msg: bytes) -> None:
        if msg == b"bad":
            raise ZeroDivisionError

    there = Told(fail)
    with (
        Server(at(free_port), there, durable=tmp_path / "in"),
        Client(at(free_port), durable=tmp_path / "out") as client,
    ):
        client.send(b"bad")
        client.send(b"good")
        assert there.wait("receive", 2) == [b"bad", b"good"]
        assert [type(error) for error in there.wait("fail")] == [ZeroDivisionError]
    with Journal(tmp_path / "in") as journal:
        assert journal.left() == []


def test_what_a_closed_connection_left_is_delivered_when_its_peer_comes_again(tmp_path: Path, free_port: int) -> None:
    """The first callback closes: what was taken in with it comes before anything newer."""

    def close_first(service: Any, msg: bytes) -> None:
        if msg == b"0":
            service.sender.close()

    there = Told(close_first)
    with Client(at(free_port), Recorder(), durable=tmp_path / "out") as client:
        for number in range(10):
            client.send(b"%d" % number)
        with Server(at(free_port), there, durable=tmp_path / "in"):
            there.wait("disconnect")
            client.send(b"10")
            assert there.wait("receive", 11) == [b"%d" % number for number in range(11)]


def test_start_close_and_start_again(tmp_path: Path, free_port: int) -> None:
    there = Told()
    client = Client(at(free_port), durable=tmp_path / "out")
    with Server(at(free_port), there, durable=tmp_path / "in"):
        for turn in range(3):
            with client:
                client.send(b"%d" % turn)
                there.wait("receive", turn + 1)
    assert there.of("receive") == [b"0", b"1", b"2"]


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals")
def test_boards_have_no_durable_messages_and_that_is_said(tmp_path: Path) -> None:
    from tests.connections.wire_board import WireBoard

    here = Recorder()
    with WireBoard() as board:
        where = f"serial://{board.port}?baud=115200&reliable=1"
        with Client(where, here, durable=tmp_path / "out") as client:
            here.wait("connect")
            assert "speaks the compact profile, as boards do" in str(here.wait("fail")[0])
            client.send(b"kept")
            assert board.heard == []
    assert sum(messages for messages, _ in waiting(tmp_path / "out").values()) == 1


@pytest.mark.parametrize("use", [connect, listen])
def test_connections_without_an_entity_have_no_durable_messages(tmp_path: Path, use: Callable[..., Any]) -> None:
    with pytest.raises(EndpointError, match="durable= is for Client, Server and Node"):
        use("loop://durable?reliable=1", durable=tmp_path / "out")


def test_durable_messages_need_sessions(tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match="durable is an option of sessions: add reliable=1"):
        Client("tcp://127.0.0.1:16900", durable=tmp_path / "out")


# Killed --------------------------------------------------------------------------------------------------------------


class Pair:
    """A sender and a receiver in processes of their own, each with a journal and a ledger."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port

    def start(self, what: str, *arguments: str, journal: bool = True) -> subprocess.Popen[bytes]:
        path = str(self.folder / f"{what}.journal") if journal else ""
        command = [sys.executable, "-m", "tests.entities.records.durable_program", what, str(self.port), path]
        process = subprocess.Popen(
            [*command, str(self.folder / f"{what}.ledger"), *arguments], stdout=subprocess.PIPE, cwd=ROOT
        )
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def ledger(self, what: str) -> list[list[str]]:
        return [line.split() for line in (self.folder / f"{what}.ledger").read_text("utf-8").splitlines()]


def end(process: subprocess.Popen[bytes], kill: bool = True) -> int:
    if kill:
        process.kill()
    process.communicate()
    return process.returncode


def balance(pair: Pair, spare: int) -> None:
    """What ``send`` returned for was delivered once, or again and said so; each lane of a run in its order.

    :param spare: so many messages may have been stored without the program living on to write that down.
    """
    sent = {name for name, _ in pair.ledger("send")}
    ids: dict[str, str] = {}
    newest: dict[str, int] = {}
    for name, lane, message_id, again in pair.ledger("receive"):
        if name in ids:
            assert again == "1", f"{name} was delivered twice, and not marked"
        assert ids.setdefault(name, message_id) == message_id
        number = int(message_id.rpartition("-")[2])
        assert again == "1" or number > newest.get(lane, 0), f"{name} was overtaken"
        newest[lane] = max(number, newest.get(lane, 0))
    assert sent <= set(ids)
    assert len(set(ids) - sent) <= spare
    assert len(set(ids.values())) == len(ids)
    assert waiting(pair.folder / "send.journal") == {}


unix = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")


@unix
@pytest.mark.slow
def test_a_receiver_that_died_inside_a_callback_gets_that_message_again(tmp_path: Path, free_port: int) -> None:
    pair = Pair(tmp_path, free_port)
    receiver = pair.start("receive", "x.4.7")
    sender = pair.start("send", "x", "12")
    assert end(receiver, kill=False) == -9
    receiver = pair.start("receive", "x.4.7")
    assert end(sender, kill=False) == 0
    wait_until(lambda: len({name for name, *_ in pair.ledger("receive")}) == 36)
    end(receiver)
    balance(pair, 0)
    again = [(name, flag) for name, _, _, flag in pair.ledger("receive") if name == "x.4.7"]
    assert again == [("x.4.7", "0"), ("x.4.7", "1")]
    assert max(Counter(name for name, *_ in pair.ledger("receive") if name != "x.4.7").values()) == 1


def play(folder: Path, port: int, seed: int, kills: int) -> Pair:
    """Kill sender, receiver or both at random instants; then let them finish."""
    pair, rng = Pair(folder, port), random.Random(seed)
    receiver = pair.start("receive")
    for turn in range(kills):
        sender = pair.start("send", f"{seed}-{turn}", "100000")
        threading.Event().wait(rng.uniform(0.0, 0.3))
        who = rng.choice(("sender", "receiver", "both", "receiver, then sender"))
        if "receiver" in who or who == "both":
            end(receiver)
            receiver = pair.start("receive")
        if who.startswith("receiver,"):
            threading.Event().wait(rng.uniform(0.0, 0.3))
        end(sender)
    assert end(pair.start("send", f"{seed}-end", "5"), kill=False) == 0
    end(receiver)
    receiver = pair.start("receive")
    with_left = {name for name, _ in pair.ledger("send")}
    wait_until(lambda: with_left <= {name for name, *_ in pair.ledger("receive")}, "all of it")
    end(receiver)
    return pair


@unix
@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_instants_nothing_is_lost_or_doubled(tmp_path: Path, free_port: int, seed: int) -> None:
    balance(play(tmp_path, free_port, seed, 6), 3 * 6)


@unix
@pytest.mark.long
def test_killed_two_hundred_times_nothing_is_lost_or_doubled(tmp_path: Path, free_port: int) -> None:
    balance(play(tmp_path, free_port, 3, 200), 3 * 200)
