"""Cyclic redundancy checks, named and defined as crcmod's predefined ones.

Where the standard library computes the same polynomial (``zlib.crc32`` 0x04C11DB7, ``binascii.crc_hqx`` 0x1021) it does
the work, whatever the initial value, the final exclusive-or and the order of the bits; elsewhere crcmod does.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from binascii import crc_hqx
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from itertools import repeat
from operator import xor

from leadscomm.errors import EndpointError
from leadscomm.packages import crcmod

Check = Callable[[bytes], bytes]

_CRC_32 = 0x04C11DB7
_CRC_16 = 0x1021
_PACK_2 = struct.Struct(">H").pack
_PACK_4 = struct.Struct(">I").pack
_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits in reverse order."""


class Crc:
    """One CRC.

    :ivar name: as crcmod writes it, for example ``crc-32``.
    :ivar width: bits.
    :ivar size: bytes on the wire.
    :ivar init: what the register starts with.
    :ivar xor_out: what the register is combined with to give the ordinary value.
    :ivar wire: ``wire(data)`` is the check of ``data`` as it travels: the complement of the register, most significant
        byte first. Whatever bytes are gained or lost at the end of a frame then, zeros included, are noticed.
    """

    __slots__ = ("init", "name", "polynomial", "reflected", "size", "width", "wire", "xor_out")

    def __init__(self, name: str) -> None:
        definition = crcmod.predefined.PredefinedCrc(name)
        self.name = name
        self.size: int = definition.digest_size
        self.width: int = 8 * self.size
        mask = (1 << self.width) - 1
        self.polynomial: int = definition.poly & mask
        self.reflected: bool = definition.reverse
        self.xor_out: int = definition.xorOut
        self.init: int = definition.initCrc ^ self.xor_out  # crcmod gives the value of no data, not the register
        self.wire: Check = _standard(self) or _by_crcmod(self)

    def wires(self, messages: list[bytes]) -> Iterator[bytes]:
        """Return ``wire`` of each message, where possible without Python's doing anything for each."""
        if self.polynomial == _CRC_32 and self.width == 32 and self.reflected:
            return map(_PACK_4, map(zlib.crc32, messages, repeat(self.init ^ 0xFFFFFFFF)))
        if self.polynomial == _CRC_16 and self.width == 16 and not self.reflected:
            return map(_PACK_2, map(xor, map(crc_hqx, messages, repeat(self.init)), repeat(0xFFFF)))
        return map(self.wire, messages)

    def value(self, data: bytes) -> int:
        """The ordinary value, as crcmod and the catalogues of CRCs give it."""
        register = int.from_bytes(self.wire(data), "big") ^ ((1 << self.width) - 1)
        return register ^ self.xor_out


NAMES: tuple[str, ...] = tuple(row[0] for row in crcmod.predefined._crc_definitions_table)
"""The names that `crc` knows. Capital letters, hyphens and a leading "crc" may differ: "CRC32" is "crc-32"."""


def crc(name: str) -> Crc:
    """Return the CRC of that name.

    :raises EndpointError: there is none; the text names all.
    """
    wanted = _simple(str(name))
    for known in NAMES:
        if _simple(known) == wanted:
            return _crc(known)
    raise EndpointError(f"no CRC is called {name!r}; the known ones are {', '.join(NAMES)}")


@cache
def _crc(name: str) -> Crc:
    return Crc(name)


def _simple(name: str) -> str:
    return name.lower().replace("-", "").replace(" ", "").removeprefix("crc")


def _standard(crc: Crc) -> Check | None:
    """`Crc.wire` by the standard library, or None."""
    if crc.width == 32 and crc.polynomial == _CRC_32:
        return _mirrored_crc32(crc) if not crc.reflected else _plain_crc32(crc)
    if crc.width == 16 and crc.polynomial == _CRC_16:
        return _mirrored_hqx(crc) if crc.reflected else _plain_hqx(crc)
    return None


def _plain_crc32(crc: Crc) -> Check:
    pack, start = _PACK_4, crc.init ^ 0xFFFFFFFF  # zlib complements before and after

    def wire(data: bytes) -> bytes:
        return pack(zlib.crc32(data, start))

    return wire


def _plain_hqx(crc: Crc) -> Check:
    pack, start = _PACK_2, crc.init

    def wire(data: bytes) -> bytes:
        return pack(crc_hqx(data, start) ^ 0xFFFF)

    return wire


def _mirrored_crc32(crc: Crc) -> Check:
    """The same polynomial with the bits of each byte, and of the register, in the other order."""
    pack, start = struct.Struct("<I").pack, _mirrored(crc.init, 4) ^ 0xFFFFFFFF

    def wire(data: bytes) -> bytes:
        return pack(zlib.crc32(data.translate(_MIRROR), start)).translate(_MIRROR)

    return wire


def _mirrored_hqx(crc: Crc) -> Check:
    pack, start = struct.Struct("<H").pack, _mirrored(crc.init, 2)

    def wire(data: bytes) -> bytes:
        return pack(crc_hqx(data.translate(_MIRROR), start) ^ 0xFFFF).translate(_MIRROR)

    return wire


def _mirrored(register: int, size: int) -> int:
    return int.from_bytes(register.to_bytes(size, "little").translate(_MIRROR), "big")


def _by_crcmod(crc: Crc) -> Check:
    if not getattr(import_module("crcmod.crcmod"), "_usingExtension", False):
        _say_slow()
    function = crcmod.predefined.mkPredefinedCrcFun(crc.name)
    size, flip = crc.size, crc.xor_out ^ ((1 << crc.width) - 1)

    def wire(data: bytes) -> bytes:
        value: int = function(data) ^ flip
        return value.to_bytes(size, "big")

    return wire


@cache
def _say_slow() -> None:
    """Warn, the first time only."""
    warnings.warn(
        "crcmod is installed without its C extension: this CRC is some 25 times slower than it could be. Install a C "
        "compiler and run 'pip install --force-reinstall --no-cache-dir crcmod', or choose crc-32 or crc-ccitt-false, "
        "which need no extension",
        RuntimeWarning,
        stacklevel=2,
    )
