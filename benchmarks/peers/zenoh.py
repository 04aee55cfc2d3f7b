"""Eclipse Zenoh, peer to peer over loopback TCP: no router, no scouting, no shared memory; a full sender waits."""

from __future__ import annotations

import json
import socket
from time import sleep
from typing import Any

import zenoh

from leadscomm.cli.benchkit.child import child_main
from leadscomm.cli.benchkit.peer import Link, Peer

TO_SERVER = "leadscomm/benchmark/to-server"
TO_CLIENT = "leadscomm/benchmark/to-client"


def free_port() -> int:
    """Zenoh does not say which port it got when it is asked for any: so a free one is chosen before."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def open_session(**endpoints: list[str]) -> Any:
    config = zenoh.Config()
    for key, value in {
        "mode": "peer",
        "scouting/multicast/enabled": False,
        "scouting/gossip/enabled": False,
        "transport/shared_memory/enabled": False,
        "listen/endpoints": endpoints.get("listen", []),
        "connect/endpoints": endpoints.get("connect", []),
    }.items():
        config.insert_json5(key, json.dumps(value))
    return zenoh.open(config)


class ZenohLink(Link):
    def __init__(self, publisher: Any) -> None:
        self.publisher = publisher

    def send(self, message: bytes) -> None:
        self.publisher.put(message)


class ZenohPeer(Peer):
    def __init__(self, kind: str = "oneway", size: int = 32, options: dict[str, str] | None = None) -> None:
        super().__init__(kind, size, options)
        self.sessions: list[Any] = []

    def _link(self, session: Any, key: str, callback: Any, back: str) -> Link:
        express = self.kind == "rtt"  # an answer does not wait for company
        publisher = session.declare_publisher(key, congestion_control=zenoh.CongestionControl.BLOCK, express=express)
        link = ZenohLink(publisher)
        on_receive = callback.on_receive

        def received(sample: Any) -> None:
            on_receive(link, sample.payload.to_bytes())

        session.declare_subscriber(back, received)
        self.sessions.append(session)
        return link

    def listen(self, callback: Any) -> str:
        address = f"tcp/127.0.0.1:{free_port()}"
        self.all = self._link(open_session(listen=[address]), TO_CLIENT, callback, TO_SERVER)
        return address

    def connect(self, address: str, callback: Any) -> Link:
        session = open_session(connect=[address])
        link = self._link(session, TO_SERVER, callback, TO_CLIENT)
        if self.kind != "broadcast":
            assert isinstance(link, ZenohLink)
            self._await_subscriber(link)
        return link

    def _await_subscriber(self, link: ZenohLink) -> None:
        """A publisher sends into the void until it has heard of a subscriber."""
        while not link.publisher.matching_status.matching:
            sleep(0.01)

    def everyone(self) -> Link:
        return self.all


if __name__ == "__main__":
    child_main(ZenohPeer)
