"""Sketches compiled by avr-gcc with the Arduino core.

Its options are those of the core's ``platform.txt``, so that a program is the same as the Arduino tools make it.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from leadscomm.errors import BuildFailed
from leadscomm.hardware.firmware import places
from leadscomm.hardware.firmware.models import Model
from leadscomm.hardware.firmware.sketch import CODE, Sketch, as_cpp

_log = logging.getLogger("leadscomm")
# DECIMAL_DIG: the core's WString.cpp needs it, and float.h of gcc before 7 gives it to C alone.
_COMMON: Final = (
    "-c -g -Os -ffunction-sections -fdata-sections -flto -DARDUINO=10819 -DARDUINO_ARCH_AVR "
    "-DDECIMAL_DIG=__DECIMAL_DIG__"
).split()
_LANGUAGE: Final = {
    ".c": ("avr-gcc", "-std=gnu11", "-fno-fat-lto-objects"),
    ".S": ("avr-gcc", "-x", "assembler-with-cpp"),
    ".cpp": (
        *("avr-g++", "-std=gnu++11", "-fpermissive", "-fno-exceptions"),
        *("-fno-threadsafe-statics", "-Wno-error=narrowing"),
    ),
}
_LINK: Final = ("-w", "-Os", "-g", "-flto", "-fuse-linker-plugin", "-Wl,--gc-sections")
# What does not fit is linked all the same, so that one can tell by how much.
_ROOM: Final = ("-Wl,--defsym=__TEXT_REGION_LENGTH__=4M", "-Wl,--defsym=__DATA_REGION_LENGTH__=62K")
_NOT_FOUND: Final = re.compile(r"fatal error: (.+): No such file or directory")


@dataclass(frozen=True)
class Library:
    """A library in one of the two layouts that Arduino knows: with ``src``, or flat."""

    folder: Path

    @property
    def includes(self) -> list[Path]:
        src = self.folder / "src"
        flat = [path for path in (self.folder, self.folder / "utility") if path.is_dir()]
        return [src] if src.is_dir() else flat

    @property
    def sources(self) -> list[Path]:
        src = self.folder / "src"
        found = src.rglob("*") if src.is_dir() else (path for at in self.includes for path in at.iterdir())
        return sorted(path for path in found if path.suffix in CODE)

    def has(self, header: str) -> bool:
        """Whether ``#include <header>`` means this library."""
        return bool(header) and any((path / header).is_file() for path in self.includes)


def compile_sketch(sketch: Sketch, model: Model, given: Sequence[Path], elf: Path, flags: Sequence[str]) -> None:
    """Compile and link; the ELF file appears when all went well.

    :param given: folders of libraries that go before all others.
    :raises BuildFailed: the compiler refuses it.
    :raises MissingTool: there is no compiler, or no core.
    """
    with tempfile.TemporaryDirectory(prefix="leadscomm-") as folder:
        work = _Work(sketch, model, places.core_folder(), Path(folder).resolve(), list(flags))
        sources = list(sketch.sources)
        if sketch.inos:
            sources.insert(0, work.folder / f"{sketch.name}.ino.cpp")
            sources[0].write_text(as_cpp(sketch.inos), encoding="utf-8")
        sources += work.find_libraries(sources, given)
        objects = [work.compile(source, number) for number, source in enumerate(sources)]
        linked = work.folder / "linked.elf"
        relax = (
            ["-Wl,--relax"] if model.mcu == "atmega2560" else []
        )  # as the Arduino tools do, for this processor alone
        link = [*_LINK, *_ROOM, *relax, f"-mmcu={model.mcu}"]
        work.run("avr-gcc", *link, "-o", linked, *objects, work.core_archive(), "-lm")
        shutil.move(linked, elf)


def make_hex(elf: Path) -> None:
    """Write the Intel HEX file beside an ELF file: what goes into the flash."""
    _run([places.find("avr-objcopy"), "-O", "ihex", "-R", ".eeprom", str(elf), str(elf.with_suffix(".hex"))])


def compiler_version() -> str:
    """The compiler's own line about itself.

    :raises MissingTool: there is none.
    """
    return _run([places.find("avr-gcc"), "--version"]).partition("\n")[0]


def section_sizes(elf: Path) -> dict[str, int]:
    """The sections of an ELF file, in bytes.

    :raises BuildFailed: it is none.
    """
    try:
        listed = _run([places.find("avr-size"), "-A", str(elf)])
    except subprocess.CalledProcessError as error:
        raise BuildFailed(f"{elf} is no program", error.stderr) from None
    return {name: int(size) for name, size in re.findall(r"^(\.\w+)\s+(\d+)", listed, re.MULTILINE)}


