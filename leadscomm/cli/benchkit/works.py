"""The workloads: what the server does, what the client does, and what the parent makes of both.

Server and client are two processes that share the system's monotonic clock (``time.perf_counter`` counts from the same
instant in all processes of Linux, macOS and Windows). One-way times begin right before the first ``send`` in the
sending process and end when the last message has reached ``on_receive`` in the receiving one.
"""

from __future__ import annotations

import gc
import random
import sys
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from time import perf_counter, sleep
from typing import Any, ClassVar, Protocol

from .peer import Counter, Echo, Peer, PingPong, resident_bytes

POLL_S = 0.002
"""How often a receiver's count is looked at: an end is known to this, which is 0.4 % of half a second."""
LOST_AFTER_S = 2.0
"""No further message for so long means that those still missing are lost."""
SETTLED_AFTER_S = 0.3
"""The same for a library whose count of messages is not exact, where the end cannot be told from the number."""


class Conversation(Protocol):
    """What a workload needs of child.Talk."""

    def say(self, **facts: Any) -> None: ...
    def hear(self) -> dict[str, Any]: ...
    def poll(self) -> dict[str, Any] | None: ...


class Partner(Protocol):
    """What a workload needs of processes.Child: the parent's end of a conversation."""

    def say(self, **facts: Any) -> None: ...
    def hear(self) -> dict[str, Any]: ...


Measures = dict[str, float]


@dataclass(frozen=True)
class Metric:
    """One figure that a workload gives."""

    key: str
    unit: str
    more_is_better: bool
    digits: int = 0
    headline: bool = True
    """It stands in the overview as well."""


@dataclass(frozen=True)
class Work(ABC):
    """A workload; its fields go to the children as ``name=value`` words."""

    kind: ClassVar[str]
    name: str
    title: str
    size: int = 32

    @property
    @abstractmethod
    def metrics(self) -> tuple[Metric, ...]:
        """The figures, the most telling one first."""

    @abstractmethod
    def server(self, peer: Peer, talk: Conversation) -> None: ...

    @abstractmethod
    def client(self, peer: Peer, talk: Conversation) -> None: ...

    @abstractmethod
    def drive(self, server: Partner, client: Partner) -> Measures:
        """The parent's part: passes each side's words to the other and makes the figures."""

    @abstractmethod
    def quick(self) -> Work:
        """The same in about a fifth of the time, to see that it works and roughly how it goes."""

    def words(self) -> list[str]:
        return [f"{f.name}={getattr(self, f.name)}" for f in fields(self) if f.name not in ("name", "title")]


def settle(talk: Conversation, count: Callable[[], int], base: int, exact: bool) -> dict[str, Any]:
    """Waits until what was sent has been received; the parent says meanwhile how much that is.

    :param base: the count before the first of these messages
    :return: how many were received, and when the last one was (seconds of perf_counter, late by at most POLL_S)
    """
    last, ended = base, perf_counter()
    changed = ended
    expected: int | None = None
    while True:
        sleep(POLL_S)
        n, now = count(), perf_counter()
        if n != last:
            last, ended, changed = n, now, now
        if expected is None:
            said = talk.poll()
            if said is None:
                continue
            expected, changed = said["expected"], now  # before now nothing can be called lost
        if exact and n >= base + expected:
            break
        if now - changed > (LOST_AFTER_S if exact else SETTLED_AFTER_S):
            break
    return {"received": last - base, "ended": ended}


def rate_of(sent: dict[str, Any], got: dict[str, Any], each: int = 1) -> tuple[float, float]:
    """Messages a second, and the share that was lost. A library that splits messages is not paid for the pieces."""
    expected = sent["sent"] * each
    return min(got["received"], expected) / (got["ended"] - sent["began"]), 1 - got["received"] / max(1, expected)


def payload(size: int) -> bytes:
    return b"x" * size


def _blast(peer: Peer, link: Any, size: int, seconds: float) -> dict[str, Any]:
    message = payload(size)
    began = perf_counter()
    return {"began": began, "sent": peer.blast(link, message, seconds)}


