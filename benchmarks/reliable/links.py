"""Reliable against bare, on the same link of one machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from leadscomm.cli.benchkit.processes import ChildFailed
from leadscomm.cli.benchkit.runner import Entrant, measure
from leadscomm.cli.benchkit.works import OneWay, RoundTrip, Work

from .figures import Figures, Target

RELIABLE: Final = "reliable"
BARE: Final = "bare"
CODED: Final = "bare, COBS and CRC-32"
WAYS: Final = {RELIABLE: "reliable=1", BARE: "", CODED: "framing=cobs"}
SIZES: Final = ((32, "32 B"), (256, "256 B"), (4096, "4 KiB"), (1 << 20, "1 MiB"))
HALF: Final = 0.5
TWICE: Final = 2.0


@dataclass(frozen=True)
class Way:
    """A kind of link.

    :ivar longest: bytes of a message that it carries bare.
    """

    name: str
    base: str
    longest: int = 1 << 20
    ways: tuple[str, ...] = (RELIABLE, BARE, CODED)

    def does(self, way: str, work: Work) -> bool:
        return way in self.ways and (way == RELIABLE or work.size <= self.longest)

    def entrant(self, way: str) -> Entrant:
        endpoint = "?".join(filter(None, (self.base, WAYS[way])))
        return Entrant(
            way, way, (sys.executable, "-m", "benchmarks.reliable.peer"), options=(f"--endpoint={endpoint}",)
        )


class Links:
    """The two tables."""

    def __init__(self, say: Callable[[str], None], quick: bool) -> None:
        self._say = say
        short = 5 if quick else 2
        self._works: list[tuple[str, Work]] = [
            (label, OneWay(label, label, size, 0.6 / short, 0.2 / short)) for size, label in SIZES
        ]
        self._trips = RoundTrip("trip", "trip", 32, 0.8 / short, 200)
        self.rates = Figures(
            "Messages one way",
            "messages a second (thousands; of 1 MiB: megabytes a second)",
            "A client sends as fast as it goes, and the server counts; over bare UDP only what comes.",
        )
        self.trips = Figures("Round trips", "32 bytes there and back, µs")

    def round(self) -> None:
        with TemporaryDirectory(prefix="leadscomm-bench-") as folder:
            for link in (
                Way("TCP", "tcp://127.0.0.1:0"),
                Way("Unix", f"unix://{Path(folder, 'socket')}"),
                Way("UDP", "udp://127.0.0.1:0", 32768, (RELIABLE, BARE)),
            ):
                self._link(link)

    def _link(self, link: Way) -> None:
        for label, work in self._works:
            for way in WAYS:
                found = self._measure(link, way, work)
                if found is not None:
                    self.rates.add(f"{link.name}, {label}", way, found["rate"])
        for way in WAYS:
            found = self._measure(link, way, self._trips)
            for key in ("p50", "p99"):
                if found is not None:
                    self.trips.add(f"{link.name}, {key}", way, found[key])

    def _measure(self, link: Way, way: str, work: Work) -> dict[str, float] | None:
        if not link.does(way, work):
            return None
        try:
            found = measure(link.entrant(way), work)
        except ChildFailed as failed:
            self._say(f"{link.name} {work.name} {way}: {failed}")
            return None
        told = "  ".join(f"{found[metric.key]:,.{metric.digits}f} {metric.unit}" for metric in work.metrics)
        self._say(f"{link.name:<5} {work.name:<6} {way:<22} {told}")
        return found

    def targets(self) -> list[Target]:
        found = [
            Target(f"{row}: reliable by bare", HALF, self.rates.ratio(row, RELIABLE, BARE)) for row in self.rates.cells
        ]
        found += [
            Target(f"{row}: reliable by COBS and CRC-32", HALF, self.rates.ratio(row, RELIABLE, CODED))
            for row in self.rates.cells
            if self.rates.ratio(row, RELIABLE, CODED) is not None
        ]
        return found + [
            Target(
                f"{row} of a round trip: reliable by bare", TWICE, self.trips.ratio(row, RELIABLE, BARE), least=False
            )
            for row in self.trips.cells
            if row.endswith("p50")
        ]
