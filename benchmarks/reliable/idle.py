"""What a session costs its server while nobody says anything."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from .figures import Figures, Target
from .running import ask, program, serving

SESSIONS: Final = 200
SECONDS: Final = 4.0
ENDPOINTS: Final = {"session over TCP": "tcp://127.0.0.1:0?reliable=1", "bare TCP": "tcp://127.0.0.1:0?framing=length"}


class Idle:
    """The table."""

    def __init__(self, say: Callable[[str], None], quick: bool) -> None:
        self._say = say
        self._seconds = 1.0 if quick else SECONDS
        self.costs = Figures("Idle", f"each of {SESSIONS}, at the server")

    def round(self) -> None:
        for name, endpoint in ENDPOINTS.items():
            with serving(endpoint) as (server, url):
                before = ask(server, "usage")
                with program("idle", url, str(SESSIONS)) as client:
                    client.hear()
                    time.sleep(self._seconds / 2)
                    begun = ask(server, "usage")
                    time.sleep(self._seconds)
                    after = ask(server, "usage")
            memory = (after["resident"] - before["resident"]) / 1024 / SESSIONS
            busy = (after["cpu"] - begun["cpu"]) / (after["at"] - begun["at"]) / SESSIONS
            self.costs.add(name, "memory, KiB", memory)
            self.costs.add(name, "processor, µs a second", 1e6 * busy)
            self._say(f"idle, {name}: {memory:.1f} KiB, {1e6 * busy:.0f} µs a second")

    def targets(self) -> list[Target]:
        return []
