"""Unix stream sockets."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import sys
import time

from leadscomm.connections.address import Address
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.listener import ListenerBase
from leadscomm.connections.shortage import or_failed, why
from leadscomm.connections.sockets.common import BACKLOG, SocketListener
from leadscomm.connections.sockets.tcp import TcpConnection
from leadscomm.errors import ConnectFailed, EndpointError

MAX_PATH_BYTES = 103
"""What every Unix system takes: macOS 103, Linux 107."""


class UnixConnection(TcpConnection):
    """A conversation over a Unix stream socket. ``address`` is ``(path,)``."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"unix:{self.address[0]}"

    @property
    def _origin(self) -> str | None:
        return None


def connect_unix(address: Address, deadline: float) -> ConnectionBase:
    """Open ``unix://``."""
    path = address.path
    sock = _socket(path)
    try:
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        sock.connect(path)
        return _dressed(sock, address)
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError):
            raise ConnectFailed(f"unix:{path} cannot be opened: {_why_not(path, error)}") from error
        raise


def _why_not(path: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such socket; is its server started?"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there any more; is its server started?"
    if isinstance(error, PermissionError):
        with contextlib.suppress(OSError):
            mode = stat.S_IMODE(os.stat(path).st_mode)
            return f"no permission (the socket's mode is {mode:o}); start the server with mode=666, or as the same user"
        return "no permission to look into its folder"
    if isinstance(error, (TimeoutError, BlockingIOError)):
        return "its server accepts nobody at the moment; is it stopped, or busy?"
    return why(error)


def _dressed(sock: socket.socket, address: Address) -> ConnectionBase:
    connection = UnixConnection(sock, (address.path,), framing=address.framing.make())
    connection.spin = address.options["spin"]
    return connection


def _socket(path: str) -> socket.socket:
    if sys.platform == "win32":
        raise EndpointError("unix:// needs a Unix system; use tcp://127.0.0.1 on Windows")
    size = len(os.fsencode(path))
    if not 0 < size <= MAX_PATH_BYTES:
        raise EndpointError(f"unix:{path}: a socket's path has 1 to {MAX_PATH_BYTES} bytes, and this one has {size}")
    with or_failed(f"unix:{path} cannot be opened"):
        return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)


def listen_unix(address: Address) -> ListenerBase:
    """Listen on ``unix://``; a socket file that nobody listens on any more is replaced."""
    path = address.path
    sock = _socket(path)
    try:
        _remove_stale(path)
        _bind(sock, path, address.options["mode"])
        sock.listen(BACKLOG)
        return UnixListener(sock, address)
    except OSError as error:
        sock.close()
        if isinstance(error, ConnectFailed):
            raise
        reason = "there is no such folder" if isinstance(error, FileNotFoundError) else why(error)
        raise ConnectFailed(f"unix:{path} cannot be listened on: {reason}") from error


def _bind(sock: socket.socket, path: str, mode: int) -> None:
    """Bind, with the permissions ``mode`` from the first moment on."""
    if sys.platform == "linux":
        os.fchmod(sock.fileno(), mode)  # Linux gives the file the permissions of the socket; no other thread sees it
        sock.bind(path)
    else:
        before = os.umask(0o777 & ~mode)
        try:
            sock.bind(path)
        finally:
            os.umask(before)
    os.chmod(path, mode)  # what the umask took away


def _remove_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise ConnectFailed(f"{path} is there already and is no socket; choose another path")
    except FileNotFoundError:
        return
    with _socket(path) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except (TimeoutError, BlockingIOError):
            pass  # it is there, and busy
    raise ConnectFailed(f"unix:{path} is in use by another program; stop that one, or choose another path")


class UnixListener(SocketListener):
    """Listens on a socket file, and removes it at the end."""

    def __init__(self, sock: socket.socket, address: Address) -> None:
        super().__init__([sock], lambda accepted, _: _dressed(accepted, address))
        self._path = address.path
        self._file = _identity(self._path)

    def release(self) -> None:
        if _identity(self._path) == self._file:  # not another server's, that took our place
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        super().release()


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
