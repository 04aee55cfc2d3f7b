"""The other side of the task executor's wire, on plain sockets and written from its description alone."""

from __future__ import annotations

import json
import socket
import struct
from types import TracebackType

from typing_extensions import Self

from tests.entities.recorder import PATIENCE_S

HEARTBEAT = '{"type": -1}'


class Peer:
    """One end of a connection; what it does not read stays in its socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(PATIENCE_S)
        self._unread = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def reset(self) -> None:
        """End it as a host that is cut off ends it."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class DevicePeer(Peer):
    """A device, talking to a host at a port."""

    def __init__(self, port: int) -> None:
        super().__init__(socket.create_connection(("127.0.0.1", port), PATIENCE_S))

    def read(self) -> str:
        """The next text, as the host wrote it."""
        (size,) = struct.unpack("!I", self._exactly(4))
        return self._exactly(size).decode()

    def confirm(self, status: int = 1) -> None:
        self.send(json.dumps({"status_code": status}).encode())

    def obey(self, count: int) -> list[str]:
        """Read so many texts and confirm each."""
        texts = []
        for _ in range(count):
            texts.append(self.read())
            self.confirm()
        return texts

    def rest(self) -> list[str]:
        """What else comes until the host hangs up."""
        texts = []
        while self.sock.recv(1, socket.MSG_PEEK):
            texts.append(self.read())
        return texts

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            assert piece, f"the host hung up after {data!r}"
            data += piece
        return data


class HostPeer(Peer):
    """A host's end of the connection to one device."""

    def send_text(self, text: str, piece: int = 1 << 20) -> None:
        """Send a text with its length, so many bytes at a time."""
        data = struct.pack("!I", len(text.encode())) + text.encode()
        for start in range(0, len(data), piece):
            self.send(data[start : start + piece])

    def status(self) -> int:
        """The status of the next confirmation."""
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self._unread)
            except ValueError:
                piece = self.sock.recv(1024)
                assert piece, f"the device hung up after {self._unread!r}"
                self._unread += piece.decode()
            else:
                self._unread = self._unread[end:]
                return int(value["status_code"])


class HostSocket:
    """Where devices come to a host."""

    def __init__(self, port: int = 0) -> None:
        self._sock = socket.create_server(("127.0.0.1", port))
        self._sock.settimeout(PATIENCE_S)
        self.port: int = self._sock.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._sock.close()

    def accept(self) -> HostPeer:
        return HostPeer(self._sock.accept()[0])
