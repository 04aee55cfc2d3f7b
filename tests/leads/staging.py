"""Connections without a world: an entity of one's own that stages what a test gives it."""

from __future__ import annotations

import socket

from leadscomm import ConnectionBase, Entity
from tests.entities.recorder import Recorder


class Scripted(ConnectionBase):
    """Reads the chunks that it was given, then the end of the stream; what is sent gathers in ``sent``."""

    def __init__(self, *chunks: bytes, separator: bytes = b";") -> None:
        super().__init__(b"", separator)
        self.chunks = list(chunks)
        self.sent = b""

    def _read(self) -> bytes | None:
        return self.chunks.pop(0) if self.chunks else None

    def _write(self, data: bytes | memoryview) -> int:
        self.sent += data
        return len(data)

    def abort(self) -> None:
        self.chunks.clear()


class LeadsShaped(ConnectionBase):
    """A connection as a user of LEADS writes one: everything by himself, with the helpers of the base."""

    def __init__(self, sock: socket.socket, remainder: bytes = b"", separator: bytes = b";") -> None:
        super().__init__(remainder, separator)
        self._sock = sock

    def closed(self) -> bool:
        return self._sock.fileno() == -1

    def receive(self) -> bytes | None:
        if self._remainder != b"":
            return self.use_remainder()
        try:
            msg = chunk = b""
            while self._separator not in chunk:
                msg += (chunk := self._sock.recv(16))
                if not chunk:
                    return None
            return self.with_remainder(msg)
        except OSError:
            return None

    def send(self, msg: bytes) -> None:
        self._sock.sendall(msg + self._separator)

    def close(self) -> None:
        self.disconnect()
        self._sock.close()


class Arm(Entity):
    """Stages one connection, as LEADS's own serial entity does."""

    def __init__(self, connection: ConnectionBase, callback: Recorder) -> None:
        super().__init__(-1, callback)
        self.given = connection

    def run(self) -> None:
        self._callback.on_initialize(self)
        self._callback.on_connect(self, self.given)
        self._stage(self.given)


def staged(*chunks: bytes, separator: bytes = b";") -> Recorder:
    """What is told of a stream that arrives in these chunks and then ends."""
    told = Recorder()
    Arm(Scripted(*chunks, separator=separator), told).start()
    return told
