"""What a library has to offer to be measured, and the callbacks that it is measured with."""

from __future__ import annotations

import socket
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import repeat
from time import perf_counter, sleep
from typing import Any, ClassVar, TypeVar

SEPARATOR = b";"
BLOCK = 65536
"""Bytes: the block that senders join and receivers ask for."""


class Counter:
    """Counts messages, in the style of a LEADS callback: the ``on_receive`` of all one-way figures."""

    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def on_receive(self, service: Any, msg: bytes) -> None:
        self.n += 1


class Echo:
    """Answers every message to the connection that it came from."""

    def on_receive(self, service: Any, msg: bytes) -> None:
        service.sender.send(msg)


class PingPong:
    """Sends the next message from the callback of the last answer, and keeps each round trip's time.

    ``samples`` are seconds from the call of ``send`` to the call of ``on_receive``.

    :param seconds: how long to go on
    :param least: samples to take even if that takes longer
    :param pause: seconds between an answer and the next message, spent inside the callback and not part of a sample
    """

    def __init__(self, payload: bytes, seconds: float, least: int, pause: float) -> None:
        super().__init__()
        self.payload = payload
        self.seconds = seconds
        self.least = least
        self.pause = pause
        self.end = 0.0
        self.samples: list[float] = []
        self.done = threading.Event()
        self.sent = 0.0

    def begin(self, link: Link) -> None:
        self.sent = perf_counter()
        self.end = self.sent + self.seconds
        link.send(self.payload)

    def on_receive(self, service: Any, msg: bytes) -> None:
        now = perf_counter()
        self.samples.append(now - self.sent)
        if now >= self.end and len(self.samples) >= self.least:
            self.done.set()
            return
        if self.pause:
            sleep(self.pause)
        self.sent = perf_counter()
        service.send(self.payload)


class Link(ABC):
    """Something to send with: one connection, or all of a server's. It plays ``service`` for peers that have none."""

    @abstractmethod
    def send(self, message: bytes) -> None:
        """Sends one message in the library's ordinary way; blocks while the library says so."""

    @property
    def sender(self) -> Link:
        return self


Callback = TypeVar("Callback", bound=object)
Exchange = Callable[[bytes], bytes]
"""Sends a message on one connection and waits for its answer."""


class Peer(ABC):
    """One library, in one process: the server or the client. A process makes one peer and runs one workload with it."""

    exact: ClassVar[bool] = True
    """Every message sent arrives as exactly one call of ``on_receive``."""

    def __init__(self, kind: str = "oneway", size: int = 32, options: dict[str, str] | None = None) -> None:
        """
        :param kind: the workload, for libraries that choose their sockets by it
        :param size: bytes in a message, for those that can know it
        :param options: what the command line says as ``--name=value``
        """
        self.kind = kind
        self.size = size
        self.options = options or {}

    def callback(self, kind: Callable[..., Callback], *args: Any) -> Callback:
        """A Counter, Echo or PingPong; a library with a callback class of its own mixes that in."""
        return kind(*args)

    @abstractmethod
    def listen(self, callback: Any) -> str:
        """Starts the server, which calls ``callback.on_receive`` for every message; returns once clients can connect.

        :return: the address that ``connect`` takes in the other process
        """

    @abstractmethod
    def connect(self, address: str, callback: Any) -> Link:
        """Connects one more client."""

    def all_connected(self) -> None:
        """The last client of this process has been connected; for libraries where one thread reads all of them."""

    @abstractmethod
    def everyone(self) -> Link:
        """The server's link to all its clients, those of the future as well."""

    def begin(self, link: Link, game: PingPong) -> None:
        """Starts the ping-pong; for libraries where only one thread may send."""
        game.begin(link)

    def blast(self, link: Link, message: bytes, seconds: float) -> int:
        """Sends for so long, as fast as it goes; returns how many messages the library took.

        The clock is read between bursts, so that it costs nothing a message.
        """
        send, burst, sent = link.send, burst_of(message), 0
        end = perf_counter() + seconds
        while perf_counter() < end:
            for one in repeat(message, burst):
                send(one)
            sent += burst
        return sent

    def exchanges(self, address: str, count: int) -> Iterator[Exchange]:
        """Yields ``count`` connections' Exchange, each connected when it is asked for.

        These are plain sockets with the separator wire, so that what differs is the server alone. A library with a
        wire of its own brings its own.
        """
        for _ in range(count):
            yield PlainExchange(address)


def burst_of(message: bytes) -> int:
    """How many messages to send between two looks at the clock: about 32 KiB, and 256 at most."""
    return max(1, min(256, 32768 // len(message)))


class PlainExchange:
    """An Exchange on a plain socket with the separator wire."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.sock = socket.create_connection((host, int(port)), timeout=20)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __call__(self, message: bytes) -> bytes:
        self.sock.sendall(message + SEPARATOR)
        answer = b""
        while not answer.endswith(SEPARATOR):
            more = self.sock.recv(BLOCK)
            if not more:
                raise ConnectionError("the server closed the connection")
            answer += more
        return answer[:-1]


def resident_bytes() -> int:
    """The memory that this process has in RAM (its highest so far, on systems without /proc; 0 where none is told)."""
    if sys.platform == "win32":
        return 0
    import resource

    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
