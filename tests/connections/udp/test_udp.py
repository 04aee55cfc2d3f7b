"""UDP: silence and signs of life, limits, drops, refusals, and who receives for whom."""

from __future__ import annotations

import errno
import socket
import sys
import threading

import pytest

from leadscomm import (
    ConnectFailed,
    ConnectionBase,
    ConnectionLost,
    LocalProtocolError,
    RemoteProtocolError,
    connect,
    create_client,
    create_server,
    listen,
)
from leadscomm.connections.sockets import common as sockets
from leadscomm.connections.udp import client as udp
from leadscomm.connections.udp import peer as udp_peer
from leadscomm.connections.udp import server as udp_server
from tests.connections.sockets.test_tcp import no_descriptors
from tests.connections.transports import TRANSPORTS, Later, accepted, conversation, listening
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until

UDP = TRANSPORTS[4]


def send_often(connection: ConnectionBase) -> None:
    for _ in range(10):
        connection.send(b"word")


def raw(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A client that is not ours: it says what the test says, and nothing else."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE_S)
    sock.bind((host, 0))
    sock.connect((host, port))
    return sock


def deaf() -> socket.socket:
    """Somebody whom datagrams reach, and who does not care."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock


# Silence -------------------------------------------------------------------------------------------------------------


def test_who_is_silent_has_left_and_may_come_again():
    with create_server("udp://127.0.0.1:0?silence=0.1", heard := Recorder()) as server, raw(server.port()) as peer:
        for i in range(1, 3):
            peer.send(b"%d" % i)
            heard.wait("disconnect", i)
            wait_until(lambda: server.num_connections() == 0)
        assert heard.kinds() == ["initialize", *["connect", "receive", "disconnect"] * 2]


def test_an_empty_datagram_keeps_a_peer_and_is_no_message():
    with create_server("udp://127.0.0.1:0?silence=1000", heard := Recorder()) as server, raw(server.port()) as peer:
        peer.send(b"")
        connection = heard.wait("connect")[0]
        before = connection.heard
        peer.send(b"")
        wait_until(lambda: connection.heard > before)
        peer.send(b"word")
        assert heard.wait("receive") == [b"word"]


def test_a_client_keeps_itself_in_memory():
    with create_server("udp://127.0.0.1:0?silence=0.3", heard := Recorder()) as server:
        told = Recorder()
        with create_client(server.endpoint, told):
            connection = heard.wait("connect")[0]
            before = connection.heard
            wait_until(lambda: connection.heard > before + 0.5)  # longer than silence
            connection.send(b"still there")
            told.wait("receive")
            assert heard.kinds() == ["initialize", "connect"]
        heard.wait("disconnect")


def test_a_client_that_is_used_directly_keeps_itself_too():
    with create_server("udp://127.0.0.1:0?silence=0.3", heard := Recorder()) as server:
        client = connect(server.endpoint)
        connection = heard.wait("connect")[0]
        receiving = Later(client.receive)
        before = connection.heard
        wait_until(lambda: connection.heard > before + 0.5)
        connection.send(b"still there")
        assert receiving.result() == b"still there"
        client.close()
        heard.wait("disconnect")


def test_a_client_without_hold_says_nothing_by_itself():
    with listening("udp://127.0.0.1:0") as listener:
        client = connect(f"udp://127.0.0.1:{listener.port()}?hold=0")
        assert client.tick() is None
        waiting = Later(accepted, listener)
        client.send(b"first word")
        server = waiting.result()
        assert server.receive(PATIENCE_S) == b"first word"
        client.close()
        server.close()


def test_without_silence_nobody_leaves():
    with listening("udp://127.0.0.1:0?silence=0") as listener:
        waiting = Later(accepted, listener)
        client = connect(f"udp://127.0.0.1:{listener.port()}?silence=1")
        server = waiting.result()
        assert listener._look_at == float("inf")
        client.close()
        server.close()


def test_ticks():
    with conversation(UDP, hold=1000) as (client, server, _):
        assert 999 < client.tick() <= 1000
        client._said -= 2000
        assert client.tick() == 1000
        assert 999 < client.tick() <= 1000
        assert server.tick() is None
        client.abort()
        assert client.tick() is None


# Nobody there --------------------------------------------------------------------------------------------------------


def test_nobody_listens():
    with deaf() as peer:
        port = peer.getsockname()[1]
    with pytest.raises(ConnectFailed, match=rf"nobody listens on 127\.0\.0\.1:{port}; is the server started"):
        connect(f"udp://127.0.0.1:{port}")
    with pytest.raises(ConnectFailed, match="there is no host"):
        connect("udp://no-such-host.invalid:1")


def test_a_refusal_that_comes_late_ends_the_conversation_with_its_reason():
    told = Recorder()
    with deaf() as peer, create_client(f"udp://127.0.0.1:{peer.getsockname()[1]}?hold=0.05", told):
        connection = told.wait("connect")[0]
        peer.close()
        error = told.wait("fail")[0]
        assert isinstance(error, ConnectionLost)
        assert "nobody listens there (any more); is the server started" in str(error)
        told.wait("disconnect")
        with pytest.raises(ConnectionLost):
            connection.send(b"late")


@pytest.mark.parametrize("who_learns", ["reading", "writing"])
def test_both_halves_learn_of_a_refusal(who_learns):
    with deaf() as peer:
        client = connect(f"udp://127.0.0.1:{peer.getsockname()[1]}?hold=0")
        peer.close()
        client._socket.send(b"")
        if who_learns == "reading":
            with pytest.raises(ConnectionLost, match="nobody listens there"):
                client._read()
        with pytest.raises(ConnectionLost, match="nobody listens there"):
            send_often(client)
        with pytest.raises(ConnectionLost, match="nobody listens there"):
            client._read()
        assert client.receive(PATIENCE_S) is None
        client.close()


def test_a_host_elsewhere_has_a_moment_to_refuse(monkeypatch):
    waited = []
    monkeypatch.setattr(udp, "is_loopback", lambda host: False)
    monkeypatch.setattr(udp, "readable", lambda socks, timeout: waited.append(timeout) or [])
    with deaf() as peer:
        connect(f"udp://127.0.0.1:{peer.getsockname()[1]}").close()
    assert waited == [udp.REFUSAL_S]


def test_when_the_first_address_refuses_the_next_is_tried(monkeypatch):
    with deaf() as peer, deaf() as gone:
        addresses = [
            (family, socket.SOCK_DGRAM, 17, "", sock.getsockname())
            for family, sock in ((12345, peer), (socket.AF_INET, gone), (socket.AF_INET, peer))
        ]
        gone.close()
        monkeypatch.setattr(udp, "resolve", lambda *_: addresses)
        client = connect("udp://threefold:1")
        assert str(client) == f"127.0.0.1:{peer.getsockname()[1]}"
        client.close()


def test_an_address_that_swallows_everything_is_not_dialled_for_ever(monkeypatch):
    """Nobody refuses there, so only the session can find out."""
    with deaf() as mute, create_server("udp://127.0.0.1:0?reliable=1", heard := Recorder()) as server:
        addresses = [
            (socket.AF_INET, socket.SOCK_DGRAM, 0, "", place)
            for place in (mute.getsockname(), ("127.0.0.1", server.port()))
        ]
        monkeypatch.setattr(udp, "resolve", lambda *_: addresses)
        quick = {"reconnect": True, "reconnect_min": 0.01, "reconnect_max": 0.01, "connect_timeout": 0.2}
        with create_client("udp://twofold:1?reliable=1", told := Recorder(), **quick) as client:
            heard.wait("connect")
            told.wait("connect")
            assert str(client.connection) == f"127.0.0.1:{server.port()}"
            assert client.endpoint.notes[udp._TURN] == 1  # where it goes the next time, too


def test_a_port_in_use():
    with listening("udp://127.0.0.1:0") as listener, pytest.raises(ConnectFailed, match="is in use by another program"):
        listen(f"udp://127.0.0.1:{listener.port()}")


# Sizes ---------------------------------------------------------------------------------------------------------------


def test_the_longest_datagram_and_one_more():
    with conversation(UDP) as (client, server, _):
        client.send(b"x" * 65507)
        assert len(server.receive(PATIENCE_S)) == 65507
        with pytest.raises(LocalProtocolError, match=r"65508 bytes .* carries 65507: send it in pieces"):
            client.send(b"x" * 65508)


def test_a_datagram_that_is_too_long_is_a_fault_and_the_next_is_good():
    with create_server("udp://127.0.0.1:0?max_message=10", heard := Recorder()) as server, raw(server.port()) as peer:
        for message in (b"good", b"x" * 11, b"good again"):
            peer.send(message)
        assert heard.wait("receive", 2) == [b"good", b"good again"]
        error = heard.wait("fail")[0]
        assert isinstance(error, RemoteProtocolError)
        assert "a datagram of 11 bytes, 10 are allowed (max_message)" in str(error)


def test_a_stream_over_datagrams_is_cut_where_it_must_be():
    with conversation(TRANSPORTS[5], max_message="1M") as (client, server, _):
        server.framing.max_message = 1 << 20
        message = b"x" * 150_000
        client.send(message)
        assert server.receive(PATIENCE_S) == message


# More than can be taken ----------------------------------------------------------------------------------------------


def test_what_a_slow_callback_does_not_take_is_dropped_and_counted():
    stuck = threading.Event()
    heard = Recorder(lambda service, message: stuck.wait(PATIENCE_S))
    with create_server("udp://127.0.0.1:0", heard) as server, raw(server.port()) as peer:
        peer.send(b"first")
        connection = heard.wait("connect")[0]
        heard.wait("receive")
        sent = 1
        while connection.dropped < 3:
            peer.send(b"x" * 60_000)
            sent += 1
        assert connection._put - connection._took <= udp_peer.INBOX_BYTES
        stuck.set()
        error = heard.wait("fail")[0]
        assert isinstance(error, RemoteProtocolError)
        assert "datagram(s) were dropped: they came faster than on_receive took them" in str(error)
        peer.send(b"last")
        wait_until(lambda: heard.of("receive")[-1] == b"last")


def test_drops_are_told_now_and_then_while_they_go_on():
    with conversation(UDP) as (_, server, _):
        server.dropped = 1
        assert server._report_drops()
        server.dropped = 2
        server._mail.append(b"x")
        assert not server._report_drops()
        server._mail.clear()
        assert server._report_drops()
        assert len(server.framing.take_faults()) == 2
        server.dropped = 3
        with pytest.raises(RemoteProtocolError, match=r"1 datagram\(s\) were dropped"):
            server.receive(0)


def test_a_flood_of_addresses_is_bounded_and_told_once():
    with create_server("udp://127.0.0.1:0?max_connections=3", heard := Recorder()) as server:
        flood = [raw(server.port()) for _ in range(20)]
        for peer in flood:
            peer.send(b"here")
        heard.wait("connect", 3)
        heard.wait("receive", 3)
        error = heard.wait("fail")[0]
        assert isinstance(error, ConnectFailed)
        assert "of new addresses found no room (max_connections=3); raise it, or close some" in str(error)
        flood[0].send(b"those who are here are served")
        heard.wait("receive", 4)
        assert server.num_connections() == len(server._acceptor.listener._peers) == 3
        assert len(heard.of("fail")) == 1
        for peer in flood:
            peer.close()


def test_there_is_a_limit_for_each_address(monkeypatch):
    for module in (udp_peer, udp_server):
        monkeypatch.setattr(module, "origin_of", lambda host: None if host == "127.0.0.1" else host)
    with create_server("udp://0.0.0.0:0?max_per_address=2", heard := Recorder()) as server:
        peers = [raw(server.port(), "127.0.0.2") for _ in range(3)]
        peers.append(raw(server.port(), "127.0.0.1"))
        for peer in peers:
            peer.send(b"here")
        heard.wait("connect", 3)
        assert "(max_per_address=2)" in str(heard.wait("fail")[0])
        assert sorted(connection._origin or "exempt" for connection in heard.of("connect")) == [
            "127.0.0.2",
            "127.0.0.2",
            "exempt",
        ]
        for connection in heard.of("connect"):
            connection.close()
        heard.wait("disconnect", 3)
        assert not server._acceptor.listener._origins
        for peer in peers:
            peer.close()


@pytest.mark.skipif(sys.platform != "linux", reason="needs a descriptor for each peer, which only Linux has")
def test_without_descriptors_nobody_new_is_taken_and_those_who_are_here_are_served():
    heard = Recorder()
    with create_server("udp://127.0.0.1:0", heard) as server, raw(server.port()) as old, raw(server.port()) as new:
        old.send(b"here")
        heard.wait("receive")
        with no_descriptors():
            new.send(b"me too")
            assert "ulimit" in str(heard.wait("fail")[0])
            old.send(b"served")
            heard.wait("receive", 2)
        new.send(b"now?")
        heard.wait("connect", 2)


# Farewells -----------------------------------------------------------------------------------------------------------


def test_the_answer_to_a_goodbye_begins_nothing():
    heard = Recorder()
    with create_server("udp://127.0.0.1:0?framing=separator", heard) as server, raw(server.port()) as peer:
        peer.send(b"hello;")
        heard.wait("connect")[0].close()
        heard.wait("disconnect")
        assert peer.recv(100) == b"disconnect;"
        peer.send(b"disconnect;")
        peer.send(b"begins anew;")
        heard.wait("connect", 2)
        assert heard.wait("receive", 2) == [b"hello", b"begins anew"]
        assert heard.kinds().count("connect") == 2


def test_a_server_that_closes_still_sends_what_was_sent():
    with create_server("udp://127.0.0.1:0", heard := Recorder()) as server, raw(server.port()) as peer:
        peer.send(b"here")
        connection = heard.wait("connect")[0]
        for i in range(100):
            connection.send(b"%d" % i)
        server.close()
        assert [peer.recv(100) for _ in range(100)] == [b"%d" % i for i in range(100)]
        with pytest.raises(ConnectionLost):
            connection.send(b"late")


# Addresses -----------------------------------------------------------------------------------------------------------


def test_a_name_with_several_addresses_listens_on_all_of_them():
    with create_server("udp://localhost:0", heard := Recorder(lambda s, m: s.sender.send(m))) as server:
        told = Recorder()
        with create_client(server.endpoint, told) as client:
            client.send(b"hello")
            assert told.wait("receive") == [b"hello"]
    assert len(heard.of("connect")) == 1


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6 and IPv4 on one socket: no mend here")
def test_the_wide_ipv6_address_takes_ipv4_as_well():
    with create_server("udp://[::]:0", heard := Recorder(lambda s, m: s.sender.send(m))) as server:
        with raw(server.port()) as peer:
            peer.send(b"hello")
            assert peer.recv(100) == b"hello"
        connection = heard.of("connect")[0]
        assert str(connection).startswith("[::ffff:127.0.0.1]:")
        assert connection._origin is None


# Who receives for whom -----------------------------------------------------------------------------------------------


def test_connections_without_a_server_receive_for_each_other():
    with listening("udp://127.0.0.1:0") as listener:
        clients, peers = [], []
        for _ in range(3):
            waiting = Later(accepted, listener)
            clients.append(connect(f"udp://127.0.0.1:{listener.port()}"))
            peers.append(waiting.result())
        receiving = [Later(peer.receive, PATIENCE_S) for peer in peers]
        accepting = Later(listener.accept)
        for client, each in zip(reversed(clients), reversed(receiving)):  # the first, who may lead, is answered last
            client.send(str(client._socket.getsockname()).encode())
            assert each.result() == str(client._socket.getsockname()).encode()
        newcomer = connect(f"udp://127.0.0.1:{listener.port()}")
        peers.append(accepting.result())
        for connection in (*clients, *peers, newcomer):
            connection.close()


def test_without_a_pool_each_peer_has_a_thread(monkeypatch):
    monkeypatch.setattr(udp_peer, "new_bell", lambda: None)
    with create_server("udp://127.0.0.1:0?silence=0.5", heard := Recorder(lambda s, m: s.sender.send(m))) as server:
        told = [Recorder() for _ in range(3)]
        clients = [create_client(server.endpoint, callback).start(parallel=True) for callback in told]
        for i in range(20):
            for client, callback in zip(clients, told):
                client.send(b"%d" % i)
                callback.wait("receive", i + 1)
        for client in clients:
            client.close()
        heard.wait("disconnect", 3)


def test_peers_that_nobody_accepted_are_let_go():
    listener = listen("udp://127.0.0.1:0")
    with raw(listener.port()) as first, raw(listener.port()) as second:
        first.send(b"1")
        server = accepted(listener)
        second.send(b"2")
        wait_until(lambda: _pump(listener))
        listener.close()
        assert listener.accept() is None
        listener.release()
        assert server.receive(PATIENCE_S) == b"1"
        server.send(b"the socket outlives the listening")
        assert first.recv(100) == b"the socket outlives the listening"
        first.send(b"3")
        assert server.receive(PATIENCE_S) == b"3"
        second.send(b"nobody new any more")
        server.close()
    listener.close()


def _pump(listener) -> bool:
    """Receive, as a waiting peer does; whether a newcomer waits."""
    return listener.wait(lambda: bool(listener._new), listener._turn, 0.0)


# What the system does ------------------------------------------------------------------------------------------------


class Stubborn:
    """Stands before a socket, and fails as it is told."""

    def __init__(self, sock: socket.socket, *errors: BaseException) -> None:
        self._sock = sock
        self._errors = list(errors)

    def __getattr__(self, name: str):
        return getattr(self._sock, name)

    def _fail(self) -> None:
        if self._errors:
            raise self._errors.pop(0)

    def sendto(self, *args):
        self._fail()
        return self._sock.sendto(*args)

    def send(self, *args):
        self._fail()
        return self._sock.send(*args)

    def recvfrom(self, *args):
        self._fail()
        return self._sock.recvfrom(*args)


NO_ROOM = OSError(errno.ENOBUFS, "No buffer space available")


def test_a_full_system_loses_datagrams_as_networks_do(monkeypatch):
    with conversation(UDP) as (client, server, _):
        server._socket = Stubborn(server._socket, BlockingIOError(), NO_ROOM, BlockingIOError())
        server.send(b"lost: no room")
        server.send(b"arrives")
        assert client.receive(PATIENCE_S) == b"arrives"
        monkeypatch.setattr(udp_peer, "wait_for", lambda *args, **kwargs: False)
        server._socket = Stubborn(server._socket, BlockingIOError())
        server.send(b"lost: never writable")
        server.send(b"arrives too")
        assert client.receive(PATIENCE_S) == b"arrives too"
        client._socket = Stubborn(client._socket, NO_ROOM)
        client.send(b"lost: no room")
        client.send(b"arrives")
        assert server.receive(PATIENCE_S) == b"arrives"
        assert server._wait_writable(0)


def test_a_peer_that_cannot_be_sent_to_is_lost():
    with create_server("udp://127.0.0.1:0", heard := Recorder()) as server, raw(server.port()) as peer:
        peer.send(b"here")
        connection = heard.wait("connect")[0]
        connection._socket = Stubborn(connection._socket, OSError(errno.EPERM, "Operation not permitted"))
        with pytest.raises(ConnectionLost):
            send_often(connection)
        assert "Operation not permitted" in str(heard.wait("fail")[0])
        heard.wait("disconnect")


def test_a_client_that_cannot_send_is_lost():
    with conversation(UDP) as (client, _, _):
        client._socket = Stubborn(client._socket, BlockingIOError(), OSError(errno.EHOSTUNREACH, "No route to host"))
        with pytest.raises(BlockingIOError):
            client._write(b"word")
        with pytest.raises(ConnectionLost, match="No route to host"):
            client._write(b"word")
        assert client.receive(PATIENCE_S) is None


def test_windows_tells_a_server_of_its_clients_who_are_not_there():
    with listening("udp://127.0.0.1:0") as listener, raw(listener.port()) as peer:
        listener._sockets[0] = Stubborn(listener._sockets[0], ConnectionResetError(), ConnectionResetError())
        peer.send(b"here")
        server = accepted(listener)
        server._socket = listener._sockets[0]._sock
        assert server.receive(PATIENCE_S) == b"here"
        server.close()


def test_on_windows_abort_closes_the_socket(monkeypatch):
    with conversation(UDP) as (client, _, _):
        monkeypatch.setattr(udp.sys, "platform", "win32")
        client.abort()
        assert client.fileno() == -1
        monkeypatch.undo()


def test_waiting_without_poll(monkeypatch):
    with conversation(UDP) as (client, server, _):
        monkeypatch.setattr(sockets.sys, "platform", "win32")
        client.send(b"by select")
        got = server.receive(PATIENCE_S)
        monkeypatch.undo()
        assert got == b"by select"


def test_the_address_of_a_whole_network():
    with pytest.raises(ConnectFailed, match=r"127\.255\.255\.255:9 is the address of a whole network: add broadcast=1"):
        connect("udp://127.255.255.255:9")
    with create_server("udp://0.0.0.0:0", heard := Recorder()) as server:
        client = connect(f"udp://127.255.255.255:{server.port()}?broadcast=1")
        client.send(b"to all")
        assert heard.wait("receive") == [b"to all"]
        client.close()
