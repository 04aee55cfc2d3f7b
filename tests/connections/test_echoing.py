"""Lines that give back what is sent are named, whatever is spoken over them."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadscomm import ConnectFailed, connect
from leadscomm.connections.base import ConnectionBase
from leadscomm.sessions.board import ReliableConnection


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.request.recv(4096):
                self.request.sendall(data)


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    """Where a server sends back whatever it gets."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def key(tmp_path: Path) -> str:
    file = tmp_path / "key"
    file.write_bytes(b"0123456789abcdef" * 2)
    file.chmod(0o600)
    return str(file)


def named(error: pytest.ExceptionInfo[ConnectFailed]) -> None:
    text = str(error.value)
    assert "gives back what is sent" in text
    assert "Turn the echo off" in text
    assert "baud" not in text


@pytest.mark.parametrize("where", ["serial://loop://", "serial://socket://{}", "tcp://{}"])
@pytest.mark.parametrize("options", ["", "&framing=cobs&crc=crc-ccitt-false"])
def test_a_session_names_the_echo(echo: str, where: str, options: str) -> None:
    with pytest.raises(ConnectFailed) as caught:
        connect(f"{where.format(echo)}?reliable=1{options}", connect_timeout=10)
    named(caught)


@pytest.mark.parametrize("where", ["serial://loop://", "tcp://{}"])
def test_a_session_with_a_key_names_it_when_its_time_is_over(echo: str, where: str, key: str) -> None:
    with pytest.raises(ConnectFailed) as caught:
        connect(f"{where.format(echo)}?reliable=1", key_file=key, connect_timeout=0.4)
    named(caught)


def test_a_key_challenge_names_it(echo: str, key: str) -> None:
    with pytest.raises(ConnectFailed) as caught:
        connect(f"tcp://{echo}", key_file=key, connect_timeout=10)
    named(caught)


def test_the_compact_profile_names_it(echo: str) -> None:
    line: ConnectionBase = connect(f"tcp://{echo}?framing=cobs")
    session = ReliableConnection(line, asks=True)
    with pytest.raises(ConnectFailed) as caught:
        session.open(1e9)
    named(caught)
    session.abort()
    session._close()
