"""Raw sockets with 64 KiB blocks, joined by the sender and split on receive: what one callback a message allows."""

from __future__ import annotations

import socket
from itertools import repeat
from time import perf_counter
from typing import Any

from leadscomm.cli.benchkit.child import child_main
from leadscomm.cli.benchkit.peer import BLOCK, SEPARATOR, Link

from .common import AllLinks, SocketLink
from .raw import Raw


class Blocks(Raw):
    def blast(self, link: Link, message: bytes, seconds: float) -> int:
        links: list[Any] = link.links if isinstance(link, AllLinks) else [link]
        socks: list[socket.socket] = [one.sock for one in links if isinstance(one, SocketLink)]
        many, sent = max(1, BLOCK // (len(message) + 1)), 0
        end = perf_counter() + seconds
        while perf_counter() < end:
            block = SEPARATOR.join(list(repeat(message, many))) + SEPARATOR
            for sock in socks:
                sock.sendall(block)
            sent += many
        return sent


if __name__ == "__main__":
    child_main(Blocks)
