"""Damaged frames, given to the C++ codec and to Python's: the comparison that the tests make, as a figure."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.arduino.compare import run


def undetected(count: int) -> int:
    """Of ``count`` frames with one or two wrong bits, a byte too few or one twice: how many were delivered as something
    that nobody sent. Both codecs take the same, or this fails."""
    with TemporaryDirectory(prefix="leadscomm-bench-") as folder:
        return int(run(Path(folder), count)["wrong"])
