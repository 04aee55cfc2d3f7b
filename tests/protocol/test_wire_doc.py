"""The examples in docs/wire-protocol.md are true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from leadscomm.protocol import FAREWELL, LengthFraming, SeparatorFraming, make_framing
from leadscomm.protocol.framing import crc

DOC = (Path(__file__).parents[2] / "docs" / "wire-protocol.md").read_text(encoding="utf-8")
HEX = "((?:[0-9a-f]{2} ?)+)"
COBS_ROWS = re.findall(rf"^\| (?:`{HEX}`|empty) \| `([a-z0-9-]+)` `{HEX}` \| `{HEX}` \|$", DOC, re.MULTILINE)


@pytest.mark.parametrize(("message", "name", "check", "frame"), COBS_ROWS)
def test_cobs_frames(message: str, name: str, check: str, frame: str) -> None:
    assert crc(name).wire(bytes.fromhex(message)) == bytes.fromhex(check)
    assert make_framing("cobs", crc=name).encode(bytes.fromhex(message)) == bytes.fromhex(frame)


def test_all_cobs_frames_were_found() -> None:
    assert len(COBS_ROWS) == 5


def test_other_frames() -> None:
    for framing in (SeparatorFraming(), SeparatorFraming(b"\r\n"), LengthFraming()):
        assert f"`{framing.encode(b'hello').hex(' ')}`" in DOC
    assert SeparatorFraming().encode_all([FAREWELL]).hex(" ") in DOC
    for message in (b"ic", b"wsc"):
        assert SeparatorFraming().encode(message).hex(" ") in DOC


@pytest.mark.parametrize(("column", "name"), [(1, "crc-32"), (2, "crc-ccitt-false")])
def test_the_table_of_crcs(column: int, name: str) -> None:
    def cell(row: str) -> str:
        (line,) = re.findall(rf"^\| {row} .*$", DOC, re.MULTILINE)
        return str(line.split("|")[column + 1].strip(" `"))

    chosen = crc(name)
    assert int(cell("width")) == chosen.width
    assert int(cell("polynomial"), 16) == chosen.polynomial
    assert cell("bits of each byte") == ("lowest first" if chosen.reflected else "highest first")
    assert int(cell("register at the start"), 16) == chosen.init
    assert int(cell("ordinary value of"), 16) == chosen.value(b"123456789")
    assert bytes.fromhex(cell("on the wire after")) == chosen.wire(b"123456789")
