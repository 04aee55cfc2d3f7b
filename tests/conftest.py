"""What every test gets: nothing may be left behind, and a missing tool is said, or under CI refused."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from leadscomm.errors import MissingTool
from leadscomm.testing.program import board_program
from tests.leaks import Snapshot, left_since

ROOT = Path(__file__).resolve().parent.parent
UNDER_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")

# How long an example takes says how busy the machine is, and nothing of what is tested. Each run tries the same
# examples: new ones are what ./dev fuzz is for.
settings.register_profile(
    "leadscomm",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("leadscomm")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # run in the background of a shell, which the programs inherit
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread, a file descriptor or a child process."""
    before = Snapshot()
    yield
    left = left_since(before)
    if left:
        pytest.fail("left behind:\n  " + "\n  ".join(left), pytrace=False)


def missing(tool: str, mend: str) -> NoReturn:
    """Skip this test because `tool` is not here, saying what mends it; where CI=true, fail: there it has to be here."""
    reason = f"needs {tool}: {mend}"
    if UNDER_CI:
        pytest.fail(f"{reason} (CI=true: a missing tool is a failure)", pytrace=False)
    pytest.skip(reason)


def find_tool(tool: str) -> bool:
    """A program on PATH, or a Python module written as 'python:name'."""
    if tool.startswith("python:"):
        return importlib.util.find_spec(tool.partition(":")[2]) is not None
    return shutil.which(tool) is not None


def require(tool: str, mend: str = "", found: bool | None = None) -> None:
    """Go on if `tool` is here (or if `found` says so)."""
    if not (find_tool(tool) if found is None else found):
        missing(tool, mend or f"install {tool.removeprefix('python:')}")


@pytest.fixture(scope="session")
def require_tool() -> Callable[..., None]:
    """`require_tool("socat", "apt-get install socat")`; the marker `needs` with the same arguments does the same."""
    return require


@pytest.fixture(scope="session")
def board_tools() -> None:
    """A compiler for boards, and an emulator to run its firmware on."""
    require("avr-gcc", "apt-get install --no-install-recommends gcc-avr avr-libc arduino-core-avr")
    try:
        board_program()
    except MissingTool as error:
        missing("libsimavr", str(error))


@pytest.fixture(scope="session")
def leads_python() -> Callable[[str], str]:
    """`leads_python("0.6.1")` is a Python that has this version of LEADS; ./dev peers makes it."""

    def find(version: str) -> str:
        python = ROOT / f".venv-leads-{version}" / "bin" / "python"
        require(f"LEADS {version}", "run ./dev peers", found=python.exists())
        return str(python)

    return find


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long ones go, unless they are asked for."""
    if os.environ.get("LEADSCOMM_LONG"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        require(*marker.args, **marker.kwargs)
