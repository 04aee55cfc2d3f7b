"""The golden vectors, which every implementation of the wire reads."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from leadscomm.errors import LocalProtocolError
from leadscomm.protocol import Framing, make_framing
from leadscomm.protocol.framing import crc

VECTORS = Path(__file__).parent.parent / "vectors"
FRAMING = json.loads((VECTORS / "framing.json").read_text(encoding="ascii"))
CRCS = json.loads((VECTORS / "crc.json").read_text(encoding="ascii"))["crcs"]


def framing_of(case: dict[str, Any]) -> Framing:
    options: dict[str, Any] = {name: case[name] for name in ("crc", "max_message") if name in case}
    if "separator" in case:
        options["separator"] = bytes.fromhex(case["separator"])
    return make_framing(case["framing"], **options)


def hexes(texts: list[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


def named(case: dict[str, Any]) -> str:
    return f"{case['framing']}: {case['name']}"


def chunkings(data: bytes) -> list[list[bytes]]:
    """The whole, byte by byte, and in pieces of a few sizes."""
    return [[data[i : i + size] for i in range(0, len(data), size)] for size in (len(data) or 1, 1, 2, 3, 7)]


def test_the_files_are_those_of_the_generator() -> None:
    for name, text in runpy.run_path(str(VECTORS / "generate.py"))["files"]().items():
        assert (VECTORS / name).read_text(encoding="ascii") == text, "run python tests/vectors/generate.py"


@pytest.mark.parametrize("case", FRAMING["streams"], ids=named)
def test_a_stream_is_sent_as_written(case: dict[str, Any]) -> None:
    messages, stream = hexes(case["messages"]), bytes.fromhex(case["stream"])
    framing = framing_of(case)
    assert framing.encode_all([m for m in messages if m != framing.farewell]) == stream
    assert b"".join(map(framing.encode, messages)) == stream
    assert b"".join(b"".join(framing.encode_parts(message)) for message in messages) == stream


@pytest.mark.parametrize("case", FRAMING["streams"], ids=named)
def test_a_stream_is_received_at_any_chunking(case: dict[str, Any]) -> None:
    messages, stream = hexes(case["messages"]), bytes.fromhex(case["stream"])
    for chunks in chunkings(stream):
        framing = framing_of(case)
        assert [message for chunk in chunks for message in framing.feed(chunk)] == messages
        assert (framing.faults, framing.remainder, framing.finish()) == ([], b"", None)


@pytest.mark.parametrize("case", FRAMING["receive"], ids=named)
def test_what_a_receiver_makes_of_a_stream(case: dict[str, Any]) -> None:
    messages, stream, rest = hexes(case["messages"]), bytes.fromhex(case["stream"]), bytes.fromhex(case["remainder"])
    texts = set()
    for chunks in chunkings(stream):
        framing = framing_of(case)
        assert [message for chunk in chunks for message in framing.feed(chunk)] == messages
        assert (len(framing.faults), framing.broken, framing.remainder) == (case["faults"], case["broken"], rest)
        texts.add(tuple(map(str, framing.take_faults())))
        assert (framing.finish() is not None) == bool(rest)
        assert framing.remainder == b""
    assert len(texts) == 1


@pytest.mark.parametrize("case", FRAMING["refuse"], ids=named)
def test_what_a_sender_refuses(case: dict[str, Any]) -> None:
    framing, message = framing_of(case), bytes.fromhex(case["message"])
    with pytest.raises(LocalProtocolError):
        framing.check(message)
    with pytest.raises(LocalProtocolError):
        framing.encode(message)


@pytest.mark.parametrize("case", CRCS, ids=lambda case: str(case["name"]))
def test_crc(case: dict[str, Any]) -> None:
    chosen = crc(case["name"])
    assert (chosen.width, chosen.size) == (case["width"], case["width"] // 8)
    assert chosen.reflected is case["reflected"]
    figures = (chosen.polynomial, chosen.init, chosen.xor_out, chosen.value(b"123456789"))
    assert figures == tuple(int(case[key], 16) for key in ("polynomial", "init", "xor_out", "check"))
    inputs = hexes([entry["data"] for entry in case["wire"]])
    expected = hexes([entry["crc"] for entry in case["wire"]])
    assert [chosen.wire(data) for data in inputs] == expected
    assert list(chosen.wires(inputs)) == expected
