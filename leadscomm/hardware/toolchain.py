"""Sketches compiled: by arduino-cli if it is there, else by avr-gcc with the Arduino core.

Any thread may call these functions, and several at once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leadscomm.errors import BuildFailed
from leadscomm.hardware.firmware import arduino_cli, avr_gcc
from leadscomm.hardware.firmware.models import Model, model_of
from leadscomm.hardware.firmware.places import arduino_folder
from leadscomm.hardware.firmware.sketch import sketch_at

__all__ = ["Size", "arduino_folder", "build", "size_of"]


@dataclass(frozen=True)
class Size:
    """How much of a board a program takes.

    :ivar flash_bytes: of its flash, with the initial values of variables.
    :ivar ram_bytes: of its RAM, for variables; the stack comes on top.
    """

    flash_bytes: int
    ram_bytes: int


def build(
    sketch: str | os.PathLike[str],
    board: str = "uno",
    libraries: Sequence[str | os.PathLike[str]] = (),
    build_folder: str | os.PathLike[str] | None = None,
    flags: Sequence[str] = (),
) -> Path:
    """Compile a sketch.

    :param sketch: a folder, an ``.ino`` file or a file of C++.
    :param board: ``uno``, ``nano``, ``mega``, ``leonardo`` or ``micro``.
    :param libraries: folders of Arduino libraries, looked at before the user's, our own and the core's.
    :param build_folder: where the outputs go; ``build/BOARD`` in the sketch's folder unless given.
    :param flags: more options for the compiler, such as ``-Wall``, for the sketch and its libraries.
    :return: the ELF file. The Intel HEX file is beside it, with the suffix ``.hex``.
    :raises BuildFailed: it does not compile, or does not fit; the text holds what the compiler said.
    :raises MissingTool: there is no compiler, or no core; the text says how to get it.
    """
    model = model_of(board)
    files = sketch_at(Path(sketch))
    folder = Path(build_folder) if build_folder else files.folder / "build" / model.name
    folder.mkdir(parents=True, exist_ok=True)
    elf = folder / f"{files.name}.elf"
    given = [Path(library).absolute() for library in libraries]
    for library in given:
        if not library.is_dir():
            raise BuildFailed(f"there is no library {library}")
    if arduino_cli.can_compile(files):
        arduino_cli.compile_sketch(files, model, given, elf, flags)
    else:
        avr_gcc.compile_sketch(files, model, given, elf, flags)
        avr_gcc.make_hex(elf)
    _check(size_of(elf), model)
    return elf


def size_of(elf: str | os.PathLike[str]) -> Size:
    """How much a program takes.

    :raises BuildFailed: that is no ELF file.
    :raises MissingTool: ``avr-size`` is not here.
    """
    sections = avr_gcc.section_sizes(Path(elf))
    flash = sum(sections.get(name, 0) for name in (".text", ".data"))
    return Size(flash, sum(sections.get(name, 0) for name in (".data", ".bss", ".noinit")))


def _check(size: Size, model: Model) -> None:
    for what, took, there in (
        ("flash", size.flash_bytes, model.flash_bytes),
        ("RAM", size.ram_bytes, model.ram_bytes),
    ):
        if took > there:
            raise BuildFailed(f"the program takes {took:,} bytes of {what}; the {model.title} has {there:,}")
