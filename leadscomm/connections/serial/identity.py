"""LEADS's way of finding a board: a port is tried, and the board on it asked who it is."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from leadscomm.connections.serial import ports
from leadscomm.connections.serial.connection import SerialConnection
from leadscomm.errors import CommTimeout, ConnectFailed

if TYPE_CHECKING:
    from serial import Serial

_MOST_PORTS: Final = 64
BUSY_S: Final = 5.0
"""How long ports that somebody has open are looked at again."""
_PAUSE_S: Final = 0.05
_QUESTIONS: Final = 3
"""How often a board that says nothing is asked: opening a port resets most of them."""


class AutoIdentity(ABC):
    """Finds the port of a board that answers :meth:`check_identity` rightly.

    A port that another program, or another part of this one, has open is left alone.

    :param retry: try the other ports when one is not it.
    :param remainder: for the connection.
    :param separator: for the connection.
    """

    def __init__(self, retry: bool = False, remainder: bytes = b"", separator: bytes = b";") -> None:
        self._retry = retry
        self._remainder = remainder
        self._separator = separator
        self._tried_ports: list[str] = []

    def meta(self) -> tuple[bool, bytes, bytes]:
        """``retry``, ``remainder`` and ``separator``."""
        return self._retry, self._remainder, self._separator

    def suggest_next_port(self, tried_port: str | None = None) -> str | None:
        """A port that was not tried since the last :meth:`establish_connection`; None if there is none.

        :param tried_port: one to leave out from now on.
        """
        if tried_port:
            self._tried_ports.append(tried_port)
        for port in ports.available_ports():
            if port.device not in self._tried_ports:
                return port.device
        return None

    @abstractmethod
    def check_identity(self, connection: SerialConnection) -> bool:
        """Ask the board who it is; whether it is the right one. ``connection.receive()`` raises ``CommTimeout`` after a
        second, which may be let through."""

    def establish_connection(self, serial: Serial) -> SerialConnection:
        """Open ``serial.port``, or with ``retry`` one port after the other, until the board is the right one.

        :param serial: set up; where it has no port one is suggested.
        :return: open, and trusted.
        :raises ConnectFailed: there is none; the text says of each port what was seen.
        """
        refusals: dict[str, str] = {}
        busy: list[str] = []
        try:
            if not serial.port:
                serial.port = self.suggest_next_port()
            while serial.port and len(refusals) < _MOST_PORTS:
                port = str(serial.port)
                try:
                    return self._try(serial)
                except (OSError, ValueError) as error:
                    refusals[port] = str(error)
                    if isinstance(error, ports.PortBusy):
                        busy.append(port)
                if not self._retry:
                    break
                serial.port = self.suggest_next_port(port)
            found = self._try_again(serial, busy, refusals) if self._retry else None
            if found is not None:
                return found
        finally:
            self._tried_ports.clear()
        why = "; ".join(f"{port}: {refusal}" for port, refusal in refusals.items())
        raise ConnectFailed(
            f"unable to establish the connection: {why or f'no serial port is there but: {ports.listed()}'}"
        )

    def _try_again(self, serial: Serial, busy: list[str], refusals: dict[str, str]) -> SerialConnection | None:
        """Look again at ports that somebody had open: perhaps another who looks for his board, and lets go of ours."""
        give_up = time.monotonic() + BUSY_S
        while busy and time.monotonic() < give_up:
            time.sleep(_PAUSE_S)
            for port in tuple(busy):
                serial.port = port
                try:
                    return self._try(serial)
                except ports.PortBusy:
                    continue
                except (OSError, ValueError) as error:
                    refusals[port] = str(error)
                    busy.remove(port)
        return None

    def _try(self, serial: Serial) -> SerialConnection:
        if serial.is_open:
            serial.close()
        if getattr(serial, "exclusive", True) is None:
            serial.exclusive = True  # two boards looked for at once must not read each other's answers
        ports.opened(serial)
        connection = SerialConnection(serial, self._remainder, self._separator).suspect()
        accepted = False
        try:
            accepted = self._recognized(connection)
        finally:
            if not accepted:
                connection.abort()
                connection._close()
        if not accepted:
            raise ConnectFailed("another board, or none, is there (unexpected identity)")
        return connection.trust()

    def _recognized(self, connection: SerialConnection) -> bool:
        for left in reversed(range(_QUESTIONS)):
            try:
                return bool(self.check_identity(connection))
            except CommTimeout:
                if not left:
                    raise ConnectFailed("nothing answered") from None
        raise AssertionError("the loop returns or raises")
