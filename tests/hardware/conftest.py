"""What the tests with real firmware share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from leadscomm.errors import MissingTool
from leadscomm.testing.program import board_program
from tests.hardware.sketches import Sketches


@pytest.fixture(scope="session")
def sketches(tmp_path_factory: pytest.TempPathFactory, require_tool: Callable[..., None]) -> Sketches:
    """Firmware, and an emulator to run it on; skips where there is none."""
    require_tool("avr-gcc", "apt-get install --no-install-recommends gcc-avr avr-libc arduino-core-avr")
    try:
        board_program()
        missing = ""
    except MissingTool as error:
        missing = str(error)
    require_tool("libsimavr", missing, found=not missing)
    return Sketches(tmp_path_factory.mktemp("sketches"))
