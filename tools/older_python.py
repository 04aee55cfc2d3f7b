"""Lets a Python before 3.12 import LEADS's communication. Copied into the environment of a LEADS peer, run at start.

``leads/__init__.py`` imports all of LEADS, parts of which are written in the syntax of 3.12. ``leads.comm`` and
``leads_comm_serial`` are not: they want two names of ``typing``, and run as they are.
"""

import sys
import typing
from pathlib import Path
from types import ModuleType


def make_up_for_age() -> None:
    try:
        import typing_extensions
    except ImportError:  # this environment is being set up
        return
    for name in ("Self", "override"):
        if not hasattr(typing, name):
            setattr(typing, name, getattr(typing_extensions, name))
    package = ModuleType("leads")
    package.__path__ = [str(Path(__file__).with_name("leads"))]
    sys.modules["leads"] = package


make_up_for_age()
