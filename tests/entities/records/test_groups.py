"""The record that tells of groups: docs/wire-protocol.md, "Records"."""

from __future__ import annotations

import pytest

from leadscomm import EndpointError, RemoteProtocolError
from leadscomm.entities.records.groups import decode, encode

ARMS_AND_LEFT = bytes.fromhex("03 04 61 72 6d 73 04 6c 65 66 74")


def test_the_record_of_the_page() -> None:
    assert encode(["left", "arms", "left"]) == ARMS_AND_LEFT
    assert decode(ARMS_AND_LEFT) == {"arms", "left"}
    assert decode(encode([])) == frozenset()
    assert decode(encode(["Grüße", "x" * 255])) == {"Grüße", "x" * 255}


@pytest.mark.parametrize("size", range(2, len(ARMS_AND_LEFT)))
def test_one_that_is_cut_off_is_refused(size: int) -> None:
    if size == 6:
        assert decode(ARMS_AND_LEFT[:size]) == {"arms"}
    else:
        with pytest.raises(RemoteProtocolError):
            decode(ARMS_AND_LEFT[:size])


@pytest.mark.parametrize("groups", [[""], ["x" * 256], ["é" * 128], [str(number) for number in range(256)]])
def test_what_cannot_be_told(groups: list[str]) -> None:
    with pytest.raises(EndpointError, match="255"):
        encode(groups)


@pytest.mark.parametrize("record", [b"\x03\0", ARMS_AND_LEFT + b"\0", b"\x03" + b"\x01x" * 256])
def test_what_no_node_is_in_is_refused(record: bytes) -> None:
    """Else a stranger's record of 1 MiB would be kept as some hundred thousand names."""
    with pytest.raises(RemoteProtocolError, match="255"):
        decode(record)
