"""A callback that writes down what it is told, and lets a test wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from leadscomm import Callback, ConnectionBase, Service

PATIENCE_S = 60.0
"""How long a test waits for what must happen; only a failing test waits so long."""


class Recorder(Callback):
    """``events`` holds what happened, in order: ``("receive", b"...")`` and so on."""

    def __init__(self, on_receive: Callable[[Any, bytes], None] | None = None) -> None:
        super().__init__()
        self.events: list[tuple[str, Any]] = []
        self.changed = threading.Condition()
        self.react = on_receive

    def note(self, kind: str, what: Any) -> None:
        with self.changed:
            self.events.append((kind, what))
            self.changed.notify_all()

    def of(self, kind: str) -> list[Any]:
        with self.changed:
            return [what for other, what in self.events if other == kind]

    def kinds(self) -> list[str]:
        with self.changed:
            return [kind for kind, _ in self.events]

    def wait(self, kind: str, count: int = 1) -> list[Any]:
        """Wait until ``kind`` has happened ``count`` times; return all of it."""
        with self.changed:
            if not self.changed.wait_for(lambda: len([1 for k, _ in self.events if k == kind]) >= count, PATIENCE_S):
                raise AssertionError(f"no {count} x {kind} in {PATIENCE_S} s, but {self.events[-20:]}")
        return self.of(kind)

    def on_initialize(self, service: Service) -> None:
        self.note("initialize", service)

    def on_connect(self, service: Service, connection: ConnectionBase) -> None:
        self.note("connect", connection)

    def on_receive(self, service: Service, msg: bytes) -> None:
        self.note("receive", msg)
        if self.react is not None:
            self.react(service, msg)

    def on_disconnect(self, service: Service, connection: ConnectionBase) -> None:
        self.note("disconnect", connection)

    def on_fail(self, service: Service, error: Exception) -> None:
        self.note("fail", error)

    def on_reconnect(self, service: Service, connection: ConnectionBase) -> None:
        self.note("reconnect", connection)


def wait_until(condition: Callable[[], bool], what: str = "it") -> None:
    """Wait for something that nobody tells of, looking often."""
    done = threading.Event()
    for _ in range(int(PATIENCE_S / 0.002)):
        if condition():
            return
        done.wait(0.002)
    raise AssertionError(f"{what} did not happen in {PATIENCE_S} s")
