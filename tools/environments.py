"""The virtual environments in which ./dev runs what it runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tools.debian import install_venv
from tools.pythons import find_python, has_venv, version_of
from tools.running import ROOT, Failed, Trouble, run, say

STAMP = "leadscomm-dev.json"
QUIETLY = ("-qq", "--no-input", "--disable-pip-version-check")
GROUPS = ("test", "lint", "docs", "fuzz", "dev")  # [dependency-groups] of pyproject.toml; other names are extras


class Environment:
    """A virtual environment of this project with leadscomm installed in it, straight from its source.

    Its stamp says what is installed and from which pyproject.toml. The stamp says 'unfinished' before anything is
    changed and the rest afterwards: an environment whose set-up was interrupted is made anew.
    """

    def __init__(self, name: str | Path, wanted: str | None = None, contents: str = "") -> None:
        self.path = ROOT / name
        self.wanted = wanted
        self.contents = contents  # what is installed; where it is empty pyproject.toml says it
        self.stamp = self.path / STAMP

    def bin(self, name: str) -> str:
        folder, suffix = ("Scripts", ".exe") if os.name == "nt" else ("bin", "")
        return str(self.path / folder / (name + suffix))

    @property
    def python(self) -> str:
        return self.bin("python")

    def fingerprint(self) -> str:
        project = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("\n[tool.")[0]  # not the tools' part
        contents = self.contents or project
        return hashlib.sha256(f"{self.path}\n{contents}".encode()).hexdigest()

    def has(self) -> set[str] | None:
        """The parts that are installed, or None if there is no environment that works."""
        try:
            state = json.loads(self.stamp.read_text())
        except (OSError, ValueError):
            return None
        usable = state.get("fingerprint") == self.fingerprint() and os.path.exists(self.python)
        return set(state["parts"]) if usable else None

    def mark(self, **state: object) -> None:
        self.stamp.write_text(json.dumps(state) + "\n")

    def ensure(self, *parts: str) -> Environment:
        """Install leadscomm with these extras and groups, if they are not there yet; return self."""
        with one_at_a_time():
            had = self.has()
            if had is None or not had.issuperset(parts):
                every = sorted({*parts, *(had or ())})
                self.set_up(had is None, ", ".join(["leadscomm", *parts]), every, install_commands(every))
        return self

    def set_up(self, anew: bool, what: str, parts: list[str], commands: list[list[str]]) -> None:
        """Run pip with each of these arguments, in an environment made anew or in what is there."""
        fingerprint = self.fingerprint()
        if anew:
            self.make()
        say(f"setting up {self.path.name} ({what})")
        self.mark(unfinished=True)
        for command in commands:
            try:
                run(self.python, "-m", "pip", *QUIETLY, "install", *command)
            except Failed:
                raise Trouble(
                    "pip could not install what is needed (see above); mend that, and run this again"
                ) from None
        self.mark(fingerprint=fingerprint, parts=parts)

    def make(self) -> None:
        """An empty environment; one that ./dev made before goes, somebody else's stays."""
        if self.path.exists() and any(self.path.iterdir()) and not self.stamp.exists():
            raise Trouble(f"{self.path} was not made by ./dev: move it away, and run this again")
        shutil.rmtree(self.path, ignore_errors=True)
        python = find_python(self.wanted)
        if not has_venv(python):
            install_venv(python)
        self.path.mkdir(exist_ok=True)
        self.mark(unfinished=True)
        say(f"making {self.path.name} with Python {version_of(python)} ({python})")
        run(python, "-m", "venv", self.path)


def install_commands(parts: list[str]) -> list[list[str]]:
    """pip's arguments that install leadscomm as it is being edited, with these groups and extras."""
    groups = ["--group=" + part for part in parts if part in GROUPS]
    extras = ",".join(part for part in parts if part not in GROUPS)
    upgrade = [["--upgrade", "pip>=25.1"]] if groups else []  # the first that knows --group
    return [*upgrade, ["--editable", f".[{extras}]" if extras else ".", *groups]]


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two ./dev at once set up one after the other.

    The lock is on this very file. It goes with the process and with what that has started: a pip that outlives its
    ./dev does not meet the next one.
    """
    try:
        import fcntl
    except ImportError:  # Windows: nothing to lock with, and nothing lost but this courtesy
        yield
        return
    with open(__file__, "rb") as this:
        fcntl.flock(this, fcntl.LOCK_EX)
        os.set_inheritable(this.fileno(), True)
        yield
