"""Both codecs on millions of frames.

    python -m tests.arduino.compare [frames] [folder]

builds the C++ codec in the folder, gives it and Python's codec the same frames, whole ones and damaged ones, and writes
what was found to tests/arduino/compared.json. The default is 10,000,000 of each, which takes several minutes.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from leadscomm.protocol import Framing, make_framing
from leadscomm.protocol.framing.board import BOARD_CRC
from tests.arduino.stepper import compile_program

KINDS = ("bit", "bits", "drop", "double")
BLOCK = 20_000  # frames that are compared at a time
RECORD = Path(__file__).parent / "compared.json"
QUICK = ("-O2",)


def framing() -> Framing:
    return make_framing("cobs", crc=BOARD_CRC, max_message=251)


@dataclass
class Verdict:
    delivered: int = 0
    wrong: list[str] = field(default_factory=list)  # frames that nobody sent, in hexadecimal
    stream: int = zlib.crc32(b"")  # of what was delivered, written again


def same(program: Path, count: int, seed: int) -> int:
    """Random frames of Python are read and written again by C++: byte for byte the same. Returns how many."""
    draw = random.Random(seed)
    python = framing()
    for start in range(0, count, BLOCK):
        frames = [_frame(draw) for _ in range(min(BLOCK, count - start))]
        stream = python.encode_all(frames)
        assert python.feed(stream) == frames
        again = subprocess.run([str(program), "recode"], input=stream, capture_output=True, check=True).stdout
        assert again == stream, f"seed {seed}: the codecs differ behind frame {start}"
    return count


def _frame(draw: random.Random) -> bytes:
    """A header and 0 to 58 bytes, now and then up to 250: of any value, or of few, with many zeros among them."""
    size = 1 + draw.randrange(59 if draw.random() < 0.98 else 251)
    return draw.randbytes(size) if draw.random() < 0.8 else bytes(draw.choices((0, 0, 1, 255), k=size))


def damaged(program: Path, count: int, seed: int, kind: str) -> Verdict:
    """`count` frames with one damage each: what C++ takes is what Python takes; `wrong` is what nobody sent."""
    verdict = Verdict()
    command = [str(program), "damage", str(count), str(seed), kind]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as maker,
        subprocess.Popen(
            [str(program), "recode"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as codec,
    ):
        assert maker.stdout
        assert codec.stdin
        assert codec.stdout
        reader = Thread(target=_collect, args=(codec.stdout, verdict))
        reader.start()
        python = framing()
        mine = zlib.crc32(b"")
        for chunk in _chunks(maker.stdout):
            codec.stdin.write(chunk)
            taken = [frame for frame in python.feed(chunk) if frame]  # C++ wants a header
            python.take_faults()
            mine = zlib.crc32(python.encode_all(taken), mine)
        codec.stdin.close()
        reader.join()
    assert mine == verdict.stream, f"{kind}, seed {seed}: the codecs took different frames"
    return verdict


def _collect(pipe: Any, verdict: Verdict) -> None:
    """Read what C++ took, and judge it by the CRC-32 at the end of each payload."""
    python = framing()
    for chunk in _chunks(pipe):
        verdict.stream = zlib.crc32(chunk, verdict.stream)
        for frame in python.feed(chunk):
            verdict.delivered += 1
            if zlib.crc32(frame[1:-4]).to_bytes(4, "little") != frame[-4:]:
                verdict.wrong.append(frame.hex())


def _chunks(pipe: Any) -> Iterator[bytes]:
    while chunk := pipe.read(1 << 16):
        yield chunk


def run(folder: Path, count: int) -> dict[str, Any]:
    """All of it, with `count` whole and `count` damaged frames."""
    program = compile_program("codec", folder, *QUICK)
    verdicts = {kind: damaged(program, count // len(KINDS), seed=7, kind=kind) for kind in KINDS}
    return {
        "frames_identical_in_both": same(program, count, seed=7),
        "damaged_frames": count // len(KINDS) * len(KINDS),
        "delivered_though_damaged": {kind: verdict.delivered for kind, verdict in verdicts.items()},
        "wrong": sum(len(verdict.wrong) for verdict in verdicts.values()),
        "wrong_frames": {kind: verdict.wrong for kind, verdict in verdicts.items() if verdict.wrong},
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        found = run(Path(scratch), int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
    text = json.dumps(found, indent=2)
    RECORD.write_text(text + "\n", encoding="ascii")
    print(text)
