"""What a shell is offered where argcomplete is set up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import PATIENCE_S, ROOT


@pytest.mark.needs("python:argcomplete", "pip install argcomplete")
@pytest.mark.skipif(sys.platform == "win32", reason="the shells of Windows complete in another way")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("leadscomm ser", {"serve", "servo"}),
        ("leadscomm connect tc", {"tcp://"}),
        ("leadscomm connect --rec", {"--reconnect"}),
    ],
)
def test_commands_options_and_endpoints(line: str, offered: set[str], tmp_path: Path) -> None:
    told = tmp_path / "offered"
    environment = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(told),
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    subprocess.run([sys.executable, "-m", "leadscomm"], env=environment, cwd=ROOT, timeout=PATIENCE_S)
    assert {text.strip() for text in told.read_text().split("\n")} == offered
