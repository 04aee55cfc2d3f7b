"""What tests of firmware need: the tools by name, and sketches in files."""

from __future__ import annotations

from pathlib import Path

import pytest

APT = "apt-get install --no-install-recommends "
needs_compiler = pytest.mark.needs("avr-gcc", APT + "gcc-avr avr-libc arduino-core-avr")
needs_avrdude = pytest.mark.needs("avrdude", APT + "avrdude")

BLINK = "void setup() { pinMode(13, OUTPUT); }\nvoid loop() { digitalWrite(13, !digitalRead(13)); delay(500); }\n"


def write(folder: Path, **files: str) -> Path:
    """`write(folder, blink_ino="...")` makes blink.ino there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        (folder / f"{stem}.{suffix}").write_text(text, encoding="utf-8")
    return folder
