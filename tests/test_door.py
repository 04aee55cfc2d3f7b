"""The package's door: every name is there, and what nobody has asked for is not loaded."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import leadscomm


def loaded_by(statement: str) -> set[str]:
    """The modules that a statement loads in a fresh interpreter."""
    program = f"import sys\n{statement}\nprint(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    )


def test_what_type_checkers_are_told_is_what_is_there() -> None:
    tree = ast.parse(Path(leadscomm.__file__).read_text(encoding="utf-8"))
    told = {
        alias.asname or alias.name: getattr(import_module(str(node.module)), alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module not in ("typing", "leadscomm.homes")
        for alias in node.names
    }
    assert told == {name: getattr(leadscomm, name) for name in leadscomm.__all__}


def test_what_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'leadscomm' has no attribute 'Srever'"):
        leadscomm.Srever  # noqa: B018
    with pytest.raises(ImportError, match="Srever"):
        exec("from leadscomm import Srever")


def test_modules_are_reachable_by_a_bare_import() -> None:
    program = "import leadscomm; print(leadscomm.errors.CommError, leadscomm.protocol.make_framing, leadscomm.log.L)"
    assert subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout


def test_all_names_are_listed() -> None:
    assert set(leadscomm.__all__) <= set(dir(leadscomm))
    names: dict[str, object] = {}
    exec("from leadscomm import *", names)
    assert set(leadscomm.__all__) <= set(names)


def test_importing_the_package_loads_none_of_it() -> None:
    ours = {name for name in loaded_by("import leadscomm") if name.startswith("leadscomm")}
    assert ours == {"leadscomm", "leadscomm.version"}
    assert "leadscomm.errors" in (small := loaded_by("from leadscomm import CommError"))
    assert not any(name.startswith("leadscomm.connections") for name in small)
