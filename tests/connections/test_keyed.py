"""The key challenge: who holds the key, who does not, and who plays tricks. Its bytes are those of the vectors."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from pathlib import Path

import pytest

from leadscomm import (
    AuthenticationFailed,
    CommTimeout,
    ConnectFailed,
    Connection,
    connect,
    create_client,
    create_server,
)
from leadscomm.connections import keyed
from leadscomm.protocol import challenge
from tests.connections.transports import TRANSPORTS, Later, Transport
from tests.entities.recorder import PATIENCE_S, Recorder

KEY = b"0123456789abcdef"
OTHER = b"fedcba9876543210"
VECTORS = json.loads((Path(__file__).resolve().parent.parent / "vectors" / "challenge.json").read_text())["challenges"]
STREAMS = [transport for transport in TRANSPORTS if transport.reliable]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_the_words_of_the_vectors(vector):
    key, client, server = (bytes.fromhex(vector[name]) for name in ("key", "client_nonce", "server_nonce"))
    greetings = challenge.greeting(client), challenge.greeting(server)
    assert greetings[0].hex() == vector["client_greeting"]
    assert (greetings[1] + challenge.server_proof(key, client, server)).hex() == vector["server_answer"]
    assert challenge.client_proof(key, client, server).hex() == vector["client_proof"]
    assert challenge.ACCEPTED.hex() == vector["server_consent"]
    assert [challenge.nonce_of(words) for words in greetings] == [client, server]


@pytest.mark.parametrize("transport", STREAMS, ids=[str(transport) for transport in STREAMS])
def test_both_hold_the_key(transport: Transport):
    heard, told = Recorder(lambda s, m: s.sender.send(m[::-1])), Recorder()
    with (
        transport.place() as place,
        create_server(place.server, heard, key=KEY) as server,
        create_client(place.client.format(port=server.port()), told, key=KEY) as client,
    ):
        client.send(b"abc")
        assert told.wait("receive") == [b"cba"]


def test_two_keys():
    heard, told = Recorder(), Recorder()
    with create_server(0, heard, key=OTHER) as server, create_client(server.port(), told, key=KEY):
        assert "holds another key; give both sides the same key (key_file= or key_env=)" in str(told.wait("fail")[0])
        assert isinstance(told.of("fail")[0], AuthenticationFailed)
        assert "ended the conversation instead of sending its proof" in str(heard.wait("fail")[0])
        assert "connect" not in heard.kinds() + told.kinds()


def test_only_the_client_has_a_key():
    told = Recorder()
    with create_server(0, Recorder()) as server:
        with create_client(server.port(), told, key=KEY, connect_timeout=0.1):
            assert "did not send the key challenge in time; give both sides the same" in str(told.wait("fail")[0])
        assert "connect" not in told.kinds()


def test_only_the_server_has_a_key():
    heard, told = Recorder(), Recorder()
    with create_server(0, heard, key=KEY) as server, create_client(server.port(), told) as client:
        client.send(b"hello" + b"x" * 100)
        assert "began with b'helloxxxxxxxxxxx' instead of the key challenge; give both" in str(heard.wait("fail")[0])
        told.wait("disconnect")
        assert "connect" not in heard.kinds()


class Words:
    """The raw half of a connection, for one side of a challenge."""

    def __init__(self) -> None:
        ours, self.theirs = socket.socketpair()
        self.connection = Connection(ours, ("127.0.0.1", 1))
        self.theirs.settimeout(PATIENCE_S)

    def __enter__(self) -> Words:
        return self

    def __exit__(self, *_: object) -> None:
        self.theirs.close()
        self.connection.abort()
        self.connection.close()

    def answer(self, *, server: bool, patience: float = PATIENCE_S) -> Later:
        deadline = time.monotonic() + patience
        return Later(lambda: keyed.authenticate(self.connection, KEY, server=server, deadline=deadline))

    def take(self, count: int) -> bytes:
        words = b""
        while len(words) < count:
            words += self.theirs.recv(count - len(words))
        return words


NONCE = bytes(range(32))


def test_what_follows_the_challenge_is_kept():
    with Words() as words:
        waiting = words.answer(server=True)
        words.theirs.sendall(challenge.greeting(NONCE))
        theirs = challenge.nonce_of(words.take(36))
        assert words.take(32) == challenge.server_proof(KEY, NONCE, theirs)
        words.theirs.sendall(challenge.client_proof(KEY, NONCE, theirs) + b"first;")
        assert waiting.result() == b"first;"
        assert words.take(1) == challenge.ACCEPTED


def test_a_message_right_behind_the_challenge_is_the_first():
    heard = Recorder()
    with create_server(0, heard, key=KEY) as server, socket.create_connection(("127.0.0.1", server.port())) as sock:
        sock.sendall(challenge.greeting(NONCE))
        words = b""
        while len(words) < 68:
            words += sock.recv(100)
        sock.sendall(challenge.client_proof(KEY, NONCE, words[4:36]) + b"first;sec")
        sock.sendall(b"ond;")
        assert heard.wait("receive", 2) == [b"first", b"second"]


@pytest.mark.parametrize("server", [True, False], ids=["server", "client"])
def test_its_own_words_sent_back_are_no_proof(server):
    with Words() as words:
        waiting = words.answer(server=server)
        if server:
            words.theirs.sendall(challenge.greeting(NONCE))
            words.take(36)
            words.theirs.sendall(words.take(32))  # the server's proof, reflected
        else:
            nonce = challenge.nonce_of(words.take(36))
            words.theirs.sendall(challenge.greeting(nonce) + challenge.client_proof(KEY, nonce, nonce))
        expected = (AuthenticationFailed, "holds another key") if server else (ConnectFailed, "gives back what is sent")
        with pytest.raises(expected[0], match=expected[1]):
            waiting.result()


def test_a_server_that_does_not_consent():
    with Words() as words:
        waiting = words.answer(server=False)
        nonce = challenge.nonce_of(words.take(36))
        words.theirs.sendall(challenge.greeting(NONCE) + challenge.server_proof(KEY, nonce, NONCE) + b"\x15")
        with pytest.raises(AuthenticationFailed, match="did not accept the key"):
            waiting.result()


@pytest.mark.parametrize(
    ("said", "error", "mend"),
    [
        (b"", CommTimeout, "did not send the key challenge in time; give both sides the same key"),
        (b"LCK1" + bytes(31), CommTimeout, "did not send the key challenge in time"),
        (b"LCK2" + bytes(32), AuthenticationFailed, r"began with b'LCK2.* instead of the key challenge"),
        (challenge.greeting(NONCE), CommTimeout, "did not send its proof in time"),
    ],
)
def test_a_peer_that_does_not_finish(said, error, mend):
    with Words() as words:
        words.theirs.sendall(said)
        with pytest.raises(error, match=mend):
            words.answer(server=True, patience=0.05).result()


def test_a_peer_that_hangs_up():
    with Words() as words:
        words.theirs.close()
        with pytest.raises(AuthenticationFailed, match="ended the conversation instead of sending the key challenge"):
            words.answer(server=True).result()


def test_a_peer_that_takes_nothing():
    with Words() as words:
        words.connection.set_blocking(False)
        before = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                before += words.connection._write(bytes(65536))
        with pytest.raises(CommTimeout, match="takes nothing of the key challenge"):
            words.answer(server=False, patience=0.05).result()
        waiting = words.answer(server=False)
        words.take(before)
        assert challenge.nonce_of(words.take(36)) is not None
        words.theirs.sendall(challenge.greeting(NONCE) + bytes(32))
        with pytest.raises(AuthenticationFailed, match="holds another key"):
            waiting.result()


def test_a_key_for_a_direct_connection():
    with create_server(0, heard := Recorder(), key=KEY) as server:
        client = connect(server.port(), key=KEY)
        client.send(b"abc")
        assert heard.wait("receive") == [b"abc"]
        client.close()
        with pytest.raises(AuthenticationFailed, match="holds another key"):
            connect(server.port(), key=OTHER)
