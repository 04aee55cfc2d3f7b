"""UDP, the listening side: the conversation with one address. Its listener, :mod:`leadscomm.connections.udp.server`,
receives for all of them."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from leadscomm.connections.address import origin_of
from leadscomm.connections.base import WARY_BYTES, ConnectionBase
from leadscomm.connections.sending.writer import wait_for
from leadscomm.connections.sockets.common import new_bell, place
from leadscomm.errors import ConnectionLost, RemoteProtocolError
from leadscomm.protocol.framing import MAX_DATAGRAM, Framing

INBOX_BYTES: Final = 1 << 20
"""What may wait for the callback of one peer; what comes on top is dropped, as it is where a datagram is lost."""
_EACH_BYTES: Final = 128
"""What a datagram occupies besides its bytes."""
BURST: Final = 64
"""How many datagrams are received between two looks at everything else."""
REPORT_EVERY_S: Final = 10.0
_LOSES: Final = (errno.ENOBUFS, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH)
"""The datagram is lost, as datagrams are; the next one may arrive, as where a cable is put in again."""
_SEND_S: Final = 1.0
"""How long a datagram waits for room in the system's buffer before it is lost."""


class Receives(Protocol):
    """The listener, as its peers use it."""

    lock: threading.Lock

    def wait(self, ready: Callable[[], bool], turn: threading.Condition, timeout: float | None) -> bool:
        """Wait until ``ready()``, and receive for all meanwhile."""

    def forget(self, peer: UdpPeer, for_good: bool = False) -> None:
        """The server has done with a peer."""


class UdpPeer(ConnectionBase):
    """The conversation of a UDP server with one address. Made by :class:`UdpListener`.

    :ivar dropped: how many datagrams were lost because the callback was too slow.
    :ivar heard: when the last datagram came, as ``time.monotonic()`` counts. The listener's.
    """

    __slots__ = (
        "_aborted",
        "_bell",
        "_failure",
        "_gone",
        "_listener",
        "_mail",
        "_most",
        "_put",
        "_rung",
        "_socket",
        "_told",
        "_told_at",
        "_took",
        "_waits",
        "address",
        "dropped",
        "heard",
        "label",
        "turn",
    )

    def __init__(self, listener: Receives, sock: socket.socket, address: tuple[Any, ...], *, framing: Framing) -> None:
        super().__init__(framing=framing)
        self._listener = listener
        self._socket = sock
        self.address = address
        self.label = (sock, address)
        self.heard = 0.0
        self.dropped = 0
        self.turn = threading.Condition(listener.lock)
        self._mail: deque[bytes] = deque()
        self._most = INBOX_BYTES
        self._put = self._took = 0  # bytes that ever came in, and that were ever read
        self._told = 0  # dropped datagrams that were reported
        self._told_at = -REPORT_EVERY_S
        self._gone = False  # silent for too long
        self._aborted = False
        self._failure: ConnectionLost | None = None
        self._waits = True
        self._rung = False
        self._bell = new_bell()

    def __str__(self) -> str:
        return place(*self.address[:2])

    @property
    def _origin(self) -> str | None:
        return origin_of(str(self.address[0]))

    def fileno(self) -> int | None:
        return self._bell

    def set_blocking(self, blocking: bool) -> None:
        self._waits = blocking

    def be_wary(self) -> None:
        super().be_wary()
        self._most = WARY_BYTES

    def at_ease(self) -> None:
        super().at_ease()
        self._most = INBOX_BYTES

    @property
    def wary(self) -> bool:
        """Whether nothing is known yet of who is there. Any thread."""
        return self._most < INBOX_BYTES

    # What the listener does, under its lock --------------------------------------------------------------------------

    def put(self, datagram: bytes) -> None:
        """Take in what came."""
        size = len(datagram) + _EACH_BYTES
        if self._put - self._took + size > self._most:
            self.dropped += 1
            return
        self._put += size
        self._mail.append(datagram)
        self.wake()

    def leave(self) -> None:
        """It was silent for too long: what came is still read, then the end."""
        self._gone = True
        self.wake()

    def wake(self) -> None:
        """Whoever waits for this peer has to look."""
        if self._bell is not None and not self._rung:
            self._rung = True
            if sys.platform == "linux":
                os.eventfd_write(self._bell, 1)
        self.turn.notify_all()

    def close_bell(self) -> None:
        """Release the handle."""
        bell, self._bell = self._bell, None
        if bell is not None:
            os.close(bell)

    # Reading and writing ---------------------------------------------------------------------------------------------

    def ready(self) -> bool:
        """Whether ``_read`` has an answer."""
        return bool(self._mail) or self._gone or self._aborted or self.dropped != self._told

    def _wait_readable(self, timeout: float | None) -> bool:
        return self._listener.wait(self.ready, self.turn, timeout)

    def read_batch(self) -> list[bytes] | None:
        batch = super().read_batch()
        while batch is not None and self._mail and len(batch) < BURST and not self._aborted:
            batch += super().read_batch() or ()
        return batch

    def _read(self) -> bytes | None:
        while True:
            if self._aborted:
                if self._failure is not None:
                    raise self._failure
                return None
            if self.dropped != self._told and self._report_drops():
                return b""
            if self._mail:
                data = self._mail.popleft()
                self._took += len(data) + _EACH_BYTES
                self._more = True
                return data
            if self._gone:
                return None
            if self._waits:
                self._wait_readable(None)
            else:
                self._unring()
                if not self.ready():
                    self._more = False
                    raise BlockingIOError

    def _unring(self) -> None:
        """From now on the bell is rung anew; who rang it before has done so in time to be seen by the next look."""
        self._rung = False
        if sys.platform == "linux" and self._bell is not None:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._bell)

    def _report_drops(self) -> bool:
        now = time.monotonic()
        if self._mail and now - self._told_at < REPORT_EVERY_S:
            return False
        lost, self._told, self._told_at = self.dropped - self._told, self.dropped, now
        self.framing.faults.append(
            RemoteProtocolError(f"{lost} datagram(s) were dropped: they came faster than on_receive took them")
        )
        return True

    def _write(self, data: bytes | memoryview) -> int:
        data = data[:MAX_DATAGRAM]
        end = time.monotonic() + _SEND_S
        while not self._aborted:
            try:
                return self._socket.sendto(data, self.address)
            except BlockingIOError:  # the one socket of all peers is full
                if time.monotonic() > end or not wait_for(self._socket.fileno(), _SEND_S, writable=True):
                    return len(data)
            except OSError as error:
                if error.errno in _LOSES:
                    return len(data)
                self._failure = self._failure or ConnectionLost(f"{self}: {error.strerror or error}")
                self.abort()
        raise self._failure or ConnectionLost(f"the conversation with {self} is over")

    def _wait_writable(self, timeout: float) -> bool:
        return True

    def abort(self) -> None:
        self._aborted = True
        self._listener.forget(self)

    def _close(self) -> None:
        self._aborted = True
        self._listener.forget(self, for_good=True)
