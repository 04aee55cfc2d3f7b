"""TCP: what is particular to it, and what is said when it cannot be had."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator

import pytest

from leadscomm import CommError, ConnectFailed, Connection, Endpoint, connect, create_client, create_server, listen
from leadscomm.connections.address import Caller
from leadscomm.connections.sockets import common as sockets
from leadscomm.connections.sockets import tcp
from tests.connections.transports import TRANSPORTS, Later, accepted, conversation, listening
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until

TCP4 = TRANSPORTS[0]
HAS_IPV6 = socket.has_dualstack_ipv6()


@contextlib.contextmanager
def raw_server(*, backlog: int = 16) -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as sock:
        yield sock


def free_port() -> int:
    with raw_server() as sock:
        return int(sock.getsockname()[1])


# What is said --------------------------------------------------------------------------------------------------------


def test_nobody_listens():
    with pytest.raises(ConnectFailed, match=r"nobody listens on 127\.0\.0\.1:\d+; is the server started, and on this"):
        connect(free_port())


def test_no_such_host():
    with pytest.raises(ConnectFailed, match=r"there is no host 'no-such-host\.invalid' \(.*: check the name"):
        connect("tcp://no-such-host.invalid:1")
    with pytest.raises(ConnectFailed, match="there is no host"):
        listen("tcp://" + "x" * 70 + ".invalid:1")  # a label that no name may have


def test_a_host_that_does_not_answer():
    with raw_server(backlog=0) as sock:
        fillers = []
        try:
            for _ in range(4):  # from then on the system answers nobody
                filler = socket.socket()
                filler.setblocking(False)
                fillers.append(filler)
                with contextlib.suppress(BlockingIOError):
                    filler.connect(sock.getsockname())
            with pytest.raises(ConnectFailed, match="did not answer in time; is it switched on and reachable"):
                connect(sock.getsockname()[1], timeout=0.2)
        finally:
            for filler in fillers:
                filler.close()


def test_a_port_in_use():
    with raw_server() as sock:
        port = sock.getsockname()[1]
        with pytest.raises(
            ConnectFailed, match=rf"127\.0\.0\.1:{port} is in use by another program; stop that one, or"
        ):
            listen(port)


def test_an_address_of_somebody_else():
    with pytest.raises(ConnectFailed, match=r"192\.0\.2\.1:0 is no address of this machine; use 127\.0\.0\.1, 0"):
        listen("tcp://192.0.2.1:0")


@pytest.mark.parametrize(
    ("error", "mend"),
    [
        (PermissionError(13, "Permission denied"), "port 80 is not allowed; choose one of 1024 and above"),
        (OSError(105, "No buffer space available"), "127.0.0.1:80 cannot be listened on: No buffer space available"),
    ],
)
def test_a_port_that_is_not_given(monkeypatch, error, mend):
    def bind(self: socket.socket, target: object) -> None:
        raise error

    monkeypatch.setattr(socket.socket, "bind", bind, raising=False)
    with pytest.raises(ConnectFailed, match=mend):
        listen("tcp://127.0.0.1:80")


def test_no_socket_can_be_had(monkeypatch):
    real = socket.socket

    def no_socket(family: int = -1, *args: object) -> socket.socket:
        if family == socket.AF_INET:
            raise OSError(97, "Address family not supported by protocol")
        return real(family, *args)

    monkeypatch.setattr(sockets.socket, "socket", no_socket)
    with pytest.raises(ConnectFailed, match="cannot be reached: Address family not supported"):
        connect(1)
    with pytest.raises(ConnectFailed, match="cannot be listened on: Address family not supported"):
        listen(1)


def test_an_address_of_a_cable_wants_to_know_which():
    for error in (OSError(22, "Invalid argument"), OSError(65, "No route to host")):
        assert "say which, as in [fe80::1%eth0]" in sockets.why_not("[fe80::7]:1", error)
    assert "say which" not in sockets.why_not("[fe80::7%eth0]:1", OSError(22, "Invalid argument"))
    with pytest.raises(ConnectFailed, match="has this machine an interface 'none7'"):
        connect("tcp://[fe80::7%25none7]:1")


@pytest.mark.skipif(not HAS_IPV6, reason="needs IPv6: no mend here")
def test_an_address_of_a_cable_that_is_dialled_and_listened_on():
    with pytest.raises(ConnectFailed, match=r"\[fe80::7\]:1 cannot be reached: .* say which"):
        connect("tcp://[fe80::7]:1")
    with pytest.raises(ConnectFailed, match=r"\[fe80::7\]:7000 cannot be listened on: .* say which"):
        listen("tcp://[fe80::7]:7000")


def test_a_host_without_addresses(monkeypatch):
    monkeypatch.setattr(sockets, "resolve", lambda *_: [])
    with pytest.raises(ConnectFailed, match="cannot be reached: it has no address"):
        connect(1)


def test_a_connection_to_itself_is_none(monkeypatch):
    with raw_server() as sock:
        port = sock.getsockname()[1]
        monkeypatch.setattr(socket.socket, "getsockname", socket.socket.getpeername, raising=False)
        with pytest.raises(ConnectFailed, match="nobody listens"):
            connect(port)


def test_an_interruption_leaves_no_socket_open(monkeypatch):
    def interrupted(self: socket.socket, target: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(socket.socket, "connect", interrupted, raising=False)
    with pytest.raises(KeyboardInterrupt):
        connect(1)


def test_what_cannot_be_set_up_is_closed(monkeypatch):
    def untunable(sock: socket.socket, options: object) -> None:
        raise OSError("no")

    with raw_server() as sock:
        monkeypatch.setattr(tcp, "tune", untunable)
        with pytest.raises(OSError, match="no"):
            connect(sock.getsockname()[1])


# Addresses -----------------------------------------------------------------------------------------------------------


def test_a_name_with_several_addresses_listens_on_all_of_them_on_one_port():
    with listening("tcp://localhost:0") as listener:
        waiting = Later(accepted, listener)
        client = connect(f"tcp://localhost:{listener.port()}")
        server = waiting.result()
        assert server._origin is None
        client.send(b"hello")
        assert server.receive(PATIENCE_S) == b"hello"
        for connection in (client, server):
            connection.abort()
            connection.close()


def test_when_the_first_address_fails_the_next_is_tried(monkeypatch):
    with raw_server() as sock:
        target = sock.getsockname()
        monkeypatch.setattr(sockets, "resolve", lambda *_: found(("127.0.0.1", free_port()), target))
        client = connect("tcp://twofold:1")
        assert str(client) == f"127.0.0.1:{target[1]}"
        client.abort()
        client.close()


def found(*places: tuple[str, int]) -> list[tuple[object, ...]]:
    """What a look-up finds."""
    return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", place) for place in places]


def test_an_address_that_swallows_everything_takes_no_time_from_the_next(monkeypatch):
    """It would take all of connect_timeout."""
    with raw_server(backlog=0) as mute, raw_server() as sock, contextlib.ExitStack() as stack:
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(mute.getsockname())
        monkeypatch.setattr(sockets, "resolve", lambda *_: found(mute.getsockname(), sock.getsockname()))
        client = connect("tcp://twofold:1", timeout=PATIENCE_S)
        assert str(client) == f"127.0.0.1:{sock.getsockname()[1]}"
        client.abort()
        client.close()
        monkeypatch.setattr(sockets, "resolve", lambda *_: found(mute.getsockname(), ("127.0.0.1", free_port())))
        with pytest.raises(ConnectFailed, match=r"nobody listens on .*; 127\.0\.0\.1:\d+ did not answer in time"):
            connect("tcp://twofold:1", timeout=0.1)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_an_address_that_cannot_be_listened_on_takes_no_other_along(monkeypatch, caplog, kind):
    told: list[Exception] = []
    scheme = "tcp" if kind == socket.SOCK_STREAM else "udp"
    address = Endpoint.parse(f"{scheme}://twofold:0").called_by(Caller(told.append))
    monkeypatch.setattr(sockets, "resolve", lambda *_: found(("192.0.2.1", 0), ("127.0.0.1", 0), ("127.0.0.2", 0)))
    first, second = sockets.bind_all(address, kind)  # this machine has no such address: it is said, and no failure
    with first, second:
        assert first.getsockname()[1] == second.getsockname()[1]
        assert "twofold is listened on without one of its addresses: 192.0.2.1:0 is no address" in caplog.text
        assert told == []
        second.close()
        port = first.getsockname()[1]
        (third,) = sockets.bind_all(address.at(port=port), kind)  # another program has it at one of them
        with third:
            assert third.getsockname() == ("127.0.0.2", port)
            (error,) = told
            assert f"127.0.0.1:{port} is in use" in str(error)
            assert "the other addresses of twofold are listened on" in str(error)


def test_any_free_port_is_free_at_every_address(monkeypatch):
    first = socket.create_server(("127.0.0.1", 0))
    taken = first.getsockname()[1]
    bound, ports = sockets.bound, [taken, 0]

    def unlucky(family, kind, proto, target, where):
        if target[0] == "127.0.0.2" and target[1] == 0:
            target = ("127.0.0.2", ports.pop(0))
        return bound(family, kind, proto, target, where)

    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in ("127.0.0.2", "127.0.0.1")]
    monkeypatch.setattr(sockets, "bound", unlucky)
    monkeypatch.setattr(sockets, "resolve", lambda *_: addresses)
    with first, listening("tcp://both:0") as listener:
        assert listener.port() not in (0, taken)
        assert not ports


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6 and IPv4 on one socket: no mend here")
def test_the_wide_ipv6_address_takes_ipv4_as_well():
    with listening("tcp://[::]:0") as listener:
        waiting = Later(accepted, listener)
        client = connect(f"tcp://127.0.0.1:{listener.port()}")
        server = waiting.result()
        assert str(server).startswith("[::ffff:127.0.0.1]:")
        assert server._origin is None
        for connection in (client, server):
            connection.abort()
            connection.close()


@pytest.mark.parametrize(
    ("host", "text", "origin"),
    [
        ("192.0.2.7", "192.0.2.7:1234", "192.0.2.7"),
        ("::ffff:192.0.2.7", "[::ffff:192.0.2.7]:1234", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "[2001:db8:1:2:3:4:5:6]:1234", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "[fe80::1%eth0]:1234", "fe80::/64%eth0"),
        ("::1", "[::1]:1234", None),
        ("somewhere", "somewhere:1234", "somewhere"),
    ],
)
def test_the_origin_of_a_stranger_is_his_address_or_his_network(host, text, origin):
    ours, theirs = socket.socketpair()
    with theirs:
        connection = Connection(ours, (host, 1234))
        assert (str(connection), connection._origin) == (text, origin)
        connection.abort()
        connection.close()


# The socket ----------------------------------------------------------------------------------------------------------


def test_sockets_are_tuned():
    with conversation(TCP4, keepalive=7, user_timeout=9) as (client, _, _):
        sock = client._socket
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if sys.platform == "linux":
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0  # it would end slow peers too
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3
    with conversation(TCP4, keepalive=0, user_timeout=0, nodelay=0) as (client, _, _):
        sock = client._socket
        assert not sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_leads_arguments_of_a_connection():
    ours, theirs = socket.socketpair()
    closed = []
    connection = Connection(ours, ("127.0.0.1", 1), b"one|tw", b"|", closed.append)
    theirs.sendall(b"o|disconnect|")
    assert [connection.receive(PATIENCE_S) for _ in range(3)] == [b"one", b"two", None]
    theirs.close()
    connection.close()
    connection._close()
    assert closed == [connection]


@pytest.mark.parametrize("nowait", [tcp._NOWAIT, 0], ids=["", "as-on-windows"])
@pytest.mark.parametrize("spin", [0, 0.001], ids=["", "spinning"])
def test_spinning_and_systems_without_msg_dontwait(monkeypatch, nowait, spin):
    monkeypatch.setattr(tcp, "_NOWAIT", nowait)
    with create_server(0, heard := Recorder(lambda s, m: s.sender.send(m)), spin=spin) as server:
        told = Recorder()
        with create_client(server.port(), told, spin=spin) as client:
            for i in range(20):
                client.send(b"%d" % i)
                told.wait("receive", i + 1)
            assert told.of("receive") == [b"%d" % i for i in range(20)]
        heard.wait("disconnect")
    with conversation(TCP4, spin=spin) as (client, server, _):
        server.send(b"x" * 100_000)
        assert client.receive(PATIENCE_S) == b"x" * 100_000


# Accepting -----------------------------------------------------------------------------------------------------------


def test_a_peer_that_left_before_it_was_accepted_is_passed_over(monkeypatch):
    listener = listen(0)
    accept, left = socket.socket.accept, [ConnectionAbortedError(), BlockingIOError()]

    def hasty(self: socket.socket):
        if left:
            raise left.pop()
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", hasty)
    with socket.create_connection(("127.0.0.1", listener.port())):
        connection = listener.accept()
        assert connection is not None
        assert not left
        connection._close()
    listener.close()
    listener.close()
    assert listener.accept() is None
    listener.release()
    listener.close()


def test_a_peer_that_cannot_be_set_up_is_closed_and_the_next_is_accepted(monkeypatch):
    tune, faults = tcp.tune, [OSError("odd socket")]

    def sometimes(sock: socket.socket, options: object) -> None:
        if faults:
            raise faults.pop()
        tune(sock, options)

    monkeypatch.setattr(tcp, "tune", sometimes)
    with create_server(0, heard := Recorder()) as server:
        with socket.create_connection(("127.0.0.1", server.port())) as unlucky:
            assert unlucky.recv(1) == b""
        assert "odd socket" in str(heard.wait("fail")[0])
        with socket.create_connection(("127.0.0.1", server.port())):
            heard.wait("connect")


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """No descriptor can be had any more in this process."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fillers: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/dev/fd"))) + 2, hard))
        with contextlib.suppress(OSError):
            while True:
                fillers.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in fillers:
            os.close(fd)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on descriptors: a Unix system")
def test_without_descriptors_accepting_pauses_and_recovers():
    with create_server(0, heard := Recorder()) as server, create_client(server.port(), Recorder()) as client:
        heard.wait("connect")
        with socket.socket() as wanting:
            with no_descriptors():
                wanting.connect(("127.0.0.1", server.port()))
                assert "raise `ulimit -n`" in str(heard.wait("fail")[0])
                client.send(b"those who are here are served")
                heard.wait("receive")
            heard.wait("connect", 2)
        heard.wait("disconnect")
        assert isinstance(heard.of("fail")[0], CommError)
        wait_until(lambda: server.num_connections() == 1)
