"""The sketch of docs/boards.md and its messages: declared in Python, compiled for the board, spoken by both."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from leadscomm.hardware import Board
from leadscomm.testing import VirtualBoard
from tests.docs.blocks import read_page
from tests.entities.recorder import Recorder, wait_until
from tests.hardware.firmware.sketches import Sketches

ROOT = Path(__file__).resolve().parent.parent.parent.parent


@pytest.fixture
def imu_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the page."""
    (code,) = [block.code for block in blocks() if "class Imu(Layout, number=1)" in block.code]
    (tmp_path / "imu_messages.py").write_text(code, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("imu_messages")
    del sys.modules["imu_messages"]


def blocks() -> list[Any]:
    return read_page(ROOT / "docs" / "boards.md", "docs/boards.md")


def test_the_sketch_of_the_page(sketches: Sketches, tmp_path: Path, imu_messages: Any) -> None:
    (command,) = [block.code for block in blocks() if "leadscomm.hardware.header" in block.code]
    assert command == "$ python -m leadscomm.hardware.header imu_messages > imu_messages.h\n"
    program = [sys.executable, "-m", "leadscomm.hardware.header", "imu_messages"]
    wrote = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=True)
    (sketch,) = [block.code for block in blocks() if '#include "imu_messages.h"' in block.code]
    header = "\n".join(line for line in wrote.stdout.splitlines() if line != "#pragma once")
    firmware = sketches.text(sketch.replace('#include "imu_messages.h"', header))
    heard: list[Any] = []
    recorder = Recorder()
    with VirtualBoard(firmware, mcu="uno") as virtual, Board(f"{virtual.endpoint}&identity=imu", recorder) as board:
        board.on(imu_messages.Imu, heard.append)
        wait_until(lambda: len(heard) >= 5)
        early = recorder.of("receive")  # what came before there was an `on` for it
        assert heard[-1].heading == 0.5
        assert heard[-1].samples == [1, 2, 3, 4]
        assert heard[-1].note == "fine"
        assert 0.009 < (heard[-1].time - heard[0].time) / 1000 / (len(heard) - 1) < 0.03
        board.send(imu_messages.SetRate(20))
        wait_until(lambda: len(heard) > 2 and heard[-1].time - heard[-2].time >= 50)
    assert recorder.of("receive") == early
    assert recorder.of("fail") == []
