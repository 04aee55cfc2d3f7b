"""What the tests of the virtual board share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from leadscomm.errors import MissingTool
from leadscomm.testing.program import board_program
from tests.testing.firmware import Firmware


@pytest.fixture(scope="session", autouse=True)
def tools(require_tool: Callable[..., None]) -> None:
    """Skip where there is no emulator, or no compiler for its firmware."""
    require_tool("avr-gcc", "apt-get install gcc-avr avr-libc")
    try:
        board_program()
        missing = ""
    except MissingTool as error:
        missing = str(error)
    require_tool("libsimavr", missing, found=not missing)


@pytest.fixture(scope="session")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    return Firmware(tmp_path_factory.mktemp("firmware"))
