"""Lets LEADS's communication be imported without the rest of LEADS. Copied into the environment of a LEADS peer.

``leads/__init__.py`` imports all of LEADS, with pandas, and parts that are written in the syntax of Python 3.12.
``leads.comm`` and ``leads_comm_serial`` need none of that: only two names of ``typing``, which younger Pythons have.
"""

import sys
import typing
from pathlib import Path
from types import ModuleType


def let_it_stand_alone() -> None:
    try:
        import typing_extensions
    except ImportError:  # this environment is still being set up
        return
    for name in ("Self", "override"):
        if not hasattr(typing, name):
            setattr(typing, name, getattr(typing_extensions, name))
    package = ModuleType("leads")
    package.__path__ = [str(Path(__file__).with_name("leads"))]
    sys.modules["leads"] = package


let_it_stand_alone()
