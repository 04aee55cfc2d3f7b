"""What the peers that speak over plain streams share: the separator wire, and threads that read it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

from leadscomm.cli.benchkit.peer import BLOCK, SEPARATOR, Link


class Splitter:
    """Cuts a stream at the separators; holds the pieces of an unfinished message without copying them each time."""

    def __init__(self) -> None:
        self._held: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        parts = data.split(SEPARATOR)
        last = parts.pop()
        if parts and self._held:
            self._held.append(parts[0])
            parts[0] = b"".join(self._held)
            self._held.clear()
        if last:
            self._held.append(last)
        return parts


def address_of(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"{host}:{port}"


def host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def read_messages(sock: socket.socket, service: Any, callback: Any) -> None:
    """Reads to the end of the stream and calls ``on_receive`` for every message."""
    on_receive, splitter = callback.on_receive, Splitter()
    try:
        while data := sock.recv(BLOCK):
            for message in splitter.feed(data):
                on_receive(service, message)
    except ConnectionError:
        pass


class SocketLink(Link):
    """One connected socket: a message is one sendall."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock

    def send(self, message: bytes) -> None:
        self.sock.sendall(message + SEPARATOR)


class AllLinks(Link):
    """Every connection of a server."""

    def __init__(self) -> None:
        self.links: list[Any] = []

    def send(self, message: bytes) -> None:
        for link in self.links:
            link.send(message)


def in_thread(target: Callable[..., object], *args: Any) -> None:
    threading.Thread(target=target, args=args, daemon=True).start()
