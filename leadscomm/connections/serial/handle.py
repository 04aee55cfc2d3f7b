"""How bytes get in and out of an open port of pyserial.

A port of a Unix system, and pyserial's ``socket://``, have a descriptor, which is read and written without waiting and
without pyserial. Everything else (Windows, ``rfc2217://``, ``spy://`` and so on) goes through pyserial's own ``read``
and ``write``.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from leadscomm.connections.base import CHUNK_BYTES
from leadscomm.connections.serial.ports import SLICE_S
from leadscomm.errors import ConnectionLost

if TYPE_CHECKING:
    from serial import Serial

WRITE_BYTES: Final = 1024
"""What pyserial is given at a time, so that nobody waits long for the end of it."""
LEAVE_S: Final = 2.0
"""How long closing waits for threads that are still reading or writing; ending has woken them."""
_RAW: Final = ("serial.serialposix", "serial.urlhandler.protocol_socket")
"""Where the ``read`` of those ports is written that are read by their descriptor."""


class Line(ABC):
    """An open port. One thread at a time reads, one writes, any may end it."""

    def __init__(self, port: Serial) -> None:
        self._port = port
        self._ended = False
        self._closed = False
        self._users = 0  # threads inside read, write or wait: a descriptor's number must not change its meaning there
        self._left = threading.Condition()

    @property
    def fd(self) -> int | None:
        """A descriptor that tells when it can be written to, if there is one."""
        return None

    def read(self, waits: bool) -> bytes | None:
        """Some bytes; None once it was ended, or where its other end was closed.

        :raises BlockingIOError: there are none, and it is not to wait.
        :raises OSError: the device is gone.
        """
        with self._use() as open_still:
            return self._read(waits) if open_still else None

    def write(self, data: bytes | memoryview) -> int:
        """Write some of ``data``; return how many bytes.

        :raises BlockingIOError: it takes none at the moment.
        :raises OSError: the device is gone, or the line was ended.
        """
        with self._use() as open_still:
            if not open_still:
                raise ConnectionLost("it was closed")
            return self._write(data)

    def wait(self, timeout: float | None, *, writable: bool = False) -> bool:
        """Wait until it can be read (or written) or was ended, at most ``timeout`` seconds; whether it can."""
        with self._use() as open_still:
            return not open_still or self._wait(timeout, writable)

    def end(self) -> None:
        """From now on there is nothing to read or write; a thread that waits returns. Any thread."""
        with self._left:
            self._ended = True

    def shut(self) -> None:
        """Nothing more is written; what was is on its way. Any thread."""
        self.end()

    def close(self) -> None:
        """Release the port. Any number of times."""
        self.end()
        with self._left:
            self._left.wait_for(lambda: not self._users, LEAVE_S)
            closed, self._closed = self._closed, True
        if not closed:
            self._close()

    def _close(self) -> None:
        sock = getattr(self._port, "_socket", None)
        with contextlib.suppress(Exception):  # pyserial's handlers raise what they like on a device that is gone
            self._port.close()
        if isinstance(sock, socket.socket):
            sock.close()  # pyserial forgets it where the other side was quicker

    @abstractmethod
    def _read(self, waits: bool) -> bytes | None: ...

    @abstractmethod
    def _write(self, data: bytes | memoryview) -> int: ...

    @abstractmethod
    def _wait(self, timeout: float | None, writable: bool) -> bool: ...

    @contextlib.contextmanager
    def _use(self) -> Iterator[bool]:
        """Use the port, if it has not been ended; whether that is so."""
        with self._left:
            open_still = not self._ended
            self._users += open_still
        try:
            yield open_still
        finally:
            if open_still:
                with self._left:
                    self._users -= 1
                    self._left.notify_all()


def line_of(port: Serial, half_duplex: bool = False) -> Line:
    """The line of an open port.

    :param half_duplex: RTS is to be switched around each write.
    """
    if sys.platform != "win32" and not half_duplex:
        read = type(port).read
        if read.__module__ in _RAW and read.__qualname__ == "Serial.read":
            return DescriptorLine(port)
    return PySerialLine(port, half_duplex)


class DescriptorLine(Line):
    """A port that is read and written by its descriptor."""

    def __init__(self, port: Serial) -> None:
        super().__init__(port)
        self._fd = port.fileno()
        self._terminal = os.isatty(self._fd)
        self._woken, self._wake = os.pipe()

    @property
    def fd(self) -> int | None:
        return self._fd if self._fd >= 0 else None

    def _read(self, waits: bool) -> bytes | None:
        nothing = False
        while not self._ended:
            try:
                data = os.read(self._fd, CHUNK_BYTES)
            except BlockingIOError:
                data = b""
            if data:
                return data
            # A terminal reads as empty both when nothing is there and when it was hung up. If it is said to be readable
            # and then is empty, it was.
            if self._poll(0.0, woken=False):
                if nothing and self._terminal:
                    raise ConnectionLost("it was unplugged, or its other end was closed")
                if nothing:
                    return None
                nothing = True
                continue
            if not waits:
                raise BlockingIOError
            self._poll(None)
        return None

    def _write(self, data: bytes | memoryview) -> int:
        return os.write(self._fd, data)

    def _wait(self, timeout: float | None, writable: bool) -> bool:
        return self._poll(timeout, writable=writable)

    def _poll(self, timeout: float | None, *, writable: bool = False, woken: bool = True) -> bool:
        if sys.platform != "linux":  # macOS cannot poll terminals
            reads = ([] if writable else [self._fd]) + ([self._woken] if woken else [])
            return any(select.select(reads, [self._fd] if writable else [], [], timeout))
        poller = select.poll()
        poller.register(self._fd, select.POLLOUT if writable else select.POLLIN)
        if woken:
            poller.register(self._woken, select.POLLIN)
        return bool(poller.poll(None if timeout is None else timeout * 1000))

    def end(self) -> None:
        with self._left:
            if not self._ended:
                self._ended = True
                os.write(self._wake, b"\0")  # never read: nobody waits here any more

    def shut(self) -> None:
        if self._terminal:
            self.end()
            return
        with contextlib.suppress(OSError), self._use() as open_still:
            if open_still:
                with socket.socket(fileno=os.dup(self._fd)) as sock:
                    sock.shutdown(socket.SHUT_WR)

    def _close(self) -> None:
        self._fd = -1
        super()._close()
        os.close(self._woken)
        os.close(self._wake)


class PySerialLine(Line):
    """A port that only pyserial can read and write. Both wait, and are ended between two pieces."""

    def __init__(self, port: Serial, half_duplex: bool = False) -> None:
        super().__init__(port)
        self._half_duplex = half_duplex
        self._ahead = b""  # read while waiting
        if port.timeout != SLICE_S:
            port.timeout = SLICE_S

    def _read(self, waits: bool) -> bytes | None:
        if self._wait(None if waits else 0.0, False) and not self._ended:
            data, self._ahead = self._ahead, b""
            return data
        if not self._ended:
            raise BlockingIOError
        return None

    def _wait(self, timeout: float | None, writable: bool) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        while not (self._ahead or self._ended or writable):
            waiting = self._port.in_waiting
            if waiting or deadline is None or time.monotonic() < deadline:
                self._ahead = bytes(self._port.read(max(1, min(waiting, CHUNK_BYTES))))
            else:
                return False
        return True

    def _write(self, data: bytes | memoryview) -> int:
        piece = bytes(data[:WRITE_BYTES])
        if not self._half_duplex:
            return self._port.write(piece) or 0
        self._send_enable(True)
        try:
            count = self._port.write(piece) or 0
            self._port.flush()  # until the last bit is out
        finally:
            self._send_enable(False)
        return count

    def _send_enable(self, on: bool) -> None:
        with contextlib.suppress(OSError):  # a pseudo-terminal has no RTS
            self._port.rts = on

    def end(self) -> None:
        super().end()
        for name in ("cancel_read", "cancel_write"):
            with contextlib.suppress(Exception):  # not every handler has them, and some fail on a port that is gone
                getattr(self._port, name)()
