"""Programs that run out of descriptors or threads: who is there goes on, who comes is told, and it recovers."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from leadscomm import Client
from tests.entities.recorder import Recorder
from tests.faults.numbered import numbered
from tests.faults.peers import Peer
from tests.faults.rigs import Pair
from tests.faults.test_strangers import strangers

pytestmark = [pytest.mark.long, pytest.mark.needs("prlimit", "apt-get install util-linux")]
CROWD = 16
FEW = ("prlimit", "--nofile=20")
SCHEMES = pytest.mark.parametrize("scheme", ["tcp", "udp"])


def endpoint_of(server: Peer, scheme: str) -> str:
    return f"{scheme}://127.0.0.1:{server.port}?reliable=1&connect_timeout=0.2"


def test_strangers_use_up_the_descriptors() -> None:
    server = Peer("server", "tcp://127.0.0.1:0?reliable=1&handshake_timeout=60", before=FEW)
    with server, Peer("client", endpoint_of(server, "tcp")) as client:
        pair = Pair(server, client)
        pair.exchange()
        with strangers(server.port, CROWD):
            server.wait("fail")
            pair.exchange()
        recovers(server, "tcp")
        pair.exchange()


@SCHEMES
def test_peers_use_up_the_descriptors(scheme: str) -> None:
    crowded(Peer("server", f"{scheme}://127.0.0.1:0?reliable=1", before=FEW), scheme)


@SCHEMES
def test_peers_use_up_the_threads(scheme: str) -> None:
    crowded(Peer("server", f"{scheme}://127.0.0.1:0?reliable=1", "--threads=8"), scheme)


def crowded(server: Peer, scheme: str) -> None:
    """More peers come than there is room for; then they leave."""
    with server, Peer("client", endpoint_of(server, scheme)) as client:
        pair = Pair(server, client)
        pair.exchange()
        with ExitStack() as crowd:
            for _ in range(CROWD):
                crowd.enter_context(Client(endpoint_of(server, scheme), Recorder()))
            pair.exchange()
        recovers(server, scheme)
        pair.exchange()


def recovers(server: Peer, scheme: str) -> None:
    """Somebody new is served."""
    told = Recorder()
    server.tell("answer")
    server.report()  # by now it has heard that
    with Client(endpoint_of(server, scheme), told) as late:
        told.wait("connect")
        late.send(next(numbered(1, 1)))
        told.wait("receive")
    server.tell("answer", back=False)
