"""The standard library's socketserver (a thread for each connection), with plain sockets as clients."""

from __future__ import annotations

import socket
import socketserver
from typing import Any

from leadscomm.cli.benchkit.child import child_main

from .common import SocketLink, address_of, in_thread
from .raw import Raw


class ThreadingServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class SocketServer(Raw):
    def listen(self, callback: Any) -> str:
        peer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                sock: socket.socket = self.request
                link = SocketLink(sock)
                peer.all.links.append(link)
                peer.read(sock, link, callback)

        server = ThreadingServer(("127.0.0.1", 0), Handler)
        in_thread(server.serve_forever)
        return address_of(server.socket)


if __name__ == "__main__":
    child_main(SocketServer)
