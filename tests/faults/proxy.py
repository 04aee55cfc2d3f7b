"""A TCP connection with somebody in between, who can cut it, freeze it and refuse new ones."""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Callable
from typing import Final

from typing_extensions import Self

_CHUNK: Final = 65536
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: a socket that is closed says RST."""


class Proxy:
    """Whoever connects to :attr:`port` talks with whoever listens on ``target``.

    :param target: a port of this machine.
    :ivar port: where it listens.
    :ivar accepted: how many connections there were.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0
        self._refusing = self._frozen = False
        self._others: dict[socket.socket, socket.socket] = {}
        self._held: dict[socket.socket, bytes] = {}  # read from the other, not yet written to this one
        self._orders: list[Callable[[], None]] = []
        self._done = threading.Condition()
        self._closing = False
        self._woken, self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="proxy")
        self._thread.start()

    def cut(self) -> None:
        """Reset all connections, both ways, at once; what was under way is lost."""
        self._order(self._reset)

    def freeze(self) -> None:
        """Carry nothing any more: all connections stay open, and new ones are half open."""
        self._order(lambda: setattr(self, "_frozen", True))

    def thaw(self) -> None:
        """Carry again, also what came meanwhile."""
        self._order(lambda: setattr(self, "_frozen", False))

    def refuse(self) -> None:
        """Reset all connections, and whoever comes from now on."""
        self._order(lambda: setattr(self, "_refusing", True))
        self.cut()

    def accept(self) -> None:
        """Refuse nobody any more."""
        self._order(lambda: setattr(self, "_refusing", False))

    def close(self) -> None:
        self._order(lambda: setattr(self, "_closing", True))
        self._thread.join()
        self._reset()
        for sock in (self._listener, self._woken, self._wake):
            sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # In the thread ---------------------------------------------------------------------------------------------------

    def _order(self, order: Callable[[], None]) -> None:
        """Have the thread do it, and wait until it is done."""
        with self._done:
            self._orders.append(order)
            self._wake.send(b"\0")
            self._done.wait_for(lambda: order not in self._orders)

    def _run(self) -> None:
        while not self._closing:
            poller = select.poll()
            sockets = {sock.fileno(): sock for sock in self._watch(poller)}
            for fd, events in poller.poll():
                sock = sockets[fd]
                if sock is self._woken:
                    self._obey()
                    break  # the others may be gone now
                if sock is self._listener:
                    self._join()
                elif sock in self._others:
                    self._carry(sock, events)

    def _watch(self, poller: select.poll) -> list[socket.socket]:
        watched = {self._woken: select.POLLIN, self._listener: select.POLLIN}
        if not self._frozen:
            for sock, other in self._others.items():
                watched[sock] = (0 if self._held[other] else select.POLLIN) | (
                    select.POLLOUT if self._held[sock] else 0
                )
        for sock, events in watched.items():
            poller.register(sock, events)
        return list(watched)

    def _obey(self) -> None:
        self._woken.recv(_CHUNK)
        with self._done:
            for order in self._orders:
                order()
            self._orders.clear()
            self._done.notify_all()

    def _join(self) -> None:
        near = self._listener.accept()[0]
        self.accepted += 1
        try:
            if self._refusing:
                raise ConnectionRefusedError
            far = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            _close(near)
            return
        for sock, other in ((near, far), (far, near)):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._others[sock] = other
            self._held[sock] = b""

    def _carry(self, sock: socket.socket, events: int) -> None:
        """What one side says reaches the other; the end of one is the end of both."""
        other = self._others[sock]
        try:
            if events & select.POLLOUT:
                self._held[sock] = self._held[sock][sock.send(self._held[sock]) :]
            elif not self._held[other]:
                data = sock.recv(_CHUNK)
                self._held[other] = data
                if data:
                    return
                self._part(sock)
        except BlockingIOError:
            pass
        except OSError:
            self._part(sock)

    def _part(self, sock: socket.socket) -> None:
        for each in (sock, self._others[sock]):
            del self._others[each], self._held[each]
            _close(each, reset=False)

    def _reset(self) -> None:
        for sock in self._others:
            _close(sock)
        self._others.clear()
        self._held.clear()


def _close(sock: socket.socket, *, reset: bool = True) -> None:
    if reset:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()
