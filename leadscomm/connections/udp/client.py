"""UDP, the dialling side. The listening side is :mod:`leadscomm.connections.udp.server`.

A datagram is a message; an empty one only says that its sender is there. Nobody says goodbye: a client that is closed
has left once it has been silent for long enough, as one has whose host died.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from leadscomm.connections.address import Address, is_loopback
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.listener import ListenerBase
from leadscomm.connections.sockets.common import be_attentive, bind_all, enlarge, place, readable, why_not
from leadscomm.connections.sockets.names import resolve
from leadscomm.connections.udp.peer import BURST
from leadscomm.connections.udp.server import RECEIVE_BYTES, UdpListener
from leadscomm.errors import ConnectFailed, ConnectionLost
from leadscomm.protocol.framing import MAX_DATAGRAM, Framing

_NOWAIT: Final[int] = getattr(socket, "MSG_DONTWAIT", 0)
_BROADCAST: Final = (errno.EACCES, 10013)  # that of Windows
_TURN: Final = "udp"
"""Which of a host's addresses is dialled first; among the notes of an address."""
REFUSAL_S: Final = 0.05
"""How long a host is given to say that nobody listens there; one on this machine says it at once."""


class UdpConnection(ConnectionBase):
    """A conversation with one UDP server, over a connected socket.

    :param socket: connected; the connection's own from now on.
    :param address: of the peer.
    :param hold: seconds of own silence after which an empty datagram is sent; 0: none is.
    :param on_heard: called when the first datagram has come.
    """

    __slots__ = ("_aborted", "_failure", "_flags", "_hold", "_on_heard", "_said", "_socket", "address")

    def __init__(
        self,
        socket: socket.socket,
        address: tuple[Any, ...],
        *,
        hold: float = 0.0,
        framing: Framing | None = None,
        on_heard: Callable[[], None] | None = None,
    ) -> None:
        self._socket = socket
        self.address = address
        self._hold = hold
        self._on_heard = on_heard
        self._said = time.monotonic()
        self._aborted = False
        self._failure: ConnectionLost | None = None
        self._flags = 0  # of recv
        socket.setblocking(True)
        super().__init__(framing=framing)

    def __str__(self) -> str:
        return place(*self.address[:2])

    def fileno(self) -> int | None:
        return self._socket.fileno()

    def set_blocking(self, blocking: bool) -> None:
        with contextlib.suppress(OSError):  # closed meanwhile
            self._socket.setblocking(blocking)
            if blocking:
                be_attentive(self._socket)

    def tick(self) -> float | None:
        if not self._hold or self._aborted:
            return None
        rest = self._said + self._hold - time.monotonic()
        if rest > 0:
            return rest
        with contextlib.suppress(OSError):
            self._write(b"")
        return self._hold

    def read_batch(self) -> list[bytes] | None:
        batch = super().read_batch()
        if batch and _NOWAIT:
            self._flags = _NOWAIT
            with contextlib.suppress(OSError):  # there is nothing more; or it failed, which the next call tells
                for _ in range(BURST):
                    batch += super().read_batch() or ()
            self._flags = 0
        return batch

    def _read(self) -> bytes | None:
        try:
            data = self._socket.recv(RECEIVE_BYTES, self._flags)
        except BlockingIOError:
            if not self._aborted:
                raise
        except OSError as error:
            if not self._aborted:
                raise self._failed(error) from error
        if not self._aborted:
            self._more = True
            if self._on_heard is not None:
                self._on_heard()
                self._on_heard = None
            return data
        if self._failure is not None:
            raise self._failure
        return None

    def _write(self, data: bytes | memoryview) -> int:
        if self._failure is not None:
            raise self._failure
        self._said = time.monotonic()
        data = data[:MAX_DATAGRAM]
        try:
            return self._socket.send(data, _NOWAIT)
        except BlockingIOError:
            raise
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                return len(data)  # lost, as datagrams are
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> ConnectionLost:
        """Whichever of reading and writing is told of a failure, the other learns of it too."""
        if self._failure is None:
            if isinstance(error, (ConnectionRefusedError, ConnectionResetError)):
                why = "nobody listens there (any more); is the server started, and on this port?"
            else:
                why = error.strerror or str(error)
            self._failure = ConnectionLost(f"{self}: {why}")
            self.abort()
        return self._failure

    def abort(self) -> None:
        self._aborted = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if sys.platform == "win32":
            self._socket.close()  # there nothing else ends a recv that waits

    def _close(self) -> None:
        self._socket.close()


def connect_udp(address: Address, deadline: float) -> ConnectionBase:
    """Open ``udp://``: nothing is awaited but a refusal, which takes a moment at most.

    Of several addresses the one is taken from which something was heard the last time; if nothing was, the next.
    """
    hold = address.options["hold"]
    hold = address.options["silence"] / 3 if hold is None else hold
    last: OSError | None = None
    found = resolve(address.host, address.port, socket.SOCK_DGRAM, deadline, address.caller)
    turn = address.notes.get(_TURN, 0)
    for number in range(len(found)):
        turn = (turn + bool(number)) % len(found)
        family, kind, proto, _, target = found[turn]
        try:
            sock = socket.socket(family, kind, proto)
        except OSError as error:
            last = error
            continue
        try:
            enlarge(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, int(address.options["broadcast"]))
            sock.connect(target)
            if hold:
                _knock(sock, 0.0 if is_loopback(target[0]) else min(REFUSAL_S, deadline - time.monotonic()))
            address.notes[_TURN] = turn + 1
            stays = partial(address.notes.__setitem__, _TURN, turn)
            return UdpConnection(sock, target, hold=hold, framing=address.framing.make(), on_heard=stays)
        except OSError as error:
            sock.close()
            last = error
    where = place(address.host, address.port)
    if last is not None and last.errno in _BROADCAST and not address.options["broadcast"]:
        raise ConnectFailed(
            f"{where} is the address of a whole network: add broadcast=1 to reach all who listen there, or name a host"
        ) from last
    raise ConnectFailed(why_not(where, last)) from last


def _knock(sock: socket.socket, patience: float) -> None:
    """Show the server that we are there.

    :raises ConnectionRefusedError: it is not.
    """
    sock.send(b"")
    if readable([sock], patience):
        refusal = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if refusal:
            raise OSError(refusal, "refused")


def listen_udp(address: Address) -> ListenerBase:
    """Listen on ``udp://``: on every address of the host, on one port."""
    return UdpListener(bind_all(address, socket.SOCK_DGRAM), address)
