"""Conversations inside one program: ``loop://name``.

Each is a pair of connected sockets, so that everything that works over TCP works here, and nothing leaves the process.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from typing import Final

from leadscomm.connections.address import Address
from leadscomm.connections.base import ConnectionBase, ListenerBase
from leadscomm.connections.tcp import TcpConnection
from leadscomm.errors import ConnectFailed, EndpointError

BACKLOG: Final = 128
"""How many conversations may wait to be accepted."""


class LoopConnection(TcpConnection):
    """One end of a conversation inside this program. ``address`` is ``(name,)``."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"loop:{self.address[0]}"

    @property
    def _origin(self) -> str | None:
        return None


class LoopListener(ListenerBase):
    """Waits for conversations under a name; one listener a name."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._waiting: deque[socket.socket] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def dialled(self, deadline: float) -> socket.socket:
        """Begin a conversation; return the dialling end of it. Any thread.

        :raises ConnectFailed: it was not accepted before ``deadline`` (as ``time.monotonic()`` counts).
        """
        with self._changed:
            if not self._changed.wait_for(
                lambda: self._closed or len(self._waiting) < BACKLOG, max(0.0, deadline - time.monotonic())
            ):
                raise ConnectFailed(f"loop://{self._address.path} accepts nobody at the moment; is its server busy?")
            if self._closed:
                raise _nobody(self._address.path)
            ours, theirs = socket.socketpair()
            self._waiting.append(theirs)
            self._changed.notify_all()
        return ours

    def accept(self) -> ConnectionBase | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting)
            if self._closed:
                return None
            sock = self._waiting.popleft()
            self._changed.notify_all()
        return _connection(sock, self._address)

    def close(self) -> None:
        with _lock:
            if _listeners.get(self._address.path) is self:
                del _listeners[self._address.path]
        with self._changed:
            self._closed = True
            while self._waiting:
                self._waiting.popleft().close()
            self._changed.notify_all()


_listeners: Final[dict[str, LoopListener]] = {}
_lock: Final = threading.Lock()


def connect_loop(address: Address, deadline: float) -> ConnectionBase:
    """Open ``loop://name``, where something in this program listens."""
    with _lock:
        listener = _listeners.get(address.path)
    if listener is None:
        raise _nobody(address.path)
    return _connection(listener.dialled(deadline), address)


def listen_loop(address: Address) -> ListenerBase:
    """Listen on ``loop://name``."""
    if not address.path:
        raise EndpointError("loop:// wants a name, such as loop://arm")
    listener = LoopListener(address)
    with _lock:
        if _listeners.setdefault(address.path, listener) is not listener:
            raise ConnectFailed(f"loop://{address.path} is listened on already; close that one, or choose another name")
    return listener


def _nobody(name: str) -> ConnectFailed:
    known = ", ".join(f"loop://{other}" for other in sorted(_listeners)) or "nothing"
    return ConnectFailed(
        f"nobody listens on loop://{name} in this program, which is all that a loop reaches; listened on: {known}"
    )


def _connection(sock: socket.socket, address: Address) -> ConnectionBase:
    connection = LoopConnection(sock, (address.path,), framing=address.framing.make())
    connection.spin = address.options["spin"]
    return connection
