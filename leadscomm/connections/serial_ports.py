"""The serial ports of this machine, found and described without opening them: opening resets many boards."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from leadscomm.connections.holders import Holder, holders

FREE: Final = "free"
IN_USE: Final = "in use"
NO_PERMISSION: Final = "no permission"
UNKNOWN: Final = "unknown"
"""This system does not tell who uses a port, short of opening it."""


@dataclass(frozen=True)
class SerialPort:
    """One serial port.

    :ivar device: what to open: ``/dev/ttyACM0``, ``COM3``.
    :ivar description: in words; "" if the system has none.
    :ivar manufacturer: of the USB device, as ``product``, ``serial_number``, ``vid``, ``pid`` and ``location`` are; ""
        or None if it is none, or does not tell.
    :ivar state: :data:`FREE`, :data:`IN_USE`, :data:`NO_PERMISSION` or :data:`UNKNOWN`.
    :ivar users: the programs that have it open, as far as the system tells.
    """

    device: str
    description: str
    manufacturer: str
    product: str
    serial_number: str
    vid: int | None
    pid: int | None
    location: str
    state: str
    users: tuple[Holder, ...]

    @property
    def usb_id(self) -> str:
        """``2341:0043``; "" if it is no USB device."""
        return "" if self.vid is None else f"{self.vid:04x}:{self.pid or 0:04x}"


def serial_ports() -> list[SerialPort]:
    """Every serial port of this machine, by name."""
    list_ports = import_module("serial.tools.list_ports")
    return [_described(found) for found in sorted(list_ports.comports()) if not _phantom(found.device)]


def _described(found: Any) -> SerialPort:
    state, users = state_of(found.device)
    return SerialPort(
        device=found.device,
        description=_word(found.description),
        manufacturer=_word(found.manufacturer),
        product=_word(found.product),
        serial_number=_word(found.serial_number),
        vid=found.vid,
        pid=found.pid,
        location=_word(found.location),
        state=state,
        users=users,
    )


def state_of(device: str) -> tuple[str, tuple[Holder, ...]]:
    """Whether a device can be opened, as far as that can be told without opening it, and who has it open."""
    if os.name != "posix":
        return UNKNOWN, ()
    users = tuple(holders(device))
    if users:
        return IN_USE, users
    if not os.access(device, os.R_OK | os.W_OK):
        return NO_PERMISSION, ()
    return (FREE if sys.platform == "linux" else UNKNOWN), ()


def permission_mend(device: str) -> str:
    """What lets this user open ``device``, in words."""
    if sys.platform == "win32":
        return "close the program that uses it"
    import grp
    import pwd

    try:
        found = os.stat(device)
    except OSError:
        return "check that the device is still there"
    user = str(os.getuid())
    with contextlib.suppress(KeyError):
        user = pwd.getpwuid(os.getuid()).pw_name
    group = ""
    with contextlib.suppress(KeyError):
        group = grp.getgrgid(found.st_gid).gr_name
    if not found.st_mode & stat.S_IWGRP or group in ("", "root"):
        return f"run `sudo chmod a+rw {device}`, which lasts until it is plugged in again, or add a udev rule"
    with contextlib.suppress(KeyError):
        if user in grp.getgrnam(group).gr_mem:
            return f"{user} is in the group {group} already: log out and in again, so that it counts"
    return f"run `sudo usermod -aG {group} {user}`, then log out and in again"


def _phantom(device: str) -> bool:
    """Whether it is one of a PC's serial ports that are only a name: Linux lists 32 of them, hardware or not."""
    try:
        with open(f"/sys/class/tty/{os.path.basename(device)}/type", encoding="ascii") as file:
            return os.path.basename(device).startswith("ttyS") and file.read().strip() == "0"
    except OSError:
        return False


def _word(text: Any) -> str:
    return "" if text in (None, "n/a") else " ".join(str(text).split())
