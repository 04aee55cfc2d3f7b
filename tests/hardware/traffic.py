"""Many random messages to firmware that sends each back, and what came of them."""

from __future__ import annotations

import random
import threading
from typing import Any

from leadscomm import Callback, Client, Service
from tests.entities.recorder import PATIENCE_S

MOST_UNDER_WAY = 60
"""Bytes on the wire, of the 63 that an Uno's receive ring holds."""
_OVERHEAD = 6  # of a short frame
_ASK = b"are you there?"


def random_messages(seed: int, count: int, most: int = 58, fewest: int = 0) -> list[bytes]:
    """Of all lengths alike, and many of their bytes those that framings take for something else."""
    chance = random.Random(seed)
    special = b"\x00\x00\x01;\xff"
    return [
        bytes(chance.choice(special) if chance.random() < 0.2 else chance.randrange(256) for _ in range(size))
        for size in (chance.randint(fewest, most) for _ in range(count))
    ]


class Echoes(Callback):
    """Keeps what comes back, and what went wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.came: list[bytes] = []
        self.failed: list[Exception] = []
        self.changed = threading.Condition()

    def wait(self, count: int) -> list[bytes]:
        """Wait until so many came; that nothing comes any more is told by a pause of PATIENCE_S."""
        with self.changed:
            seen = -1
            while len(self.came) < count and len(self.came) > seen:
                seen = len(self.came)
                self.changed.wait_for(lambda: len(self.came) >= count, PATIENCE_S)
            assert len(self.came) >= count, f"{len(self.came)} of {count} came; {self.failed}"
            return self.came[:]

    def on_receive(self, service: Service, msg: bytes) -> None:
        with self.changed:
            self.came.append(msg)
            self.changed.notify_all()

    def on_fail(self, service: Service, error: Exception) -> None:
        with self.changed:
            self.failed.append(error)
            self.changed.notify_all()


class Volley(Echoes):
    """Sends messages itself, and never more than the board's receive ring holds at a time: for frames that nobody
    sends again."""

    def __init__(self, messages: list[bytes]) -> None:
        super().__init__()
        self.messages = messages
        self._there = threading.Event()
        self._sent = 0

    def begin(self, client: Client) -> None:
        """Ask until the board hears, which was reset when its port was opened; then go on by itself."""
        while not self._there.wait(0.05):
            client.send(_ASK)

    def on_receive(self, service: Any, msg: bytes) -> None:
        if msg == _ASK:
            self._there.set()
        else:
            super().on_receive(service, msg)
        self._go_on(service)

    def _go_on(self, service: Any) -> None:
        while self._sent < len(self.messages):
            under_way = self.messages[len(self.came) : self._sent + 1]
            if len(under_way) > 1 and sum(len(message) + _OVERHEAD for message in under_way) > MOST_UNDER_WAY:
                return
            service.send(self.messages[self._sent])
            self._sent += 1
