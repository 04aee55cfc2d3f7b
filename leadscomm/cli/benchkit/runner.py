"""Rounds: in each one every entrant does every workload once, in an order shuffled anew, so drift hits all alike."""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from .processes import Child, ChildFailed
from .works import Connections, Measures, Work

OURS = "leadscomm"


@dataclass(frozen=True)
class Entrant:
    """A library, or one way of using it, as it enters the comparison."""

    name: str
    label: str
    command: tuple[str, ...]
    """What starts a measuring process; ``server <workload> ...`` and the options come after it."""
    kinds: tuple[str, ...] = ("oneway", "rtt", "broadcast", "connections")
    options: tuple[str, ...] = ()
    most_connections: int = 1000
    biggest: int = 1 << 20

    def does(self, work: Work) -> bool:
        if isinstance(work, Connections) and work.count > self.most_connections:
            return False
        return work.kind in self.kinds and work.size <= self.biggest


@dataclass(frozen=True)
class Summary:
    """A figure over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary:
        return cls(statistics.median(values), min(values), max(values))


@dataclass
class Results:
    """What was measured: for each workload and entrant the measures of every round."""

    cells: dict[str, dict[str, list[Measures]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    rounds: int = 0

    def add(self, work: str, entrant: str, measures: Measures) -> None:
        self.cells.setdefault(work, {}).setdefault(entrant, []).append(measures)

    def summary(self, work: str, entrant: str, key: str) -> Summary | None:
        """The figure over the rounds, or None where it was not measured."""
        values = [measures[key] for measures in self.cells.get(work, {}).get(entrant, []) if key in measures]
        return Summary.of(values) if values else None


def measure(entrant: Entrant, work: Work) -> Measures:
    """One measurement in two processes of its own. Raises ChildFailed."""
    words = [work.kind, *work.words(), *entrant.options]
    with Child([*entrant.command, "server", *words]) as server, Child([*entrant.command, "client", *words]) as client:
        client.hear()  # both have started, side by side
        return work.drive(server, client)


def run_rounds(
    entrants: Sequence[Entrant],
    works: Sequence[Work],
    rounds: int,
    budget: float = 600.0,
    say: Callable[[str], None] | None = None,
    seed: int | None = None,
) -> Results:
    """Measures; a failed measurement is noted in ``failures`` and the others go on.

    :param budget: seconds; no round is begun that would, as the longest so far took, end after it
    :param say: takes one line of progress at a time; by default it is written to stderr
    """
    say = say or (lambda line: print(line, file=sys.stderr, flush=True))
    order, results = random.Random(seed), Results()
    began = monotonic()
    longest = 0.0
    for number in range(1, rounds + 1):
        if number > 1 and monotonic() - began + longest > budget:
            say(f"round {number} would take longer than the {budget:g} s there are: the run ends after {number - 1}")
            break
        since = monotonic()
        for work in works:
            for entrant in order.sample(list(entrants), len(entrants)):
                if entrant.does(work):
                    told = _attempt(entrant, work, results)
                    say(f"round {number}/{rounds}  {work.name:<17} {entrant.name:<17} {told}")
        results.rounds = number
        longest = max(longest, monotonic() - since)
    return results


def _attempt(entrant: Entrant, work: Work, results: Results) -> str:
    try:
        measures = measure(entrant, work)
    except ChildFailed as failure:
        results.failures.append(f"{work.name}, {entrant.label}: {failure}")
        return f"failed: {failure}"
    results.add(work.name, entrant.name, measures)
    if measures.get("lost", 0.0) > 0:
        results.failures.append(
            f"{work.name}, {entrant.label}: {100 * measures['lost']:.2g} % of the messages were lost"
        )
    return "  ".join(f"{measures[m.key]:,.{m.digits}f} {m.unit}" for m in work.metrics)
