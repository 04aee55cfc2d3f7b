"""Whether a serial port can be opened, found out without opening it: that resets many boards."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from typing import Final

from leadscomm.holders import Holder, holders

FREE: Final = "free"
IN_USE: Final = "in use"
NO_PERMISSION: Final = "no permission"
UNKNOWN: Final = "unknown"
"""This system does not tell who uses a port, short of opening it."""


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


def is_fitted(device: str) -> bool:
    """False for those of a PC's serial ports that are only a name: Linux lists 32 of them, hardware or not."""
    try:
        with open(f"/sys/class/tty/{os.path.basename(device)}/type", encoding="ascii") as file:
            return file.read().strip() != "0" or not os.path.basename(device).startswith("ttyS")
    except OSError:
        return True
