"""LEADS's bugs in services and in sending; what LEADS does stands in the first line of each test."""

from __future__ import annotations

import gc
import os
import socket
import struct
import threading
import weakref

import pytest

import leadscomm.api
from leadscomm import Client, LocalProtocolError, create_client, create_server, start_client, start_server
from tests.entities.raw_peer import raw, read_until_end
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until


def echo(service, msg):
    service.sender.send(msg)


# What is sent --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", [b"a;b", b";", b"disconnect"])
def test_what_the_wire_cannot_carry_is_sent_nevertheless(message):
    """LEADS sends it: the receiver cuts it, or hangs up."""
    heard = Recorder()
    with create_server(0, heard) as server, create_client(server.port()) as client:
        heard.wait("connect")
        for send in (client.send, server.broadcast, heard.of("connect")[0].send):
            with pytest.raises(LocalProtocolError):
                send(message)
        client.send(b"whole")
        assert heard.wait("receive") == [b"whole"]


def test_a_short_write_cuts_the_message():
    """LEADS uses send where it takes sendall: what the system does not take at once is lost."""
    heard, long = Recorder(), b"0123456789abcdef" * 60_000
    with create_server(0, heard) as server, socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.settimeout(PATIENCE_S)
        peer.connect(("127.0.0.1", server.port()))
        wait_until(lambda: server.num_connections() == 1)
        server.broadcast(long)
        server.broadcast(b"end")
        heard.of("connect")[0].close()
        assert read_until_end(peer) == long + b";end;disconnect;"
        peer.close()
        heard.wait("disconnect")
    assert heard.of("fail") == []


def test_a_broadcast_leaves_out_who_stands_behind_one_that_is_gone():
    """LEADS removes it from the list while it walks over the list."""
    heard = Recorder()
    with create_server(0, heard) as server:
        peers = []
        for count in range(1, 5):
            peers.append(raw(server.port()))
            wait_until(lambda count=count: server.num_connections() == count)
        for peer in peers[0::2]:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()  # with a reset
        server.broadcast(b"x")
        for peer in peers[1::2]:
            assert peer.recv(100) == b"x;"
            peer.close()
        heard.wait("disconnect", 4)


def test_close_leaves_every_second_connection_open():
    """LEADS's close removes from the list that it walks over."""
    server = create_server(0).start(True)
    peers = [raw(server.port()) for _ in range(5)]
    wait_until(lambda: server.num_connections() == 5)
    closing = threading.Thread(target=server.close)
    closing.start()
    for peer in peers:
        assert read_until_end(peer) == b"disconnect;"
        peer.close()
    closing.join()
    assert server.num_connections() == 0


def test_a_client_cannot_send_inside_on_connect():
    """In LEADS it is not yet connected there: IOError."""

    class Greeter(Recorder):
        def on_connect(self, service, connection):
            service.send(b"hello")

    heard, told = Recorder(), Greeter()
    with create_server(0, heard) as server, create_client(server.port(), told):
        assert heard.wait("receive") == [b"hello"]
    assert told.of("fail") == []


def test_a_server_cannot_tell_who_sent_a_message():
    """LEADS's on_receive says the message and nothing else."""
    with create_server(0, Recorder(echo)) as server, raw(server.port()) as one, raw(server.port()) as other:
        one.sendall(b"one;")
        assert one.recv(100) == b"one;"
        other.sendall(b"other;")
        assert other.recv(100) == b"other;"


# What is shared ------------------------------------------------------------------------------------------------------


def test_the_default_callback_is_one_for_all():
    """LEADS makes it when it is imported."""
    services = [create_server(), create_server(), create_client(), create_client()]
    assert len({id(service.callback) for service in services}) == 4


def test_the_default_target_is_one_for_all(monkeypatch):
    """LEADS makes it when it is imported, so that it can be started once in a program."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # nobody listens there
        port = free.getsockname()[1]
        monkeypatch.setattr(leadscomm.api, "create_client", lambda: Client(port, Recorder(), reconnect=False))
        first, second = start_client("127.0.0.1"), start_client("127.0.0.1")
    assert first is not second
    monkeypatch.setattr(leadscomm.api, "create_server", lambda: create_server(0))
    servers = start_server(parallel=True), start_server(parallel=True)
    assert servers[0].port() != servers[1].port()
    for server in servers:
        server.close()


def test_all_servers_share_one_list_of_connections():
    """In LEADS 0.6.1: a broadcast of one server reaches the clients of another."""
    with create_server(0) as one, create_server(0) as other, raw(one.port()) as peer:
        wait_until(lambda: one.num_connections() == 1)
        assert other.num_connections() == 0
        other.broadcast(b"not for you")
        one.broadcast(b"for you")
        assert peer.recv(100) == b"for you;"


# Starting and closing ------------------------------------------------------------------------------------------------


def test_after_a_second_start_every_call_waits_for_ever():
    """LEADS raises while it holds its lock: RuntimeWarning (0.6.1) or RuntimeError, and then nothing goes any more."""
    with create_server(0, Recorder(echo)) as server:
        for _ in range(3):
            with pytest.raises(RuntimeError, match="already"):
                server.start(True)
        with raw(server.port()) as peer:
            peer.sendall(b"x;")
            assert peer.recv(100) == b"x;"


def test_a_service_can_be_started_once_only():
    """LEADS's socket and thread are made once."""
    heard = Recorder()
    with create_server(0, heard) as first:
        client = create_client(first.port())
    server = create_server(first.port(), heard)
    for count in range(1, 4):
        with server, client:
            client.send(b"x")
            heard.wait("receive", count)
        assert not server.running()
        assert not client.running()


def test_the_port_stays_taken_after_a_close():
    """Without SO_REUSEADDR LEADS cannot listen again while old connections are remembered by the system."""
    port = 0
    for _ in range(3):
        heard = Recorder()
        with create_server(port, heard) as server, raw(server.port()) as peer:
            port = server.port()
            heard.wait("connect")
            heard.of("connect")[0].close()  # this side closes first: its port is the one that is remembered
            assert read_until_end(peer) == b"disconnect;"
        assert heard.of("fail") == []


def test_close_does_not_end_a_server():
    """LEADS closes the socket, but the thread that accepts sleeps on; and if it wakes up, it reports an error."""
    heard = Recorder()
    server = create_server(0, heard)
    thread = threading.Thread(target=start_server, args=(server,))
    thread.start()
    heard.wait("initialize")
    server.close()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert heard.kinds() == ["initialize"]


def test_what_was_never_started_holds_a_socket_for_ever():
    """LEADS opens it when the service is made, and registers the service to be closed at exit."""
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    services = [create_server(), create_client()]
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before
    remembered = [weakref.ref(service) for service in services]
    services.clear()
    gc.collect()
    assert [service() for service in remembered] == [None, None]


def test_everybody_can_reach_a_server():
    """LEADS 0.9.7 listens on every address of the machine unless told otherwise; here that has to be said."""
    with create_server(0) as server:
        assert server.endpoint.host == "127.0.0.1"


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_there_is_only_ipv4():
    """LEADS knows no IPv6 address."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    heard = Recorder()
    with create_server("tcp://[::1]:0", heard) as server:
        client = start_client("::1", create_client(server.port()), True)
        client.send(b"six")
        assert heard.wait("receive") == [b"six"]
        client.close()
