"""Random frames through the Arduino core's own Serial: a bare echo sketch gives back every byte."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import serial

from leadscomm.errors import MissingTool
from leadscomm.hardware.toolchain import build
from leadscomm.testing import VirtualBoard
from tests.building import common_folder, one_at_a_time
from tests.testing.hosts import count, opened

SKETCH = """
void setup() { Serial.begin(BAUD); }
void loop() { while (Serial.available()) Serial.write(Serial.read()); }
"""
FRAMES = 10_000
UNDER_WAY = 60  # bytes; the core's ring holds 63


@pytest.fixture(scope="module")
def sketch(tmp_path_factory: pytest.TempPathFactory, require_tool: Callable[..., None]) -> Callable[[int], Path]:
    def compiled(baud: int) -> Path:
        folder = common_folder(tmp_path_factory, f"Bare{baud}")
        file, elf = folder / f"{folder.name}.ino", folder / "build" / f"{folder.name}.elf"
        try:
            with one_at_a_time(folder):
                if not elf.with_suffix(".hex").exists():  # which is made last
                    file.write_text(SKETCH.replace("BAUD", str(baud)))
                    build(file, board="uno", build_folder=elf.parent)
            return elf
        except MissingTool as error:
            require_tool("the Arduino core", str(error), found=False)
            raise

    return compiled


def echo(port: serial.Serial, frames: list[bytes]) -> list[bytes]:
    """Send all frames, with no more than UNDER_WAY bytes under way; what came back, cut as it was sent."""
    waiting: list[int] = []
    heard: list[bytes] = []
    for frame in frames:
        while sum(waiting) + len(frame) > UNDER_WAY:
            heard.append(port.read(waiting.pop(0)))
        port.write(frame)
        waiting.append(len(frame))
    return heard + [port.read(length) for length in waiting]


@pytest.mark.slow
@pytest.mark.parametrize("baud", [115_200, 500_000, 1_000_000])
def test_ten_thousand_random_frames_come_back_byte_for_byte(sketch: Callable[[int], Path], baud: int) -> None:
    numbers = random.Random(baud)
    frames = [numbers.randbytes(numbers.randint(1, 30)) for _ in range(FRAMES)]
    with VirtualBoard(sketch(baud), pace=False) as board, opened(board, baud) as port:
        assert echo(port, frames) == frames
        assert count(board, "overruns") == 0
        assert count(board, "to_board") == count(board, "from_board") == sum(map(len, frames))
