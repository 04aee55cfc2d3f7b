"""Twisted: a LineOnlyReceiver with the separator as its delimiter, on the default reactor."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import repeat
from time import perf_counter
from typing import Any

from twisted.internet import interfaces, protocol, reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.threads import blockingCallFromThread
from twisted.protocols.basic import LineOnlyReceiver
from zope.interface import implementer  # type: ignore[import-untyped, unused-ignore]

from leadscomm.cli.benchkit.child import child_main
from leadscomm.cli.benchkit.peer import SEPARATOR, Link, Peer, burst_of

from .common import AllLinks, host_and_port, in_thread

REACTOR: Any = reactor


@implementer(interfaces.IPushProducer)
class Stream(LineOnlyReceiver):
    """One connection; as its own push producer it knows when its transport is full."""

    transport: Any
    delimiter = SEPARATOR
    MAX_LENGTH = 1 << 22

    def __init__(self, callback: Any, links: list[Any], on_resume: Callable[[], None]) -> None:
        self._on_receive = callback.on_receive
        self._links = links
        self._on_resume = on_resume
        self.full = False

    @property
    def sender(self) -> Stream:
        return self

    def connectionMade(self) -> None:  # noqa: N802 -- Twisted's name
        self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        self._links.append(self)

    def lineReceived(self, line: bytes) -> None:  # noqa: N802
        self._on_receive(self, line)

    def send(self, message: bytes) -> None:
        self.transport.write(message + SEPARATOR)

    def pauseProducing(self) -> None:  # noqa: N802
        self.full = True

    def resumeProducing(self) -> None:  # noqa: N802
        self.full = False
        self._on_resume()

    def stopProducing(self) -> None:  # noqa: N802
        pass


class TwistedPeer(Peer):
    """The reactor runs in a thread of its own; the main thread sleeps meanwhile."""

    def __init__(self, kind: str = "oneway", size: int = 32, options: dict[str, str] | None = None) -> None:
        super().__init__(kind, size, options)
        self.all = AllLinks()
        self._step: Callable[[], None] = lambda: None
        in_thread(REACTOR.run, False)

    def _stream(self, callback: Any) -> Stream:
        return Stream(callback, self.all.links, lambda: self._step())

    def listen(self, callback: Any) -> str:
        factory: Any = protocol.Factory()
        factory.buildProtocol = lambda _address: self._stream(callback)
        make: Any = TCP4ServerEndpoint
        endpoint = make(REACTOR, 0, interface="127.0.0.1")
        port = blockingCallFromThread(REACTOR, endpoint.listen, factory)
        return f"127.0.0.1:{port.getHost().port}"

    def connect(self, address: str, callback: Any) -> Any:
        endpoint = TCP4ClientEndpoint(REACTOR, *host_and_port(address))
        return blockingCallFromThread(REACTOR, connectProtocol, endpoint, self._stream(callback))

    def begin(self, link: Link, game: Any) -> None:
        REACTOR.callFromThread(game.begin, link)

    def everyone(self) -> Link:
        return OnReactor(self.all)

    def blast(self, link: Any, message: bytes, seconds: float) -> int:
        target = link.links if isinstance(link, OnReactor) else link
        streams = target.links if isinstance(target, AllLinks) else [target]
        burst = max(1, burst_of(message) // len(streams))
        done, sent = threading.Event(), 0
        end = perf_counter() + seconds

        def step() -> None:
            nonlocal sent
            while perf_counter() < end:
                if any(stream.full for stream in streams):
                    return  # resumeProducing goes on
                for one in repeat(message, burst):
                    target.send(one)
                sent += burst
            self._step = lambda: None
            done.set()

        self._step = step
        REACTOR.callFromThread(step)
        done.wait()
        return sent


class OnReactor(Link):
    """All of a server's connections, from another thread."""

    def __init__(self, links: AllLinks) -> None:
        self.links = links

    def send(self, message: bytes) -> None:
        REACTOR.callFromThread(self.links.send, message)


if __name__ == "__main__":
    child_main(TwistedPeer)
