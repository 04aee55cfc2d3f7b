"""Firmware files: what is in an ELF or Intel HEX file, as bytes at addresses of the program memory.

ELF is read as the AVR tools write it: the program headers say what goes where, addresses from 0x800000 on are other
memories, the header's flags hold the architecture, and the note section of avr-libc the name of the microcontroller.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from leadscomm.errors import FirmwareError
from leadscomm.protocol.words import marked

_ELF: Final = b"\x7fELF\x01\x01"  # 32 bits, least significant byte first
_EM_AVR: Final = 83
_PT_LOAD: Final = 1
_OTHER_MEMORIES: Final = 0x800000
_ARCHITECTURE_MASK: Final = 0x7F
_NOTE: Final = b"AVR\0"  # owner of the note that names the microcontroller
_NOTE_HEAD: Final = 12
_NOTE_NUMBERS: Final = 32
_DATA, _END, _SEGMENT, _START_SEGMENT, _UPPER, _START = range(6)


@dataclass(frozen=True)
class Image:
    """The program memory as a firmware file wants it.

    :ivar name: of the file.
    :ivar pieces: ``(address, bytes)``, in the file's order.
    :ivar architecture: of an ELF file: 5 for the ATmega328P, 6 for the ATmega2560; None where the file does not say.
    :ivar mcu: the microcontroller that it was compiled for; "" where the file does not say.
    """

    name: str
    pieces: tuple[tuple[int, bytes], ...]
    architecture: int | None = None
    mcu: str = ""

    @property
    def start(self) -> int:
        """The lowest address."""
        return min(address for address, _ in self.pieces)

    @property
    def end(self) -> int:
        """The address behind the highest."""
        return max(address + len(data) for address, data in self.pieces)


def read_image(path: str | Path) -> Image:
    """Read an ELF or Intel HEX file; its first bytes tell which.

    :raises FirmwareError: it is neither, is damaged, or holds no program.
    :raises OSError: it cannot be read.
    """
    data = Path(path).read_bytes()
    name = str(path)
    if marked(data):
        raise FirmwareError(f"{name} begins with a byte order mark, which avrdude does not take: save it as ASCII")
    if data.startswith(b"\x7fELF"):
        image = _read_elf(name, data)
    elif data.lstrip().startswith(b":"):
        image = _read_hex(name, data)
    else:
        raise FirmwareError(f"{name} is neither an ELF nor an Intel HEX file")
    if not image.pieces:
        raise FirmwareError(f"{name} holds no program")
    return image


def _read_elf(name: str, data: bytes) -> Image:
    try:
        machine, flags = struct.unpack_from("<H", data, 18)[0], struct.unpack_from("<I", data, 36)[0]
        if not data.startswith(_ELF) or machine != _EM_AVR:
            raise FirmwareError(f"{name} is a program for another machine (ELF machine {machine}), not for an AVR")
        return Image(name, tuple(_segments(data)), flags & _ARCHITECTURE_MASK, _mcu(data))
    except struct.error as error:
        raise FirmwareError(f"{name} is a damaged ELF file: {error}") from error


def _segments(data: bytes) -> list[tuple[int, bytes]]:
    table = struct.unpack_from("<I", data, 28)[0]
    size, count = struct.unpack_from("<HH", data, 42)
    found = []
    for at in range(table, table + size * count, size):
        kind, offset, _, address, length = struct.unpack_from("<5I", data, at)
        if kind == _PT_LOAD and length and address < _OTHER_MEMORIES:
            piece = data[offset : offset + length]
            if len(piece) != length:
                raise struct.error("it ends too early")
            found.append((address, piece))
    return found


def _mcu(data: bytes) -> str:
    """avr-libc's note: start and size of three memories, then names."""
    at = data.find(_NOTE) - _NOTE_HEAD
    if at < 0 or struct.unpack_from("<I", data, at)[0] != len(_NOTE):
        return ""
    size = struct.unpack_from("<I", data, at + 4)[0]
    start = at + _NOTE_HEAD + len(_NOTE)
    names = data[start + _NOTE_NUMBERS : start + size].split(b"\0")
    return names[1].decode("ascii", "replace") if len(names) > 1 else ""


def _read_hex(name: str, data: bytes) -> Image:
    pieces: list[tuple[int, bytes]] = []
    base = 0
    for number, line in enumerate(data.decode("ascii", "replace").split(), 1):
        kind, address, payload = _record(name, number, line)
        if kind == _DATA:
            if pieces and pieces[-1][0] + len(pieces[-1][1]) == base + address:
                pieces[-1] = (pieces[-1][0], pieces[-1][1] + payload)
            else:
                pieces.append((base + address, payload))
        elif kind == _END:
            return Image(name, tuple(pieces))
        elif kind in (_SEGMENT, _UPPER):
            base = int.from_bytes(payload, "big") << (4 if kind == _SEGMENT else 16)
        elif kind not in (_START_SEGMENT, _START):
            raise FirmwareError(f"{name}:{number}: unknown kind of record {kind:02x}")
    raise FirmwareError(f"{name} ends too early: its last record is missing")


def _record(name: str, number: int, line: str) -> tuple[int, int, bytes]:
    try:
        raw = bytes.fromhex(line.removeprefix(":"))
    except ValueError:
        raw = b""
    if not line.startswith(":") or len(raw) < 5 or len(raw) != raw[0] + 5:
        raise FirmwareError(f"{name}:{number}: this is no record of an Intel HEX file")
    if sum(raw) & 0xFF:
        raise FirmwareError(f"{name}:{number}: the checksum does not fit")
    return raw[3], int.from_bytes(raw[1:3], "big"), raw[4:-1]
