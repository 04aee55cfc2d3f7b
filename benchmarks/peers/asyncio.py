"""An asyncio.Protocol on both sides, on asyncio's own event loop."""

from __future__ import annotations

import asyncio
import socket
from itertools import repeat
from time import perf_counter
from typing import Any

from leadscomm.cli.benchkit.child import child_main
from leadscomm.cli.benchkit.peer import SEPARATOR, Link, Peer, burst_of

from .common import AllLinks, Splitter, address_of, host_and_port, in_thread


class Stream(asyncio.Protocol, Link):
    """One connection. ``writable`` follows the transport's flow control."""

    transport: asyncio.Transport

    def __init__(self, callback: Any, links: list[Any]) -> None:
        self._on_receive = callback.on_receive
        self._links = links
        self._splitter = Splitter()
        self.writable = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]  # uvloop's are no asyncio.Transport
        self.writable.set()
        self._links.append(self)

    def data_received(self, data: bytes) -> None:
        for message in self._splitter.feed(data):
            self._on_receive(self, message)

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def send(self, message: bytes) -> None:
        self.transport.write(message + SEPARATOR)


class AsyncioPeer(Peer):
    """The loop runs in a thread of its own; the main thread sleeps meanwhile."""

    def __init__(self, kind: str = "oneway", size: int = 32, options: dict[str, str] | None = None) -> None:
        super().__init__(kind, size, options)
        self.all = AllLinks()
        self.loop = self.make_loop()
        in_thread(self.loop.run_forever)

    def make_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.new_event_loop()

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def listen(self, callback: Any) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        self._run(self._listen(listener, callback))
        return address_of(listener)

    async def _listen(self, listener: socket.socket, callback: Any) -> None:
        self.server = await self.loop.create_server(lambda: Stream(callback, self.all.links), sock=listener)

    def connect(self, address: str, callback: Any) -> Link:
        link: Link = self._run(self._connect(address, callback))
        return link

    async def _connect(self, address: str, callback: Any) -> Link:
        host, port = host_and_port(address)
        _, stream = await self.loop.create_connection(lambda: Stream(callback, self.all.links), host, port)
        return stream

    def begin(self, link: Link, game: Any) -> None:
        self.loop.call_soon_threadsafe(game.begin, link)

    def everyone(self) -> Link:
        return OnLoop(self.loop, self.all)

    def blast(self, link: Link, message: bytes, seconds: float) -> int:
        link = link.links if isinstance(link, OnLoop) else link
        sent: int = self._run(self._blast(link, message, seconds))
        return sent

    async def _blast(self, link: Link, message: bytes, seconds: float) -> int:
        streams: list[Stream] = link.links if isinstance(link, AllLinks) else [link]  # type: ignore[list-item]
        burst, sent = max(1, burst_of(message) // len(streams)), 0
        end = perf_counter() + seconds
        while perf_counter() < end:
            for one in repeat(message, burst):
                link.send(one)
            sent += burst
            for stream in streams:
                if not stream.writable.is_set():
                    await stream.writable.wait()
        return sent


class OnLoop(Link):
    """All of a server's connections, from another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, links: AllLinks) -> None:
        self.loop = loop
        self.links = links

    def send(self, message: bytes) -> None:
        self.loop.call_soon_threadsafe(self.links.send, message)


if __name__ == "__main__":
    child_main(AsyncioPeer)
