"""leadscomm as it is measured: the LEADS door, with a callback in the style of LEADS's documentation.

python -m leadscomm.cli.benchkit.ours server oneway size=32 [--spin] [--framing=length]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leadscomm import Callback as LeadsCallback
from leadscomm import Client, Server, create_client, create_server, start_client, start_server

from .child import child_main
from .peer import Callback, Link, Peer

MOST_CONNECTIONS = 6000


class Everyone(Link):
    """All clients of a server."""

    def __init__(self, server: Server) -> None:
        self._broadcast = server.broadcast

    def send(self, message: bytes) -> None:
        self._broadcast(message)


class Ours(Peer):
    """A server and clients made by create_server and create_client."""

    server: Server

    def callback(self, kind: Callable[..., Callback], *args: Any) -> Callback:
        assert isinstance(kind, type)
        mixed: Callable[..., Callback] = type(kind.__name__, (kind, LeadsCallback), {})
        return mixed(*args)

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = dict(self.options)
        if "spin" in options:
            options["spin"] = True
        return options

    def listen(self, callback: Any) -> str:
        more: dict[str, Any] = {"overflow": "block"} if self.kind == "broadcast" else {}
        self.server = create_server(0, callback, max_connections=MOST_CONNECTIONS, **more, **self._options())
        start_server(self.server, parallel=True)
        return f"127.0.0.1:{self.server.port()}"

    def connect(self, address: str, callback: Any) -> Any:
        host, _, port = address.rpartition(":")
        client: Client = create_client(int(port), callback, **self._options())
        start_client(host, client, parallel=True)
        return client

    def everyone(self) -> Link:
        return Everyone(self.server)


if __name__ == "__main__":
    child_main(Ours)
