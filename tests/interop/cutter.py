"""A wire that cuts: what goes through arrives in other pieces than it was sent in."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Callable, Iterator
from types import TracebackType

Sizes = Callable[[], Iterator[int]]
"""Makes the sizes of one direction's pieces, in bytes."""
_READ_BYTES = 65536


def always(size: int) -> Sizes:
    def sizes() -> Iterator[int]:
        while True:
            yield size

    return sizes


def seeded(seed: int) -> Sizes:
    """Mostly a few bytes, sometimes many; the same for the same seed."""

    def sizes() -> Iterator[int]:
        chance = random.Random(seed)
        while True:
            yield chance.choice((1, 1, 2, 3, 5, 8, 13, 100, 511, 512, 513, 4000))

    return sizes


class Cutter:
    """Stands between clients and the server on port ``target``; with-able.

    :param cut: how the bytes are cut, in both directions.
    :param gather: before so many bytes have come from one side, none goes on to the other; then all in one piece.
        0 for the side that is not gathered: ``(from clients, from the server)``.
    """

    def __init__(self, target: int, cut: Sizes, gather: tuple[int, int] = (0, 0)) -> None:
        self.target, self.cut, self.gather = target, cut, gather
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.sockets: list[socket.socket] = []
        self.pumps: list[threading.Thread] = []
        self.closing = False
        self.door = threading.Thread(target=self.accept, name="cutter")
        self.door.start()

    def __enter__(self) -> Cutter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.closing = True
        socket.create_connection(("127.0.0.1", self.port)).close()  # wakes accept
        self.door.join()
        for one in self.sockets:
            with contextlib.suppress(OSError):  # its peer has gone already
                one.shutdown(socket.SHUT_RDWR)
        for pump in self.pumps:
            pump.join()
        for one in (*self.sockets, self.listener):
            one.close()

    def accept(self) -> None:
        while True:
            near, _ = self.listener.accept()
            self.sockets.append(near)
            if self.closing:
                return
            far = socket.create_connection(("127.0.0.1", self.target))
            self.sockets.append(far)
            for source, sink, gather in ((near, far, self.gather[0]), (far, near, self.gather[1])):
                sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.pumps.append(threading.Thread(target=self.pump, args=(source, sink, gather), name="cutter"))
                self.pumps[-1].start()

    def pump(self, source: socket.socket, sink: socket.socket, gather: int) -> None:
        sizes = self.cut()
        with contextlib.suppress(OSError):  # one side has gone: so does the other
            gathered = b""
            while chunk := source.recv(_READ_BYTES):
                gathered += chunk
                if len(gathered) < gather:
                    continue
                if gather:
                    sink.sendall(gathered)
                    gathered, gather = b"", 0
                while gathered:
                    size = next(sizes)
                    sink.sendall(gathered[:size])
                    gathered = gathered[size:]
            sink.sendall(gathered)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
