"""Conversations inside one program: ``loop://name``.

Each is a pair of connected sockets, so that everything that works over TCP works here, and nothing leaves the process.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections import deque
from typing import Final

from leadscomm.connections.address import Address
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.listener import ListenerBase
from leadscomm.connections.sockets.tcp import TcpConnection
from leadscomm.connections.waiting import Waiters
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
        self._changed = Waiters()
        self._closed = False

    def dialled(self, deadline: float) -> socket.socket:
        """Begin a conversation; return the dialling end of it. Any thread.

        :raises ConnectFailed: it was not accepted before ``deadline`` (as ``time.monotonic()`` counts).
        """
        if not self._changed.wait_for(
            lambda: self._closed or len(self._waiting) < BACKLOG, max(0.0, deadline - time.monotonic())
        ):
            raise ConnectFailed(f"loop://{self._address.path} accepts nobody at the moment; is its server busy?")
        ours, theirs = socket.socketpair()
        self._waiting.append(theirs)
        self._changed.notify_all()
        if self._closed:  # perhaps since a moment ago
            self._turn_away()
            ours.close()
            raise _nobody(self._address.path)
        return ours

    def accept(self) -> ConnectionBase | None:
        while True:
            self._changed.wait_for(lambda: bool(self._closed or self._waiting))
            if self._closed:
                return None
            with contextlib.suppress(IndexError):  # another was quicker
                sock = self._waiting.popleft()
                self._changed.notify_all()
                return _connection(sock, self._address)

    def close(self) -> None:
        if _listeners.get(self._address.path) is self:  # then nobody can take its place before it has left it
            _listeners.pop(self._address.path, None)
        self._closed = True
        self._turn_away()
        self._changed.notify_all()

    def _turn_away(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._waiting.popleft().close()


_listeners: Final[dict[str, LoopListener]] = {}
if hasattr(os, "register_at_fork"):  # what listens is in the parent, and the names are free in the child
    os.register_at_fork(after_in_child=_listeners.clear)


def connect_loop(address: Address, deadline: float) -> ConnectionBase:
    """Open ``loop://name``, where something in this program listens."""
    listener = _listeners.get(address.path)
    if listener is None:
        raise _nobody(address.path)
    return _connection(listener.dialled(deadline), address)


def listen_loop(address: Address) -> ListenerBase:
    """Listen on ``loop://name``."""
    if not address.path:
        raise EndpointError("loop:// wants a name, such as loop://arm")
    listener = LoopListener(address)
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
