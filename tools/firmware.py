"""The companion firmware that lies ready in arduino/firmware, for those who have no compiler.

    python -m tools.firmware            build it anew
    python -m tools.firmware --check    compare it with its sources

The same sources and tools give the same bytes on every machine. manifest.json says of which sources and by which tools
the files were made; where the tools are others only the sources are compared, except with CI=true, where the tools have
to be these.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from leadscomm.errors import BuildFailed, MissingTool
from leadscomm.hardware.firmware import avr_gcc, places
from leadscomm.hardware.toolchain import build, size_of

ARDUINO = Path(__file__).resolve().parent.parent / "arduino"
SKETCH = ARDUINO / "companion"
LIBRARY = ARDUINO / "LeadsComm"
FIRMWARE = ARDUINO / "firmware"
MANIFEST = FIRMWARE / "manifest.json"
BOARDS = ("uno", "mega", "leonardo", "micro")  # a Nano's processor and clock are an Uno's
UNDER_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")
MEND = "run ./dev firmware, and commit what it makes"


def main(args: list[str]) -> int:
    if args not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        complaint = check() if args else write()
    except (BuildFailed, MissingTool) as error:
        complaint = str(error)
    if complaint:
        print(f"firmware: {complaint}", file=sys.stderr)
    return 1 if complaint else 0


def write() -> str:
    """Build it and its manifest; no complaint."""
    FIRMWARE.mkdir(exist_ok=True)
    manifest: dict[str, Any] = {"tools": tools(), "sources": sources(), "files": {}}
    for name, (text, sizes) in made().items():
        (FIRMWARE / name).write_text(text, encoding="ascii", newline="\n")
        manifest["files"][name] = {"sha256": digest(text), **sizes}
    MANIFEST.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8", newline="\n")
    return ""


def check() -> str:
    """What is wrong with it; "" if nothing is."""
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    if manifest["sources"] != sources():
        return f"the sources have changed since it was built; {MEND}"
    for name, facts in manifest["files"].items():
        if digest((FIRMWARE / name).read_text(encoding="ascii")) != facts["sha256"]:
            return f"{name} is not what the manifest says; {MEND}"
    here = tools_or_why_not()
    if here != manifest["tools"]:
        note = f"built by {manifest['tools']}, and here is {here}"
        if UNDER_CI:
            return f"{note}; it cannot be compared"
        print(f"firmware: {note}: only its sources are compared", file=sys.stderr)
        return ""
    different = [name for name, (text, _) in made().items() if digest(text) != manifest["files"][name]["sha256"]]
    return f"these tools make other bytes of {', '.join(different)}; {MEND}" if different else ""


def made() -> dict[str, tuple[str, dict[str, int]]]:
    """The files by name: their text, and what they take of a board."""
    files = {}
    with tempfile.TemporaryDirectory(prefix="leadscomm-") as folder:
        for board in BOARDS:
            elf = build(SKETCH, board, [LIBRARY], folder)
            size = size_of(elf)
            text = elf.with_suffix(".hex").read_text(encoding="ascii")
            facts = {"flash_bytes": size.flash_bytes, "ram_bytes": size.ram_bytes}
            files[f"companion-{board}.hex"] = (text, facts)
    return files


def sources() -> str:
    """One hash of all files that the firmware is made of."""
    whole = hashlib.sha256()
    for path in sorted([*SKETCH.glob("*.*"), *(LIBRARY / "src").rglob("*.*")]):
        text = path.read_text(encoding="utf-8")
        whole.update(f"{path.relative_to(ARDUINO).as_posix()}\n{digest(text)}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def tools() -> dict[str, str]:
    """Everything whose version may change the bytes."""
    core = (places.core_folder() / "platform.txt").read_text(encoding="utf-8")
    version = re.search(r"^version=(.*)$", core, re.MULTILINE)
    macros = said("avr-gcc", "-mmcu=atmega328p", "-include", "avr/version.h", "-x", "c", "-E", "-dM", os.devnull)
    libc = re.search(r'__AVR_LIBC_VERSION_STRING__ "(.*)"', macros)
    return {
        "compiler": avr_gcc.compiler_version(),
        "linker": said("avr-ld", "--version").partition("\n")[0],
        "avr-libc": libc[1] if libc else "unknown",
        "core": version[1] if version else "unknown",
    }


def tools_or_why_not() -> dict[str, str] | str:
    try:
        return tools()
    except MissingTool as error:
        return str(error)


def said(program: str, *arguments: str) -> str:
    return subprocess.run([places.find(program), *arguments], capture_output=True, text=True, check=True).stdout


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
