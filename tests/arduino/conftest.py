"""The programs of host/, built once for all tests of this folder, and the boards that they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.arduino.stepper import Stepper, compile_program
from tests.building import common_folder
from tests.conftest import require

MEND = "apt-get install g++"


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("g++", MEND)
    return common_folder(tmp_path_factory, "programs")


@pytest.fixture(scope="session")
def board_program(programs: Path) -> Path:
    """The board that is turned by hand."""
    return compile_program("stepper", programs)


@pytest.fixture(scope="session")
def codec_program(programs: Path) -> Path:
    return compile_program("codec", programs)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that wants a board gets one of each kind that its module names in BOARDS, if it does."""
    if "board" in metafunc.fixturenames and hasattr(metafunc.module, "BOARDS"):
        metafunc.parametrize("board", metafunc.module.BOARDS, indirect=True)


@pytest.fixture
def board(request: pytest.FixtureRequest, board_program: Path) -> Iterator[Stepper]:
    with Stepper(board_program, request.param) as stepper:
        yield stepper
