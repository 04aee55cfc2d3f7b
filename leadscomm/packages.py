"""The packages of others that leadscomm needs, and what to say where one is missing or another one bears its name.

A package called ``serial``, or a file ``serial.py`` beside the program, is found in the place of pyserial; likewise for
the others. So they are imported here, and nowhere else.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType

from leadscomm.errors import MissingExtra

__all__ = ["Self", "crcmod", "dataclass_transform", "pyserial"]


def _not_found(name: str, package: str, error: Exception | None = None) -> MissingExtra:
    if isinstance(error, ModuleNotFoundError) and error.name == name:
        return MissingExtra(f"{package} is missing: run `python -m pip install {package}`")
    mend = f"run `python -m pip install --force-reinstall {package}`"
    if name != package.replace("-", "_"):
        mend = f"run `python -m pip uninstall {name}`, and then `python -m pip install --force-reinstall {package}`"
    why = f" ({error})" if error is not None else ""
    return MissingExtra(
        f"`import {name}` finds {_place(name)}, and that is not {package}{why}: if it is a file of yours, give it "
        f"another name; otherwise {mend}"
    )


def _place(name: str) -> str:
    try:
        found = find_spec(name)
    except (ImportError, ValueError):  # it is half imported, or says nothing of itself
        found = None
    if found is not None and (found.origin or found.submodule_search_locations):
        return found.origin or ", ".join(found.submodule_search_locations or ())
    return getattr(sys.modules.get(name), "__file__", None) or "another package"


try:
    from typing_extensions import Self, dataclass_transform
except Exception as _error:
    raise _not_found("typing_extensions", "typing-extensions", _error) from _error
try:
    import crcmod.predefined  # type: ignore[import-untyped]
except Exception as _error:
    raise _not_found("crcmod", "crcmod", _error) from _error


def pyserial() -> ModuleType:
    """The module ``serial`` of pyserial, imported at its first use.

    :raises MissingExtra: it is missing, or something else has its name.
    """
    try:
        import serial
    except Exception as error:  # whatever another package of that name raises
        raise _not_found("serial", "pyserial", error) from error
    if not hasattr(serial, "serial_for_url"):
        raise _not_found("serial", "pyserial")
    return serial
