"""The library as compilers see it: strictly, for several boards, in the Arduino IDE's way; and its size."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from leadscomm.hardware.toolchain import build, size_of
from tests.arduino.stepper import LIBRARY, PROGRAMS, STRICT, compile_program

AVR = pytest.mark.needs("avr-g++", "apt-get install gcc-avr avr-libc arduino-core-avr")
BUILDER = pytest.mark.needs("arduino-builder", "apt-get install arduino-builder arduino-core-avr")
NEWLIB = Path("/usr/include/newlib")
CORE = Path("/usr/share/arduino/hardware/arduino/avr")
EXAMPLES = sorted((LIBRARY / "examples").glob("*/*.ino"))
FOLDERS = ("/usr/share/arduino/hardware", "/usr/share/arduino-builder")

BARE = """
void setup() { Serial.begin(115200); }
void loop() { while (Serial.available()) Serial.write(Serial.read()); }
"""

# Bytes of flash and RAM beside the bare sketch: what may not grow unnoticed.
LIMITS = {"Echo": (500, 80), "Reliable": (1_400, 230)}
RELIABLE_FRAMED = (1_540, 231)


def test_the_parts_alone(programs: Path) -> None:
    subprocess.run([str(compile_program("units", programs))], check=True)


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
@pytest.mark.parametrize("standard", ["11", "14", "17", "20"])
def test_other_boards_compile(programs: Path, require_tool: object, compiler: str, standard: str) -> None:
    """With an Arduino core that is none: as for ESP32, RP2040 and SAMD, with their sizes of int, char and pointers."""
    assert callable(require_tool)
    require_tool(compiler, "apt-get install g++ clang")
    check(compiler, *STRICT, f"-std=c++{standard}", "-fno-exceptions", "-fno-rtti", "-fshort-enums")
    check(compiler, *STRICT, f"-std=c++{standard}", "-funsigned-char", "-Wconversion", "-Wshadow")


@pytest.mark.needs("clang++", "apt-get install clang")
@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_arm_boards_compile(core: str, require_tool: Callable[..., None]) -> None:
    """SAMD and RP2040 have such processors."""
    require_tool("newlib's headers", "apt-get install libnewlib-dev", found=NEWLIB.exists())
    arm = ("--target=arm-none-eabi", f"-mcpu={core}", "-mthumb", "-Os", f"-isystem{NEWLIB}")
    check("clang++", *STRICT, *arm, "-fno-exceptions", "-fno-rtti", "-Wshadow")


def check(compiler: str, *flags: str) -> None:
    includes = [f"-I{LIBRARY / 'src'}", f"-I{PROGRAMS}"]
    subprocess.run([compiler, *flags, *includes, "-fsyntax-only", str(PROGRAMS / "everything.cpp")], check=True)


def test_one_file_alone_knows_arduino() -> None:
    including = {
        path.name for path in (LIBRARY / "src").rglob("*.h") if "Arduino.h" in path.read_text(encoding="utf-8")
    }
    special = {path.name for path in (LIBRARY / "src").rglob("*.h") if "__AVR" in path.read_text(encoding="utf-8")}
    assert including == {"LeadsComm.h"}
    assert special <= {"LeadsComm.h", "compiler.h"}


@AVR
@pytest.mark.parametrize("board", ["uno", "mega", "leonardo"])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_compile_without_a_warning(example: Path, board: str, tmp_path: Path) -> None:
    build(example, board, libraries=[LIBRARY], build_folder=tmp_path, flags=("-Wall", "-Wextra", "-Werror"))


@AVR
def test_everything_compiles_for_an_avr(tmp_path: Path) -> None:
    build(
        PROGRAMS / "everything.cpp", libraries=[LIBRARY], build_folder=tmp_path, flags=("-Wall", "-Wextra", "-Werror")
    )


@AVR
@pytest.mark.parametrize("board", ["leonardo", "micro"])
def test_the_companion_compiles_for_boards_on_usb(board: str, tmp_path: Path) -> None:
    companion = LIBRARY.parent / "companion"
    elf = build(companion, board, [LIBRARY], tmp_path, ("-Wall", "-Wextra", "-Werror"))
    assert 10_000 < size_of(elf).flash_bytes < 16_000


USB = """
#include <LeadsComm.h>
static_assert(leadscomm::ArduinoPlatform::receiveRing((decltype(Serial)*)0) == 0, "USB stops its host");
static_assert(leadscomm::ArduinoPlatform::receiveRing((Stream*)0) == 0, "it may be USB");
static_assert(leadscomm::ArduinoPlatform::receiveRing((HardwareSerial*)0) == 63, "a UART loses bytes");
leadscomm::ReliableConnection<58, 2, decltype(Serial)> host(Serial, "usb");
leadscomm::LeanReliableConnection<58, 2, HardwareSerial> other(Serial1, "uart");
void setup() {}
void loop() { if (host.poll() || other.poll()) host.send(other.data(), other.size()); }
"""


@AVR
def test_a_receive_ring_that_usb_fills_is_not_full(tmp_path: Path) -> None:
    (tmp_path / "Usb.ino").write_text(USB, encoding="ascii")
    build(tmp_path / "Usb.ino", "leonardo", [LIBRARY], tmp_path, ("-Wall", "-Wextra", "-Werror"))


def test_every_word_of_the_reference_has_its_colour() -> None:
    """The public words of docs/arduino-library.md are in keywords.txt, for the Arduino IDE."""
    words = {line.split("\t")[0] for line in (LIBRARY / "keywords.txt").read_text(encoding="utf-8").splitlines()}
    page = (LIBRARY.parents[1] / "docs" / "arduino-library.md").read_text(encoding="utf-8")
    methods = {
        name for row in re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE) for name in re.findall(r"(\w+)\(", row)
    }
    numbers = {kind + size for kind in "ui" for size in ("8", "16", "32", "64")} | {"f32", "f64"}
    statuses = {"Sent", "Full", "TooLong", "NotConnected", "NotText", "Lost"}
    callbacks = {"onConnect", "onReceive", "onDisconnect", "onFail"}
    counted = {"bad", "full", "resent", "lost"}
    public = methods | numbers | statuses | callbacks | counted
    assert public - words == {"decltype"}, "a word of C++"


@BUILDER
@pytest.mark.slow
@pytest.mark.parametrize("board", ["arduino:avr:uno", "arduino:avr:mega:cpu=atmega2560"])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_compile_in_the_arduino_ide(example: Path, board: str, tmp_path: Path) -> None:
    words = ["arduino-builder", "-fqbn", board, "-libraries", str(LIBRARY.parent), "-build-path", str(tmp_path)]
    for folder in FOLDERS:
        words += ["-hardware", folder]
    words += ["-tools", "/usr/bin", "-warnings", "all", "-prefs=compiler.cpp.extra_flags=-DDECIMAL_DIG=__DECIMAL_DIG__"]
    run = subprocess.run([*words, "-compile", str(example)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert not re.search(rf"{re.escape(str(LIBRARY))}.*warning", run.stderr), run.stderr


@AVR
@pytest.mark.parametrize("name", LIMITS)
def test_how_much_room_it_takes(name: str, tmp_path: Path) -> None:
    check_room(LIBRARY / "examples" / name / f"{name}.ino", tmp_path, *LIMITS[name])


@AVR
def test_how_much_room_it_takes_to_agree_with_any_host(tmp_path: Path) -> None:
    """Refusals, lengths and credits that are agreed upon; still without LEADS text."""
    lean = (LIBRARY / "examples" / "Reliable" / "Reliable.ino").read_text(encoding="utf-8")
    sketch = tmp_path / "Framed.ino"
    sketch.write_text(lean.replace("LeanReliableConnection", "FramedReliableConnection"), encoding="utf-8")
    check_room(sketch, tmp_path, *RELIABLE_FRAMED)


def check_room(sketch: Path, folder: Path, flash: int, ram: int) -> None:
    (folder / "Bare.ino").write_text(BARE, encoding="ascii")
    bare = size_of(build(folder / "Bare.ino", build_folder=folder / "bare"))
    size = size_of(build(sketch, libraries=[LIBRARY], build_folder=folder / "measured"))
    assert size.flash_bytes - bare.flash_bytes <= flash
    assert size.ram_bytes - bare.ram_bytes <= ram
