"""What the transports over sockets have in common: names, connecting, binding, accepting."""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from leadscomm.connections.base import ConnectionBase, ListenerBase
from leadscomm.errors import ConnectFailed

BACKLOG: Final = 1024
_ANY_PORT_ATTEMPTS: Final = 16
_IN_USE: Final = (98, 48, 10048)  # EADDRINUSE of Linux, macOS, Windows
_NOT_OURS: Final = (99, 49, 10049)  # EADDRNOTAVAIL


def place(host: str, port: int) -> str:
    """``host:port`` as a URL has it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def resolve(host: str, port: int, kind: int = socket.SOCK_STREAM) -> list[tuple[Any, ...]]:
    """The addresses of a host, each once, as ``socket.getaddrinfo`` gives them.

    :raises ConnectFailed: there is no such host.
    """
    try:
        return list(dict.fromkeys(socket.getaddrinfo(host, port, type=kind)))
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConnectFailed(f"there is no host {host!r} ({why}): check the name, or use an address") from error


def dial(host: str, port: int, deadline: float) -> socket.socket:
    """Connect a stream socket: to the first address of the host that answers.

    :param deadline: as ``time.monotonic()`` counts; an address that does not answer leaves time for the others.
    :raises ConnectFailed: none did; the text says why.
    """
    where = place(host, port)
    last: OSError | None = None
    addresses = resolve(host, port)
    for tried, (family, kind, proto, _, target) in enumerate(addresses):
        try:
            sock = socket.socket(family, kind, proto)
        except OSError as error:
            last = error
            continue
        try:
            sock.settimeout(max(0.001, (deadline - time.monotonic()) / (len(addresses) - tried)))
            sock.connect(target)
            if sock.getsockname() == sock.getpeername():  # nobody listens, and the system chose the very port as ours
                raise ConnectionRefusedError("the connection leads to itself")
            sock.settimeout(None)
            return sock
        except OSError as error:
            sock.close()
            last = error
        except BaseException:
            sock.close()
            raise
    raise ConnectFailed(why_not(where, last)) from last


def why_not(where: str, error: OSError | None) -> str:
    """What to say of a connection that could not be opened."""
    if isinstance(error, ConnectionRefusedError):
        return f"nobody listens on {where}; is the server started, and on this port?"
    if isinstance(error, TimeoutError):
        return f"{where} did not answer in time; is it switched on and reachable, and its firewall open?"
    return f"{where} cannot be reached: {(error.strerror or error) if error else 'it has no address'}"


def bind_all(host: str, port: int, kind: int) -> list[socket.socket]:
    """Sockets bound to every address of a host, all to one port, and listening if they are for streams; port 0 is any
    that is free.

    :raises ConnectFailed: there is no such host, or the port is taken, not allowed, or not ours.
    """
    addresses = resolve(host, port, kind)
    attempts = _ANY_PORT_ATTEMPTS if port == 0 and len(addresses) > 1 else 1
    for left in reversed(range(attempts)):
        sockets: list[socket.socket] = []
        chosen = port
        try:
            for family, sort, proto, _, target in addresses:
                sockets.append(bound(family, sort, proto, (target[0], chosen, *target[2:]), place(host, chosen)))
                chosen = sockets[0].getsockname()[1]
            return sockets
        except ConnectFailed:
            for sock in sockets:
                sock.close()
            if not left or not sockets:  # what is free at one address may be taken at another: another number may do
                raise
    raise AssertionError("the loop returns or raises")


def bound(family: int, kind: int, proto: int, target: tuple[Any, ...], where: str) -> socket.socket:
    """A socket bound to ``target``, and listening if it is one for streams; ``::`` takes IPv4 as well.

    :raises ConnectFailed: the port is taken, not allowed, or not ours.
    """
    try:
        sock = socket.socket(family, kind, proto)
    except OSError as error:
        raise ConnectFailed(_why_not_bound(where, error)) from error
    try:
        if sys.platform == "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        elif kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(target[0] != "::"))
        sock.bind(target)
        if kind == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
        return sock
    except OSError as error:
        sock.close()
        raise ConnectFailed(_why_not_bound(where, error)) from error


def _why_not_bound(where: str, error: OSError) -> str:
    port = where.rpartition(":")[2]
    if error.errno in _IN_USE:
        return f"{where} is in use by another program; stop that one, or choose another port (0 takes any free one)"
    if isinstance(error, PermissionError):
        return f"port {port} is not allowed; choose one of 1024 and above"
    if error.errno in _NOT_OURS:
        return f"{where} is no address of this machine; use 127.0.0.1, 0.0.0.0 or one that `ip address` shows"
    return f"{where} cannot be listened on: {error.strerror or error}"


def readable(sockets: list[socket.socket], timeout: float | None = None) -> list[socket.socket]:
    """Wait until some of the sockets can be read; return those. There is no limit on the number of a descriptor where
    the system has ``poll``.

    :param timeout: seconds; None waits for ever.
    """
    if sys.platform == "win32":
        return select.select(sockets, [], [], timeout)[0]
    poller = select.poll()
    by_fd = {sock.fileno(): sock for sock in sockets}
    for fd in by_fd:
        poller.register(fd, select.POLLIN)
    return [by_fd[fd] for fd, _ in poller.poll(None if timeout is None else max(0.0, timeout) * 1000)]


def enlarge(sock: socket.socket) -> None:
    """Ask for a receive buffer that takes a burst; the system gives what it will."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)


