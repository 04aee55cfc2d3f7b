"""The LEADS door: names, arguments and defaults, and the order of what is called."""

from __future__ import annotations

import inspect
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import leadscomm
from leadscomm import (
    Callback,
    CallbackChain,
    Connection,
    ConnectionBase,
    EndpointError,
    Entity,
    Server,
    Service,
    create_client,
    create_server,
    start_client,
    start_server,
)
from tests.entities.raw_peer import raw, read_until_end
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until

ROOT = Path(__file__).resolve().parents[2]
NOTHING = inspect.Parameter.empty


def arguments(function):
    """``{name: default}``, in order, of what can be given by position."""
    signature = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in signature if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"}


# Names, arguments, defaults ------------------------------------------------------------------------------------------


def test_every_name_is_there():
    for name in """create_server start_server create_client start_client Server Client Callback CallbackChain Service
            Entity ConnectionBase Connection SerialConnection AutoIdentity L Level""".split():
        assert name in leadscomm.__all__
        assert hasattr(leadscomm, name)


@pytest.mark.parametrize("create", [create_server, create_client])
def test_what_creates(create):
    assert arguments(create) == {"port": 16900, "callback": None, "separator": b";"}
    service = create()
    assert service.port() == 16900
    assert type(service.callback) is Callback
    assert service.endpoint.framing.make().separator == b";"
    callback = Callback()
    service = create(9000, callback, b"|")
    assert (service.port(), service.callback) == (9000, callback)
    assert service.endpoint.framing.make().separator == b"|"


def test_what_starts():
    assert arguments(start_server) == {"target": None, "parallel": False}
    assert arguments(start_client) == {"server_address": None, "target": None, "parallel": False}


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (Service.__init__, {"port": NOTHING}),
        (Service.start, {"parallel": False}),
        (Service.port, {}),
        (Entity.__init__, {"port": NOTHING, "callback": None}),
        (Entity.set_callback, {"callback": NOTHING}),
        (Entity._stage, {"connection": NOTHING}),
        (Server.broadcast, {"msg": NOTHING}),
        (Server.num_connections, {}),
        (Server.remove_connection, {"connection": NOTHING}),
        (leadscomm.Client.send, {"msg": NOTHING}),
        (CallbackChain.__init__, {"chain": None}),
        (CallbackChain.bind_chain, {"chain": NOTHING}),
        (Callback.on_initialize, {"service": NOTHING}),
        (Callback.on_fail, {"service": NOTHING, "error": NOTHING}),
        (Callback.on_connect, {"service": NOTHING, "connection": NOTHING}),
        (Callback.on_receive, {"service": NOTHING, "msg": NOTHING}),
        (Callback.on_disconnect, {"service": NOTHING, "connection": NOTHING}),
        (ConnectionBase.use_remainder, {}),
        (ConnectionBase.with_remainder, {"msg": NOTHING}),
        (ConnectionBase.drop_remainder, {}),
        (ConnectionBase.closed, {}),
        (ConnectionBase.close, {}),
        (ConnectionBase.disconnect, {}),
        (leadscomm.SerialConnection.trust, {}),
        (leadscomm.AutoIdentity.__init__, {"retry": False, "remainder": b"", "separator": b";"}),
        (leadscomm.AutoIdentity.check_identity, {"connection": NOTHING}),
        (leadscomm.AutoIdentity.establish_connection, {"serial": NOTHING}),
        (leadscomm.AutoIdentity.suggest_next_port, {"tried_port": None}),
        (leadscomm.AutoIdentity.meta, {}),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_what_is_called(method, expected):
    assert arguments(method) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (ConnectionBase, {"remainder": b"", "separator": b";"}),
        (Connection, {"socket": NOTHING, "address": NOTHING, "remainder": b"", "separator": b";", "on_close": None}),
        (leadscomm.SerialConnection, {"serial": NOTHING, "remainder": b"", "separator": b";"}),
        (Server, {"port": 16900, "callback": None, "separator": None}),
        (leadscomm.Client, {"port": 16900, "callback": None, "separator": None}),
    ],
)
def test_what_is_made(kind, expected):
    assert arguments(kind.__init__) == expected


