"""The Pythons of this machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.running import Trouble, output

OLDEST = (3, 10)
SUPPORTED = ("3.10", "3.11", "3.12", "3.13")


def version_of(python: str) -> str | None:
    """'3.11' for a Python that runs, None for what does not (a pyenv shim may exist and yet run nothing)."""
    return output(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])")


def candidates() -> Iterator[str]:
    """Every place where a Python may be: this one, PATH, pyenv's versions."""
    yield sys.executable
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        for name in ["python3", *("python" + version for version in reversed(SUPPORTED))]:
            path = shutil.which(name, path=folder)
            if path:
                yield path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(str(path) for path in pyenv.glob("versions/3.*/bin/python3"))


def pythons() -> dict[str, str]:
    """{'3.10': path, ...} of the supported versions found; of each the first that has venv, or else the first."""
    found: dict[str, str] = {}
    for path in dict.fromkeys(candidates()):
        version = version_of(path)
        if version in SUPPORTED and (version not in found or (not has_venv(found[version]) and has_venv(path))):
            found[version] = path
    return dict(sorted(found.items(), key=lambda item: SUPPORTED.index(item[0])))


def has_venv(python: str) -> bool:
    return output(python, "-c", "import ensurepip, venv") is not None


def find_python(wanted: str | None) -> str:
    """A Python >= 3.10 that can make environments; `wanted` is None, a version such as '3.12', or a path."""
    if wanted is None and sys.version_info >= OLDEST and has_venv(sys.executable):
        return sys.executable
    if wanted is not None and os.sep in wanted:
        if version_of(wanted) is None:
            raise Trouble(wanted + " is not a Python that runs")
        return wanted
    found = pythons()
    if wanted is not None:
        if wanted not in found:
            raise Trouble("no Python {} found; here are: {}".format(wanted, ", ".join(found) or "none"))
        return found[wanted]
    if not found:
        raise Trouble(
            "leadscomm needs Python 3.10 or later, and this is {}.{}; install one (Debian 12 or later: "
            "apt-get install python3; elsewhere for example: pyenv install 3.12) and run this "
            "again".format(*sys.version_info[:2])
        )
    ready = [path for path in found.values() if has_venv(path)]
    return ready[-1] if ready else next(iter(found.values()))