class Alarm:
    """Wakes a thread that waits in :func:`readable`: another thread rings, and the waiting one finds ``socket`` ready.

    It stays ready until it is cleared, and may be rung after it was closed.
    """

    def __init__(self) -> None:
        self.socket, self._bell = socket.socketpair()
        self._lock = threading.RLock()  # a signal handler may ring while the thread that it interrupts does
        self._bell.setblocking(False)
        self.socket.setblocking(False)

    def ring(self) -> None:
        """Wake the thread that waits. Any thread, any number of times."""
        with self._lock, contextlib.suppress(OSError):
            self._bell.send(b"\0")

    def clear(self) -> None:
        """Make it ready for the next ring. The waiting thread only."""
        with contextlib.suppress(OSError):
            self.socket.recv(4096)

    def close(self) -> None:
        """Release the handles."""
        with self._lock:  # the number of a closed handle may be somebody else's at once
            self.socket.close()
            self._bell.close()


class SocketListener(ListenerBase):
    """Listens on one port of one or more addresses.

    :param sockets: bound and listening; the listener's own from now on.
    :param dress: makes the connection of an accepted socket.
    """

    def __init__(self, sockets: list[socket.socket], dress: Callable[[socket.socket, Any], ConnectionBase]) -> None:
        self._sockets = sockets
        self._dress = dress
        self._closed = False
        self._alarm = Alarm()
        name = sockets[0].getsockname()
        self._port = int(name[1]) if isinstance(name, tuple) else 0
        for sock in sockets:
            sock.setblocking(False)

    def port(self) -> int:
        return self._port

    def handles(self) -> list[int]:
        return [sock.fileno() for sock in self._sockets]

    def accept(self) -> ConnectionBase | None:
        while not self._closed:
            for sock in readable([*self._sockets, self._alarm.socket]):
                if sock is self._alarm.socket:
                    return None
                try:
                    accepted, peer = sock.accept()
                except (BlockingIOError, ConnectionAbortedError):
                    continue
                try:
                    return self._dress(accepted, peer)
                except BaseException:
                    accepted.close()
                    raise
        return None

    def close(self) -> None:
        self._closed = True
        self._alarm.ring()

    def release(self) -> None:
        for sock in self._sockets:
            sock.close()
        self._alarm.close()
