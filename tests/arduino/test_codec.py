"""The C++ codec and Python's: the same vectors, the same bytes, the same faults."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from leadscomm.protocol import make_framing
from leadscomm.protocol.framing.board import BOARD_CRC
from tests.arduino import compare
from tests.arduino.model import wire
from tests.arduino.stepper import Stepper

VECTORS = Path(__file__).parents[1] / "vectors"
SESSION = json.loads((VECTORS / "session.json").read_text(encoding="ascii"))
FRAMING = json.loads((VECTORS / "framing.json").read_text(encoding="ascii"))
CRCS = {case["name"]: case for case in json.loads((VECTORS / "crc.json").read_text(encoding="ascii"))["crcs"]}
LONGEST = 251  # header and payload of the longest frame of the library

STREAMS = [case for case in FRAMING["streams"] if case.get("crc") == "crc-ccitt-false"]
RECEIVED = [case for case in FRAMING["receive"] if case.get("crc") == "crc-ccitt-false"]


def recode(program: Path, stream: bytes) -> tuple[bytes, int, int]:
    """What the C++ codec writes of the frames in `stream`, and how many were good and bad."""
    run = subprocess.run([str(program), "recode"], input=stream, capture_output=True, check=True)
    good, bad = map(int, run.stderr.split())
    return run.stdout, good, bad


def named(case: dict[str, Any]) -> str:
    return str(case["name"])


@pytest.mark.parametrize("case", SESSION["frames"], ids=named)
def test_the_frames_of_the_session_are_written_as_they_were_read(codec_program: Path, case: dict[str, Any]) -> None:
    assert len(case["frame"]) // 2 <= LONGEST
    stream = bytes.fromhex(case["wire"])
    assert recode(codec_program, stream) == (stream, 1, 0)


@pytest.mark.parametrize("case", STREAMS, ids=named)
def test_streams_of_the_vectors(codec_program: Path, case: dict[str, Any]) -> None:
    messages = [bytes.fromhex(text) for text in case["messages"]]
    fitting = [message for message in messages if 1 <= len(message) <= LONGEST]  # a frame here has a header
    out, good, bad = recode(codec_program, bytes.fromhex(case["stream"]))
    assert out == make_framing("cobs", crc=BOARD_CRC).encode_all(fitting)
    assert (good, bad) == (len(fitting), len(messages) - len(fitting))


@pytest.mark.parametrize("case", RECEIVED, ids=named)
def test_damaged_streams_of_the_vectors(codec_program: Path, case: dict[str, Any]) -> None:
    messages = [bytes.fromhex(text) for text in case["messages"]]
    longest = case.get("max_message", LONGEST)
    fitting = [message for message in messages if 1 <= len(message) <= LONGEST]
    out, _good, bad = recode(codec_program, bytes.fromhex(case["stream"]))
    if longest >= LONGEST:
        assert out == make_framing("cobs", crc=BOARD_CRC).encode_all(fitting)
        assert bad == case["faults"] + len(messages) - len(fitting)


def test_the_crc_of_the_vectors(codec_program: Path) -> None:
    for case in CRCS["crc-ccitt-false"]["wire"]:
        data, crc = bytes.fromhex(case["data"]), bytes.fromhex(case["crc"])
        if not 1 <= len(data) <= LONGEST:
            continue
        stream = wire(data)
        assert crc in stream or 0 in crc
        assert recode(codec_program, stream) == (stream, 1, 0)


@pytest.mark.parametrize("case", SESSION["damaged"], ids=named)
def test_damaged_frames_of_the_session_do_nothing(board_program: Path, case: dict[str, Any]) -> None:
    with Stepper(board_program, "reliable") as board:
        step = board.step(bytes.fromhex(case["wire"]))
        assert (step.messages, step.out, step.connected) == ([], b"", False)


def test_random_frames_are_the_same_in_both(codec_program: Path) -> None:
    assert compare.same(codec_program, 50_000, seed=1) == 50_000


@pytest.mark.parametrize("kind", compare.KINDS)
def test_damaged_frames_are_the_same_in_both_and_none_is_wrong(codec_program: Path, kind: str) -> None:
    verdict = compare.damaged(codec_program, 50_000, seed=1, kind=kind)
    assert verdict.wrong == []


@pytest.mark.long
def test_ten_million_frames(programs: Path) -> None:
    """Also python -m tests.arduino.compare, which writes down what it found.

    A damaged frame whose runs happen to end at its end gets through 16 bits of CRC once in 65,536 times.
    """
    report = compare.run(programs, 10_000_000)
    assert report["frames_identical_in_both"] == 10_000_000
    assert report["wrong"] <= 3, report


def test_random_bytes_give_nothing_but_good_frames(codec_program: Path) -> None:
    noise = random.Random(7).randbytes(1_000_000)
    out, good, bad = recode(codec_program, noise + b"\0" + wire(b"\x41after"))
    assert out.endswith(wire(b"\x41after")), "the frame right behind the noise is good again"
    framing = make_framing("cobs", crc=BOARD_CRC, max_message=LONGEST)
    assert out == framing.encode_all([frame for frame in framing.feed(noise + b"\0" + wire(b"\x41after")) if frame])
    assert good == 1
    assert bad > 1000
