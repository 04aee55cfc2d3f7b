"""Raw sockets, a thread for each connection, one sendall for each message."""

from __future__ import annotations

import socket
from typing import Any

from leadscomm.cli.benchkit.child import child_main
from leadscomm.cli.benchkit.peer import Link, Peer

from .common import AllLinks, SocketLink, address_of, host_and_port, in_thread, read_messages


class Raw(Peer):
    def __init__(self, kind: str = "oneway", size: int = 32, options: dict[str, str] | None = None) -> None:
        super().__init__(kind, size, options)
        self.all = AllLinks()

    def listen(self, callback: Any) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        in_thread(self._accept, listener, callback)
        return address_of(listener)

    def _accept(self, listener: socket.socket, callback: Any) -> None:
        while True:
            sock, _ = listener.accept()
            link = SocketLink(sock)
            self.all.links.append(link)
            in_thread(self.read, sock, link, callback)

    def connect(self, address: str, callback: Any) -> Link:
        sock = socket.create_connection(host_and_port(address))
        link = SocketLink(sock)
        in_thread(self.read, sock, link, callback)
        return link

    def read(self, sock: socket.socket, link: Link, callback: Any) -> None:
        if self.size >= 1 << 20:
            self._read_exactly(sock, link, callback)
        else:
            read_messages(sock, link, callback)

    def _read_exactly(self, sock: socket.socket, link: Link, callback: Any) -> None:
        """Large messages of a size that is known: into one buffer, which is quicker than a new one for each."""
        whole = self.size + 1
        view = memoryview(bytearray(whole))
        while True:
            have = 0
            while have < whole:
                n = sock.recv_into(view[have:])
                if not n:
                    return
                have += n
            callback.on_receive(link, bytes(view[:-1]))

    def everyone(self) -> Link:
        return self.all


if __name__ == "__main__":
    child_main(Raw)
