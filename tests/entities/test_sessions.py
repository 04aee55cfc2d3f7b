"""Sessions as programs use them: lanes, names, keys, lines that come and go. Faults are tests/faults' matter."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from leadscomm import (
    AuthenticationFailed,
    Client,
    CommError,
    ConnectFailed,
    ConnectionBase,
    DeliveryError,
    LocalProtocolError,
    OutboxFull,
    Server,
    Service,
    connect,
)
from leadscomm.entities.running import line
from leadscomm.entities.running.line import LineStage
from leadscomm.sessions.session import SessionConnection
from leadscomm.sessions.terms import Terms
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until
from tests.interop import stranger
from tests.interop.stranger import Peer, Wire, prefixed

TCP = "tcp://127.0.0.1:0?reliable=1"
KEY = b"sixteen bytes or more"
OFFER = Terms.offer


def at(server: Server, options: str = "", scheme: str = "tcp") -> str:
    return f"{scheme}://127.0.0.1:{server.port()}?reliable=1{options}"


class Links(Recorder):
    def on_link(self, service: Service, connection: ConnectionBase, link: str, up: bool) -> None:
        self.note("link", up)


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_one_connection_whatever_becomes_of_its_lines(scheme: str) -> None:
    heard, told = Links(), Links()
    with Server(f"{scheme}://127.0.0.1:0?reliable=1", heard) as server, Client(at(server, "", scheme), told) as client:
        heard.wait("connect")
        wait_until(lambda: server.num_connections() == 1)
        (there,) = server.connections()
        here = client.connection
        for number in range(3):
            client.send(b"up %d" % number)
            there.send(b"down %d" % number)
            (line,) = here.lines
            line.connection.abort()
            told.wait("link", 2 * number + 3)
        assert heard.wait("receive", 3) == [b"up 0", b"up 1", b"up 2"]
        assert told.wait("receive", 3) == [b"down 0", b"down 1", b"down 2"]
        assert client.connection is here
        assert server.connections() == (there,)
        assert told.of("link")[:3] == [True, False, True]
        assert heard.of("disconnect") == told.of("disconnect") == []
    assert len(heard.of("connect")) == len(told.of("connect")) == 1


def test_urgent_messages_overtake_what_waits() -> None:
    stuck, go = threading.Event(), threading.Event()

    def on_receive(service: Any, message: bytes) -> None:
        if message == b"first":
            stuck.set()
            assert go.wait(PATIENCE_S)

    heard = Recorder(on_receive)
    with Server(TCP, heard) as server, Client(at(server)) as client:
        client.send(b"first")
        assert stuck.wait(PATIENCE_S)
        for number in range(3):
            client.send(b"bulk %d" % number, lane=7)
        client.send(b"stop", lane=0)
        go.set()
        assert heard.wait("receive", 5)[1] == b"stop"
        assert heard.of("receive")[2:] == [b"bulk 0", b"bulk 1", b"bulk 2"]


def test_what_was_not_sent_yet_is_replaced_runs_out_or_is_refused() -> None:
    heard, told = Links(), Links()
    with Server(TCP, heard) as server:
        client = Client(at(server), told, outbox=4000, send_timeout=60).start(True)
        try:
            told.wait("link")
            server._acceptor.listener.close()  # nobody comes back in
            (line,) = client.connection.lines
            line.connection.abort()
            told.wait("link", 2)
            client.send(b"here", latest="pose")
            client.send(b"there", latest="pose")
            client.send(b"soon", lifetime=0.05)
            (error,) = (e for e in told.wait("fail", 2) if isinstance(e, DeliveryError))
            assert error.messages == (b"soon",)
            with pytest.raises(OutboxFull):
                for _ in range(100):
                    client.send(bytes(100), timeout=0)
            assert client.connection.session.outgoing.unacknowledged()[0] == b"there"
        finally:
            client.close(0.1)


def test_a_lane_that_there_is_not() -> None:
    with Server(TCP) as server, Client(at(server)) as client, pytest.raises(LocalProtocolError, match=r"0 .* to 7"):
        client.send(b"x", lane=8)


def test_a_lone_datagram() -> None:
    heard = Recorder()
    with Server(TCP, heard) as server, Client(at(server)) as client:
        client.connection.send_datagram(b"alone")
        assert heard.wait("receive") == [b"alone"]


def test_who_begins_anew_under_a_name_ends_its_former_session() -> None:
    heard = Recorder()
    with Server(f"{TCP}&patience=600", heard) as server:
        first = connect(at(server, "&name=arm"))
        (old,) = heard.wait("connect")
        first._carrier().abort()  # as if it had been killed
        with Client(at(server, "&name=arm")):
            heard.wait("connect", 2)
            kinds = heard.kinds()
            assert kinds.index("disconnect") < len(kinds) - 1 - kinds[::-1].index("connect")
            assert heard.of("disconnect") == [old]
        first.close()


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_both_hold_a_key(scheme: str) -> None:
    heard = Recorder()
    place = f"{scheme}://127.0.0.1:0?reliable=1"
    with Server(place, heard, key=KEY) as server, Client(at(server, "", scheme), key=KEY) as client:
        client.send(b"secretly")
        assert heard.wait("receive") == [b"secretly"]
        wait_until(lambda: client.connection.stats().session.delivered == 1)


@pytest.mark.parametrize("key", [None, b"another one of sixteen"])
def test_without_the_key_there_is_no_session(key: bytes | None) -> None:
    heard = Recorder()
    with Server(TCP, heard, key=KEY, handshake_timeout=0.5) as server:
        with pytest.raises(ConnectFailed, match="same key"):
            connect(at(server), timeout=1, key=key)
        assert isinstance(heard.wait("fail")[0], AuthenticationFailed)
        assert heard.of("connect") == []


@pytest.mark.parametrize("plain", ["server", "client"])
def test_a_peer_without_a_session_is_told_what_both_speak(plain: str) -> None:
    """As a LEADS program would be."""
    heard, told = Recorder(), Recorder()
    if plain == "client":
        with Server(TCP, heard, handshake_timeout=0.5) as server, Client(server.port(), told) as client:
            client.send(b"a text")
            text = str(heard.wait("fail")[0])
    else:

        def greet(service: Server, connection: ConnectionBase) -> None:
            service.send(b"a text", to=connection)

        heard.on_connect = greet  # type: ignore[method-assign, assignment]
        with Server(0, heard) as server, Client(at(server), told, handshake_timeout=0.5):
            text = str(told.wait("fail")[0])
    assert "framing=separator" in text
    assert "framing=cobs with reliable=1" in text


def test_stats_tell_of_the_way() -> None:
    with Server(TCP, Recorder()) as server, Client(at(server)) as client:
        client.send(b"measured")
        connection = client.connection
        wait_until(lambda: connection.stats().round_trip is not None and connection.stats().session.delivered == 1)
        stats = connection.stats()
        assert (stats.queued_messages, stats.session.sent, stats.session.received) == (0, 1, 0)
        (link,) = stats.links.values()
        assert link.carries
        assert link.loss == 0


# What either side can keep --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
@pytest.mark.parametrize("options", ["", "&key_env=LONGEST_KEY"])
def test_the_longest_message_is_known_before_it_is_sent(
    scheme: str, options: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGEST_KEY", KEY.decode())
    heard, told = Recorder(), Recorder()
    with (
        Server(f"{scheme}://127.0.0.1:0?reliable=1{options}", heard, max_message=70_000) as server,
        Client(at(server, options, scheme), told, max_message=80_000) as client,
    ):
        told.wait("connect")
        assert client.connection.peer.longest == client.connection.longest == 70_000
        for lane in (4, 2):
            with pytest.raises(LocalProtocolError, match=r"70001 bytes, and the peer takes 70000 .* here it is 80000"):
                client.send(bytes(70_001), lane=lane)
        client.send(bytes(70_000))
        heard.wait("receive")
        (there,) = server.connections()
        assert there.longest == 80_000
        with pytest.raises(LocalProtocolError, match="and the peer takes 80000"):
            there.send_record(b"\x63" + bytes(80_000), 5)
    assert (heard.of("fail"), told.of("fail")) == ([], [])


def test_a_message_that_is_too_long_ends_nothing_and_both_sides_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Terms, "offer", lambda terms: replace(OFFER(terms), longest=None))  # as older peers do
    heard, told = Recorder(), Recorder()
    with (
        Server(TCP, heard, max_message=70_000) as server,
        Client(at(server), told) as client,
    ):
        for message in (b"before", bytes(200_000), b"after"):
            client.send(message)
        assert heard.wait("receive", 2) == [b"before", b"after"]
        (dropped,) = heard.wait("fail")
        assert "a message of 200000 bytes came, which was dropped, as max_message=70000" in str(dropped)
        (error,) = told.wait("fail")
        assert isinstance(error, DeliveryError)
        assert error.messages == (bytes(200_000),)
        assert "more than the 70000 bytes" in str(error)
        with pytest.raises(LocalProtocolError, match="the peer takes 70000"):
            client.send(bytes(70_001))
        assert heard.of("disconnect") == told.of("disconnect") == []
    assert len(heard.of("fail")) == len(told.of("fail")) == 1


def test_a_durable_message_that_is_too_long_is_told_and_the_lane_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Terms, "offer", lambda terms: replace(OFFER(terms), longest=None))
    heard, told = Recorder(), Recorder()
    journal = str(tmp_path / "journal")
    with Server(TCP, heard, max_message=70_000) as server:
        with Client(at(server), told, durable=journal) as client:
            for message in (b"before", bytes(200_000), b"after"):
                client.send(message)
            assert heard.wait("receive", 2) == [b"before", b"after"]
            (error,) = told.wait("fail")
            assert isinstance(error, DeliveryError)
            assert error.messages == (bytes(200_000),)
        assert told.of("disconnect") == told.of("connect")
        with Client(at(server), told, durable=journal) as client:  # it was forgotten
            client.send(b"again")
            assert heard.wait("receive", 3)[2] == b"again"
    assert len(told.of("fail")) == len(heard.of("fail")) == 1


@contextmanager
def stranger_at(server: Server, lines: int = 1) -> Iterator[list[Wire]]:
    """A peer that does no more than to begin a session, over so many lines. Its epoch is 7."""
    wires: list[Wire] = []
    peer = Peer(7, time.monotonic(), asks=True)
    with ExitStack() as stack:
        for _ in range(lines):
            peer.link(time.monotonic())
            wires.append(Wire.to("127.0.0.1", server.port()))
            stack.enter_context(wires[-1].socket)
            asked = False
            while not (peer.joined and asked):
                wires[-1].send(peer.frames(time.monotonic()))
                for frame in wires[-1].receive(0.01) or ():
                    asked = asked or frame[0] == 3 << 6 | stranger.PING << 3
                    peer.receive(frame, time.monotonic())
            wires[-1].send(peer.frames(time.monotonic()))  # its PONG shows that it hears the server
        yield wires


def stretch(lane: int, offset: int, body: bytes) -> bytes:
    return struct.pack("<BIQ", 1 << 6 | lane << 3, 7, offset) + body


@pytest.mark.parametrize("policy", ["block", "drop_newest", "drop_oldest", "disconnect"])
def test_the_outbox_bounds_what_waits_whatever_the_peer_says(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stranger, "ROOM", 0xFFFFFFFF)
    monkeypatch.setattr(stranger, "MESSAGES", 0xFFFFFFFF)
    refused: list[int] = []
    held: list[int] = []

    def answer(service: Any, message: bytes) -> None:
        for number in range(150):
            try:
                service.sender.send(b"%d " % number + bytes(100_000), lane=4 + number % 2)
            except CommError:
                refused.append(number)
            held.append(service.sender.stats().queued_bytes)

    heard = Recorder(answer)
    with Server(TCP, heard, outbox=500_000, overflow=policy) as server, stranger_at(server) as (wire,):
        wire.send([stretch(4, 0, prefixed(b"go"))])
        wait_until(lambda: len(held) == 150)
        assert max(held) <= 500_000
        if policy in ("block", "disconnect"):
            assert refused
        else:
            lost = [e for e in heard.wait("fail") if isinstance(e, DeliveryError)]
            assert lost
            assert not refused
        for connection in server.connections():
            assert isinstance(connection, SessionConnection)
            assert connection.session.outgoing.begun_bytes <= 4 << 20
            connection.abort()


@pytest.mark.parametrize("messages", [False, True])
def test_who_sends_more_than_there_is_room_for_is_told_of(messages: bool) -> None:
    stuck = threading.Event()
    heard = Links(lambda service, message: stuck.wait(PATIENCE_S) and None)
    # Over two lines, so that the callback does not keep them from being read.
    with Server(TCP, heard) as server, stranger_at(server, 2) as wires:
        heard.wait("link", 2)
        (connection,) = server.connections()
        body = prefixed(b"abc") * 10_000 if messages else prefixed(b"x" * 60_000)
        with suppress(OSError):
            for number in range(100):
                wires[0].send([stretch(number % 8, number // 8 * len(body), body)])
        wait_until(lambda: connection.over)  # it has read too much of it, and dealt with nothing
        stuck.set()
        (error,) = heard.wait("fail")
        assert "sent more than it may" in str(error)
        heard.wait("disconnect")


@pytest.mark.parametrize("answers", [True, False])
def test_a_server_that_closes_while_a_session_opens_tells_the_peer(
    answers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was answered, and may take the session for open; one that says nothing to that is not waited for long."""
    given_up, give_up = threading.Event(), LineStage.give_up

    def notice(stage: LineStage) -> None:
        give_up(stage)
        given_up.set()

    monkeypatch.setattr(LineStage, "give_up", notice)
    if not answers:
        monkeypatch.setattr(line, "_GRACE_S", 0.05)
    server = Server(TCP, Recorder()).start(True)
    peer, wire, there = Peer(7, time.monotonic(), asks=True), Wire.to("127.0.0.1", server.port()), True
    with wire.socket:
        wire.send(peer.frames(time.monotonic()))
        while not peer.joined:
            for frame in wire.receive(PATIENCE_S) or ():
                peer.receive(frame, time.monotonic())
        closing = threading.Thread(target=server.close, args=(PATIENCE_S,))
        closing.start()
        assert given_up.wait(PATIENCE_S)
        while there and not peer.ended:
            if answers:
                wire.send(peer.frames(time.monotonic()))
            frames = wire.receive(0.01)
            there = frames is not None
            for frame in frames or ():
                peer.receive(frame, time.monotonic())
        wire.send(peer.frames(time.monotonic()) if answers else [])
    closing.join(PATIENCE_S)
    assert peer.ended == ("the peer left" if answers else "")
    assert not server.running()


