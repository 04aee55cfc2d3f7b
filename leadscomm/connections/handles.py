"""Descriptors: waited for, and left to the parent by a forked child."""

from __future__ import annotations

import contextlib
import os
import select
import sys


def lead_nowhere(fd: int | None) -> None:
    """Let go of what a descriptor leads to, and keep its number taken: it leads to ``os.devnull`` from now on.

    In a forked child this ends nothing, as closing does not either where the parent has the same descriptor; but
    whatever is done with the number later reaches nobody.
    """
    if fd is None or fd < 0:
        return
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
        try:
            os.dup2(nowhere, fd, inheritable=False)
        finally:
            os.close(nowhere)


def wait_for(fd: int | None, timeout: float | None, *, writable: bool = False) -> bool:
    """Wait until ``fd`` can be read (or written), at most ``timeout`` seconds; whether it can.

    :raises OSError: the handle is closed, or is none that can be waited for.
    """
    if fd is None or fd < 0:
        raise OSError("the connection is closed, or its transport cannot be waited for")
    if sys.platform == "win32":
        sets: tuple[list[int], list[int]] = ([], [fd]) if writable else ([fd], [])
        return any(select.select(*sets, [], timeout))
    poller = select.poll()
    poller.register(fd, select.POLLOUT if writable else select.POLLIN)
    return bool(poller.poll(None if timeout is None else timeout * 1000))
