"""The sketch and the tests of it that docs/virtual-board.md shows, run as their reader would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import read_page

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_documented_tests_of_a_sketch_pass(tmp_path: Path) -> None:
    blocks = list(read_page(ROOT / "docs" / "virtual-board.md", "docs/virtual-board.md"))
    (sketch,) = (block.code for block in blocks if block.language == "ino")
    (tests,) = (block.code for block in blocks if block.language == "python" and "import pytest" in block.code)
    (tmp_path / "Thermometer").mkdir()
    (tmp_path / "Thermometer" / "Thermometer.ino").write_text(sketch)
    (tmp_path / "test_thermometer.py").write_text(tests)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_thermometer.py"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout
