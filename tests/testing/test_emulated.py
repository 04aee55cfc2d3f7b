"""The table of emulated boards against the Arduino core's own."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from leadscomm.errors import MissingTool
from leadscomm.hardware.firmware.places import core_folder
from leadscomm.testing.emulated import EMULATED, find_emulated


@pytest.mark.parametrize("name", EMULATED)
def test_pins_are_numbered_as_in_the_core(name: str, require_tool: Callable[..., None]) -> None:
    """`pins_arduino.h` has two tables: ports as ``PB ,`` (names of registers' numbers), and bits as ``_BV( 7 )``."""
    board = find_emulated(name)
    try:
        header = core_folder() / "variants" / board.model.variant / "pins_arduino.h"
    except MissingTool as error:
        require_tool("the Arduino core", str(error), found=False)
    if board.model.variant == "eightanaloginputs":  # it includes the other, and adds inputs
        header = header.parent.parent / "standard" / header.name
    text = re.sub(r"//.*", "", header.read_text())
    ports = re.findall(r"\bP([A-L])\b", text.partition("digital_pin_to_port_PGM[]")[2].partition("}")[0])
    masks = text.partition("digital_pin_to_bit_mask_PGM[]")[2].partition("}")[0]
    bits = re.findall(r"_BV\(\s*(\d)\s*\)", masks)
    assert [port + bit for port, bit in zip(ports, bits, strict=True)] == list(board.pins)


def test_a_board_has_as_many_pins_as_places() -> None:
    for board in EMULATED.values():
        assert len(set(board.pins)) == len(board.pins)
        assert board.place(13) in ("B 5", "B 7")
