"""A server and its clients over real sockets."""

from __future__ import annotations

import socket
import threading

import pytest

from leadscomm import (
    CommError,
    ConnectFailed,
    ConnectionLost,
    EndpointError,
    LocalProtocolError,
    Node,
    RemoteProtocolError,
    ServiceError,
    create_client,
    create_server,
    start_client,
    start_server,
)
from tests.entities.raw_peer import raw, read_until_end
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until


def echo(service, msg):
    service.sender.send(msg)


def test_messages_go_both_ways_and_each_callback_comes_once_in_order():
    heard, told = Recorder(echo), Recorder()
    with create_server(0, heard) as server, create_client(server.port(), told) as client:
        for i in range(100):
            client.send(b"%d" % i)
        assert told.wait("receive", 100) == [b"%d" % i for i in range(100)]
        assert heard.of("receive") == told.of("receive")
        assert server.num_connections() == 1
    assert heard.kinds() == ["initialize", "connect"] + ["receive"] * 100 + ["disconnect"]
    assert told.kinds() == heard.kinds()
    assert heard.of("connect") == heard.of("disconnect")


def test_services_can_be_printed():
    with create_server(0) as server:
        place = f"tcp://127.0.0.1:{server.port()}"
        assert repr(server) == f"<Server of {place}>"
        assert repr(create_client(server.port(), key=b"0123456789abcdef")) == f"<Client of {place}>"
    assert repr(Node("arm", connect=[place])) == "<Node 'arm'>"


def test_the_wire_is_that_of_leads():
    heard = Recorder(echo)
    with create_server(0, heard) as server, raw(server.port()) as peer:
        peer.sendall(b"hel")
        peer.sendall(b"lo;;x;dis")
        assert heard.wait("receive", 3) == [b"hello", b"", b"x"]
        peer.sendall(b"connect;never seen;")
        assert read_until_end(peer) == b"hello;;x;disconnect;"
        heard.wait("disconnect")
    assert heard.of("receive") == [b"hello", b"", b"x"]
    assert heard.of("fail") == []


def test_a_broadcast_reaches_everybody_in_order_with_what_is_sent_to_one():
    told = [Recorder() for _ in range(5)]
    heard = Recorder()
    with create_server(0, heard) as server:
        clients = [start_client("127.0.0.1", create_client(server.port(), callback), True) for callback in told]
        heard.wait("connect", 5)
        wait_until(lambda: server.num_connections() == 5)
        for i in range(500):
            server.broadcast(b"all %d" % i)
            server.send(b"one %d" % i, to=server.connections()[i % 5])
        server.broadcast(b"end")
        for callback in told:
            wait_until(lambda callback=callback: b"end" in callback.of("receive"))
            got = callback.of("receive")
            assert [m for m in got if m.startswith(b"all")] == [b"all %d" % i for i in range(500)]
            order = [int(m.split()[1]) for m in got if b" " in m]
            assert order == sorted(order), "what was sent later came earlier"
        assert sum(len([m for m in c.of("receive") if m.startswith(b"one")]) for c in told) == 500
        for client in clients:
            client.close()


def test_sender_is_the_connection_inside_a_callback_and_none_outside():
    seen = []
    heard = Recorder(lambda service, msg: seen.append(service.sender))
    with create_server(0, heard) as server, create_client(server.port()) as client:
        assert server.sender is None
        client.send(b"x")
        heard.wait("receive")
        wait_until(lambda: bool(seen))
        assert seen == heard.of("connect")
        assert str(seen[0]).startswith("127.0.0.1:")


def test_a_server_can_send_to_a_connection_inside_on_connect():
    class Greeter(Recorder):
        def on_connect(self, service, connection):
            service.send(b"welcome", to=connection)
            assert service.num_connections() == 0  # as in LEADS, it is counted afterwards

    told, greeter = Recorder(), Greeter()
    with create_server(0, greeter) as server, create_client(server.port(), told):
        assert told.wait("receive") == [b"welcome"]
    assert greeter.of("fail") == []


