"""Intel HEX files: what a program occupies, and whether a board can take it.

Source of the format: Intel's Hexadecimal Object File Format, revision A. Each line is a colon, then in hexadecimal the
number of data bytes, a 16-bit address, a type, the data, and a check byte that makes the sum of all bytes zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from leadscomm.errors import FlashFailed
from leadscomm.hardware.models import MODELS, Model

_DATA, _END, _SEGMENT, _START_SEGMENT, _LINEAR, _START_LINEAR = range(6)
_JUMP: Final = b"\x0c\x94"  # of the first word of JMP, which fills the vector table of processors beyond 8 KiB


@dataclass(frozen=True)
class Image:
    """A program as it is to be in the flash.

    :ivar path: its file.
    :ivar size: bytes of data.
    :ivar end: the address behind its last byte.
    :ivar start: its first bytes, as many as a vector table has; gaps are 0xFF.
    """

    path: Path
    size: int
    end: int
    start: bytes

    def vectors(self) -> int:
        """How many interrupt vectors it has: each processor has its own number of them."""
        words = (self.start[at : at + 2] for at in range(0, len(self.start), 4))
        return next((number for number, word in enumerate(words) if word != _JUMP), len(self.start) // 4)


def read_hex(path: Path) -> Image:
    """Read a file.

    :raises FlashFailed: it is damaged, or no Intel HEX; the text names the line.
    """
    try:
        lines = path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise FlashFailed(f"{path} cannot be read as Intel HEX: {error}") from error
    start = bytearray(b"\xff" * 256)
    size = end = 0
    for address, data in _blocks(path, lines):
        size += len(data)
        end = max(end, address + len(data))
        if address < len(start):
            start[address : address + len(data)] = data
    if not size:
        raise FlashFailed(f"{path} holds no program")
    return Image(path, size, end, bytes(start[:256]))


def check_fits(image: Image, model: Model) -> None:
    """
    :raises FlashFailed: this program cannot be for this board: it is too large, or reaches into the bootloader, or has
        another processor's interrupt vectors.
    """
    if image.size > model.flash_bytes:
        raise FlashFailed(
            f"{image.path} holds {image.size:,} bytes; the {model.title} has room for {model.flash_bytes:,}"
        )
    if image.end > model.flash_bytes:
        raise FlashFailed(
            f"{image.path} reaches to address 0x{image.end - 1:x}; on the {model.title} the bootloader begins at "
            f"0x{model.flash_bytes:x}. Files with a bootloader in them are for a programmer, not for this way"
        )
    meant = [other for other in MODELS.values() if other.vectors == image.vectors()]
    if meant and model.vectors != image.vectors():
        raise FlashFailed(
            f"{image.path} is a program for an {meant[0].chip} ({image.vectors()} interrupt vectors); "
            f"the {model.title} has an {model.chip} ({model.vectors})"
        )


def _blocks(path: Path, lines: list[str]) -> Iterator[tuple[int, bytes]]:
    """Address and data of each line that has data."""
    base = 0
    for number, line in enumerate(lines, 1):
        kind, address, data = _record(path, number, line)
        if kind == _DATA:
            yield base + address, data
        elif kind == _SEGMENT:
            base = int.from_bytes(data, "big") << 4
        elif kind == _LINEAR:
            base = int.from_bytes(data, "big") << 16
        elif kind == _END:
            return
        elif kind not in (_START_SEGMENT, _START_LINEAR):
            raise FlashFailed(f"{path}, line {number}: there is no type {kind} in Intel HEX")
    raise FlashFailed(f"{path} has no end: it is cut off")


def _record(path: Path, number: int, line: str) -> tuple[int, int, bytes]:
    """Type, address and data of a line."""
    try:
        record = bytes.fromhex(line.removeprefix(":"))
    except ValueError:
        record = b""
    if not line.startswith(":") or len(record) < 5 or len(record) != record[0] + 5:
        raise FlashFailed(f"{path}, line {number} is no line of Intel HEX")
    if sum(record) % 256:
        raise FlashFailed(f"{path}, line {number} is damaged: its check byte is wrong")
    return record[3], int.from_bytes(record[1:3], "big"), record[4:-1]
