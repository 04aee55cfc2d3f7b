"""TCP, and what TLS and Unix sockets take from it."""

from __future__ import annotations

import contextlib
import math
import socket
import struct
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

from leadscomm.connections.address import Address, origin_of
from leadscomm.connections.base import CHUNK_BYTES, ConnectionBase
from leadscomm.connections.listener import ListenerBase
from leadscomm.connections.sockets.common import SocketListener, be_attentive, bind_all, dial, place
from leadscomm.connections.sockets.tcp_info import HostWatch, round_trip
from leadscomm.protocol.framing import Framing

_NOWAIT: Final[int] = getattr(socket, "MSG_DONTWAIT", 0)
"""Where there is no such flag (Windows) the socket itself never waits, and reading waits for it."""


class TcpConnection(ConnectionBase):
    """A conversation over a connected stream socket; in LEADS its name is ``Connection``.

    :param socket: connected; the connection's own from now on.
    :param address: of the peer.
    :param remainder: bytes of the stream that were read already.
    :param separator: what ends each message.
    :param on_close: called with the connection when its socket is closed.
    :param framing: any other framing, instead of ``separator``.
    :ivar spin: seconds that reading polls before it sleeps.
    """

    __slots__ = ("_failure", "_on_close", "_socket", "_waits", "_watch", "address", "spin")

    def __init__(
        self,
        socket: socket.socket,
        address: tuple[Any, ...],
        remainder: bytes = b"",
        separator: bytes = b";",
        on_close: Callable[[Any], None] | None = None,
        *,
        framing: Framing | None = None,
    ) -> None:
        self._socket = socket
        self.address = address
        self._on_close = on_close
        self.spin = 0.0
        self._waits = True
        self._watch: HostWatch | None = None
        self._failure: OSError | None = None  # why this side has ended it
        socket.setblocking(bool(_NOWAIT))
        super().__init__(remainder, separator, framing=framing)

    def __str__(self) -> str:
        return place(*self.address[:2])

    @property
    def _origin(self) -> str | None:
        return origin_of(str(self.address[0]))

    def fileno(self) -> int | None:
        return self._socket.fileno()

    def set_blocking(self, blocking: bool) -> None:
        self._waits = blocking
        if _NOWAIT:
            with contextlib.suppress(OSError):  # closed meanwhile
                self._socket.setblocking(blocking)
                if blocking:
                    be_attentive(self._socket)

    def _read(self) -> bytes | None:
        if self.spin:
            data = self._spun()
        elif _NOWAIT:
            data = self._socket.recv(CHUNK_BYTES)
        else:
            data = self._waited()
        self._more = len(data) == CHUNK_BYTES or self.spin > 0
        if not data:
            self._check_end()
        return data or None

    def _check_end(self) -> None:
        """:raises OSError: it was not the peer who has ended it."""
        if self._failure is not None:
            raise self._failure

    def _spun(self) -> bytes:
        until = perf_counter() + self.spin
        while perf_counter() < until:
            try:
                return self._socket.recv(CHUNK_BYTES, _NOWAIT)
            except BlockingIOError:
                pass
        return self._socket.recv(CHUNK_BYTES) if _NOWAIT else self._waited()

    def _waited(self) -> bytes:
        while True:
            try:
                return self._socket.recv(CHUNK_BYTES)
            except BlockingIOError:
                if not self._waits:
                    raise
            self._wait_readable(None)

    def _write(self, data: bytes | memoryview) -> int:
        return self._socket.send(data, _NOWAIT)

    def watch_host(self, patience: float) -> None:
        """From now on end it with an error once the peer's host has answered nothing for ``patience`` seconds, where
        the system tells."""
        if patience and sys.platform == "linux":
            self._watch = HostWatch(self._socket, patience)

    def _wait_writable(self, timeout: float) -> bool:
        return self._wait_ticking(timeout, writable=True)

    def tick(self) -> float | None:
        if self._watch is None or self._failure is not None:
            return None
        try:
            return self._watch.rest()
        except TimeoutError as error:
            self._failure = error
            with contextlib.suppress(OSError):  # nobody takes what the system still has
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.abort()
        except OSError:
            pass  # closed
        return None

    def _round_trip(self) -> float | None:
        try:
            measured = round_trip(self._socket.fileno())
        except OSError:  # no TCP, or closed
            return None
        return None if measured is None else measured.time

    def shut_sending(self) -> None:
        self._shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        self._shutdown(socket.SHUT_RDWR)

    def _shutdown(self, how: int) -> None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, how)  # an SSLSocket's own would go on in plain text

    def _close(self) -> None:
        if self._watch is not None:
            self._watch.end()
        self._socket.close()
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close(self)


def tune(sock: socket.socket, options: Any) -> None:
    """Small messages leave at once, and a host that is silent is probed (where the system can). While bytes are
    unacknowledged the system probes nobody: that is what :meth:`TcpConnection.watch_host` is for."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(options["nodelay"]))
    if options["keepalive"]:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        idle = max(1, round(options["keepalive"]))
        every = max(1, idle // 3)
        count = min(127, max(3, math.ceil((options["user_timeout"] - idle) / every)))
        for name, value in (
            ("TCP_KEEPIDLE", idle),
            ("TCP_KEEPALIVE", idle),  # what macOS calls it
            ("TCP_KEEPINTVL", every),
            ("TCP_KEEPCNT", count if sys.platform == "linux" else 3),
        ):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def dressed(sock: socket.socket, peer: tuple[Any, ...], address: Address) -> TcpConnection:
    """The connection of a connected socket."""
    tune(sock, address.options)
    connection = TcpConnection(sock, peer, framing=address.framing.make())
    connection.spin = address.options["spin"]
    connection.watch_host(address.options["user_timeout"])
    return connection


def connect_tcp(address: Address, deadline: float) -> ConnectionBase:
    """Open ``tcp://``; tries every address of a name until ``deadline`` (as ``time.monotonic()`` counts)."""
    sock = dial(address, deadline)
    try:
        return dressed(sock, sock.getpeername(), address)
    except BaseException:
        sock.close()
        raise


def listen_tcp(address: Address) -> ListenerBase:
    """Listen on ``tcp://``: on every address of the host, on one port."""
    return SocketListener(listening(address), lambda sock, peer: dressed(sock, peer, address))


def listening(address: Address) -> list[socket.socket]:
    """Sockets that listen on every address of the host."""
    return bind_all(address, socket.SOCK_STREAM)
