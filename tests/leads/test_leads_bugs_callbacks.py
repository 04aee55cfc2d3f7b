"""LEADS's bugs around callbacks and their chains; what LEADS does stands in the first line of each test."""

from __future__ import annotations

import threading

import pytest

from leadscomm import Callback, create_client, create_server
from tests.entities.raw_peer import raw, read_until_end
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until


def echo(service, msg):
    service.sender.send(msg)


# Callbacks that raise or block ---------------------------------------------------------------------------------------


def test_a_server_whose_on_receive_raises_never_reads_that_connection_again():
    """In LEADS the thread dies, nobody is told, and the connection stays listed."""
    error = ValueError("mine")

    def react(service, msg):
        if msg == b"bad":
            raise error
        service.sender.send(msg)

    heard = Recorder(react)
    with create_server(0, heard) as server, raw(server.port()) as peer:
        peer.sendall(b"bad;good;")
        assert peer.recv(100) == b"good;"
        assert heard.wait("fail") == [error]
        assert server.num_connections() == 1


def test_a_client_whose_on_receive_raises_is_finished():
    """In LEADS it leaves its loop without closing anything."""

    def react(service, msg):
        if msg == b"bad":
            raise ValueError("mine")

    told = Recorder(react)
    with create_server(0) as server, create_client(server.port(), told):
        wait_until(lambda: server.num_connections() == 1)
        for message in (b"bad", b"good"):
            server.broadcast(message)
        assert told.wait("receive", 2) == [b"bad", b"good"]
        assert len(told.wait("fail")) == 1
    assert told.kinds().count("disconnect") == 1


def test_on_connect_that_raises_ends_the_server():
    """LEADS calls it in the thread that accepts."""

    class Raising(Recorder):
        def on_connect(self, service, connection):
            super().on_connect(service, connection)
            raise ValueError("mine")

    heard = Raising(echo)
    with create_server(0, heard) as server:
        for count in range(1, 4):
            with raw(server.port()) as peer:
                peer.sendall(b"x;")
                assert peer.recv(100) == b"x;"
            assert len(heard.wait("fail", count)) == count


def test_on_connect_that_blocks_keeps_everybody_else_out():
    """LEADS calls it in the thread that accepts."""
    gate = threading.Event()

    class Blocking(Recorder):
        def on_connect(self, service, connection):
            super().on_connect(service, connection)
            if len(self.of("connect")) == 1:
                gate.wait(PATIENCE_S)

    heard = Blocking(echo)
    with create_server(0, heard) as server, raw(server.port()):
        heard.wait("connect")
        with raw(server.port()) as peer:
            peer.sendall(b"x;")
            assert peer.recv(100) == b"x;"
        gate.set()


def test_on_disconnect_that_raises_leaves_the_connection_open():
    """LEADS calls it before it closes."""

    class Raising(Recorder):
        def on_disconnect(self, service, connection):
            super().on_disconnect(service, connection)
            raise ValueError("mine")

    heard = Raising()
    with create_server(0, heard) as server, raw(server.port()) as peer:
        peer.sendall(b"disconnect;")
        assert read_until_end(peer) == b"disconnect;"
        heard.wait("fail")
        wait_until(lambda: server.num_connections() == 0)


# Chains --------------------------------------------------------------------------------------------------------------


class Link(Callback):
    """Notes that it was called, and reaches the link before it in a way that depends on the message."""

    def __init__(self, name, calls):
        super().__init__()
        self.name, self.calls = name, calls

    def on_receive(self, service, msg):
        self.calls.append(self.name)
        if msg == b"directly":
            self.super(service=service, msg=msg)
        elif msg == b"helper":
            self.helper(service, msg)
        elif msg == b"lambda":
            (lambda: self.super(service=service, msg=msg))()
        elif msg == b"comprehension":
            [self.super(service, each) for each in [msg]]
        elif msg == b"array":
            array = Picky()
            self.super(service, msg)
            del array
        else:
            self.chained.on_receive(service, msg)

    def helper(self, service, msg):
        self.super(service=service, msg=msg)


class End(Callback):
    """The first link, which has no helper."""

    def __init__(self, calls):
        super().__init__()
        self.calls = calls

    def on_receive(self, service, msg):
        self.calls.append("end")


class Picky:
    """Cannot be compared to be simply true or false, as arrays cannot."""

    __hash__ = None

    def __eq__(self, other):
        raise ValueError("the truth value of an array is ambiguous")


@pytest.mark.parametrize("way", [b"directly", b"helper", b"lambda", b"comprehension", b"array", b"by name"])
def test_super_works_directly_inside_the_method_only(way):
    """LEADS looks at the name of the calling function: through a helper or a lambda it raises AttributeError."""
    calls = []
    server = create_server(0, End(calls))
    server.set_callback(Link("new", calls))
    server.callback.on_receive(server, way)
    assert calls == ["new", "end"]


def test_a_callback_that_is_installed_twice_calls_itself_for_ever():
    """LEADS binds it in front of itself."""
    calls = []
    one, two = Link("one", calls), Link("two", calls)
    server = create_server(0, one)
    for callback in (two, one, one, two, one):
        server.set_callback(callback)
    server.callback.on_receive(server, b"directly")
    assert calls == ["one", "two"]


def test_a_callback_that_does_not_call_the_init_of_its_base_has_no_chain():
    """In LEADS 0.9.7 super() then raises AttributeError; in 0.6.1 there was no such init."""

    class Bare(Callback):
        def __init__(self, calls):
            self.calls = calls

        def on_receive(self, service, msg):
            self.calls.append(msg)
            self.super(service=service, msg=msg)

    calls = []
    server = create_server(0, Bare(calls))
    server.callback.on_receive(server, b"one")
    server.set_callback(Bare(calls))
    server.callback.on_receive(server, b"two")
    assert calls == [b"one", b"two", b"two"]