@dataclass
class _Work:
    """One sketch being compiled, in a folder for the time being."""

    sketch: Sketch
    model: Model
    core: Path
    folder: Path
    flags: list[str]
    libraries: list[Library] = field(default_factory=list)

    def run(self, *command: object, folder: Path | None = None) -> str:
        program, *arguments = map(str, command)
        try:
            return _run([places.find(program), *arguments], folder)
        except subprocess.CalledProcessError as error:
            raise BuildFailed(f"{self.sketch.name} does not compile for the {self.model.title}", error.stderr) from None

    def options(self, source: Path, flags: Sequence[str]) -> list[str]:
        own = [f"-mmcu={self.model.mcu}", f"-DF_CPU={self.model.f_cpu}L", f"-DARDUINO_{self.model.define}"]
        if self.model.usb_product:
            own += ["-DUSB_VID=0x2341", f"-DUSB_PID={self.model.usb_product:#06x}"]
            own += ['-DUSB_MANUFACTURER="Unknown"', f'-DUSB_PRODUCT="{self.model.title}"']
        headers = (self.core / "cores" / "arduino", self.core / "variants" / self.model.variant)
        return [*_LANGUAGE[source.suffix], *_COMMON, *own, *(f"-I{path}" for path in headers), *flags]

    def own_options(self, source: Path, flags: Sequence[str]) -> list[str]:
        """The same with what the sketch may include: its own headers and those of its libraries."""
        libraries = [f"-I{path}" for library in self.libraries for path in library.includes]
        return self.options(source, [f"-iquote{self.sketch.folder.absolute()}", *libraries, *flags])

    def compile(self, source: Path, number: int) -> Path:
        made = self.folder / f"{number}.o"
        ours = not source.is_relative_to(self.core)  # what the core says is nothing that its user can mend
        said = self.run(*self.own_options(source, self.flags if ours else ["-w"]), source, "-o", made)
        if said:
            _log.warning("%s", said.rstrip())
        return made

    def find_libraries(self, sources: Sequence[Path], given: Sequence[Path]) -> list[Path]:
        """Choose the libraries that the sources include, and those that these include; their sources."""
        known = [Library(path) for path in (*given, *places.library_folders(), *_subfolders(self.core / "libraries"))]
        waiting, found = list(sources), []
        while waiting:
            header = self.missing_header(waiting[0])
            library = next((library for library in known if library.has(header)), None)
            if library is None:
                waiting.pop(0)
            else:
                known.remove(library)
                self.libraries.append(library)
                waiting += library.sources
                found += library.sources
        return found

    def missing_header(self, source: Path) -> str:
        """The first header that the compiler looks for in vain; what the preprocessor leaves out is not looked for."""
        program, *options = self.own_options(source, ["-w", "-M"])
        command = [places.find(program), *options, str(source)]
        english = {**os.environ, "LC_ALL": "C"}
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=english, check=False)
        missing = _NOT_FOUND.search(os.fsdecode(done.stderr))
        return missing[1] if missing else ""

    def core_archive(self) -> Path:
        """The core, compiled for this board; kept for the next time."""
        folders = (self.core / "cores" / "arduino", self.core / "variants" / self.model.variant)
        files = [path for folder in folders for path in sorted(folder.iterdir()) if path.is_file()]
        recipe = [compiler_version(), *(word for suffix in _LANGUAGE for word in self.options(Path("x" + suffix), ()))]
        digest = hashlib.sha256("\n".join(recipe).encode())
        for path in files:
            digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        archive = (
            self.folder / "core.a"
        )  # a copy: the linker reads it twice, and the original may be replaced meanwhile
        name = f"core-{self.model.name}-{digest.hexdigest()[:16]}.a"
        with contextlib.suppress(OSError):
            shutil.copyfile(places.cache_folder() / name, archive)
            return archive
        self.compile_core(files, archive)
        with contextlib.suppress(OSError):
            fresh = places.cache_folder() / f"{name}.{self.folder.name}"
            shutil.copyfile(archive, fresh)
            os.replace(fresh, fresh.with_name(name))  # whole or not at all, whoever else does the same
        return archive

    def compile_core(self, files: Sequence[Path], archive: Path) -> None:
        folder = self.folder / "core"
        folder.mkdir()
        for suffix in _LANGUAGE:
            sources = [str(path) for path in files if path.suffix == suffix]
            self.run(*self.options(Path("x" + suffix), ["-w"]), *sources, folder=folder)
        self.run("avr-gcc-ar", "rcs", archive, *sorted(folder.iterdir()))


def _subfolders(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.is_dir()) if folder.is_dir() else iter(())


def _run(command: Sequence[str], folder: Path | None = None) -> str:
    """Run a tool; what it said."""
    _log.debug("%s", shlex.join(command))
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=True
    )
    return done.stdout + done.stderr
