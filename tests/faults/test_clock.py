"""The time of day is nothing that the toolkit goes by: whoever sets the clock changes nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import TRANSPORTS, Lay
from tests.faults.rigs import RIGS
from tests.faults.test_cuts import goes_on

PACKAGE = Path(__file__).resolve().parents[2] / "leadscomm"
SHOWN = {
    "log.py",  # when it happened, for whoever reads it
    "cli/log.py",  # when a message came, likewise: it stands beside each, and decides nothing
    "cli/diagnosis/sockets.py",  # how long a certificate is still valid
}
"""Where the time of day is shown, or compared with dates."""
TIMES_OF_DAY = {"time", "time_ns", "localtime", "gmtime", "ctime", "now", "utcnow", "today"}


def looks(path: Path) -> Iterator[int]:
    """The lines that ask for the time of day."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        imported = isinstance(node, ast.ImportFrom) and node.module == "time" and {each.name for each in node.names}
        named = isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in ("time", "datetime", "date")
        if (imported and imported & TIMES_OF_DAY) or (named and node.attr in TIMES_OF_DAY):
            yield node.lineno


def test_no_timer_goes_by_the_time_of_day() -> None:
    found = {
        f"{name}:{line}"
        for path in PACKAGE.rglob("*.py")
        if (name := path.relative_to(PACKAGE).as_posix()) not in SHOWN
        for line in looks(path)
    }
    assert found == set()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_clock_jumps(lay: Lay, transport: str) -> None:
    """By an hour, back and forth, while connections are cut."""
    rig = lay(RIGS[transport], arguments=("--clock-jumps",))
    for _ in range(3):
        rig.client.send(300)
        rig.server.send(300)
        rig.cut()
        rig.settle()
    goes_on(rig)
