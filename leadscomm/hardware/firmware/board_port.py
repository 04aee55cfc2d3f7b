"""On which serial port the board is that is to be programmed; nothing is opened, since that resets boards."""

from __future__ import annotations

import os
import stat
import time
from typing import Final

import serial

from leadscomm.connections.serial.port_state import IN_USE, NO_PERMISSION, permission_mend, state_of
from leadscomm.connections.serial.ports import NAMED_PORTS, Port, available_ports, listed
from leadscomm.errors import ConnectFailed
from leadscomm.hardware.firmware.models import MODELS, Model

TOUCH_BAUD: Final = 1200
"""Whose processor is on USB itself starts its bootloader when its port was opened and closed at this rate."""
_LOOK_S: Final = 0.05


def find_port(wanted: Model | None = None) -> Port:
    """The port with a board: the only one with an Arduino, or else the only one on USB.

    :param wanted: where several Arduinos are plugged in, one of this kind is meant.
    :raises ConnectFailed: there is none, or one cannot tell which; the text names those that there are.
    """
    ports = [port for port in available_ports() if _may_have_board(port)]
    known = [port for port in ports if model_at(port)]
    fitting = [port for port in known if wanted in (None, model_at(port))]
    for choice in (fitting, known, ports):
        if len(choice) == 1:
            return choice[0]
    if ports:
        raise ConnectFailed(f"several boards may be meant; say which by --port: {', '.join(map(str, ports))}")
    raise ConnectFailed(
        f"no board found; is it plugged in, with a cable that carries data? The ports that there are: {listed()}"
    )


def port_named(device: str) -> Port:
    """The port of this name, with what is known of it."""
    real = os.path.realpath(device)
    return next((port for port in available_ports() if port.device in (device, real)), Port(device))


def model_at(port: Port) -> Model | None:
    """The kind of board that is plugged in there, as far as its USB numbers tell."""
    return next((model for model in MODELS.values() if (port.vid, port.pid) in model.usb), None)


def check_free(device: str) -> None:
    """
    :raises ConnectFailed: the port is not there, or may not be opened, or another program has it: its name is told.
    """
    if os.name == "posix":
        try:
            kind = os.stat(device).st_mode
        except OSError:
            raise ConnectFailed(f"there is no port {device}; is the board plugged in? There are: {listed()}") from None
        if not stat.S_ISCHR(kind):
            raise ConnectFailed(f"{device} is no serial port; there are: {listed()}")
    state, users = state_of(device)
    if state == IN_USE:
        raise ConnectFailed(f"{device} is in use by {', '.join(map(str, users))}; close it there")
    if state == NO_PERMISSION:
        raise ConnectFailed(f"no permission to open {device}; {permission_mend(device)}")


def start_bootloader(device: str, patience: float) -> str:
    """Make a board with its processor on USB start its bootloader, and return the port that it has then.

    :param patience: seconds that this may take.
    :raises ConnectFailed: the port cannot be opened, or no bootloader appears.
    """
    deadline = time.monotonic() + patience
    before = {port.device for port in available_ports()}
    try:
        serial.Serial(device, TOUCH_BAUD).close()
    except (OSError, ValueError) as error:
        raise ConnectFailed(f"{device} cannot be opened: {error}") from None
    while time.monotonic() < deadline:
        now = {port.device for port in available_ports()}
        if fresh := now - before:
            return min(fresh)
        before &= now  # it goes away, and may come back under the same name
        time.sleep(_LOOK_S)
    raise ConnectFailed(f"no bootloader appeared after {device} was asked for it; press the reset button twice")


def wait_for_port(device: str, patience: float) -> None:
    """Wait until a port is there (again), or for as long as ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while device not in {port.device for port in available_ports()} and time.monotonic() < deadline:
        time.sleep(_LOOK_S)


def _may_have_board(port: Port) -> bool:
    """Whether it is on USB, or one that the user has named (``LEADSCOMM_PORTS``)."""
    return port.vid is not None or port.device in os.environ.get(NAMED_PORTS, "").split(os.pathsep)
