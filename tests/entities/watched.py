"""An outbox as a flusher sees it."""

from __future__ import annotations

import threading

from leadscomm.connections.sending.writer import Waiting
from leadscomm.entities.running.flusher import FlusherThread


class Watched(Waiting):
    """An outbox as a flusher sees it: one that always has more to write, or one whose peer takes bytes again."""

    def __init__(self, flusher: FlusherThread, fd: int | None = None) -> None:
        self.flusher = flusher
        self.fd = fd
        self.resumed = threading.Event()

    def fileno(self) -> int | None:
        return self.fd

    def due(self) -> None:
        self.flusher.wake(self)

    def resume(self) -> None:
        self.resumed.set()
