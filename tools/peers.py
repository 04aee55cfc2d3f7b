"""LEADS itself, both versions, each in an environment of its own: what the interoperability tests talk to.

LEADS as a whole wants Python 3.12, numpy and pandas. Its communication does not; it alone is run here, unchanged, on
whatever Python there is: ``leads_alone.py`` tells how.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tools.environments import Environment, one_at_a_time

VERSIONS = ("0.6.1", "0.9.7")
NEEDS = ["pyserial", "crcmod", "typing-extensions"]  # LEADS's serial part, and leadscomm itself where both are measured
ALONE = Path(__file__).with_name("leads_alone.py")


def set_up_peers() -> None:
    """Make the environments that are not there yet."""
    with one_at_a_time():
        for version in VERSIONS:
            leads = f"leads=={version}"
            peer = Environment(f".venv-leads-{version}", contents=ALONE.read_text("utf-8") + leads)
            if peer.has() is None:
                peer.make()
                place_alone(peer)
                peer.set_up(False, "LEADS", [], [NEEDS, ["--no-deps", "--ignore-requires-python", leads]])


def place_alone(peer: Environment) -> None:
    """Have each Python that starts in this environment run it."""
    pattern = "Lib/site-packages" if os.name == "nt" else "lib/python*/site-packages"
    (site_packages,) = peer.path.glob(pattern)
    shutil.copyfile(ALONE, site_packages / ALONE.name)
    (site_packages / f"{ALONE.stem}.pth").write_text(f"import {ALONE.stem}\n", "utf-8")
