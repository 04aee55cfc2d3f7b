"""LEADS 0.6.1 in a virtual environment of its own: it needs Python 3.12, and numpy, which nothing else here does."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SETUP_COMMAND = "python -m benchmarks --setup-leads"
VERSION = "0.6.1"
NEEDS = ("typing-extensions>=4.6", "pyserial>=3.5", "crcmod>=1.7")
"""What leadscomm itself needs: the measuring process is leadscomm's on both sides."""

HOME = Path(__file__).resolve().parent.parent / f".venv-leads-{VERSION}"
"""The place where `./dev peers` puts it as well."""


def leads_python() -> str | None:
    """The environment's Python, or None where it has not been made."""
    python = HOME / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    return str(python) if python.exists() else None


def _candidates() -> Iterator[str]:
    yield sys.executable
    if found := shutil.which("python3.12"):
        yield found
    for version in sorted((Path.home() / ".pyenv" / "versions").glob("3.12.*"), reverse=True):
        yield str(version / "bin" / "python")


def find_python_312() -> str | None:
    """A Python 3.12 on this machine: this one, one on the path, or one of pyenv's."""
    for python in _candidates():
        try:
            told = subprocess.run(
                [python, "-c", "import sys; print(sys.version_info[:2] == (3, 12))"], capture_output=True, text=True
            )
        except OSError:
            continue
        if told.stdout.strip() == "True":
            return python
    return None


def set_up() -> int:
    """Makes the environment; returns the process's exit code."""
    python = find_python_312()
    if python is None:
        print("LEADS 0.6.1 needs Python 3.12, and none was found: install one and run this again", file=sys.stderr)
        return 1
    subprocess.run([python, "-m", "venv", "--clear", str(HOME)], check=True)
    installed = leads_python()
    assert installed is not None
    subprocess.run([installed, "-m", "pip", "install", "--quiet", f"leads=={VERSION}", *NEEDS], check=True)
    print(f"LEADS {VERSION} is ready in {HOME.name}", file=sys.stderr)
    return 0
