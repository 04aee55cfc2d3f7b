"""A connection in LEADS's shape, as a user wrote it for LEADS: staged by an entity of his own, and served by ours."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from typing import ClassVar

import pytest

from leadscomm import ListenerBase, Scheme, create_client, create_server, register_scheme
from leadscomm.connections.endpoint import SCHEMES
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until
from tests.leads.staging import Arm, LeadsShaped


class Timed(LeadsShaped):
    """In the shape of LEADS's serial connection: what came until the timeout goes through the parser, whole or not."""

    def receive(self):
        if self._remainder != b"":
            return self.use_remainder()
        try:
            msg = chunk = b""
            try:
                while self._separator not in chunk:
                    msg += (chunk := self._sock.recv(1))
            except TimeoutError:
                pass
            return self.with_remainder(msg)
        except OSError:
            return None


class Looking(LeadsShaped):
    """Looks at the remainder itself; in LEADS it is an attribute like any other."""

    def receive(self):
        while self._separator not in self._remainder:
            chunk = self._sock.recv(3)
            if not chunk:
                return None
            self._remainder += chunk
        return self.use_remainder()


@pytest.fixture
def pair():
    near, far = socket.socketpair()
    far.settimeout(PATIENCE_S)
    with near, far:
        yield near, far


def echo(service, msg):
    service.sender.send(msg)


# Staged by an entity of one's own ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [LeadsShaped, Looking])
def test_it_is_staged(pair, kind):
    near, far = pair
    told = Recorder(echo)
    messages = [b"a", b"", b"longer than what is read at a time", b"", b"x" * 100, b"end"]
    with Arm(kind(near), told) as arm:
        for message in messages:
            far.sendall(message + b";")
        assert told.wait("receive", len(messages)) == messages
        got = b""
        while not got.endswith(b"end;"):
            got += far.recv(100)
        assert got == b"".join(message + b";" for message in messages)
        far.sendall(b"disconnect;")
        told.wait("disconnect")
        assert arm.join(PATIENCE_S)
    assert told.kinds() == ["initialize", "connect", *["receive"] * len(messages), "disconnect"]
    assert arm.given.closed()


def test_a_message_in_pieces(pair):
    near, far = pair
    told = Recorder(echo)
    Arm(LeadsShaped(near), told).start(True)
    far.sendall(b"one;tw")
    assert far.recv(100) == b"one;"
    far.sendall(b"o;th")
    assert far.recv(100) == b"two;"
    far.sendall(b"ree;dis")
    assert far.recv(100) == b"three;"
    far.sendall(b"connect;")
    told.wait("disconnect")
    assert told.of("receive") == [b"one", b"two", b"three"]


def test_half_a_message_in_time_is_none_and_no_end_either(pair):
    near, far = pair
    near.settimeout(0.01)
    told = Recorder(echo)
    connection = Timed(near)
    looks = threading.Event()
    receive = connection.receive
    connection.receive = lambda: (looks.set(), receive())[1]
    arm = Arm(connection, told).start(True)
    for piece in (b"o", b"n", b"e;t"):
        for _ in range(2):  # so that a timeout goes by with the piece already there
            looks.clear()
            assert looks.wait(PATIENCE_S)
        far.sendall(piece)
    assert far.recv(100) == b"one;"
    far.sendall(b"wo;")
    assert far.recv(100) == b"two;"
    far.sendall(b"disconnect;")
    assert arm.join(PATIENCE_S)
    assert told.kinds() == ["initialize", "connect", "receive", "receive", "disconnect"]


def test_a_remainder_is_used_first(pair):
    near, far = pair
    told = Recorder()
    arm = Arm(LeadsShaped(near, b"left;ov"), told).start(True)
    far.sendall(b"er;disconnect;")
    assert arm.join(PATIENCE_S)
    assert told.of("receive") == [b"left", b"over"]


def test_a_remainder_can_be_dropped(pair):
    near, far = pair
    connection = LeadsShaped(near, b"left;ov")
    assert connection.receive() == b"left"
    connection.drop_remainder()
    far.sendall(b"x;")
    assert connection.receive() == b"x"


def test_it_says_goodbye_as_leads_does(pair):
    near, far = pair
    connection = LeadsShaped(near)
    connection.disconnect()
    assert far.recv(100) == b"disconnect;"
    far.close()
    connection.disconnect()  # what it cannot say any more it leaves unsaid
    connection.close()
    assert connection.closed()


def test_closing_the_entity_closes_it(pair):
    near, far = pair
    told = Recorder()
    arm = Arm(LeadsShaped(near), told).start(True)
    told.wait("connect")
    closing = threading.Thread(target=arm.close)
    closing.start()
    assert far.recv(100) == b"disconnect;"
    with contextlib.suppress(BrokenPipeError):  # it was closed before anybody read it: then nobody has to be woken
        far.sendall(b"disconnect;")  # as LEADS's peers answer; it wakes the thread that reads
    closing.join(PATIENCE_S)
    assert not closing.is_alive()
    assert not arm.running()
    assert told.kinds() == ["initialize", "connect", "disconnect"]


# Served by Server and Client -----------------------------------------------------------------------------------------


