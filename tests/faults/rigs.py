"""Two programs, and something between them that can be broken: the same for TCP, UDP and a serial cable."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Final

from typing_extensions import Self

from tests.faults.namespaces import ADDRESSES, Network
from tests.faults.peers import PATIENCE_S, Peer, Report
from tests.faults.plug import Plug
from tests.faults.proxy import Proxy

UDP_PORT: Final = 7700
CLEAN: Final = (0, 0, 0, 0)
"""Left out, doubled, overtaken, damaged."""


class Pair:
    """A server and a client.

    :ivar server:
    :ivar client: the two programs.
    """

    server: Peer
    client: Peer

    def __init__(self, server: Peer, client: Peer) -> None:
        self.server, self.client = server, client

    def settle(self, patience: float = PATIENCE_S) -> tuple[Report, Report]:
        """Wait until either side has all that the other was told to send.

        Nothing was doubled, overtaken or damaged.
        """
        reports = []
        for peer, other in ((self.server, self.client), (self.client, self.server)):
            report = peer.receive(other.ordered, other, patience)
            assert report.faults == CLEAN, report
            assert report.of(other) == other.ordered
            reports.append(report)
        return reports[0], reports[1]

    def exchange(self, count: int = 200, **order: int) -> tuple[Report, Report]:
        """Send so many messages each way; all of them arrive."""
        self.client.send(count, **order)
        self.server.send(count, **order)
        return self.settle()


class Rig(Pair, ABC):
    """A server, a client, and what is between them.

    :param folder: for what it needs of the file system.
    :param options: of both endpoints, as in a URL.
    :param faults: what the client puts before its endpoint, as ``fault://drop=0.2/``.
    :param arguments: further ones of both programs.
    """

    def __init__(
        self, folder: Path, options: str = "reliable=1", *, faults: str = "", arguments: tuple[str, ...] = ()
    ) -> None:
        self._peers: list[Peer] = []
        self._undo: list[Callable[[], None]] = []
        self._options = options
        self._faults = faults
        self._arguments = arguments
        try:
            self._lay(folder)
            super().__init__(self.start_server(), self.start_client())
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def _lay(self, folder: Path) -> None:
        """Lay the line."""

    @abstractmethod
    def start_server(self) -> Peer:
        """Start the server, or another one in its place."""

    @abstractmethod
    def start_client(self) -> Peer:
        """Start the client, or another one."""

    @abstractmethod
    def cut(self) -> None:
        """End the connection; another one can be made at once."""

    @abstractmethod
    def freeze(self) -> None:
        """Nothing comes through any more, and nobody is told."""

    @abstractmethod
    def thaw(self) -> None:
        """All is as before :meth:`freeze`."""

    @abstractmethod
    def pull(self) -> None:
        """End the connection; another one cannot be made."""

    @abstractmethod
    def plug(self) -> None:
        """All is as before :meth:`pull`."""

    def _keep(self, peer: Peer) -> Peer:
        self._peers.append(peer)
        return peer

    def close(self) -> None:
        for peer in self._peers:  # all at once, so that nobody waits for one that is gone
            peer.leave()
        while self._peers:
            self._peers.pop().close()
        while self._undo:
            self._undo.pop()()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class TcpRig(Rig):
    """Over loopback, with a proxy in between."""

    def _lay(self, folder: Path) -> None:
        self._port = 0

    def start_server(self) -> Peer:
        peer = self._keep(Peer("server", f"tcp://127.0.0.1:{self._port}?{self._options}", *self._arguments))
        if not self._port:
            self._port = peer.port or 0
            self.proxy = Proxy(self._port)
            self._undo.append(self.proxy.close)
        return peer

    def start_client(self) -> Peer:
        endpoint = f"{self._faults}tcp://127.0.0.1:{self.proxy.port}?{self._options}"
        return self._keep(Peer("client", endpoint, *self._arguments))

    def cut(self) -> None:
        self.proxy.cut()

    def freeze(self) -> None:
        self.proxy.freeze()

    def thaw(self) -> None:
        self.proxy.thaw()

    def pull(self) -> None:
        self.proxy.refuse()

    def plug(self) -> None:
        self.proxy.accept()


class NetworkRig(Rig):
    """Between two namespaces."""

    scheme: str

    def _lay(self, folder: Path) -> None:
        self.network = self._network()
        self._undo.append(self.network.close)
        self._endpoint = f"{self.scheme}://{ADDRESSES[1]}:{UDP_PORT}?{self._options}"

    def _network(self) -> Network:
        return Network()

    def start_server(self) -> Peer:
        return self._keep(Peer("server", self._endpoint, *self._arguments, inside=self.network.hosts[1]))

    def start_client(self) -> Peer:
        endpoint = self._faults + self._endpoint
        return self._keep(Peer("client", endpoint, *self._arguments, inside=self.network.hosts[0]))

    def cut(self) -> None:
        self.network.hosts[0].kill_sockets("dport", "=", str(UDP_PORT))

    def freeze(self) -> None:
        self.network.harm(lose=1.0)

    def thaw(self) -> None:
        self.network.heal()

    def pull(self) -> None:
        self.network.pull()

    def plug(self) -> None:
        self.network.plug()


class UdpRig(NetworkRig):
    """UDP between two namespaces."""

    scheme = "udp"


class LateUdpRig(UdpRig):
    """UDP between two namespaces, over a wire on which packets overtake each other."""

    def _network(self) -> Network:
        return Network(delay=0.001, late=0.1)


class KernelTcpRig(NetworkRig):
    """TCP between two namespaces: what gets lost the kernel sends again."""

    scheme = "tcp"


class SerialRig(Rig):
    """A cable between two pseudo-terminals, which has a plug."""

    noise = 0.0

    def _lay(self, folder: Path) -> None:
        self.cable = Plug(folder, noise=self.noise)
        self._undo.append(self.cable.pull)

    def start_server(self) -> Peer:
        return self._keep(Peer("server", f"serial://{self.cable.a}?baud=4000000&{self._options}", *self._arguments))

    def start_client(self) -> Peer:
        endpoint = f"{self._faults}serial://{self.cable.b}?baud=4000000&{self._options}"
        return self._keep(Peer("client", endpoint, *self._arguments))

    def cut(self) -> None:
        self.pull()
        self.plug()

    def freeze(self) -> None:
        self.cable.break_wires()

    def thaw(self) -> None:
        self.cable.mend_wires()

    def pull(self) -> None:
        self.cable.pull()

    def plug(self) -> None:
        self.cable.plug()


class NoisySerialRig(SerialRig):
    """A cable that damages a byte of every fifth piece that it carries."""

    noise = 0.2


RIGS: Final = {"tcp": TcpRig, "udp": UdpRig, "serial": SerialRig}