def test_sending_to_a_stranger_says_so():
    with create_server(0) as one, create_server(0) as other, create_client(other.port()):
        wait_until(lambda: other.num_connections() == 1)
        with pytest.raises(ConnectionLost, match="no connection of this server"):
            one.send(b"x", to=other.connections()[0])


@pytest.mark.parametrize("framing", ["separator", "line", "length", "cobs"])
def test_every_framing_carries_a_megabyte_and_an_empty_message(framing):
    told = Recorder()
    big = bytes(range(48, 58)) * (100 * 1024)
    with (
        create_server(f"tcp://127.0.0.1:0?framing={framing}", Recorder(echo)) as server,
        create_client(f"tcp://127.0.0.1:{server.port()}?framing={framing}", told) as client,
    ):
        client.send(b"")
        client.send(big)
        client.send(b"end")
        assert told.wait("receive", 3) == [b"", big, b"end"]


def test_what_cannot_be_sent_is_refused_where_it_is_sent():
    with create_server(0, max_message=100) as server, create_client(server.port(), max_message=100) as client:
        for message in (b"a;b", b"disconnect", b"x" * 101):
            with pytest.raises(LocalProtocolError):
                client.send(message)
            with pytest.raises(LocalProtocolError):
                server.broadcast(message)
        with pytest.raises(TypeError, match="encode"):
            client.send("text")
        buffer = bytearray(b"before")
        client.send(buffer)


def test_a_buffer_may_be_reused_as_soon_as_send_has_returned():
    heard = Recorder()
    with create_server(0, heard) as server, create_client(server.port()) as client:
        buffer = bytearray(4)
        for i in range(50):
            buffer[:] = b"%04d" % i
            client.send(buffer)
        assert heard.wait("receive", 50) == [b"%04d" % i for i in range(50)]


def test_bad_frames_reach_on_fail_after_the_good_ones():
    heard = Recorder()
    with create_server("tcp://127.0.0.1:0?framing=length", heard) as server, raw(server.port()) as peer:
        peer.sendall(b"\0\0\0\x02ok" + b"\xff\xff\xff\xff" + b"rest")
        heard.wait("disconnect")
        assert read_until_end(peer) == b""
    assert heard.of("receive") == [b"ok"]
    (fail,) = heard.of("fail")
    assert isinstance(fail, RemoteProtocolError)
    assert str(heard.of("connect")[0]) in str(fail)


def test_a_message_cut_short_is_not_delivered_but_told():
    heard = Recorder()
    with create_server(0, heard) as server:
        with raw(server.port()) as peer:
            peer.sendall(b"whole;disconnec")
        heard.wait("disconnect")
    assert heard.of("receive") == [b"whole"]
    assert "inside a message" in str(heard.of("fail")[0])


def test_port_in_use_is_told_with_its_mend():
    failed = Recorder()
    with create_server(0) as server:
        second = create_server(server.port(), failed).start(parallel=True)
        assert second.join(PATIENCE_S)
    (error,) = failed.of("fail")
    assert isinstance(error, ConnectFailed)
    assert "in use" in str(error)


def test_nobody_listens_is_told_with_its_mend():
    failed = Recorder()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        client = start_client("127.0.0.1", create_client(port, failed))
    assert not client.running()
    (error,) = failed.of("fail")
    assert isinstance(error, OSError)
    assert "nobody listens" in str(error)


def test_sending_before_the_start_is_an_ioerror():
    with pytest.raises(OSError, match="must be running"):
        create_client(1).send(b"x")
    create_server(0).broadcast(b"nobody is there, and nothing is wrong")


def test_an_address_must_not_contradict_the_endpoint():
    failed = Recorder()
    start_client("elsewhere", create_client("tcp://127.0.0.1:1", failed))
    assert isinstance(failed.of("fail")[0], EndpointError)


