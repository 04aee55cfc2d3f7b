"""Stream sockets: TCP, TLS and Unix."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from leadscomm.connections.address import Address, is_loopback
from leadscomm.connections.base import CHUNK_BYTES, ConnectionBase, ListenerBase
from leadscomm.errors import AuthenticationFailed, CommTimeout, ConnectFailed, EndpointError
from leadscomm.protocol.framing import Framing

_NOWAIT: Final[int] = getattr(socket, "MSG_DONTWAIT", 0)
_BACKLOG: Final = 1024


class TcpConnection(ConnectionBase):
    """A conversation over a connected stream socket; in LEADS its name is ``Connection``.

    :param socket: connected.
    :param address: of the peer.
    :param remainder: bytes of the stream that were read already.
    :param separator: what ends each message.
    :param on_close: called with the connection when its socket is closed.
    :param framing: any other framing, instead of ``separator``.
    """

    __slots__ = ("_on_close", "_socket", "address")

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
        super().__init__(remainder, separator, framing=framing)

    def __str__(self) -> str:
        host, port = self.address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def origin(self) -> str | None:
        host = str(self.address[0])
        return None if is_loopback(host) else host

    def fileno(self) -> int | None:
        return self._socket.fileno()

    def set_blocking(self, blocking: bool) -> None:
        self._socket.setblocking(blocking)

    def _read(self) -> bytes | None:
        data = self._socket.recv(CHUNK_BYTES)
        self._more = len(data) == CHUNK_BYTES
        return data or None

    def _write(self, data: bytes | memoryview) -> int:
        return self._socket.send(data, _NOWAIT)

    def shut_sending(self) -> None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_WR)

    def abort(self) -> None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _close(self) -> None:
        self._socket.close()
        if self._on_close is not None:
            self._on_close(self)


class UnixConnection(TcpConnection):
    """A conversation over a Unix stream socket. ``address`` is ``(path,)``."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"unix:{self.address[0]}"

    @property
    def origin(self) -> str | None:
        return None


class TlsConnection(TcpConnection):
    """A conversation over TLS.

    OpenSSL allows one thread at a time, so reading never waits inside it: it waits for the socket, and reads under a
    lock.
    """

    __slots__ = ("_lock", "_tls", "_waits")

    def __init__(self, socket: ssl.SSLSocket, address: tuple[Any, ...], *, framing: Framing) -> None:
        super().__init__(socket, address, framing=framing)
        socket.setblocking(False)
        self._tls = socket
        self._waits = True
        self._lock = threading.Lock()

    def set_blocking(self, blocking: bool) -> None:
        self._waits = blocking

    def open(self, deadline: float) -> None:
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                ready = self._wait_readable(max(0.0, deadline - time.monotonic()))
            except ssl.SSLWantWriteError:
                ready = self._wait_writable(max(0.0, deadline - time.monotonic()))
            except ssl.SSLError as error:
                raise _tls_failed(str(self), error) from error
            if not ready:
                raise CommTimeout(f"{self} did not finish the TLS handshake in time; does it speak TLS?")
        super().open(deadline)

    def _read(self) -> bytes | None:
        while True:
            try:
                with self._lock:
                    data = self._tls.recv(CHUNK_BYTES)
                self._more = True  # a record may be half read; only SSLWantReadError tells
                return data or None
            except ssl.SSLWantReadError:
                self._more = False
                if not self._waits:
                    raise BlockingIOError from None
                self._wait_readable(None)
            except ssl.SSLError as error:
                raise _tls_failed(str(self), error) from error

    def _write(self, data: bytes | memoryview) -> int:
        try:
            with self._lock:
                return self._tls.send(data)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            raise BlockingIOError from None

    def shut_sending(self) -> None:
        with contextlib.suppress(OSError, ValueError), self._lock:
            self._tls.unwrap()  # sends close_notify; the peer's is not waited for
        super().shut_sending()


def _tls_failed(peer: str, error: ssl.SSLError) -> AuthenticationFailed:
    if isinstance(error, ssl.SSLCertVerificationError):
        mend = f"its certificate does not fit: {error.verify_message}; ca= names its authority, server_name= its name"
    elif error.reason and "CERTIFICATE" in error.reason:
        mend = "it wants a certificate that it trusts; give one with cert= and cert_key="
    elif error.reason and ("WRONG_VERSION" in error.reason or "HTTP_REQUEST" in error.reason):
        mend = "it does not speak TLS; use tcp:// or start TLS there"
    else:
        mend = f"{error.reason or error}"
    return AuthenticationFailed(f"TLS with {peer} failed: {mend}")


# Opening -------------------------------------------------------------------------------------------------------------


