"""What the tests with real firmware share."""

from __future__ import annotations

import pytest

from tests.hardware.sketches import Sketches


@pytest.fixture(scope="session")
def sketches(tmp_path_factory: pytest.TempPathFactory, board_tools: None) -> Sketches:
    """Firmware, and an emulator to run it on; skips where there is none."""
    return Sketches(tmp_path_factory.mktemp("sketches"))
