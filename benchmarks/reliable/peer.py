"""A server and a client at any endpoint, as they are measured.

python -m benchmarks.reliable.peer server oneway size=32 --endpoint="tcp://127.0.0.1:0?reliable=1"
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leadscomm import Callback as LeadsCallback
from leadscomm import Client, Server
from leadscomm.cli.benchkit.child import child_main
from leadscomm.cli.benchkit.peer import Callback, Link, Peer


class EndpointPeer(Peer):
    """``--endpoint=`` says where the server listens; a port of 0 is any."""

    server: Server

    def callback(self, kind: Callable[..., Callback], *args: Any) -> Callback:
        assert isinstance(kind, type)
        mixed: Callable[..., Callback] = type(kind.__name__, (kind, LeadsCallback), {})
        return mixed(*args)

    def listen(self, callback: Any) -> str:
        endpoint = self.options["endpoint"]
        self.server = Server(endpoint, callback)
        self.server.start(parallel=True)
        return endpoint.replace(":0", f":{self.server.port()}")

    def connect(self, address: str, callback: Any) -> Any:
        client = Client(address, callback)
        client.start(parallel=True)
        return client

    def everyone(self) -> Link:
        raise NotImplementedError("nothing is broadcast here")


if __name__ == "__main__":
    child_main(EndpointPeer)
