"""The companion firmware that lies ready: built from these sources, and whether anybody would notice if it were not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from leadscomm.errors import MissingTool
from leadscomm.hardware.firmware.flashing import check_fits
from leadscomm.hardware.firmware.image import read_image
from leadscomm.hardware.firmware.models import MODELS
from leadscomm.hardware.toolchain import arduino_folder
from tests.hardware.tools import needs_compiler
from tools import firmware


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of everything that the firmware is made of, and of itself."""
    folder = tmp_path / "arduino"
    shutil.copytree(arduino_folder(), folder, ignore=shutil.ignore_patterns("build", "examples"))
    for name, inside in (
        ("ARDUINO", "."),
        ("SKETCH", "companion"),
        ("LIBRARY", "LeadsComm"),
        ("FIRMWARE", "firmware"),
        ("MANIFEST", "firmware/manifest.json"),
    ):
        monkeypatch.setattr(firmware, name, folder / inside)
    monkeypatch.setattr(firmware, "UNDER_CI", False)
    return folder


@pytest.mark.parametrize("board", MODELS)
def test_there_is_one_for_every_board(board: str) -> None:
    model = MODELS[board]
    check_fits(read_image(arduino_folder() / "firmware" / f"companion-{model.firmware}.hex"), model)


@needs_compiler
@pytest.mark.slow
def test_it_is_built_anew_with_the_same_bytes(copy: Path) -> None:
    assert firmware.main([]) == 0
    before = {path.name: path.read_bytes() for path in (copy / "firmware").iterdir()}
    assert firmware.main(["--check"]) == 0
    assert firmware.main([]) == 0
    assert {path.name: path.read_bytes() for path in (copy / "firmware").iterdir()} == before


@needs_compiler
@pytest.mark.slow
def test_every_difference_is_noticed(copy: Path, capsys: pytest.CaptureFixture) -> None:
    assert firmware.main([]) == 0
    built = copy / "firmware" / "companion-uno.hex"
    text = built.read_text()
    built.write_text(text.replace(":1000100", ":1000110", 1))
    assert firmware.main(["--check"]) == 1
    assert "companion-uno.hex is not what the manifest says; run ./dev firmware" in capsys.readouterr().err
    manifest = json.loads(firmware.MANIFEST.read_text())
    manifest["files"][built.name]["sha256"] = firmware.digest(built.read_text())
    firmware.MANIFEST.write_text(json.dumps(manifest))
    assert firmware.main(["--check"]) == 1
    assert "these tools make other bytes of companion-uno.hex; run ./dev firmware" in capsys.readouterr().err
    with (copy / "companion" / "companion.ino").open("a") as source:
        source.write("// more\n")
    assert firmware.main(["--check"]) == 1
    assert "the sources have changed since it was built; run ./dev firmware" in capsys.readouterr().err


def test_other_tools_or_none(copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    manifest = json.loads(firmware.MANIFEST.read_text())
    firmware.MANIFEST.write_text(json.dumps({**manifest, "sources": firmware.sources()}))

    def none() -> dict[str, str]:
        raise MissingTool("avr-gcc is needed")

    monkeypatch.setattr(firmware, "tools", none)
    assert firmware.main(["--check"]) == 0
    assert "and here is avr-gcc is needed: only its sources are compared" in capsys.readouterr().err
    monkeypatch.setattr(firmware, "UNDER_CI", True)
    assert firmware.main(["--check"]) == 1
    assert "it cannot be compared" in capsys.readouterr().err


def test_a_wrong_command_line(capsys: pytest.CaptureFixture) -> None:
    assert firmware.main(["--help"]) == 2
    assert "python -m tools.firmware --check" in capsys.readouterr().err
