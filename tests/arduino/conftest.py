"""The programs of host/, built once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.arduino.stepper import compile_program
from tests.conftest import require

MEND = "apt-get install g++"


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("g++", MEND)
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(scope="session")
def board_program(programs: Path) -> Path:
    """The board that is turned by hand."""
    return compile_program("stepper", programs)


@pytest.fixture(scope="session")
def codec_program(programs: Path) -> Path:
    return compile_program("codec", programs)
