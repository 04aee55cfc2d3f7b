"""Messages as text on a terminal, and back."""

from __future__ import annotations

import re

from leadscomm.errors import LocalProtocolError

_BETWEEN = re.compile(r"0[xX]|[\s,:]+")


def as_text(message: bytes) -> str:
    r"""One line that shows a message and can do nothing to a terminal.

    UTF-8 that can be printed is shown as it is; every other byte as ``\n``, ``\r``, ``\t`` or ``\xNN``.
    """
    text = message.decode("utf-8", "backslashreplace")
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(letter: str) -> str:
    if letter.isprintable():
        return letter
    return _SHORT.get(letter) or "".join(f"\\x{byte:02x}" for byte in letter.encode())


_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def as_hex(message: bytes) -> str:
    """``68 65 6c 6c 6f``."""
    return message.hex(" ")


def from_hex(line: bytes) -> bytes:
    """Read what :func:`as_hex` writes; also ``68656c``, ``68:65:6c`` and ``0x68, 0x65``.

    :raises LocalProtocolError: it is not that.
    """
    digits = _BETWEEN.sub("", line.decode("ascii", "replace"))
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise LocalProtocolError(
            f"{as_text(line[:40])!r} is not hexadecimal; write two digits a byte, such as 68 65 6c 6c 6f"
        ) from None