def test_what_is_a_what():
    assert issubclass(Callback, CallbackChain)
    assert issubclass(Server, Entity)
    assert issubclass(leadscomm.Client, Entity)
    assert issubclass(Entity, Service)
    assert issubclass(Connection, ConnectionBase)
    assert issubclass(leadscomm.SerialConnection, ConnectionBase)


# The order of what is called -----------------------------------------------------------------------------------------


class Watching(Recorder):
    """Notes what is to be seen inside each callback."""

    def __init__(self):
        super().__init__()
        self.seen = {}

    def on_initialize(self, service):
        self.seen["initialize"] = service
        super().on_initialize(service)

    def on_connect(self, service, connection):
        self.seen["connect"] = (str(connection), connection.closed(), getattr(service, "num_connections", int)())
        super().on_connect(service, connection)

    def on_disconnect(self, service, connection):
        self.seen["disconnect"] = (str(connection), connection.closed(), getattr(service, "num_connections", int)())
        super().on_disconnect(service, connection)


def test_the_order_at_a_server_whose_client_leaves():
    heard = Watching()
    with create_server(0, heard) as server:
        with raw(server.port()) as peer:
            who = "{}:{}".format(*peer.getsockname())
            peer.sendall(b"a;b;disconnect;never;")
            assert read_until_end(peer) == b"disconnect;"
        wait_until(lambda: server.num_connections() == 0)
    assert heard.kinds() == ["initialize", "connect", "receive", "receive", "disconnect"]
    assert heard.seen == {"initialize": server, "connect": (who, False, 0), "disconnect": (who, False, 1)}


def test_the_order_at_a_client_whose_server_leaves():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        where = "{}:{}".format(*listener.getsockname())
        told = Watching()
        client = create_client(listener.getsockname()[1], told)
        thread = threading.Thread(target=start_client, args=("127.0.0.1", client))
        thread.start()
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(PATIENCE_S)
            peer.sendall(b"a;;disconnect;")
            assert read_until_end(peer) == b"disconnect;"
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert told.kinds() == ["initialize", "connect", "receive", "receive", "disconnect"]
    assert told.of("receive") == [b"a", b""]
    assert told.seen == {"initialize": client, "connect": (where, False, 0), "disconnect": (where, False, 0)}


def test_a_close_of_ones_own_ends_in_on_disconnect():
    heard, told = Recorder(), Recorder()
    with create_server(0, heard) as server, create_client(server.port(), told) as client:
        heard.wait("connect")
        client.close()
        told.wait("disconnect")
        heard.wait("disconnect")
    assert told.kinds() == heard.kinds() == ["initialize", "connect", "disconnect"]


def test_disconnect_says_goodbye_and_the_peer_closes():
    heard = Recorder()
    with create_server(0, heard) as server, raw(server.port()) as peer:
        connection = heard.wait("connect")[0]
        connection.disconnect()
        assert peer.recv(100) == b"disconnect;"
        assert not connection.closed()
        peer.shutdown(socket.SHUT_WR)
        assert read_until_end(peer) == b""
        heard.wait("disconnect")


def test_the_order_of_a_chain():
    calls = []

    class Link(Callback):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def on_receive(self, service, msg):
            calls.append((self.name, msg))
            self.super(service=service, msg=msg)

    class Derived(Link):
        def on_receive(self, service, msg):
            calls.append(("derived", msg))
            super().on_receive(service, msg)

    with create_server(0, Link("A")) as server, raw(server.port()) as peer:
        server.set_callback(Link("B"))
        server.set_callback(Derived("C"))
        peer.sendall(b"x;")
        wait_until(lambda: len(calls) >= 4)
    assert calls == [("derived", b"x"), ("C", b"x"), ("B", b"x"), ("A", b"x")]


def test_a_chain_by_hand():
    calls = []

    class Link(CallbackChain):
        def hook(self, *args, **kwargs):
            calls.append((self, args, kwargs))
            self.super(*args, **kwargs)

    first = Link()
    second = Link(first)
    second.hook(1, two=2)
    second.bind_chain(None)
    second.hook(3)
    assert calls == [(second, (1,), {"two": 2}), (first, (1,), {"two": 2}), (second, (3,), {})]


# Starting and closing ------------------------------------------------------------------------------------------------


