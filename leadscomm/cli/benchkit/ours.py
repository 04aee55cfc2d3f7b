"""leadscomm as it is measured: the LEADS door, with a callback in the style of LEADS's documentation.

    python -m leadscomm.cli.benchkit.ours server oneway size=32 [--spin=0.005] [--framing=length]

A broadcast waits for nobody, and a client that falls behind by more than its outbox is disconnected. So here, as in a
program that broadcasts faster than its clients can read, one client says from time to time how far it has come.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import repeat
from time import perf_counter
from typing import Any

from leadscomm import Callback as LeadsCallback
from leadscomm import Client, Server, create_client, create_server, start_client, start_server

from .child import child_main
from .peer import Callback, Counter, Link, Peer, burst_of

MOST_CONNECTIONS = 6000
SAID_EVERY = 4096
"""Broadcast messages between two words of the client that says how far it has come."""
AHEAD = 32768
"""Broadcast messages that the server may be ahead of it: 1 MiB of small ones, of the outbox's 8."""


class Telling(Counter):
    """The broadcast's first client."""

    def on_receive(self, service: Any, msg: bytes) -> None:
        self.n += 1
        if not self.n % SAID_EVERY:
            service.send(b"")


class Told(Counter):
    """The broadcast's server: counts the words of the first client."""

    def __init__(self) -> None:
        super().__init__()
        self.news = threading.Event()

    def on_receive(self, service: Any, msg: bytes) -> None:
        self.n += 1
        self.news.set()


class Everyone(Link):
    """All clients of a server."""

    def __init__(self, server: Server) -> None:
        self._broadcast = server.broadcast
        self.sent = 0

    def send(self, message: bytes) -> None:
        self._broadcast(message)


class Ours(Peer):
    """A server and clients made by create_server and create_client."""

    server: Server
    told: Told
    telling = False

    def callback(self, kind: Callable[..., Callback], *args: Any) -> Callback:
        assert isinstance(kind, type)
        if self.kind == "broadcast" and kind is Counter and not self.telling:
            self.telling = True
            return self.callback(Telling)  # type: ignore[return-value]  # it is a Counter
        mixed: Callable[..., Callback] = type(kind.__name__, (kind, LeadsCallback), {})
        return mixed(*args)

    def listen(self, callback: Any) -> str:
        if self.kind == "broadcast":
            callback = self.told = self.callback(Told)
        options: dict[str, Any] = {**self.options, "max_connections": MOST_CONNECTIONS}
        self.server = create_server(0, callback, **options)
        start_server(self.server, parallel=True)
        return f"127.0.0.1:{self.server.port()}"

    def connect(self, address: str, callback: Any) -> Any:
        host, _, port = address.rpartition(":")
        options: dict[str, Any] = {**self.options}
        client: Client = create_client(int(port), callback, **options)
        start_client(host, client, parallel=True)
        return client

    def everyone(self) -> Link:
        return Everyone(self.server)

    def blast(self, link: Link, message: bytes, seconds: float) -> int:
        if not isinstance(link, Everyone):
            return super().blast(link, message, seconds)
        broadcast, burst, before = self.server.broadcast, burst_of(message), link.sent
        end = perf_counter() + seconds
        while perf_counter() < end:
            for one in repeat(message, burst):
                broadcast(one)
            link.sent += burst
            while link.sent - self.told.n * SAID_EVERY > AHEAD and self.told.news.wait(1):
                self.told.news.clear()
        return link.sent - before


if __name__ == "__main__":
    child_main(Ours)