def connect_tcp(address: Address, deadline: float) -> ConnectionBase:
    """Open ``tcp://`` or ``tls://``; tries every address of a name until ``deadline`` (as ``time.monotonic()``
    counts)."""
    where = f"{address.host}:{address.port}"
    sock, last = None, None
    for family, kind, proto, _, target in resolve(address.host, address.port):
        sock = socket.socket(family, kind, proto)
        try:
            sock.settimeout(max(0.001, deadline - time.monotonic()))
            sock.connect(target)
            if sock.getsockname() == sock.getpeername():  # nobody listens, and the system chose the very port as ours
                raise ConnectionRefusedError("the connection leads to itself")
            break
        except OSError as error:
            sock.close()
            last, sock = error, None
    if sock is None:
        raise ConnectFailed(why_not(where, last)) from last
    try:
        sock.settimeout(None)
        tune(sock, address.options)
        context = client_context(address.options) if address.scheme == "tls" else None
        return _dress(sock, sock.getpeername(), address, context, address.options.get("server_name") or address.host)
    except BaseException:
        sock.close()
        raise


def connect_unix(address: Address, deadline: float) -> ConnectionBase:
    """Open ``unix://``."""
    sock = _unix_socket(address)
    try:
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        sock.connect(address.path)
        sock.settimeout(None)
        return UnixConnection(sock, (address.path,), framing=address.framing.make())
    except OSError as error:
        sock.close()
        mend = (
            "is its server started?"
            if isinstance(error, (ConnectionRefusedError, FileNotFoundError))
            else error.strerror
        )
        raise ConnectFailed(f"unix:{address.path} cannot be opened: {mend}") from error


def _unix_socket(address: Address) -> socket.socket:
    if sys.platform == "win32":
        raise EndpointError("unix:// needs a Unix system; use tcp://127.0.0.1 on Windows")
    if len(os.fsencode(address.path)) > 103:
        raise EndpointError(f"unix:{address.path} is too long: a socket's path has at most 103 bytes")
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)


def resolve(host: str, port: int, kind: int = socket.SOCK_STREAM) -> list[tuple[Any, ...]]:
    """The addresses of a host, as ``socket.getaddrinfo`` gives them.

    :raises ConnectFailed: there is no such host.
    """
    try:
        return list(socket.getaddrinfo(host, port, type=kind))
    except (socket.gaierror, UnicodeError) as error:
        raise ConnectFailed(f"there is no host {host!r}: {error}; check the name, or use an address") from error


def why_not(where: str, error: OSError | None) -> str:
    """What to say of a connection that could not be opened."""
    if isinstance(error, ConnectionRefusedError):
        return f"nobody listens on {where}; is the server started, and on this port?"
    if isinstance(error, TimeoutError):
        return f"{where} did not answer in time; is it switched on and reachable, and its firewall open?"
    return f"{where} cannot be reached: {error.strerror or error if error else 'no address'}"


def tune(sock: socket.socket, options: Any) -> None:
    """Small messages leave at once, and a dead host is noticed (where the system can)."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(options["nodelay"]))
    if options["keepalive"]:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        idle = max(1, round(options["keepalive"]))
        for name, value in (
            ("TCP_KEEPIDLE", idle),
            ("TCP_KEEPALIVE", idle),
            ("TCP_KEEPINTVL", max(1, idle // 3)),
            ("TCP_KEEPCNT", 3),
        ):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    if options["user_timeout"] and sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(options["user_timeout"] * 1000))


def _dress(
    sock: socket.socket,
    peer: tuple[Any, ...],
    address: Address,
    context: ssl.SSLContext | None,
    name: str | None = None,
) -> ConnectionBase:
    """The connection of a connected socket; ``name`` is the server's, on the client's side."""
    framing = address.framing.make()
    if context is None:
        return TcpConnection(sock, peer, framing=framing)
    wrapped = context.wrap_socket(sock, server_side=name is None, do_handshake_on_connect=False, server_hostname=name)
    return TlsConnection(wrapped, peer, framing=framing)


def server_context(options: Any) -> ssl.SSLContext:
    """TLS 1.3 for a server; with ``client_ca`` clients must show a certificate of that authority."""
    if not options["cert"]:
        raise EndpointError("a tls:// server needs its certificate: cert=FILE and, if it is apart, cert_key=FILE")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    _load(context, options)
    if options["client_ca"]:
        context.verify_mode = ssl.CERT_REQUIRED
        with _readable("client_ca", options["client_ca"]):
            context.load_verify_locations(options["client_ca"])
    return context


def client_context(options: Any) -> ssl.SSLContext:
    """TLS 1.3 for a client, which trusts ``ca`` or else the system's authorities."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if options["ca"]:
        with _readable("ca", options["ca"]):
            context.load_verify_locations(options["ca"])
    else:
        context.load_default_certs()
    if options["cert"]:
        _load(context, options)
    return context


def _load(context: ssl.SSLContext, options: Any) -> None:
    with _readable("cert", options["cert"]):
        context.load_cert_chain(options["cert"], options["cert_key"])


@contextlib.contextmanager
def _readable(name: str, path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ssl.SSLError) as error:
        raise EndpointError(f"{name}={path} cannot be used: {error.strerror or error}; a PEM file is wanted") from error


