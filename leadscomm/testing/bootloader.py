"""The bootloaders that boards are sold with, as the Arduino core has them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from leadscomm.errors import CommError
from leadscomm.hardware.firmware.image import Image, read_image
from leadscomm.hardware.firmware.places import cache_folder, core_folder, find
from leadscomm.testing.emulated import Emulated
from leadscomm.testing.program import build_atomically


def bootloader_image(board: Emulated) -> Image:
    """A board's bootloader, compiled if need be and kept in the cache folder.

    :raises MissingTool: the Arduino core or the compiler is not installed.
    :raises CommError: the compiler refuses the source.
    """
    file = core_folder() / board.bootloader.file
    return read_image(_compiled(board, file) if file.suffix == ".c" else file)


def _compiled(board: Emulated, source: Path) -> Path:
    loader = board.bootloader
    command = [
        find("avr-gcc"),
        f"-mmcu={board.model.mcu}",
        f"-DF_CPU={board.model.f_cpu}L",
        f"-DBAUD_RATE={loader.baud}",
        f"-Wl,--section-start=.text=0x{loader.start:x}",
        *("-std=gnu99", "-Os", "-w", "-fno-inline-small-functions", "-fno-split-wide-types", "-mrelax"),
        *loader.flags,
        str(source),
    ]
    key = hashlib.sha256(source.read_bytes() + repr(command).encode()).hexdigest()[:16]
    target = cache_folder() / f"bootloader-{key}.elf"
    if not target.exists():
        done = build_atomically(command, target)
        if done.returncode:
            raise CommError(f"the bootloader of the board {board.name} does not compile: {done.stderr.strip()}")
    return target
