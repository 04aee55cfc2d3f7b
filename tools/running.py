"""What all of ./dev's own commands use: how they speak, fail, and run others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


class Trouble(Exception):
    """What went wrong, with its mend; printed without a traceback."""


class Failed(Exception):
    """A command that has already said what went wrong ended with this exit code."""


def say(text: str) -> None:
    print("dev: " + text, file=sys.stderr, flush=True)


def run(*command: object, **options: Any) -> None:
    """Run a command in the project's folder; its failure is ours."""
    options.setdefault("cwd", ROOT)
    code = subprocess.run([str(part) for part in command], close_fds=False, **options).returncode  # with the lock's
    if code:
        raise Failed(code if code > 0 else 128 - code)


def output(*command: str) -> str | None:
    """What a command prints, or None if it fails or cannot be run."""
    try:
        done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None
