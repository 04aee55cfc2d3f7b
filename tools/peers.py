"""LEADS itself, both versions, each in an environment of its own: what the interoperability tests talk to.

LEADS is made for Python 3.12. Where there is none, its communication runs on the Python that is here, without the rest
of LEADS (see older_python.py).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tools.environments import Environment, one_at_a_time
from tools.pythons import pythons

VERSIONS = ("0.6.1", "0.9.7")
MADE_FOR = ("3.12", "3.13")
NEEDS = ["pyserial", "crcmod", "typing-extensions"]  # LEADS's serial part, and leadscomm itself where both are measured
OLDER = Path(__file__).with_name("older_python.py")


def set_up_peers() -> None:
    """Make the environments that are not there yet."""
    here = pythons()
    fit = next((version for version in MADE_FOR if version in here), None)
    with one_at_a_time():
        for version in VERSIONS:
            leads = f"leads=={version}"
            if fit:
                peer = Environment(f".venv-leads-{version}", fit, " ".join([leads, *NEEDS]))
                commands = [peer.contents.split()]
            else:
                peer = Environment(f".venv-leads-{version}", None, OLDER.read_text("utf-8") + leads)
                commands = [NEEDS, ["--no-deps", "--ignore-requires-python", leads]]
            if peer.has() is None:
                peer.make()
                if not fit:
                    help_older_python(peer)
                peer.set_up(False, "LEADS", [], commands)


def help_older_python(peer: Environment) -> None:
    """Let every program of this environment import LEADS's communication."""
    pattern = "Lib/site-packages" if os.name == "nt" else "lib/python*/site-packages"
    (site_packages,) = peer.path.glob(pattern)
    shutil.copyfile(OLDER, site_packages / OLDER.name)
    (site_packages / f"{OLDER.stem}.pth").write_text(f"import {OLDER.stem}\n", "utf-8")