@dataclass(frozen=True)
class OneWay(Work):
    """The client sends as fast as it goes; the server counts in ``on_receive``."""

    kind: ClassVar[str] = "oneway"
    seconds: float = 0.5
    warm_up: float = 0.15

    @property
    def metrics(self) -> tuple[Metric, ...]:
        if self.size >= 1 << 20:
            return (Metric("rate", "MB/s", True),)
        return (Metric("rate", "k msg/s", True),)

    def server(self, peer: Peer, talk: Conversation) -> None:
        counter = peer.callback(Counter)
        talk.say(address=peer.listen(counter))
        for _phase in ("warm-up", "measured"):
            talk.hear()
            base = counter.n
            talk.say(watching=True)
            talk.say(**settle(talk, lambda: counter.n, base, peer.exact))

    def client(self, peer: Peer, talk: Conversation) -> None:
        link = peer.connect(talk.hear()["address"], peer.callback(Counter))
        talk.say(connected=True)
        for seconds in (self.warm_up, self.seconds):
            talk.hear()
            talk.say(**_blast(peer, link, self.size, seconds))

    def drive(self, server: Partner, client: Partner) -> Measures:
        client.say(**server.hear())
        client.hear()
        for _phase in ("warm-up", "measured"):
            server.say(watch=True)
            server.hear()
            client.say(go=True)
            sent = client.hear()
            server.say(expected=sent["sent"])
            got = server.hear()
        rate, lost = rate_of(sent, got)
        return {"rate": rate * (self.size / 1e6 if self.size >= 1 << 20 else 1e-3), "lost": lost}

    def quick(self) -> Work:
        return OneWay(self.name, self.title, self.size, self.seconds / 5, self.warm_up / 3)


