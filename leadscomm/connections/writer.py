"""What an outbox has to do with: what it writes to, who writes for it, and whether the present thread may wait."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, Protocol


class _Here(threading.local):
    """What the present thread is doing."""

    inside: object = None
    """Whose callback it runs; inside one it must not wait for a peer."""
    message_id: str | None = None
    """Of the durable message that the callback is told of, and"""
    redelivered: bool = False
    """whether it was perhaps told of it before."""


here: Final = _Here()


class Writer(ABC):
    """The sending half of a connection."""

    __slots__ = ()

    @abstractmethod
    def _write(self, data: bytes | memoryview) -> int:
        """Take some of ``data``; return how many bytes. ``BlockingIOError``: not one at the moment."""

    @abstractmethod
    def _wait_writable(self, timeout: float) -> bool:
        """Wait until bytes are taken again, at most ``timeout`` seconds; whether they are."""

    def fileno(self) -> int | None:
        """A handle that can be polled, or None: then reading and writing wait by themselves."""
        return None

    @abstractmethod
    def abort(self) -> None:
        """End the conversation at once, so that the thread that reads it finds its end. Any thread."""


class Waiting(Protocol):
    """What a flusher sees of an outbox."""

    def due(self) -> None:
        """Write what is queued."""

    def resume(self) -> None:
        """The peer takes bytes again: go on writing."""

    def fileno(self) -> int | None:
        """What to poll until the peer takes bytes again."""


class Flusher(ABC):
    """The thread that writes what senders left behind."""

    @abstractmethod
    def wake(self, outbox: Waiting) -> None:
        """Call ``outbox.due()`` soon. Any thread; must not block."""

    @abstractmethod
    def call_later(self, delay: float, call: Callable[[], None]) -> None:
        """Call ``call`` in ``delay`` seconds; it must not block. Any thread; must not block."""

    @abstractmethod
    def watch(self, outbox: Waiting) -> None:
        """Call ``outbox.resume()`` once its ``fileno()`` can be written to. Any thread; must not block."""
