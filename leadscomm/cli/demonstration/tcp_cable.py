"""A network cable that can be pulled: what comes to its port goes to another one, as long as it is plugged in."""

from __future__ import annotations

import select
import socket
import threading
from typing import Final

from leadscomm.cli.demonstration.pulling import Cable

_READ_BYTES: Final = 65536
_PATIENCE_S: Final = 1.0


class TcpCable(Cable):
    """Carries TCP connections. While it is pulled, nothing passes and nobody is told.

    :param port: where it leads to, on this machine.
    :ivar port: where it begins.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._woken, self._wake = socket.socketpair()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="leadscomm-cable", daemon=True)
        self._thread.start()

    def set_pulled(self, pulled: bool) -> None:
        self.pulled = pulled
        self._wake.send(b"\0")

    def close(self) -> None:
        """Take it away."""
        self._closing = True
        self._wake.send(b"\0")
        self._thread.join()
        for end in (self._listener, self._woken, self._wake, *self._pairs):
            end.close()

    def _run(self) -> None:
        while not self._closing:
            ends = [self._woken] if self.pulled else [self._woken, self._listener, *self._pairs]
            for end in select.select(ends, [], [])[0]:
                if end is self._woken:
                    end.recv(_READ_BYTES)
                elif self.pulled:  # since a moment ago
                    continue
                elif end is self._listener:
                    self._accept()
                elif end in self._pairs:
                    self._carry(end)

    def _accept(self) -> None:
        here, _ = self._listener.accept()
        try:
            there = socket.create_connection(self._target, _PATIENCE_S)
        except OSError:
            here.close()
            return
        here.settimeout(_PATIENCE_S)
        self._pairs |= {here: there, there: here}

    def _carry(self, end: socket.socket) -> None:
        other = self._pairs[end]
        try:
            data = end.recv(_READ_BYTES)
            other.sendall(data)
        except OSError:
            data = b""
        if not data:
            for one in (end, other):
                del self._pairs[one]
                one.close()