@dataclass(frozen=True)
class RoundTrip(Work):
    """One message at a time, there and back, each sent from the callback of the one before."""

    kind: ClassVar[str] = "rtt"
    seconds: float = 0.6
    warm_up: int = 500
    """Round trips."""
    pause: float = 0.0

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (Metric("p50", "µs", False, 1), Metric("p99", "µs", False, 1, headline=False))

    def server(self, peer: Peer, talk: Conversation) -> None:
        talk.say(address=peer.listen(peer.callback(Echo)))

    def client(self, peer: Peer, talk: Conversation) -> None:
        game = peer.callback(PingPong, payload(self.size), self.seconds, self.warm_up + 20, self.pause)
        link = peer.connect(talk.hear()["address"], game)
        peer.begin(link, game)
        game.done.wait()
        talk.say(**percentiles(game.samples[self.warm_up :]))

    def drive(self, server: Partner, client: Partner) -> Measures:
        client.say(**server.hear())
        return client.hear()

    def quick(self) -> Work:
        return RoundTrip(self.name, self.title, self.size, self.seconds / 5, self.warm_up // 5, self.pause)


def percentiles(samples: list[float]) -> Measures:
    """The median and the 99th percentile, in microseconds, of samples in seconds."""
    ordered = sorted(samples)
    return {"p50": ordered[len(ordered) // 2] * 1e6, "p99": ordered[len(ordered) * 99 // 100] * 1e6}


@dataclass(frozen=True)
class Broadcast(Work):
    """The server sends to all its clients, which live together in one other process; every client counts its own."""

    kind: ClassVar[str] = "broadcast"
    clients: int = 50
    seconds: float = 0.5
    warm_up: float = 0.1

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (Metric("rate", "k deliveries/s", True),)

    def server(self, peer: Peer, talk: Conversation) -> None:
        talk.say(address=peer.listen(peer.callback(Counter)))
        everyone = peer.everyone()
        talk.hear()
        hellos = 0
        while talk.poll() is None:  # until the parent says that every client has heard one
            everyone.send(payload(self.size))
            hellos += 1
            sleep(0.02)
        talk.say(hellos=hellos)
        for seconds in (self.warm_up, self.seconds):
            talk.hear()
            talk.say(**_blast(peer, everyone, self.size, seconds))

    def client(self, peer: Peer, talk: Conversation) -> None:
        address = talk.hear()["address"]
        counters = [peer.callback(Counter) for _ in range(self.clients)]
        links = [peer.connect(address, counter) for counter in counters]
        peer.all_connected()
        talk.say(connected=len(links))
        while min(counter.n for counter in counters) == 0:
            sleep(POLL_S)
        talk.say(greeted=True)

        def count() -> int:
            return sum(counter.n for counter in counters)

        talk.hear()
        base, since = count(), perf_counter()
        while perf_counter() - since < 0.1:  # hellos that are still under way
            sleep(POLL_S)
            if (n := count()) != base:
                base, since = n, perf_counter()
        for _phase in ("warm-up", "measured"):
            talk.say(watching=True)
            talk.say(**settle(talk, count, base, peer.exact))
            base = count()

    def drive(self, server: Partner, client: Partner) -> Measures:
        client.say(**server.hear())
        client.hear()
        server.say(greet=True)
        client.hear()
        server.say(greeted=True)
        server.hear()
        client.say(begin=True)
        for _phase in ("warm-up", "measured"):
            client.hear()
            server.say(go=True)
            sent = server.hear()
            client.say(expected=sent["sent"] * self.clients)
            got = client.hear()
        rate, lost = rate_of(sent, got, self.clients)
        return {"rate": rate * 1e-3, "lost": lost}

    def quick(self) -> Work:
        return Broadcast(self.name, self.title, self.size, self.clients, self.seconds / 5, self.warm_up / 2)


@dataclass(frozen=True)
class Connections(Work):
    """Many connections that are open at once: what each costs the server in memory, and how it answers among them."""

    kind: ClassVar[str] = "connections"
    count: int = 1000
    samples: int = 3000
    warm_up: int = 20

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (
            Metric("kib", "KiB each", False, 1),
            Metric("p99", "µs", False),
            Metric("p50", "µs", False, headline=False),
        )

    def server(self, peer: Peer, talk: Conversation) -> None:
        allow_files(self.count + self.warm_up + 200)
        talk.say(address=peer.listen(peer.callback(Echo)))
        for _moment in ("before", "after"):
            talk.hear()
            gc.collect()
            talk.say(resident=resident_bytes())

    def client(self, peer: Peer, talk: Conversation) -> None:
        allow_files(self.count + self.warm_up + 200)
        message = payload(self.size)
        opened = []
        for exchange in peer.exchanges(talk.hear()["address"], self.warm_up + self.count):
            exchange(message)  # so that no server's queue of connections runs over
            opened.append(exchange)
            if len(opened) == self.warm_up:
                talk.say(warm=True)
                talk.hear()
        talk.say(open=len(opened))
        talk.hear()
        chosen, times = random.Random(1), []
        for _ in range(self.samples):
            exchange = chosen.choice(opened)
            began = perf_counter()
            exchange(message)
            times.append(perf_counter() - began)
        talk.say(**percentiles(times))

    def drive(self, server: Partner, client: Partner) -> Measures:
        client.say(**server.hear())
        residents = []
        for _moment in ("before", "after"):
            client.hear()
            server.say(measure=True)
            residents.append(server.hear()["resident"])
            client.say(go=True)
        return {"kib": (residents[1] - residents[0]) / 1024 / self.count, **client.hear()}

    def quick(self) -> Work:
        return Connections(self.name, self.title, self.size, self.count, self.samples // 5, self.warm_up)


def allow_files(count: int) -> None:
    """Raises this process's limit of open files where it may; a limit that stays too low shows itself at connect."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


KINDS: dict[str, type[Work]] = {work.kind: work for work in (OneWay, RoundTrip, Broadcast, Connections)}


def make_work(kind: str, words: list[str]) -> Work:
    """A workload from its kind and ``name=value`` words, as Work.words gives them."""
    if kind not in KINDS:
        raise SystemExit(f"no workload {kind!r}; there are {', '.join(KINDS)}")
    types = typing.get_type_hints(KINDS[kind])
    given = {}
    for name, _, value in (word.partition("=") for word in words):
        if name not in types:
            raise SystemExit(f"{kind} has no {name!r}")
        given[name] = types[name](value)
    return KINDS[kind](name=kind, title=kind, **given)


WORKS: tuple[Work, ...] = (
    OneWay("oneway-32", "32 B one way", 32),
    OneWay("oneway-256", "256 B one way", 256),
    OneWay("oneway-4096", "4096 B one way", 4096),
    OneWay("bulk", "1 MiB one way", 1 << 20),
    RoundTrip("rtt-quiet", "Round trip, quiet", warm_up=50, pause=0.001),
    RoundTrip("rtt-warm", "Round trip, warm"),
    Broadcast("broadcast", "Broadcast to 50 clients"),
    Connections("connections", "1,000 connections"),
    Connections("connections-5000", "5,000 connections", count=5000, samples=1500),
)


def select(only: str, works: tuple[Work, ...] = WORKS) -> tuple[Work, ...]:
    """The workloads whose name, or the first part of whose name, is in a comma-separated list; all for an empty one."""
    if not only:
        return works
    wanted = [word.strip() for word in only.split(",") if word.strip()]
    known = {name for work in works for name in (work.name, work.name.partition("-")[0])}
    if unknown := [word for word in wanted if word not in known]:
        raise ValueError(f"no workload {', '.join(unknown)}; there are {', '.join(w.name for w in works)}")
    return tuple(w for w in works if w.name in wanted or w.name.partition("-")[0] in wanted)
