"""Streams over real sessions: every kind of line, faults on it, and both directions."""

from __future__ import annotations

import hashlib
import io
import itertools
import sys
from pathlib import Path
from typing import Any

import pytest

from leadscomm import Client, Endpoint, Server, ServiceError, TransferError
from leadscomm.entities.node import Node
from leadscomm.protocol.records.streams import SendingStream
from tests.entities.joined import Takes
from tests.entities.recorder import PATIENCE_S


def content(size: int) -> bytes:
    return hashlib.shake_128(b"lines").digest(size)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.bin"
    path.write_bytes(content(1_500_000))
    return path


def taking(folder: Path) -> Takes:
    return Takes(lambda stream: stream.save_into(folder))


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp://127.0.0.1:0?reliable=1",
        "udp://127.0.0.1:0?reliable=1",
        "loop://streams?reliable=1",
        "fault://drop=0.02,dup=0.02,reorder=0.02,corrupt=0.005,seed=3/udp://127.0.0.1:0?reliable=1",
    ],
)
def test_a_file_over_any_line(endpoint: str, source: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with Server(endpoint, taking(tmp_path / "in")) as server, Client(server.endpoint) as client:
        transfer = client.send_file(source)
        assert (transfer.moved, transfer.error) == (1_500_000, None)
        assert (tmp_path / "in" / "source.bin").read_bytes() == source.read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo terminals")
def test_a_stream_over_a_serial_cable(tmp_path: Path) -> None:
    from tests.connections.cable import Cable

    told = taking(tmp_path)
    with (
        Cable() as cable,
        Server(f"serial://{cable.a}?reliable=1", told),
        Client(f"serial://{cable.b}?reliable=1") as client,
    ):
        client.send_stream(io.BytesIO(content(8000)), name="x", size=8000)
    assert (tmp_path / "x").read_bytes() == content(8000)


def test_a_server_sends_too(source: Path, tmp_path: Path) -> None:
    told = Takes()
    files = taking(tmp_path)
    with Server("tcp://127.0.0.1:0?reliable=1", told) as here, Client(here.endpoint, files, name="arm") as there:
        (connection,) = told.wait("connect")
        here.send_file(source, connection, name="one")
        connection.send_file(source, name="two")
        here.send_stream(io.BytesIO(b"three"), connection, name="three")
        connection.send_stream(io.BytesIO(b"four"), name="four")
        there.connection.send_stream(io.BytesIO(b"five"), wait=False)  # type: ignore[union-attr]
        told.wait("stream")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes() == source.read_bytes()
    assert [(tmp_path / name).read_bytes() for name in ("three", "four")] == [b"three", b"four"]


def test_nodes_send_by_name(source: Path, tmp_path: Path) -> None:
    told = Takes()
    with (
        Node("base", listen=["tcp://127.0.0.1:0"], callback=told) as base,
        Node("arm", connect=[str(base.listens[0])], callback=taking(tmp_path)),
    ):
        told.wait("connect")
        base.send_file(source, "arm", name="one")
        base.send_stream(io.BytesIO(b"two"), "arm", name="two")
    assert (tmp_path / "one").read_bytes() == source.read_bytes()
    assert (tmp_path / "two").read_bytes() == b"two"


def test_a_file_that_is_asked_for(source: Path, tmp_path: Path) -> None:
    """Sent from inside a callback."""

    class Library(Takes):
        def on_receive(self, service: Any, msg: bytes) -> None:
            service.sender.send_file(msg.decode(), wait=False)

    told = taking(tmp_path / "in")
    (tmp_path / "in").mkdir()
    with Server("tcp://127.0.0.1:0?reliable=1", Library()) as server, Client(server.endpoint, told) as client:
        client.send(str(source).encode())
        (stream,) = told.wait("end")
        assert stream.error is None
        assert stream.path.read_bytes() == source.read_bytes()
        assert stream.connection is client.connection


def test_messages_pass_beside_a_stream(source: Path, tmp_path: Path) -> None:
    told = taking(tmp_path / "in")
    (tmp_path / "in").mkdir()
    with Server("tcp://127.0.0.1:0?reliable=1", told) as server, Client(server.endpoint) as client:
        transfer = client.send_file(source, wait=False)
        for number in range(200):
            client.send(str(number).encode(), lane=0)
        assert [int(message) for message in told.wait("receive", 200)] == list(range(200))
        assert transfer.wait(PATIENCE_S)


def test_a_server_that_comes_again(tmp_path: Path, source: Path) -> None:
    """The peer is restarted in the middle: the same call goes on with the next session."""
    (tmp_path / "in").mkdir()
    told = taking(tmp_path / "in")
    first = Server("tcp://127.0.0.1:0?reliable=1", told).start(parallel=True)
    endpoint = Endpoint.parse(f"tcp://127.0.0.1:{first.port()}?reliable=1")
    with Client(endpoint) as client:
        stopped: list[int] = []

        def stop(transfer: Any) -> None:
            if not stopped and transfer.moved > 200_000:
                stopped.append(transfer.moved)
                first.close(0.0)

        transfer = client.send_file(source, progress=stop, wait=False)
        assert first.join(PATIENCE_S)
        with Server(endpoint, told):
            assert transfer.wait(PATIENCE_S)
        assert transfer.resumed_at >= stopped[0]
    assert (tmp_path / "in" / "source.bin").read_bytes() == source.read_bytes()


def test_closing_gives_up(source: Path, tmp_path: Path) -> None:
    told = Takes()
    with Server("tcp://127.0.0.1:0?reliable=1") as server:
        client = Client(server.endpoint, told).start(parallel=True)
        server.close()
        server.join()
        transfer = client.send_file(source, wait=False)
        client.close()
        with pytest.raises(TransferError, match="the service was closed"):
            transfer.wait(PATIENCE_S)
        assert told.of("fail")
        client.join()
        with pytest.raises(ServiceError, match="must be running"):
            client.send_file(source)


def test_without_a_session_there_are_no_streams(source: Path) -> None:
    told = Takes()
    with Server("tcp://127.0.0.1:0", told) as server, Client(server.endpoint) as client:
        (connection,) = told.wait("connect")
        for sends in (
            lambda: server.send_file(source, connection),
            lambda: connection.send_file(source),
            lambda: client.send_file(source),
        ):
            with pytest.raises(ServiceError, match="give both sides reliable=1"):
                sends()
    with pytest.raises(ServiceError, match="must be running"):
        connection.send_file(source)


def test_the_pace_slackens_when_the_next_piece_is_due(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that comes in just that moment may say that enough is under way: that is no end of the file."""
    room, times = SendingStream.room, itertools.count()
    monkeypatch.setattr(SendingStream, "room", lambda stream: 0 if next(times) == 1 else room(stream))
    (tmp_path / "in").mkdir()
    with Server("tcp://127.0.0.1:0?reliable=1", taking(tmp_path / "in")) as server, Client(server.endpoint) as client:
        client.send_file(source)
    assert (tmp_path / "in" / "source.bin").read_bytes() == source.read_bytes()
