"""Peers that do not read, read slowly or send slowly, and what happens to the others."""

from __future__ import annotations

import contextlib
import socket
import struct

import pytest

from leadscomm import ConnectionLost, DeliveryError, OutboxFull, create_client, create_server
from leadscomm.protocol.framing import SeparatorFraming
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until

LIMIT = 1 << 20
PIECE = b"x" * 32_000


def echo(service, msg):
    service.sender.send(msg)


def stalled(server) -> socket.socket:
    """A peer that never reads, with little room in between."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.connect(("127.0.0.1", server.port()))
    peer.settimeout(PATIENCE_S)
    return peer


def test_send_waits_for_room_then_raises_and_the_message_was_not_sent():
    heard = Recorder()
    with create_server(0, heard, outbox=LIMIT, send_timeout=0.05) as server, stalled(server) as peer:
        (connection,) = heard.wait("connect")
        accepted = 0

        def fill():
            nonlocal accepted
            while True:
                connection.send(b"%08d" % accepted + PIECE)
                accepted += 1

        with pytest.raises(OutboxFull, match="send_timeout"):
            fill()
        assert accepted * len(PIECE) >= LIMIT
        for i in range(accepted):  # everything accepted arrives, and nothing else
            got = b""
            while len(got) < len(PIECE) + 9:
                got += peer.recv(len(PIECE) + 9 - len(got))
            assert got.startswith(b"%08d" % i)
        connection.send(b"room again")
        assert peer.recv(100) == b"room again;"


def test_a_peer_that_lets_a_broadcast_gather_is_disconnected_and_told_and_the_others_get_all():
    heard, told = Recorder(), [Recorder() for _ in range(4)]
    with create_server(0, heard, outbox=LIMIT) as server, stalled(server):
        clients = [create_client(server.port(), callback).start(parallel=True) for callback in told]
        wait_until(lambda: server.num_connections() == 5)
        count = 0
        while not heard.of("disconnect"):
            server.broadcast(b"%08d" % count + PIECE)
            count += 1
            for callback in told:
                callback.wait("receive", count)
        wait_until(lambda: any(isinstance(e, OutboxFull) and "was disconnected" in str(e) for e in heard.of("fail")))
        wait_until(lambda: server.num_connections() == 4)
        for client, callback in zip(clients, told):
            assert [int(message[:8]) for message in callback.of("receive")] == list(range(count))
            client.close()


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_other_policies_drop_and_tell_what(policy):
    heard = Recorder()
    total = 200
    with create_server(0, heard, outbox=LIMIT, overflow=policy) as server, stalled(server) as peer:
        (connection,) = heard.wait("connect")
        wait_until(lambda: server.num_connections() == 1)
        for i in range(total):
            (server.broadcast if i % 2 else connection.send)(b"%08d" % i + PIECE)
        heard.wait("fail")
        framing = SeparatorFraming()
        received: list[int] = []
        dropped: set[int] = set()
        while len(received) + len(dropped) < total:
            received += [int(message[:8]) for message in framing.feed(peer.recv(1 << 20))]
            fails = [error for error in heard.of("fail") if isinstance(error, DeliveryError)]
            dropped = {int(message[:8]) for error in fails for message in error.messages}
        assert received == sorted(received)
        assert set(received) | dropped == set(range(total))
        assert total - 1 in (dropped if policy == "drop_newest" else received)


def test_what_a_vanished_peer_did_not_get_is_told():
    heard = Recorder()
    with create_server(0, heard, outbox=LIMIT, send_timeout=0.05) as server:
        peer = stalled(server)
        (connection,) = heard.wait("connect")
        count = 0
        with contextlib.suppress(OutboxFull):
            while True:
                connection.send(b"%08d" % count + PIECE)
                count += 1
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()  # a reset
        heard.wait("disconnect")
        wait_until(lambda: any(isinstance(error, DeliveryError) for error in heard.of("fail")))
        (error,) = [error for error in heard.of("fail") if isinstance(error, DeliveryError)]
        told = [int(message[:8]) for message in error.messages]
        assert told == list(range(told[0], count))
        with pytest.raises(ConnectionLost):
            connection.send(b"too late")


def test_a_peer_that_sends_a_byte_at_a_time_delays_nobody():
    heard, told = Recorder(echo), Recorder()
    with create_server(0, heard) as server, socket.create_connection(("127.0.0.1", server.port())) as slow:
        with create_client(server.port(), told) as client:
            for i, byte in enumerate(b"slow;"):
                slow.sendall(bytes([byte]))
                client.send(b"%d" % i)
                told.wait("receive", i + 1)
        heard.wait("receive", 6)
        assert b"slow" in heard.of("receive")


def test_a_half_closed_peer_gets_its_answers():
    with create_server(0, Recorder(echo)) as server, socket.create_connection(("127.0.0.1", server.port())) as peer:
        peer.settimeout(PATIENCE_S)
        peer.sendall(b"a;b;c;")
        peer.shutdown(socket.SHUT_WR)
        data = b""
        while chunk := peer.recv(100):
            data += chunk
        assert data.startswith(b"a;b;c;")
