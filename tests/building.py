"""What several tests need is built once for a whole run of the tests, however many processes it has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def common_folder(factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder that all processes of this run share."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def one_at_a_time(place: Path) -> Iterator[None]:
    """Whoever looks whether `place` is built, and builds it, is the only one meanwhile."""
    import fcntl  # nothing is compiled on Windows

    with open(f"{place}.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