# Listening -----------------------------------------------------------------------------------------------------------


class SocketListener(ListenerBase):
    """Listens on one port of one or more addresses.

    :param sockets: bound and listening.
    :param dress: makes the connection of an accepted socket.
    """

    def __init__(self, sockets: list[socket.socket], dress: Callable[[socket.socket, Any], ConnectionBase]) -> None:
        self._sockets = sockets
        self._dress = dress
        self._closed = False
        self._woken, self._wake = socket.socketpair()
        for sock in (*sockets, self._woken):
            sock.setblocking(False)

    def port(self) -> int:
        name = self._sockets[0].getsockname()
        return int(name[1]) if isinstance(name, tuple) else 0

    def accept(self) -> ConnectionBase | None:
        while not self._closed:
            ready, _, _ = _select([*self._sockets, self._woken])
            for sock in ready:
                if sock is self._woken:
                    continue
                try:
                    accepted, peer = sock.accept()
                except (BlockingIOError, ConnectionAbortedError):
                    continue
                return self._dressed(accepted, peer)
        return None

    def _dressed(self, accepted: socket.socket, peer: Any) -> ConnectionBase:
        try:
            accepted.setblocking(True)
            return self._dress(accepted, peer)
        except BaseException:
            accepted.close()
            raise

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._wake.send(b"\0")

    def release(self) -> None:
        for sock in (*self._sockets, self._woken, self._wake):
            sock.close()


def _select(sockets: list[socket.socket]) -> tuple[list[socket.socket], list[Any], list[Any]]:
    """``select.select`` for reading, with no limit on the number of a descriptor where there is ``poll``."""
    if sys.platform == "win32":
        return select.select(sockets, [], [])
    poller = select.poll()
    by_fd = {sock.fileno(): sock for sock in sockets}
    for fd in by_fd:
        poller.register(fd, select.POLLIN)
    return [by_fd[fd] for fd, _ in poller.poll()], [], []


def listen_tcp(address: Address) -> ListenerBase:
    """Listen on ``tcp://`` or ``tls://``: on every address of the host, on one port."""
    context = server_context(address.options) if address.scheme == "tls" else None
    sockets: list[socket.socket] = []
    port = address.port
    try:
        for family, kind, proto, _, target in dict.fromkeys(resolve(address.host, address.port)):
            sock = bound(family, kind, proto, (target[0], port, *target[2:]), f"{address.host}:{port}")
            sockets.append(sock)
            sock.listen(_BACKLOG)
            port = sock.getsockname()[1]
    except BaseException:
        for sock in sockets:
            sock.close()
        raise

    def dress(sock: socket.socket, peer: tuple[Any, ...]) -> ConnectionBase:
        tune(sock, address.options)
        return _dress(sock, peer, address, context)

    return SocketListener(sockets, dress)


def bound(family: int, kind: int, proto: int, target: tuple[Any, ...], where: str) -> socket.socket:
    """A socket bound to ``target``; ``::`` takes IPv4 as well.

    :raises ConnectFailed: the port is taken, not allowed, or not ours.
    """
    sock = socket.socket(family, kind, proto)
    try:
        if sys.platform == "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        elif kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(target[0] != "::"))
        sock.bind(target)
        return sock
    except OSError as error:
        sock.close()
        raise ConnectFailed(_why_not_bound(where, error)) from error


def _why_not_bound(where: str, error: OSError) -> str:
    port = where.rpartition(":")[2]
    if error.errno in (98, 48, 10048):  # EADDRINUSE of Linux, macOS, Windows
        return f"{where} is in use by another program; stop that one, or choose another port (0 takes any free one)"
    if isinstance(error, PermissionError):
        return f"port {port} is not allowed; choose one of 1024 and above"
    if error.errno in (99, 49, 10049):  # EADDRNOTAVAIL
        return f"{where} is no address of this machine; use 127.0.0.1, 0.0.0.0 or one that `ip address` shows"
    return f"{where} cannot be listened on: {error.strerror or error}"


def listen_unix(address: Address) -> ListenerBase:
    """Listen on ``unix://``; a socket file that nobody listens on any more is replaced."""
    path = address.path
    sock = _unix_socket(address)
    try:
        _remove_stale(path)
        old = os.umask(0o777 & ~address.options["mode"])
        try:
            sock.bind(path)
        finally:
            os.umask(old)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        if isinstance(error, ConnectFailed):
            raise
        raise ConnectFailed(f"unix:{path} cannot be listened on: {error.strerror or error}") from error
    return _UnixListener([sock], lambda accepted, _: UnixConnection(accepted, (path,), framing=address.framing.make()))


def _remove_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise ConnectFailed(f"{path} is there already and is no socket; choose another path")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise ConnectFailed(f"unix:{path} is in use by another program; stop that one, or choose another path")


class _UnixListener(SocketListener):
    def release(self) -> None:
        path = self._sockets[0].getsockname()
        super().release()
        with contextlib.suppress(OSError):
            os.unlink(path)
