"""The pins of a board, as the companion firmware offers them."""

from __future__ import annotations

from typing import Final

from leadscomm.hardware import companion
from leadscomm.hardware.board.orders import Orders
from leadscomm.hardware.companion import Mode

_NARROWEST_US: Final = 544
_WIDEST_US: Final = 2400
FULL_SCALE: Final = 1023
"""What an analog input says at the reference voltage."""


class Pin:
    """A digital pin. What sets something does not wait inside callbacks; see :meth:`Orders.order`, also for errors.

    :param orders: of its board.
    :param number: as Arduino counts.
    """

    def __init__(self, orders: Orders, number: int) -> None:
        self._orders = orders
        self.number = number

    def mode(self, mode: Mode) -> None:
        """Make it an input, an input with pull-up, or an output."""
        self._orders.order(lambda request: companion.SetMode(request, self.number, mode), keep=("mode", self.number))

    def write(self, level: bool | int) -> None:
        """Make it an output, and high or low."""
        self._orders.order(lambda request: companion.Write(request, self.number, bool(level)))

    def read(self) -> bool:
        """Whether it is high. Waits for the answer."""
        return self._orders.ask(lambda request: companion.Read(request, self.number), companion.LevelAnswer).level

    def pwm(self, duty: float) -> None:
        """Make it an output that is high for a part of the time, 0.0 to 1.0."""
        if not 0.0 <= duty <= 1.0:
            raise ValueError(f"a duty of {duty}: 0.0 (never) to 1.0 (always)")
        self._orders.order(lambda request: companion.SetPwm(request, self.number, round(duty * 255)))

    def servo(self, degrees: float | None) -> None:
        """Turn the servo at this pin, 0 to 180 degrees; None lets go of it."""
        if degrees is None:
            self.pulse(0)
        elif 0.0 <= degrees <= 180.0:
            self.pulse(round(_NARROWEST_US + degrees / 180 * (_WIDEST_US - _NARROWEST_US)))
        else:
            raise ValueError(f"a servo at {degrees} degrees: 0 to 180, or None to let go of it")

    def pulse(self, width_us: int) -> None:
        """As :meth:`servo`, told by the width of its pulse, 500 to 2500 microseconds; 0 lets go of it."""
        self._orders.order(lambda request: companion.SetServo(request, self.number, width_us))


class Analog:
    """An analog input.

    :param orders: of its board.
    :param number: 0 for A0.
    :param reference: volts at which it says 1023.
    """

    def __init__(self, orders: Orders, number: int, reference: float) -> None:
        self._orders = orders
        self._reference = reference
        self.number = number

    def read(self) -> float:
        """Its voltage in volts. Waits for the answer."""
        return self.raw() * self._reference / FULL_SCALE

    def raw(self) -> int:
        """What the converter says, 0 to 1023. Waits for the answer."""
        return self._orders.ask(lambda request: companion.ReadAnalog(request, self.number), companion.AnalogAnswer).raw
