"""Real avrdude writes to emulated boards through the bootloaders that boards are sold with."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from leadscomm.errors import FirmwareError, MissingTool
from leadscomm.hardware.firmware.places import core_folder
from leadscomm.testing import VirtualBoard
from leadscomm.testing.bootloader import bootloader_image
from leadscomm.testing.emulated import find_emulated
from tests.testing.firmware import ECHO, Firmware
from tests.testing.hosts import count, opened, until
from tests.testing.test_life import to_hex

pytestmark = pytest.mark.needs("avrdude", "apt-get install avrdude")
PARTS = {"atmega328p": ("arduino", "m328p"), "atmega2560": ("wiring", "m2560")}


@pytest.fixture(autouse=True)
def core(require_tool: Callable[..., None]) -> None:
    missing = ""
    try:
        core_folder()
    except MissingTool as error:
        missing = str(error)
    require_tool("the Arduino core", missing, found=not missing)


def avrdude(board: VirtualBoard, *operation: str) -> subprocess.CompletedProcess[str]:
    programmer, part = PARTS[board.kind.model.mcu]
    command = ["avrdude", "-q", "-c", programmer, "-p", part, "-b", str(board.kind.bootloader.baud)]
    return subprocess.run(
        [*command, "-P", board.port, "-D", *operation], capture_output=True, encoding="utf-8", check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["uno", "nano", "nano-old", "mega"])
def test_avrdude_writes_a_firmware_that_then_runs(firmware: Firmware, name: str) -> None:
    elf = firmware(ECHO, mcu=find_emulated(name).model.mcu, BAUD=115200)
    with VirtualBoard(mcu=name, bootloader=True) as board:
        done = avrdude(board, "-U", f"flash:w:{to_hex(elf)}:i")
        assert done.returncode == 0, done.stderr
        assert "verified" in done.stderr
        with opened(board) as port:  # resets; the bootloader waits for avrdude, then starts the firmware
            until(board, lambda: count(board, "baud") != 0 and board.seconds() > 0)
            board.advance(2.5)
            port.write(b"hello")
            assert port.read(5) == b"hello"
        board.check()


@pytest.mark.slow
def test_a_mega_is_written_beyond_its_first_64_kib(tmp_path: Path) -> None:
    start, content = 0xF800, random.Random(1).randbytes(0x1000)
    raw, file = tmp_path / "across.bin", tmp_path / "across.hex"
    raw.write_bytes(content)
    place = ("-I", "binary", "-O", "ihex", f"--change-addresses={start}")
    subprocess.run(["avr-objcopy", *place, str(raw), str(file)], check=True)
    with VirtualBoard(mcu="mega", bootloader=True) as board:  # the bootloader waits for a second of its own time
        done = avrdude(board, "-V", "-U", f"flash:w:{file}:i")
        assert done.returncode == 0, done.stderr
        assert board.memory("flash", start, len(content)) == content


def test_firmware_and_bootloader_live_together(firmware: Firmware) -> None:
    with VirtualBoard(firmware(ECHO, BAUD=115200), bootloader=True, pace=False, reset_on_open=False) as board:
        board.advance(2)  # after power on optiboot waits a second for avrdude
        with opened(board) as port:
            port.write(b"hello")
            assert port.read(5) == b"hello"


def test_a_board_without_a_program_is_deaf_and_lives(tmp_path: Path) -> None:
    """Its bootloader goes to a program that is not there, with words on its stack; who searches it hears nothing."""
    loader = tmp_path / "loader.hex"  # 32 times push r0, then jmp 0
    code = bytes.fromhex("0f92" * 32 + "0c940000")
    lines = [(0x7E00 + at, code[at : at + 16]) for at in range(0, len(code), 16)]
    records = [bytes([len(part)]) + at.to_bytes(2, "big") + b"\0" + part for at, part in lines]
    loader.write_text("".join(f":{(r + bytes([-sum(r) & 0xFF])).hex()}\n" for r in records) + ":00000001FF\n")
    with VirtualBoard(mcu="uno", bootloader=loader, pace=False) as board, opened(board) as port:
        port.write(b"ic;" * 30)
        board.advance(0.3)  # time goes on: simavr had gone through flash and stack 70 times by now
        board.check()
        board.reset()
        board.advance(0.01)
        board.check()


def test_another_bootloader_may_be_given(firmware: Firmware, tmp_path: Path) -> None:
    loader = bootloader_image(find_emulated("uno"))
    with VirtualBoard(mcu="uno", bootloader=loader.name) as board:
        assert board.memory("flash", 0x7E00, 16) == loader.pieces[0][1][:16]


def test_optiboot_ends_before_the_end_of_the_flash() -> None:
    image = bootloader_image(find_emulated("uno"))
    assert image.start == 0x7E00
    assert image.end <= 0x7FFE  # in the last word is the version


def test_firmware_that_reaches_into_the_bootloader_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.hex"
    large.write_text(":027E00000000" + "80\n:00000001FF\n")
    with pytest.raises(FirmwareError, match="reaches into the bootloader, which begins at 0x7e00"):
        VirtualBoard(large, bootloader=True)
