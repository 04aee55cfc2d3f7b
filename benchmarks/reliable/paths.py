"""A path that is thin, far and lossy: two network namespaces, a program between them that takes its time, and tbf.

Sessions over UDP against the kernel's own TCP on the same path; an urgent message beside a bulk; the plug pulled.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from typing import Final

from leadscomm.cli.benchkit.processes import ChildFailed
from tests.faults.namespaces import ADDRESSES, WIRE, Network

from .figures import Figures, Target
from .running import ask, program, serving

DELAY_S: Final = 0.02
BYTES_PER_S: Final = 2_500_000
QUEUE_BYTES: Final = 100_000
LOSSES: Final = (0.0, 0.01, 0.05, 0.2)
WARM_S: Final = 1.0
SECONDS: Final = 4.0
FLOW_BYTES: Final = 16 * 1024
DOWN_S: Final = 2.0
RESUMED_S: Final = 1.0
SESSION: Final = "session over UDP"
KERNELS: Final = {"kernel TCP, cubic": "cubic", "kernel TCP, BBR": "bbr"}
OVER_TCP: Final = "session over TCP"
HERE, THERE = ADDRESSES
NET: Final = "10.77.0.0/24"
ENDPOINTS: Final = {
    SESSION: f"udp://{THERE}:7700?reliable=1",
    **dict.fromkeys(KERNELS, f"tcp://{THERE}:7700?framing=length"),
    OVER_TCP: f"tcp://{THERE}:7700?reliable=1",
}
PATH: Final = f"{BYTES_PER_S / 1e6:g} MB/s, {1000 * DELAY_S:g} ms each way, {QUEUE_BYTES // 1000} kB of queue"


@contextmanager
def thin_path() -> Iterator[Network]:
    with Network(delay=DELAY_S) as network:
        for host in network.hosts:
            rate = ("rate", f"{8 * BYTES_PER_S}bit", "burst", "16kb", "limit", str(QUEUE_BYTES))
            host.run("tc", "qdisc", "replace", "dev", WIRE, "root", "tbf", *rate)
        yield network


class Paths:
    """The tables of such a path."""

    def __init__(self, say: Callable[[str], None], quick: bool) -> None:
        self._say = say
        self._seconds = 1.5 if quick else SECONDS
        self._samples = 60 if quick else 200
        self.goodput = Figures("Through loss", "goodput, kB/s", f"The path: {PATH}; the loss is each way.")
        self.urgent = Figures("Urgent beside bulk, on a thin path", "32 bytes there and back, ms", f"The path: {PATH}.")
        self.plug = Figures(
            "The plug pulled", "from its return to the next message, ms", f"The link is down for {DOWN_S:g} s."
        )

    def round(self) -> None:
        with thin_path() as network:
            for loss in LOSSES:
                network.harm(lose=loss)
                for name in (SESSION, *KERNELS):
                    self._attempt(partial(self._flow, network, loss), name, f"{loss:.0%} lost")
            network.heal()
            for name in (SESSION, OVER_TCP):
                self._attempt(partial(self._urgent, network), name, "urgent")
                self._attempt(partial(self._pull, network), name, "plug")

    def _attempt(self, measure: Callable[[str], str], name: str, what: str) -> None:
        try:
            self._say(f"{what:<9} {name:<18} {measure(name)}")
        except ChildFailed as failed:
            self._say(f"{what:<9} {name:<18} {failed}")

    def _flow(self, network: Network, loss: float, name: str) -> str:
        near, far = network.hosts
        if name in KERNELS:
            near.run("ip", "route", "replace", NET, "dev", WIRE, "src", HERE, "congctl", KERNELS[name])
        with (
            serving(ENDPOINTS[name], far.command) as (server, url),
            program("flow", url, str(FLOW_BYTES), wrap=near.command) as client,
        ):
            client.hear()
            time.sleep(WARM_S)
            before = ask(server, "count")
            time.sleep(self._seconds)
            after = ask(server, "count")
        rate = (after["bytes"] - before["bytes"]) / (after["at"] - before["at"])
        self.goodput.add(f"{loss:.0%} lost", name, rate / 1000)
        return f"{rate / 1000:,.0f} kB/s"

    def _urgent(self, network: Network, name: str) -> str:
        near, far = network.hosts
        with (
            serving(ENDPOINTS[name], far.command) as (_, url),
            program("urgent", url, str(self._samples), wrap=near.command) as client,
        ):
            client.hear()
            found = client.hear()
        for column in ("idle", "beside"):
            for key in ("p50", "p99"):
                self.urgent.add(f"{name}, {key}", column, found[column][key] / 1000)
        return f"p99 {found['idle']['p99'] / 1000:.0f} ms idle, {found['beside']['p99'] / 1000:.0f} ms beside bulk"

    def _pull(self, network: Network, name: str) -> str:
        near, far = network.hosts
        with serving(ENDPOINTS[name], far.command) as (server, url), program("pulse", url, wrap=near.command) as client:
            client.hear()
            time.sleep(WARM_S / 2)
            network.pull()
            time.sleep(DOWN_S)
            network.plug()
            returned = perf_counter()
            came = ask(server, "first_after", sent=returned, patience=20)["came"]
        if came is None:
            return "nothing came within 20 s"
        self.plug.add(name, "recovery", 1000 * (came - returned))
        return f"{1000 * (came - returned):.0f} ms"

    def targets(self) -> list[Target]:
        found = [
            Target(f"{row}: session over UDP by {kernel}", 1.0, self.goodput.ratio(row, SESSION, kernel))
            for row in self.goodput.cells
            for kernel in KERNELS
        ]
        found += [
            Target(f"thin path, {row}: beside bulk by idle", 2.0, self.urgent.ratio(row, "beside", "idle"), least=False)
            for row in self.urgent.cells
            if row.endswith("p99")
        ]
        return found + [
            Target(f"plug, {row}: recovery", 1000 * RESUMED_S, self.plug.median(row, "recovery"), "ms", least=False)
            for row in self.plug.cells
        ]
