"""The bootloaders that boards are sold with, as the distribution's Arduino core has them."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Final

from leadscomm.errors import CommError, MissingTool
from leadscomm.testing.image import Image, read_image
from leadscomm.testing.models import Bootloader, Model
from leadscomm.testing.program import build_atomically, cache_folder

_CORES: Final = (Path("/usr/share/arduino/hardware/arduino/avr"),)
_INSTALL: Final = "apt-get install arduino-core-avr gcc-avr avr-libc"


def bootloader_image(model: Model) -> Image:
    """A board's bootloader, compiled if need be and kept in the cache folder.

    :raises MissingTool: the Arduino core or the compiler is not installed.
    :raises CommError: the compiler refuses the source.
    """
    loader = model.bootloader
    core = next((folder for folder in _CORES if (folder / "bootloaders").is_dir()), None)
    if core is None:
        raise MissingTool(f"the bootloader of the board {model.name} comes with the Arduino core: {_INSTALL}")
    return read_image(core / loader.ready if loader.ready else _compile(core, model, loader))


def _compile(core: Path, model: Model, loader: Bootloader) -> Path:
    compiler = shutil.which("avr-gcc")
    if compiler is None:
        raise MissingTool(f"the bootloader of the board {model.name} has to be compiled: {_INSTALL}")
    source = core / loader.source
    command = [
        compiler,
        f"-mmcu={model.mcu}",
        "-DF_CPU=16000000L",
        *loader.flags,
        *("-std=gnu99", "-Os", "-w", "-fno-inline-small-functions", "-fno-split-wide-types", "-mrelax"),
        f"-Wl,--section-start=.text=0x{loader.start:x}",
        str(source),
    ]
    key = hashlib.sha256(source.read_bytes() + repr(command).encode()).hexdigest()[:16]
    target = cache_folder() / f"bootloader-{model.mcu}-{loader.baud}-{key}.elf"
    if not target.exists():
        done = build_atomically(command, target)
        if done.returncode:
            raise CommError(f"the bootloader of the board {model.name} does not compile: {done.stderr.strip()}")
    return target
