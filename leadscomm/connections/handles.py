"""Descriptors that a forked child has of its parent."""

from __future__ import annotations

import contextlib
import os


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
