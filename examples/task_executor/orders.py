"""Which device gets which order, and when: the host's queue. No I/O, no clock; `now` is in seconds and only grows.

Orders stand in one line. Each device goes along it at its own pace: it gets an order, confirms it, and gets the next.
What one device has confirmed is done, so a device that comes later begins behind it. What nobody has confirmed waits,
also if a device that had it has left.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Generic, TypeVar

from examples.task_executor.wire import HEARTBEAT

LIMIT: Final = 30
"""How many orders may wait for their first confirmation."""
BEHIND: Final = 10 * LIMIT
"""How many orders a device may be behind the quickest one."""
HEARTBEAT_S: Final = 3.0
"""How long after its last confirmation an idle device gets a heartbeat."""
PATIENCE_S: Final = 30.0
"""How long a device may take to confirm. On this wire it confirms when an order is done: choose more than the longest
order takes."""

Device = TypeVar("Device", bound=Hashable)


class QueueFull(Exception):
    """The order was not taken: as many as may wait do so already."""


class Sent(Enum):
    """What a device has got and not confirmed yet."""

    ORDER = "an order"
    HEARTBEAT = "a heartbeat"


@dataclass
class _Progress:
    """How far one device is."""

    place: int  # of the next order that it has to confirm
    owes: Sent | None = None
    since: float = float("-inf")  # when it got that; where it owes nothing, when it confirmed the last


class OrderQueue(Generic[Device]):
    """The line of orders and the devices along it.

    :param limit: how many orders may wait for their first confirmation.
    :param heartbeat: seconds after its last confirmation when an idle device gets a heartbeat.
    :param patience: seconds that a device may take to confirm.
    """

    def __init__(self, limit: int = LIMIT, heartbeat: float = HEARTBEAT_S, patience: float = PATIENCE_S) -> None:
        self._limit, self._heartbeat, self._patience = limit, heartbeat, patience
        self._line: deque[str] = deque()
        self._first = 0  # the place of what stands at the head of the line
        self._done = 0  # the place of the first order that nobody has confirmed
        self._devices: dict[Device, _Progress] = {}

    def has_room(self) -> bool:
        """Whether another order may be added."""
        return self._end - self._done < self._limit

    def add(self, order: str) -> None:
        """Put an order at the end of the line.

        :raises QueueFull: `limit` orders wait already.
        """
        if not self.has_room():
            raise QueueFull(
                f"{self._limit} orders wait already, and {len(self._devices)} device(s) are there to do them: add this "
                "one later, give add() a timeout, or make the queue longer"
            )
        self._line.append(order)

    def drop_oldest(self) -> str | None:
        """Take the oldest order that no device has got yet out of the line; None: there is none."""
        taken = max((one.place + (one.owes is Sent.ORDER) for one in self._devices.values()), default=self._done)
        place = max(taken, self._done)
        if place >= self._end:
            return None
        order = self._line[place - self._first]
        del self._line[place - self._first]
        return order

    def join(self, device: Device) -> None:
        """A device has come."""
        self._devices[device] = _Progress(self._done)

    def leave(self, device: Device) -> str | None:
        """A device has gone; return the order that it was at, if it waits on because nobody else has confirmed it."""
        progress = self._devices.pop(device, None)
        order = self._order_of(progress) if progress is not None and progress.place >= self._done else None
        self._forget()
        return order

    def due(self, now: float) -> list[tuple[Device, str]]:
        """Return what is to be sent now, at most one text for each device; it counts as sent."""
        texts: list[tuple[Device, str]] = []
        for device, progress in self._devices.items():
            if progress.owes is not None:
                continue
            if progress.place < self._end:
                progress.owes = Sent.ORDER
            elif now >= progress.since + self._heartbeat:
                progress.owes = Sent.HEARTBEAT
            else:
                continue
            progress.since = now
            texts.append((device, self._order_of(progress) or HEARTBEAT))
        return texts

    def confirm(self, device: Device, now: float) -> tuple[Sent | None, str | None]:
        """A device has confirmed: return what, None being nothing, and which order, if it was one."""
        progress = self._devices.get(device)
        if progress is None or progress.owes is None:
            return None, None
        confirmed = progress.owes, self._order_of(progress)
        if progress.owes is Sent.ORDER:
            progress.place += 1
            self._done = max(self._done, progress.place)
            self._forget()
        progress.owes, progress.since = None, now
        return confirmed

    def silent(self, now: float) -> list[Device]:
        """The devices that have not confirmed for too long, or are too far behind the quickest one."""
        return [
            device
            for device, progress in self._devices.items()
            if (progress.owes is not None and now >= progress.since + self._patience)
            or self._done - progress.place > BEHIND
        ]

    def wait(self, now: float) -> float:
        """The seconds until to ask again what is due and who is silent, whatever happens meanwhile."""
        moments = (
            progress.since + (self._heartbeat if progress.owes is None else self._patience)
            for progress in self._devices.values()
        )
        # Whatever begins from now on is not due before the shorter of the two has passed.
        shortest = min(self._heartbeat, self._patience)
        return min(shortest, max(0.0, min(moments, default=now + shortest) - now))

    def _order_of(self, progress: _Progress) -> str | None:
        """The order that a device is at."""
        return self._line[progress.place - self._first] if progress.owes is Sent.ORDER else None

    @property
    def _end(self) -> int:
        """The place behind the last order."""
        return self._first + len(self._line)

    def _forget(self) -> None:
        """Drop what is done and needed by nobody any more."""
        needed = min((progress.place for progress in self._devices.values()), default=self._done)
        while self._first < min(needed, self._done):
            self._line.popleft()
            self._first += 1
