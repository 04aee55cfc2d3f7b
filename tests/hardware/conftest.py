"""What the tests with real firmware share."""

from __future__ import annotations

import pytest

from tests.building import common_folder
from tests.hardware.firmware.sketches import Sketches


@pytest.fixture(scope="session")
def sketches(tmp_path_factory: pytest.TempPathFactory, board_tools: None) -> Sketches:
    """Firmware, and an emulator to run it on; skips where there is none."""
    return Sketches(common_folder(tmp_path_factory, "sketches"))