class Desk(ListenerBase):
    """Where clients of the scheme hand in their end of a socket pair."""

    desks: ClassVar[dict[str, Desk]] = {}

    def __init__(self, address):
        self.waiting: queue.SimpleQueue[socket.socket | None] = queue.SimpleQueue()
        self.desks[address.path] = self

    def accept(self):
        sock = self.waiting.get()
        return None if sock is None else LeadsShaped(sock)

    def close(self):
        self.waiting.put(None)


def dial(address, deadline):
    near, far = socket.socketpair()
    Desk.desks[address.path].waiting.put(far)
    return LeadsShaped(near)


@pytest.fixture
def scheme():
    register_scheme("own", Scheme(dial, Desk, place="path"))
    yield "own://desk"
    del SCHEMES["own"]


def test_it_is_served(scheme):
    heard, told = Recorder(echo), [Recorder(), Recorder()]
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(create_server(scheme, heard))
        clients = [stack.enter_context(create_client(scheme, one)) for one in told]
        wait_until(lambda: server.num_connections() == 2)
        for client in clients:
            for number in range(50):
                client.send(b"%d" % number)
            client.send(b"")
        for one in told:
            assert one.wait("receive", 51) == [*(b"%d" % number for number in range(50)), b""]
        server.broadcast(b"to both")
        for one in told:
            assert one.wait("receive", 52)[-1] == b"to both"
        clients[0].close()
        heard.wait("disconnect")
        wait_until(lambda: server.num_connections() == 1)
        server.send(b"only you", to=server.connections()[0])
        assert told[1].wait("receive", 53)[-1] == b"only you"
    assert heard.of("fail") == told[0].of("fail") == told[1].of("fail") == []
    for one in told:
        assert one.kinds()[-1] == "disconnect"
        assert one.kinds().count("disconnect") == 1


def test_what_was_sent_arrives_before_the_goodbye(scheme):
    heard = Recorder()
    with create_server(scheme, heard):
        for round_ in range(1, 4):
            with create_client(scheme) as client:
                for number in range(500):
                    client.send(b"%d" % number)
            heard.wait("disconnect", round_)
    assert heard.of("receive") == [b"%d" % number for number in range(500)] * 3
    assert heard.of("fail") == []


def test_a_broadcast_arrives_before_the_goodbye(scheme):
    told = [Recorder(), Recorder()]
    with create_server(scheme) as server, create_client(scheme, told[0]), create_client(scheme, told[1]):
        wait_until(lambda: server.num_connections() == 2)
        for number in range(500):
            server.broadcast(b"%d" % number)
        server.close()
        for one in told:
            one.wait("disconnect")
    for one in told:
        assert one.of("receive") == [b"%d" % number for number in range(500)]


def test_a_close_that_raises_keeps_no_other_open(scheme, monkeypatch):
    heard, told = Recorder(), [Recorder(), Recorder()]
    with create_server(scheme, heard) as server, create_client(scheme, told[0]), create_client(scheme, told[1]):
        wait_until(lambda: server.num_connections() == 2)
        close = server.connections()[0].close

        def raising():
            close()
            raise ValueError("mine")

        server.connections()[0].close = raising
        server.close()
        for one in told:
            one.wait("disconnect")
    assert [str(error) for error in heard.of("fail")] == ["mine"]


def test_a_peer_of_it_that_is_gone_disturbs_nobody(scheme):
    heard = Recorder(echo)
    with create_server(scheme, heard) as server:
        for count in (1, 2):
            near, far = socket.socketpair()
            Desk.desks["desk"].waiting.put(far)
            near.settimeout(PATIENCE_S)
            with near:
                near.sendall(b"x;y")
                assert near.recv(100) == b"x;"
            heard.wait("disconnect", count)
        wait_until(lambda: server.num_connections() == 0)
    assert heard.of("receive") == [b"x", b"x"]


def test_one_too_many_is_closed(scheme):
    heard = Recorder()
    with create_server(scheme, heard, max_connections=1) as server:
        near = []
        for _ in range(2):
            mine, theirs = socket.socketpair()
            mine.settimeout(PATIENCE_S)
            near.append(mine)
            Desk.desks["desk"].waiting.put(theirs)
        assert near[1].recv(100) == b"disconnect;"
        assert near[1].recv(100) == b""
        assert "max_connections" in str(heard.wait("fail")[0])
        wait_until(lambda: server.num_connections() == 1)
        near[0].sendall(b"still here;disconnect;")
        heard.wait("disconnect")
        assert heard.of("receive") == [b"still here"]
        for mine in near:
            mine.close()


def test_it_cannot_be_asked_for_a_key(scheme, monkeypatch):
    key = b"0123456789abcdef"
    register_scheme("own", Scheme(dial, Desk, options=SCHEMES["unix"].options, place="path"))
    heard, told = Recorder(), Recorder()
    with create_server(scheme, heard, key=key):
        with create_client(scheme) as client:
            client.join(PATIENCE_S)
        assert "key" in str(heard.wait("fail")[0])
        create_client(scheme, told, key=key).start()
        assert "key" in str(told.of("fail")[0])
    assert "connect" not in heard.kinds()
