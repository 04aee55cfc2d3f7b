"""What accepts conversations."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Sequence

from leadscomm.connections.address import is_loopback
from leadscomm.connections.base import ConnectionBase


class ListenerBase(ABC):
    """Accepts conversations."""

    __slots__ = ()
    _sockets: Sequence[socket.socket] = ()
    """What it listens with, where that is sockets."""

    @abstractmethod
    def accept(self) -> ConnectionBase | None:
        """Wait for the next peer; None once the listener was closed.

        :raises OSError: this one could not be accepted; calling again is right.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop listening and release the handle; a waiting :meth:`accept` returns None. Any thread."""

    def port(self) -> int:
        """The number that peers connect to; 0 where there is none."""
        return 0

    def handles(self) -> list[int]:
        """The descriptors that it listens with."""
        return [sock.fileno() for sock in self._sockets]

    def local(self) -> bool:
        """Whether only programs on this machine reach it, as is known of sockets."""
        return bool(self._sockets) and all(is_loopback(str(sock.getsockname()[0])) for sock in self._sockets)

    def linger(self, timeout: float) -> None:
        """After :meth:`close`: go on with what the accepted conversations need of the listener, until they have ended,
        ``timeout`` seconds at most. The accepting thread only."""

    def release(self) -> None:
        """Free what only the accepting thread may free. Called by it after :meth:`accept` returned None."""
