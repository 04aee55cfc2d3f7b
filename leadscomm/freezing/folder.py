"""What PyInstaller asks of an installed package: where its hooks are (entry point ``pyinstaller40``)."""

from __future__ import annotations

import os


def hook_dirs() -> list[str]:
    """The folder of ``hook-leadscomm.py``."""
    return [os.path.dirname(__file__)]
