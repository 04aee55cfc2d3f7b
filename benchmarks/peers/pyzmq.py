"""pyzmq over TCP: PUSH to PULL one way, DEALER and ROUTER for answers, XPUB (that does not drop) to SUB for all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import zmq

from leadscomm.cli.benchkit.child import child_main
from leadscomm.cli.benchkit.peer import Exchange, Link, Peer, PingPong

from .common import in_thread


class SocketLink(Link):
    def __init__(self, sock: Any) -> None:
        self.sock = sock
        self.send = sock.send  # type: ignore[method-assign]

    def send(self, message: bytes) -> None:
        raise NotImplementedError


class RouterLink(Link):
    """A ROUTER that answers whoever sent last."""

    def __init__(self, sock: Any) -> None:
        self.sock = sock
        self.identity = b""

    def send(self, message: bytes) -> None:
        self.sock.send_multipart((self.identity, message))


class Zmq(Peer):
    """A zmq socket belongs to one thread at a time: the thread that reads also answers."""

    def __init__(self, kind: str = "oneway", size: int = 32, options: dict[str, str] | None = None) -> None:
        super().__init__(kind, size, options)
        self.context = zmq.Context()
        self.context.set(zmq.MAX_SOCKETS, 4096)
        self.subscribers: dict[Any, Any] = {}
        self.poller = zmq.Poller()

    def _bind(self, type_: int) -> tuple[Any, str]:
        sock = self.context.socket(type_)
        port = sock.bind_to_random_port("tcp://127.0.0.1")
        return sock, f"tcp://127.0.0.1:{port}"

    def listen(self, callback: Any) -> str:
        if self.kind == "broadcast":
            self.publisher, address = self._bind(zmq.XPUB)
            self.publisher.setsockopt(zmq.XPUB_NODROP, 1)
        elif self.kind == "oneway":
            sock, address = self._bind(zmq.PULL)
            in_thread(self._pull, sock, callback)
        else:
            sock, address = self._bind(zmq.ROUTER)
            in_thread(self._route, sock, callback)
        return address

    def _pull(self, sock: Any, callback: Any) -> None:
        on_receive, receive = callback.on_receive, sock.recv
        link = SocketLink(sock)
        while True:
            on_receive(link, receive())

    def _route(self, sock: Any, callback: Any) -> None:
        link = RouterLink(sock)
        while True:
            link.identity, message = sock.recv_multipart()
            callback.on_receive(link, message)

    def connect(self, address: str, callback: Any) -> Link:
        kind = {"oneway": zmq.PUSH, "broadcast": zmq.SUB}.get(self.kind, zmq.DEALER)
        sock = self.context.socket(kind)
        sock.connect(address)
        if kind == zmq.SUB:
            self._subscribe(sock, callback)
        return SocketLink(sock)

    def _subscribe(self, sock: Any, callback: Any) -> None:
        sock.setsockopt(zmq.SUBSCRIBE, b"")
        self.subscribers[sock] = callback
        self.poller.register(sock, zmq.POLLIN)

    def all_connected(self) -> None:
        """All subscribers are read by one thread: fifty would be slower."""
        in_thread(self._read_subscribers)

    def _read_subscribers(self) -> None:
        while True:
            for sock, _ in self.poller.poll():
                on_receive, receive = self.subscribers[sock].on_receive, sock.recv
                try:
                    while True:
                        on_receive(None, receive(zmq.NOBLOCK))
                except zmq.Again:
                    pass

    def begin(self, link: Link, game: PingPong) -> None:
        game.begin(link)
        assert isinstance(link, SocketLink)
        in_thread(self._pull, link.sock, game)

    def everyone(self) -> Link:
        return SocketLink(self.publisher)

    def exchanges(self, address: str, count: int) -> Iterator[Exchange]:
        for _ in range(count):
            sock = self.context.socket(zmq.DEALER)
            sock.connect(address)

            def exchange(message: bytes, sock: Any = sock) -> bytes:
                sock.send(message)
                answer: bytes = sock.recv()
                return answer

            yield exchange


if __name__ == "__main__":
    child_main(Zmq)
