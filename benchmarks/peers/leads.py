"""LEADS 0.6.1 itself, in a Python 3.12 of its own (``python -m benchmarks --setup-leads`` makes that).

LEADS cuts the stream in wrong places when messages come quickly: what arrives as a message may be a part of one. So the
number of calls of ``on_receive`` is not the number of messages; the time counts until nothing more comes, and no more
messages are counted than were sent. Its callbacks do not learn which connection a message came from: an echo is a
broadcast to the only client, and there is nothing to measure with many.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, ClassVar

from leads.comm import Callback as LeadsCallback  # type: ignore[import-not-found, unused-ignore]
from leads.comm import create_client, create_server, start_client, start_server

from leadscomm.cli.benchkit.child import child_main
from leadscomm.cli.benchkit.peer import Callback, Echo, Link, Peer


class EchoToAll(LeadsCallback):  # type: ignore[misc]
    def on_receive(self, service: Any, msg: bytes) -> None:
        service.broadcast(msg)


class Everyone(Link):
    def __init__(self, server: Any) -> None:
        self.send = server.broadcast  # type: ignore[method-assign]

    def send(self, message: bytes) -> None:
        raise NotImplementedError


class Leads(Peer):
    exact: ClassVar[bool] = False
    server: Any

    def callback(self, kind: Callable[..., Callback], *args: Any) -> Callback:
        assert isinstance(kind, type)
        mixed: Any = EchoToAll if kind is Echo else type(kind.__name__, (kind, LeadsCallback), {})
        made: Callback = mixed(*args)
        return made

    def listen(self, callback: Any) -> str:
        bound = threading.Event()
        callback.on_initialize = lambda service: bound.set()
        self.server = create_server(0, callback)
        start_server(self.server, True)
        bound.wait()
        return str(self.server._socket.getsockname()[1])

    def connect(self, address: str, callback: Any) -> Any:
        connected = threading.Event()
        client = create_client(int(address), callback)
        callback.on_connect = lambda service, connection: connected.set()
        start_client("127.0.0.1", client, True)
        connected.wait()
        while client._connection is None:  # it is set after on_connect has returned
            connected.wait(0.001)
        return client

    def everyone(self) -> Link:
        return Everyone(self.server)


if __name__ == "__main__":
    child_main(Leads)