def test_start_returns_the_service_and_in_parallel_it_is_ready():
    server, heard = create_server(0), Recorder()
    server.set_callback(heard)
    assert start_server(server, True) is server
    with raw(server.port()):
        heard.wait("connect")
    client = create_client(server.port())
    assert start_client("localhost", client, True) is client
    client.send(b"at once")
    assert heard.wait("receive") == [b"at once"]
    client.close()
    server.close()


def test_start_without_parallel_blocks_until_it_is_closed():
    heard, returned = Recorder(), []
    server = create_server(0, heard)
    thread = threading.Thread(target=lambda: returned.append(start_server(server)))
    thread.start()
    heard.wait("initialize")
    assert not returned
    server.close()
    thread.join(PATIENCE_S)
    assert returned == [server]


def test_run_takes_the_arguments_of_start():
    class Mine(Service):
        def run(self, one, two=0):
            self.got = (one, two, threading.current_thread() is threading.main_thread())

    service = Mine(7)
    assert service.port() == 7
    assert service.start(False, 1, two=2) is service
    assert service.got == (1, 2, True)
    service.start(True, 3)
    assert service.join(PATIENCE_S)
    assert service.got == (3, 0, False)
    with create_server(0) as server:
        assert server.running()
    server = create_server(0).start(True, 5)  # LEADS's max_connection, which limits nothing
    server.close()


def test_a_second_start_is_a_runtime_error():
    with create_server(0) as server, pytest.raises(RuntimeError):
        server.start(True)


def test_sending_without_a_connection_is_an_ioerror():
    client = create_client(1)
    with pytest.raises(IOError):
        client.send(b"x")
    with create_server(0) as server:
        with create_client(server.port()) as client:
            client.send(b"x")
        with pytest.raises(IOError):
            client.send(b"x")


def test_with_starts_in_parallel_and_joins():
    with create_server(0) as server:
        assert server.running()
    assert not server.running()
    assert server.join(0.0)


def test_an_address_may_be_left_out_and_must_not_contradict():
    with create_server(0) as server:
        where = f"tcp://localhost:{server.port()}"
        for address in (None, "localhost"):
            client = start_client(address, create_client(where), True)
            client.send(b"x")
            client.close()
        told = Recorder()
        start_client("127.0.0.2", create_client(where, told))
        assert isinstance(told.of("fail")[0], EndpointError)


PROGRAM = """
import sys
from leadscomm import Callback, create_client, create_server, start_client, start_server

class Told(Callback):
    def on_connect(self, service, connection):
        print("connected", flush=True)
    def on_disconnect(self, service, connection):
        print("disconnected", flush=True)
    def on_fail(self, service, error):
        print("failed", error, flush=True)

try:
    port = int(sys.argv[1])
    start_client("127.0.0.1", create_client(port, Told())) if port else start_server(create_server(0, Told()))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to send to one process")
def test_ctrl_c_of_a_blocking_client_ends_it_properly():
    heard = Recorder()
    with (
        create_server(0, heard) as server,
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(server.port())], stdout=subprocess.PIPE, text=True, cwd=ROOT
        ) as program,
    ):
        assert program.stdout.readline() == "connected\n"
        program.send_signal(signal.SIGINT)
        assert program.stdout.read() == "disconnected\ninterrupted\n"
        heard.wait("disconnect")
        assert heard.of("fail") == []


# Connections ---------------------------------------------------------------------------------------------------------


def test_a_connection_of_ones_own_socket():
    closed = []
    near, far = socket.socketpair()
    connection = Connection(near, ("10.1.2.3", 7), b"first;sec", b";", closed.append)
    assert str(connection) == "10.1.2.3:7"
    assert not connection.closed()
    assert connection.receive() == b"first"
    far.sendall(b"ond;;")
    assert connection.receive() == b"second"
    assert connection.receive() == b""
    connection.send(b"answer")
    assert far.recv(100) == b"answer;"
    threading.Thread(target=far.close).start()
    connection.close()
    assert connection.closed()
    assert closed == [connection]
    with pytest.raises(IOError):
        connection.send(b"x")


def test_none_is_received_when_the_peer_has_gone():
    near, far = socket.socketpair()
    connection = Connection(near, ("", 0))
    far.sendall(b"last;disconnect;")
    far.close()
    assert connection.receive() == b"last"
    assert connection.receive() is None
    assert connection.receive() is None
    connection.close()
