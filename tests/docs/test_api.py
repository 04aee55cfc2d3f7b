"""The Python reference in docs/api/ has every public name, and no other."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

PAGES = Path(__file__).resolve().parents[2].joinpath("docs", "api")
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in sorted(PAGES.glob("*.md")))
MODULES = ("leadscomm", "leadscomm.protocol", "leadscomm.hardware", "leadscomm.testing")
SHOWN = re.findall(r"^::: ([\w.]+)\.(\w+)$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_in_the_reference(module: str) -> None:
    shown = {name for where, name in SHOWN if where in ("leadscomm", module)} | set(re.findall(r"`(\w+)`", TEXT))
    assert set(importlib.import_module(module).__all__) - {"__version__"} <= shown


def test_what_the_reference_shows_is_public() -> None:
    assert {where for where, _ in SHOWN} == set(MODULES)
    assert [name for where, name in SHOWN if name not in importlib.import_module(where).__all__] == []
