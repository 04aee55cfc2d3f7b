"""What one process that many others talk with spends on a message, as there are more of them: plain, with sessions, as
nodes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from leadscomm.cli.benchkit.processes import Child

from .figures import Figures, Target
from .running import ask, program

PEERS: Final = (5, 100, 400)
PLAIN: Final = "plain"
SESSIONS: Final = "sessions"
NODES: Final = "nodes"
KINDS: Final = {
    PLAIN: ("server", "tcp://127.0.0.1:0"),
    SESSIONS: ("server", "tcp://127.0.0.1:0?reliable=1"),
    NODES: ("node", "tcp://127.0.0.1:0"),
}
DELIVERIES: Final = 400_000
"""So many in all, at most: of each peer less than its outbox holds."""
SECONDS: Final = 2.0
ALONE_EVERY_S: Final = 250e-6
"""A message comes alone if the hub is done with the one before."""
MESSAGE_US: Final = 15.0
DELIVERY_US: Final = 1.5
GROWS: Final = 1.5
THREADS: Final = 32.0
IDLE_PERCENT: Final = 2.0


class Hub:
    """The tables."""

    def __init__(self, say: Callable[[str], None], quick: bool) -> None:
        self._say = say
        self._part = 5 if quick else 1
        self.broadcasts = Figures(
            "A hub broadcasts",
            "100 bytes to each",
            "The hub is one process, its peers are another; what a delivery costs is the hub's processor time.",
        )
        self.messages = Figures(
            "Each peer sends to the hub in turn",
            "100 bytes each",
            "As fast as one process sends by one peer after the other; and alone: one message of any of them each "
            f"{1e6 * ALONE_EVERY_S:.0f} µs.",
        )
        self.held = Figures("What a hub holds", "while nobody says anything")

    def round(self) -> None:
        for kind in KINDS:
            for count in PEERS:
                self._measure(kind, count)

    def _measure(self, kind: str, count: int) -> None:
        what, url = KINDS[kind]
        row = f"{kind}, {count} peers"
        with program("hub", what, url) as hub, program("peers", what, hub.hear()["address"], str(count)) as peers:
            peers.hear()
            self._broadcast(row, hub, peers, count)
            self._in_turn(row, hub, peers, "a message, µs", "messages a second", 0.0)
            self._in_turn(row, hub, peers, "alone, µs", None, ALONE_EVERY_S)
            self._idle(row, hub)
        told = [
            f"{self.broadcasts.median(row, 'a delivery, µs'):.2f} µs a delivery",
            f"{self.messages.median(row, 'a message, µs'):.1f} µs a message",
            f"{self.messages.median(row, 'alone, µs'):.1f} µs alone",
            f"{self.held.median(row, 'threads'):.0f} threads",
            f"{self.held.median(row, 'a core, %'):.2f} % of a core",
        ]
        self._say(f"hub, {row}: {', '.join(told)}")

    def _broadcast(self, row: str, hub: Child, peers: Child, count: int) -> None:
        for part in (10 * self._part, self._part):  # first to warm up
            base = ask(peers, "usage")["count"]
            before = ask(hub, "usage")
            sent = ask(hub, "broadcast", count=DELIVERIES // count // part, seconds=SECONDS / part)["sent"] * count
            ended = ask(peers, "until", count=base + sent)["at"]
            after = ask(hub, "usage")
        self.broadcasts.add(row, "deliveries a second", sent / (ended - before["at"]))
        self.broadcasts.add(row, "a delivery, µs", 1e6 * (after["cpu"] - before["cpu"]) / sent)

    def _in_turn(self, row: str, hub: Child, peers: Child, cost: str, rate: str | None, every: float) -> None:
        for part in (10 * self._part, self._part):
            before = ask(hub, "usage")
            sent = ask(peers, "send", seconds=SECONDS / part, every=every)["sent"]
            ended = ask(hub, "until", count=before["count"] + sent)["at"]
            after = ask(hub, "usage")
        if rate is not None:
            self.messages.add(row, rate, sent / (ended - before["at"]))
        self.messages.add(row, cost, 1e6 * (after["cpu"] - before["cpu"]) / sent)

    def _idle(self, row: str, hub: Child) -> None:
        time.sleep(SECONDS / self._part)  # until what was said is acknowledged, and measured
        before = ask(hub, "usage")
        time.sleep(2 * SECONDS / self._part)
        after = ask(hub, "usage")
        self.held.add(row, "threads", after["threads"])
        self.held.add(row, "a core, %", 100 * (after["cpu"] - before["cpu"]) / (after["at"] - before["at"]))

    def targets(self) -> list[Target]:
        found: list[Target] = []
        few, many, most = PEERS
        for kind in (SESSIONS, NODES):
            row = f"{kind}, {many} peers"
            for column in ("a message, µs", "alone, µs"):
                cost = self.messages.median(row, column)
                found.append(Target(f"hub, {row}: {column}", MESSAGE_US, cost, "µs", least=False))
            cost = self.broadcasts.median(row, "a delivery, µs")
            found.append(Target(f"hub, {row}: a delivery", DELIVERY_US, cost, "µs", least=False))
        for kind in KINDS:
            row = f"{kind}, {most} peers"
            grown = self.messages.growth(f"{kind}, {few} peers", row, "alone, µs")
            found += [
                Target(f"hub, {kind}: a message, {most} peers by {few}", GROWS, grown, least=False),
                Target(f"hub, {row}: threads", THREADS, self.held.median(row, "threads"), least=False),
                Target(
                    f"hub, {row}: idle, of a core", IDLE_PERCENT, self.held.median(row, "a core, %"), "%", least=False
                ),
            ]
        return found
