"""websockets, its threaded (sync) server and client, binary frames, without compression."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import serve

from leadscomm.cli.benchkit.child import child_main
from leadscomm.cli.benchkit.peer import Exchange, Link, Peer

from .common import AllLinks, address_of, in_thread


class WebSocketLink(Link):
    def __init__(self, websocket: Any) -> None:
        self.websocket = websocket

    def send(self, message: bytes) -> None:
        self.websocket.send(message)


def read(websocket: Any, link: Link, callback: Any) -> None:
    on_receive = callback.on_receive
    try:
        for message in websocket:
            on_receive(link, message)
    except ConnectionClosed:
        pass


class WebSockets(Peer):
    def __init__(self, kind: str = "oneway", size: int = 32, options: dict[str, str] | None = None) -> None:
        super().__init__(kind, size, options)
        self.all = AllLinks()

    def listen(self, callback: Any) -> str:
        def handler(websocket: Any) -> None:
            link = WebSocketLink(websocket)
            self.all.links.append(link)
            read(websocket, link, callback)

        server = serve(handler, "127.0.0.1", 0, compression=None)
        in_thread(server.serve_forever)
        return address_of(server.socket)

    def _open(self, address: str) -> Any:
        return connect(f"ws://{address}", compression=None, proxy=None)

    def connect(self, address: str, callback: Any) -> Link:
        websocket = self._open(address)
        link = WebSocketLink(websocket)
        in_thread(read, websocket, link, callback)
        return link

    def everyone(self) -> Link:
        return self.all

    def exchanges(self, address: str, count: int) -> Iterator[Exchange]:
        for _ in range(count):
            websocket = self._open(address)

            def exchange(message: bytes, websocket: Any = websocket) -> bytes:
                websocket.send(message)
                answer: bytes = websocket.recv()
                return answer

            yield exchange


if __name__ == "__main__":
    child_main(WebSockets)
