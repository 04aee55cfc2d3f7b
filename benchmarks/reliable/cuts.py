"""What a cut costs, and an urgent message beside a bulk, on the loopback interface."""

from __future__ import annotations

import time
from collections.abc import Callable
from time import perf_counter
from typing import Final

from tests.faults.proxy import Proxy

from .figures import Figures, Target
from .running import ask, program, serving

BEFORE_S: Final = 0.5
AWAY_S: Final = 2.0
RESUMED_MS: Final = 1000.0
TCP: Final = "tcp://127.0.0.1:0?reliable=1"
LINKS: Final = {"TCP": TCP, "UDP": "udp://127.0.0.1:0?reliable=1"}


class Cuts:
    """The two tables."""

    def __init__(self, say: Callable[[str], None], quick: bool) -> None:
        self._say = say
        self._samples = 100 if quick else 400
        self.urgent = Figures("Urgent beside bulk, on one machine", "32 bytes there and back, ms")
        self.cut = Figures(
            "Connections reset",
            "until the next message comes, ms",
            "A proxy resets the connection of a session over TCP.",
        )

    def round(self) -> None:
        for name, url in LINKS.items():
            self._urgent(name, url)
        self._cut("the way is free at once", 0.0)
        self._cut(f"refused for {AWAY_S:g} s, from when it is free", AWAY_S)

    def _urgent(self, name: str, endpoint: str) -> None:
        with serving(endpoint) as (_, url), program("urgent", url, str(self._samples)) as client:
            client.hear()
            found = client.hear()
        for column in ("idle", "beside"):
            for key in ("p50", "p99"):
                self.urgent.add(f"{name}, {key}", column, found[column][key] / 1000)
        self._say(
            f"urgent {name}: p99 {found['idle']['p99']:,.0f} µs idle, {found['beside']['p99']:,.0f} µs beside bulk"
        )

    def _cut(self, row: str, away: float) -> None:
        with (
            serving(TCP) as (server, url),
            Proxy(int(url.partition("?")[0].rpartition(":")[2])) as proxy,
            program("pulse", f"tcp://127.0.0.1:{proxy.port}?reliable=1") as client,
        ):
            client.hear()
            time.sleep(BEFORE_S)
            if away:
                proxy.refuse()
                time.sleep(away)
                proxy.accept()
            else:
                proxy.cut()
            free = perf_counter()
            came = ask(server, "first_after", sent=free, patience=20)["came"]
        if came is not None:
            self.cut.add(row, "recovery", 1000 * (came - free))
        self._say(f"reset, {row}: {'nothing came' if came is None else f'{1000 * (came - free):.0f} ms'}")

    def targets(self) -> list[Target]:
        found = [
            Target(
                f"one machine, {row}: beside bulk by idle", 2.0, self.urgent.ratio(row, "beside", "idle"), least=False
            )
            for row in self.urgent.cells
            if row.endswith("p99")
        ]
        return found + [
            Target(f"reset, {row}", RESUMED_MS, self.cut.median(row, "recovery"), "ms", least=False)
            for row in self.cut.cells
        ]
