"""The machine and the versions that a table was measured with: no dates, no names, nothing that identifies anybody."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .leads_setup import VERSION as LEADS_VERSION
from .leads_setup import leads_python


def processor() -> str:
    """The processor's model, as the system names it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores() -> int:
    """The cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def library_versions(distributions: list[str]) -> list[str]:
    """``name version`` for each one that is installed."""
    said = []
    for name in distributions:
        try:
            said.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            pass
    return said


def _leads_version() -> list[str]:
    python = leads_python()
    if python is None:
        return []
    told = subprocess.run(
        [python, "-c", "import platform; print(platform.python_version())"], capture_output=True, text=True
    )
    return [f"LEADS {LEADS_VERSION} (on Python {told.stdout.strip()})"]


def facts(distributions: list[str]) -> list[str]:
    """Lines for the table's foot."""
    return [
        f"{processor()}, {cores()} cores, {platform.system()}, {platform.python_implementation()} "
        f"{platform.python_version()}",
        ", ".join([*library_versions(distributions), *_leads_version()]),
    ]
