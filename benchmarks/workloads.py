"""Who is measured, at what, and how well leadscomm has to do: the entrants and the targets."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

from leadscomm.cli.benchkit.runner import OURS, Entrant
from leadscomm.cli.benchkit.works import WORKS, Metric, Work

from .leads_setup import SETUP_COMMAND, leads_python

SPIN = "leadscomm-spin"
LENGTH = "leadscomm-length"


@dataclass(frozen=True)
class Candidate:
    """An entrant, and what it needs to be there."""

    entrant: Entrant
    module: str | None = None
    """The import that has to be there, and the distribution that brings it."""
    distribution: str | None = None
    python: Callable[[], str | None] | None = None
    """Finds the Python that runs it, where that is not this one."""

    @property
    def mend(self) -> str:
        """The command that installs what is missing."""
        return SETUP_COMMAND if self.python else f"pip install {self.distribution}"

    def available(self) -> Entrant | None:
        """The entrant, or None where what it needs is not installed."""
        if self.python is not None:
            found = self.python()
            return replace(self.entrant, command=(found, *self.entrant.command[1:])) if found else None
        if self.module is not None and importlib.util.find_spec(self.module) is None:
            return None
        return self.entrant


def _peer(name: str, label: str, **more: object) -> Entrant:
    return Entrant(name, label, (sys.executable, "-m", f"benchmarks.peers.{name}"), **more)  # type: ignore[arg-type]


def _ours(name: str, label: str, **more: object) -> Entrant:
    return Entrant(name, label, (sys.executable, "-m", "leadscomm.cli.benchkit.ours"), **more)  # type: ignore[arg-type]


CANDIDATES: tuple[Candidate, ...] = (
    Candidate(_ours(OURS, "leadscomm", most_connections=5000)),
    Candidate(_ours(SPIN, "leadscomm, spin", kinds=("rtt",), options=("--spin=0.005",))),
    Candidate(_ours(LENGTH, "leadscomm, framing=length", kinds=("oneway",), options=("--framing=length",))),
    Candidate(_peer("raw", "raw sockets, one sendall a message")),
    Candidate(_peer("blocks", "raw sockets, 64 KiB blocks", kinds=("oneway", "broadcast"), biggest=65536)),
    Candidate(_peer("socketserver", "socketserver")),
    Candidate(_peer("asyncio", "asyncio protocol", most_connections=5000)),
    Candidate(_peer("uvloop", "uvloop protocol"), "uvloop", "uvloop"),
    Candidate(_peer("pyzmq", "pyzmq"), "zmq", "pyzmq"),
    Candidate(_peer("twisted", "twisted"), "twisted", "twisted"),
    Candidate(_peer("websockets", "websockets, sync"), "websockets", "websockets"),
    Candidate(_peer("zenoh", "zenoh, peer to peer", kinds=("oneway", "rtt", "broadcast")), "zenoh", "eclipse-zenoh"),
    Candidate(
        _peer("leads", "LEADS 0.6.1 (corrupts the stream)", kinds=("oneway", "rtt", "broadcast")), python=leads_python
    ),
)


@dataclass(frozen=True)
class Target:
    """What a figure of ours has to be, as a ratio to a peer's in the same run or, without a peer, as it is."""

    work: str
    key: str
    against: str | None
    limit: float
    ours: str = OURS

    def metric(self) -> Metric:
        return metric_of(self.work, self.key)

    def holds(self, value: float) -> bool:
        return value >= self.limit if self.metric().more_is_better else value <= self.limit


def work_named(name: str) -> Work:
    return next(work for work in WORKS if work.name == name)


def metric_of(work: str, key: str) -> Metric:
    return next(metric for metric in work_named(work).metrics if metric.key == key)


def _ratios(work: str, key: str, ours: str = OURS, **limits: float) -> tuple[Target, ...]:
    return tuple(Target(work, key, against, limit, ours) for against, limit in limits.items())


TARGETS: tuple[Target, ...] = (
    *_ratios("oneway-32", "rate", blocks=0.6, pyzmq=4, leads=10, asyncio=25),
    *_ratios("oneway-256", "rate", pyzmq=3, leads=7, asyncio=7),
    *_ratios("oneway-4096", "rate", pyzmq=1.4, leads=4, asyncio=1.4),
    *_ratios("rtt-quiet", "p50", raw=1.10, pyzmq=0.8, leads=0.9),
    *_ratios("rtt-warm", "p50", raw=1.10, pyzmq=0.8, leads=0.9),
    *_ratios("rtt-quiet", "p50", ours=SPIN, raw=0.3),
    *_ratios("rtt-warm", "p50", ours=SPIN, raw=0.3),
    *_ratios("bulk", "rate", raw=1.0, asyncio=2, leads=50),
    *_ratios("broadcast", "rate", pyzmq=2.5),
    Target("connections", "kib", None, 2.0),
    *_ratios("connections", "p99", asyncio=0.8),
)


def choose(names: str) -> tuple[Candidate, ...]:
    """The candidates in a comma-separated list, in the list's usual order; all for an empty one."""
    if not names:
        return CANDIDATES
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = [candidate.entrant.name for candidate in CANDIDATES]
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"no peer {', '.join(unknown)}; there are {', '.join(known)}")
    return tuple(candidate for candidate in CANDIDATES if candidate.entrant.name in wanted)
