"""What the tests of the virtual board share."""

from __future__ import annotations

import pytest

from tests.building import common_folder
from tests.testing.firmware import Firmware


@pytest.fixture(scope="session", autouse=True)
def firmware(tmp_path_factory: pytest.TempPathFactory, board_tools: None) -> Firmware:
    """All of them are skipped where there is no emulator, or no compiler for its firmware."""
    return Firmware(common_folder(tmp_path_factory, "firmware"))
