"""Where things are on this machine: our own Arduino files, the Arduino tools and libraries, the cache."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from leadscomm.errors import MissingTool

_PACKAGE: Final = Path(__file__).resolve().parents[2]
_SYSTEM_CORES: Final = (
    Path("/usr/share/arduino/hardware/arduino/avr"),
    Path("/usr/local/share/arduino/hardware/arduino/avr"),
)
_ELSEWHERE: Final = (
    "elsewhere: the Arduino IDE, or arduino-cli with `arduino-cli core install arduino:avr`, brings it along"
)
_DEBIAN: Final = {
    "avr-gcc": "gcc-avr avr-libc arduino-core-avr",
    "the Arduino core": "arduino-core-avr",
    "avrdude": "avrdude",
}


def arduino_folder() -> Path:
    """The folder with our Arduino library (``LeadsComm``), the companion firmware and its ready-built files.

    :raises MissingTool: this installation is not complete.
    """
    for folder in (_PACKAGE / "arduino", _PACKAGE.parent / "arduino"):  # a wheel's; a checkout's
        if (folder / "LeadsComm").is_dir() or (folder / "firmware").is_dir():
            return folder
    raise MissingTool("the Arduino files of leadscomm are not here; run: pip install --force-reinstall leadscomm")


def cache_folder() -> Path:
    """Where this user's programs keep what they can make again; ours is made if it is not there.

    :raises OSError: it cannot be made.
    """
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "leadscomm"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def library_folders() -> list[Path]:
    """The libraries that any sketch may use: the user's own, then ours."""
    sketchbooks = (Path.home() / "Arduino", Path.home() / "Documents" / "Arduino")
    theirs = [library for book in sketchbooks for library in _folders(book / "libraries")]
    return [*theirs, *own_libraries()]


def own_libraries() -> list[Path]:
    """The libraries that come with leadscomm."""
    return [path for path in _folders(arduino_folder()) if (path / "library.properties").is_file()]


def core_folder() -> Path:
    """The Arduino core for AVR processors: the system's, or the newest that the Arduino tools have installed.

    :raises MissingTool: there is none.
    """
    for folder in (*_SYSTEM_CORES, *_newest_first(packages_folder() / "hardware" / "avr")):
        if (folder / "cores" / "arduino" / "Arduino.h").is_file():
            return folder
    raise missing("the Arduino core")


def find(program: str) -> str:
    """A program of the AVR tools: on PATH, or among what the Arduino tools have installed.

    :raises MissingTool: it is not here.
    """
    found = shutil.which(program)
    if found:
        return found
    package = "avrdude" if program == "avrdude" else "avr-gcc"
    for folder in _newest_first(packages_folder() / "tools" / package):
        found = shutil.which(program, path=str(folder / "bin"))
        if found:
            return found
    raise missing(package)


def packages_folder() -> Path:
    """Where arduino-cli and the Arduino IDE 2 put what they install for Arduino's own boards."""
    if sys.platform == "win32":
        data = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "Arduino15"
    elif sys.platform == "darwin":
        data = Path.home() / "Library" / "Arduino15"
    else:
        data = Path.home() / ".arduino15"
    return Path(os.environ.get("ARDUINO_DIRECTORIES_DATA") or data) / "packages" / "arduino"


def missing(what: str) -> MissingTool:
    """The error that says how to get a tool."""
    return MissingTool(
        f"{what} is needed, and is not here; Debian, Ubuntu: sudo apt-get install {_DEBIAN[what]}; {_ELSEWHERE}"
    )


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in _listed(place) if path.is_dir())


def _newest_first(place: Path) -> list[Path]:
    """Folders that are named by versions such as ``1.8.6`` and ``7.3.0-atmel3.6.1-arduino7``."""
    return sorted(
        _folders(place), key=lambda path: [int(digits) for digits in re.findall(r"\d+", path.name)], reverse=True
    )


def _listed(place: Path) -> Iterable[Path]:
    try:
        return list(place.iterdir())
    except OSError:
        return []
