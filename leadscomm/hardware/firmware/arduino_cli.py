"""Sketches compiled by arduino-cli."""

from __future__ import annotations

import logging
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from leadscomm.errors import BuildFailed
from leadscomm.hardware.firmware import places
from leadscomm.hardware.firmware.models import Model
from leadscomm.hardware.firmware.sketch import Sketch

_log = logging.getLogger("leadscomm")
PROGRAM: Final = "arduino-cli"


def can_compile(sketch: Sketch) -> bool:
    """Whether arduino-cli is here with the core for AVR boards, and the sketch is one as it wants them: a folder."""
    main = sketch.folder / f"{sketch.folder.absolute().name}.ino"
    core = places.packages_folder() / "hardware" / "avr"
    return main in sketch.inos and core.is_dir() and shutil.which(PROGRAM) is not None


def compile_sketch(sketch: Sketch, model: Model, given: Sequence[Path], elf: Path, flags: Sequence[str]) -> None:
    """Compile and link; the ELF and HEX files appear when all went well.

    :param given: folders of libraries that go before all others.
    :raises BuildFailed: it does not compile.
    """
    with tempfile.TemporaryDirectory(prefix="leadscomm-") as folder:
        ours = [path for path in places.own_libraries() if path.name not in {library.name for library in given}]
        command = [shutil.which(PROGRAM) or PROGRAM, "compile", "--fqbn", model.fqbn, "--build-path", folder]
        for library in (*given, *ours):
            command += ["--library", str(library)]
        if flags:
            extra = " ".join(flags)
            command += [f"--build-property=compiler.{name}.extra_flags={extra}" for name in ("c", "cpp", "S")]
        done = subprocess.run(
            [*command, str(sketch.folder)], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
        )
        if done.returncode:
            raise BuildFailed(f"{sketch.name} does not compile for the {model.title}", done.stderr)
        if done.stderr:
            _log.warning("%s", done.stderr.rstrip())
        for suffix in (".hex", ".elf"):
            shutil.move(Path(folder) / f"{sketch.name}.ino{suffix}", elf.with_suffix(suffix))