def test_a_second_start_is_refused_and_harms_nothing():
    with create_server(0) as server:
        with pytest.raises(ServiceError, match="already"):
            server.start(parallel=True)
        with create_client(server.port()) as client:
            client.send(b"still there")
            with pytest.raises(RuntimeError):
                client.start(parallel=True)


def test_start_close_start_again():
    told = Recorder()
    server = create_server(0, Recorder(echo))
    for i in range(3):
        start_server(server, parallel=True)
        client = start_client("127.0.0.1", create_client(server.port(), told), parallel=True)
        client.send(b"round %d" % i)
        assert told.wait("receive", i + 1)[-1] == b"round %d" % i
        client.close()
        server.close()
        assert not server.running()
    server = create_server(server.port(), Recorder(echo))
    client = create_client(server.port(), told)
    for i in range(2):
        start_server(server, parallel=True)
        start_client("127.0.0.1", client, parallel=True)
        client.send(b"again")
        told.wait("receive", 4 + i)
        client.close()
        server.close()


def test_too_many_connections_are_turned_away_and_told():
    heard = Recorder()
    with create_server(0, heard, max_connections=2) as server:
        with raw(server.port()), raw(server.port()):
            heard.wait("connect", 2)
            with raw(server.port()) as third:
                assert read_until_end(third) == b"disconnect;"
            assert "max_connections" in str(heard.wait("fail")[0])
        heard.wait("disconnect", 2)
        wait_until(lambda: server.num_connections() == 0)
        with raw(server.port()):
            heard.wait("connect", 3)


def test_max_per_address_counts_other_hosts_only(monkeypatch):
    heard = Recorder()
    with create_server(0, heard, max_per_address=1) as server:
        with raw(server.port()), raw(server.port()):
            heard.wait("connect", 2)  # loopback is exempt
        monkeypatch.setattr(
            "leadscomm.connections.sockets.tcp.TcpConnection._origin", property(lambda self: "10.9.0.2")
        )
        with raw(server.port()):
            heard.wait("connect", 3)
            with raw(server.port()) as second:
                assert read_until_end(second) == b"disconnect;"
            assert "max_per_address" in str(heard.wait("fail")[0])
        heard.wait("disconnect", 3)
        wait_until(lambda: server.num_connections() == 0)
        with raw(server.port()):
            heard.wait("connect", 4)


def test_a_wide_bind_without_a_key_warns(caplog):
    with create_server("tcp://0.0.0.0:0"):
        assert "anybody on other machines" in caplog.text
    caplog.clear()
    with create_server("tcp://0.0.0.0:0", key=b"0123456789abcdef"), create_server("tcp://127.0.0.1:0"):
        assert caplog.text == ""


@pytest.mark.parametrize("prefix", ["", "fault://delay=0.001/"])
def test_a_name_of_this_machine_alone_warns_of_nobody(prefix, caplog, monkeypatch):
    ask = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *how, **more: ask("127.0.0.1", *how, **more))
    with create_server(f"{prefix}tcp://workbench:0"), create_server("udp://workbench:0"):
        assert caplog.text == ""


def test_errors_without_on_fail_reach_the_log(caplog):
    client = create_client("tcp://no.such.host.invalid:1")
    start_client(target=client)
    assert "no host" in caplog.text


def test_a_thousand_connections():
    heard = Recorder(echo)
    with create_server(0, heard, max_connections=1000) as server:
        peers = [raw(server.port()) for _ in range(300)]
        wait_until(lambda: server.num_connections() == 300)
        threads = threading.active_count()
        for i, peer in enumerate(peers):
            peer.sendall(b"%d;" % i)
        for i, peer in enumerate(peers):
            assert peer.recv(100) == b"%d;" % i
        assert threading.active_count() - threads < 20
        server.broadcast(b"bye")
        for peer in peers:
            assert peer.recv(100) == b"bye;"
            peer.close()
        heard.wait("disconnect", 300)


def test_comm_error_is_the_root():
    with pytest.raises(CommError):
        create_server("gopher://x")
