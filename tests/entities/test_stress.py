"""Many threads send at once, to one and to all, and peers read in fits: nothing is lost, doubled or swapped."""

from __future__ import annotations

import random
import socket
import threading

import pytest

from leadscomm import create_client, create_server
from leadscomm.protocol.framing import make_framing
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until

SENDERS = 4
COUNT = 1500


def sizes(seed: int) -> list[int]:
    rng = random.Random(seed)
    return [rng.choice((0, 1, 10, 30, 30, 30, 500, 5_000, 70_000 if rng.random() < 0.05 else 20)) for _ in range(COUNT)]


def message(sender: int, number: int, size: int) -> bytes:
    return b"%d %d " % (sender, number) + b"x" * size


def send_all(sender: int, send) -> None:
    for number, size in enumerate(sizes(sender)):
        send(message(sender, number, size))


def in_threads(*calls) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S * 3)
        assert not thread.is_alive()


def read_in_fits(peer: socket.socket, framing: str, expected: int, seed: int) -> list[bytes]:
    rng = random.Random(seed)
    parser = make_framing(framing)
    got: list[bytes] = []
    while len(got) < expected:
        data = peer.recv(rng.choice((1, 100, 4096, 65536, 1 << 20)))
        assert data, f"the stream ended after {len(got)} of {expected}"
        got += parser.feed(data)
        assert parser.faults == []
    return got


def check(got: list[bytes], senders: range) -> None:
    for sender in senders:
        mine = [m for m in got if m.startswith(b"%d " % sender)]
        assert mine == [message(sender, number, size) for number, size in enumerate(sizes(sender))]


@pytest.mark.parametrize("framing", ["separator", "length", "cobs"])
def test_many_threads_send_to_one_peer(framing):
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with create_client(f"tcp://127.0.0.1:{port}?framing={framing}") as client, listener.accept()[0] as peer:
            peer.settimeout(PATIENCE_S)
            in_threads(
                *[lambda sender=sender: send_all(sender, client.send) for sender in range(SENDERS)],
                lambda: got.extend(read_in_fits(peer, framing, SENDERS * COUNT, 7)),
            )
    check(got, range(SENDERS))


@pytest.mark.parametrize("framing", ["separator", "cobs"])
def test_many_threads_broadcast_and_send_to_many_peers(framing):
    heard = Recorder()
    with create_server(f"tcp://127.0.0.1:0?framing={framing}", heard, outbox=1 << 30) as server:
        peers = [socket.create_connection(("127.0.0.1", server.port())) for _ in range(12)]
        for peer in peers:
            peer.settimeout(PATIENCE_S)
        wait_until(lambda: server.num_connections() == len(peers))
        by_port = {connection.address[1]: connection for connection in server.connections()}
        first = by_port[peers[0].getsockname()[1]]
        got: list[list[bytes]] = [[] for _ in peers]

        def read(i: int) -> None:
            expected = (SENDERS if i == 0 else SENDERS - 1) * COUNT
            got[i] = read_in_fits(peers[i], framing, expected, i)

        in_threads(
            *[lambda sender=sender: send_all(sender, server.broadcast) for sender in range(SENDERS - 1)],
            lambda: send_all(SENDERS - 1, first.send),
            *[lambda i=i: read(i) for i in range(len(peers))],
        )
        for peer in peers:
            peer.close()
    for messages in got:
        check(messages, range(SENDERS - 1))
    check(got[0], range(SENDERS))
    assert heard.of("fail") == []


def test_a_lone_message_never_waits_for_another():
    """Each is sent after the last has come back, over and over, from inside and outside of callbacks."""
    heard, told = Recorder(lambda service, msg: service.sender.send(msg)), Recorder()
    with create_server(0, heard) as server, create_client(server.port(), told) as client:
        for i in range(3000):
            for _ in range(1 + i % 4):
                client.send(b"%d" % i)
            told.wait("receive", sum(1 + k % 4 for k in range(i % 4 + 1)) + (i // 4) * 10)
