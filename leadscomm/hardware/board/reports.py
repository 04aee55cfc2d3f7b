"""What pins are like, told by the board again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from leadscomm.errors import ServiceError
from leadscomm.hardware.board.orders import Orders
from leadscomm.hardware.board.pins import FULL_SCALE
from leadscomm.hardware.companion import REPORTS, Report, SetReport

_WRAP_US: Final = 1 << 32
_LONGEST_MS: Final = 0xFFFF
_NAMES: Final = 256
_REPORT: Final = bytes([Report.number or 0])


@dataclass(frozen=True)
class Sample:
    """The reported pins at one moment.

    :ivar time: seconds by the board's clock, from an instant before the first sample. It does not go back until the
        board starts anew.
    :ivar analog: volts, by analog input.
    :ivar digital: whether it is high, by digital pin.
    """

    time: float
    analog: dict[int, float]
    digital: dict[int, bool]


class Subscription:
    """One report that was ordered."""

    def __init__(self, reports: Reports, name: int, callback: Callable[[Sample], None], pins: _Pins) -> None:
        self._reports = reports
        self._callback = callback
        self._pins = pins
        self._last_us = 0
        self._turns = 0
        self.name = name

    def stop(self) -> None:
        """Let it end. Inside a callback it does not wait."""
        self._reports.stop(self)

    def told(self, report: Report, reference: float) -> None:
        """A report came: hand it on. One of another shape was ordered under the same name before."""
        analog, digital = self._pins.analog, self._pins.digital
        if len(report.analog) != len(analog) or len(report.digital) != self._pins.digital_bytes:
            return
        self._turns += report.time < self._last_us
        self._last_us = report.time
        time = (self._turns * _WRAP_US + report.time) / 1e6
        volts = {pin: raw * reference / FULL_SCALE for pin, raw in zip(analog, report.analog)}
        self._callback(Sample(time, volts, {pin: bool(report.digital[pin // 8] >> pin % 8 & 1) for pin in digital}))

    def restart(self) -> None:
        """The board's clock begins anew."""
        self._last_us = self._turns = 0


class _Pins:
    """Which pins are reported.

    :raises ValueError: there can be no such pin.
    """

    def __init__(self, analog: Iterable[int], digital: Iterable[int]) -> None:
        self.analog = sorted(set(analog))
        self.digital = sorted(set(digital))
        if not (self.analog or self.digital):
            raise ValueError("a report of no pins; name some, as in analog=[0]")
        if not all(0 <= pin < 16 for pin in self.analog) or not all(0 <= pin < 72 for pin in self.digital):
            raise ValueError(
                f"no board has analog {self.analog}, digital {self.digital}: they go from 0 to 15 and from 0 to 71"
            )

    @property
    def digital_bytes(self) -> int:
        return max(self.digital, default=-8) // 8 + 1

    def order(self, request: int, name: int, period_ms: int) -> SetReport:
        analog = sum(1 << pin for pin in self.analog)
        digital = sum(1 << pin for pin in self.digital).to_bytes(self.digital_bytes, "little")
        return SetReport(request, name, period_ms, analog, digital)


class Reports:
    """The reports that were ordered of one board. Any thread.

    :param orders: of the board.
    :param reference: volts at which an analog input says 1023.
    """

    def __init__(self, orders: Orders, reference: float) -> None:
        self._orders = orders
        self._reference = reference
        self._lock = threading.Lock()
        self._subscriptions: dict[int, Subscription] = {}
        self._ordered = False  # whether there ever was one: what comes late is then known for what it is
        self._next = 0

    def begin(
        self, callback: Callable[[Sample], None], analog: Iterable[int], digital: Iterable[int], rate: float
    ) -> Subscription:
        """See :meth:`leadscomm.hardware.board.board.Board.report`."""
        pins = _Pins(analog, digital)
        period = round(1000 / rate) if rate > 0 else 0
        if not 1 <= period <= _LONGEST_MS:
            raise ValueError(f"no board reports {rate:g} times a second: choose {1000 / _LONGEST_MS:.2g} to 1000")
        subscription = self._add(callback, pins)
        name = subscription.name
        try:
            self._orders.order(lambda request: pins.order(request, name, period), keep=("report", name))
        except BaseException:
            self._remove(subscription)
            raise
        return subscription

    def _add(self, callback: Callable[[Sample], None], pins: _Pins) -> Subscription:
        with self._lock:
            if len(self._subscriptions) == REPORTS:
                raise ServiceError(f"a board keeps {REPORTS} reports; stop() one of them first")
            while self._next in self._subscriptions:
                self._next = (self._next + 1) % _NAMES
            name, self._next = self._next, (self._next + 1) % _NAMES
            self._ordered = True
            subscription = self._subscriptions[name] = Subscription(self, name, callback, pins)
        return subscription

    def _remove(self, subscription: Subscription) -> bool:
        """Whether it was there."""
        with self._lock:
            if self._subscriptions.get(subscription.name) is not subscription:
                return False
            del self._subscriptions[subscription.name]
        self._orders.forget(("report", subscription.name))
        return True

    def stop(self, subscription: Subscription) -> None:
        """See :meth:`Subscription.stop`."""
        if self._remove(subscription):
            self._orders.order(lambda request: SetReport(request, subscription.name, 0, 0, b""))

    def heard(self, message: bytes) -> bool:
        """Hand on what came; whether it was a report.

        :raises RemoteProtocolError: it is like one, and is none.
        """
        if not self._ordered or message[:1] != _REPORT:
            return False
        report = Report.unpack(message)
        subscription = self._subscriptions.get(report.report)
        if subscription is not None:
            subscription.told(report, self._reference)
        return True

    def restart(self) -> None:
        """The board starts anew."""
        with self._lock:
            present = list(self._subscriptions.values())
        for subscription in present:
            subscription.restart()
