"""What an outbox has to do with: what it writes to, who writes for it, and whether the present thread may wait."""

from __future__ import annotations

import select
import sys
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final, Protocol

from leadscomm.connections.waiting import attentive
from leadscomm.errors import ConnectionLost


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


class Gone(Writer):
    """Takes the place of a connection that is over, so that its outbox does not keep it in memory.

    :param name: what the connection was called.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __str__(self) -> str:
        return self._name

    def _write(self, data: bytes | memoryview) -> int:
        raise ConnectionLost(f"the conversation with {self} is over")

    def _wait_writable(self, timeout: float) -> bool:
        return True

    def abort(self) -> None:
        """It is over."""


def weakly(method: Callable[..., object]) -> Callable[..., None]:
    """What calls a method as long as its object is there: a timer, say, that need not keep in memory what is over."""
    found = weakref.WeakMethod(method)

    def call(*args: Any) -> None:
        bound = found()
        if bound is not None:
            bound(*args)

    return call


def forget_frames(error: BaseException | None) -> None:
    """Have an error that is kept let go of where it came from: the frames know what it is kept by."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


class Keeper(Protocol):
    """Who runs a connection on behalf of an entity.

    :ivar streams: sends streams.
    """

    @property
    def streams(self) -> Any: ...

    def closing(self) -> None:
        """The connection is being closed here; finish the conversation. Any thread; does not block."""

    def parted(self) -> Keeper:
        """Who stands for it once the conversation is over, and keeps nothing of it in memory."""


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


def wait_for(fd: int | None, timeout: float | None, *, writable: bool = False) -> bool:
    """Wait until ``fd`` can be read (or written), at most ``timeout`` seconds; whether it can.

    :raises OSError: the handle is closed, or is none that can be waited for.
    """
    if fd is None or fd < 0:
        raise OSError("the connection is closed, or its transport cannot be waited for")
    span = attentive(timeout)
    while not (ready := _is_ready(fd, span, writable)) and timeout is None:
        pass
    return ready


def _is_ready(fd: int, timeout: float | None, writable: bool) -> bool:
    if sys.platform == "win32":
        sets: tuple[list[int], list[int]] = ([], [fd]) if writable else ([fd], [])
        return any(select.select(*sets, [], timeout))
    poller = select.poll()
    poller.register(fd, select.POLLOUT if writable else select.POLLIN)
    return bool(poller.poll(None if timeout is None else timeout * 1000))