def test_a_session_that_the_peer_has_answered_outlives_the_line_on_which_it_was_not_believed() -> None:
    """The peer may have heard that it has begun, and have sent messages in it."""
    heard, peer = Recorder(), Peer(7, time.monotonic(), asks=True)

    def take(wire: Wire) -> list[bytes]:
        frames = wire.receive(PATIENCE_S)
        assert frames is not None
        return frames

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        client = Client(f"tcp://127.0.0.1:{listener.getsockname()[1]}?reliable=1", heard)
        running = threading.Thread(target=client.start)
        running.start()
        try:
            wire = Wire(listener.accept()[0])
            with wire.socket:
                wire.send(peer.frames(time.monotonic()))
                while not peer.joined:  # it hears that it was heard, and shows nobody that it did
                    for frame in take(wire):
                        if frame[0] >> 3 & 7 == stranger.WELCOME:
                            peer.receive(frame, time.monotonic())
            peer.send(b"said in good faith")
            peer.link(time.monotonic())
            wire = Wire(listener.accept()[0])
            with wire.socket:
                while not (peer.joined and peer.idle):
                    wire.send(peer.frames(time.monotonic()))
                    for frame in take(wire):
                        peer.receive(frame, time.monotonic())
                    assert not peer.ended
            assert heard.wait("receive") == [b"said in good faith"]
        finally:
            client.close(0.1)
            running.join()
    assert len(heard.of("connect")) == 1
