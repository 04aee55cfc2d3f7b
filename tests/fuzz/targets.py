"""The targets, by name; what was found interesting before, and random inputs of which some are changed from that.

A corpus is a text file: an input in each line, in hexadecimal, the shortest first.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import codecs, compact, framings, full, reassembly, streams

CORPUS = Path(__file__).with_name("corpus")


@dataclass(frozen=True)
class Target:
    """Something that is fed any bytes.

    :ivar run: raises whatever is wrong.
    :ivar longest: bytes of an input that are worth while.
    :ivar bulk: bytes of some inputs that are there for their volume.
    :ivar about: what it tries, for the page.
    """

    name: str
    run: Callable[[bytes], None]
    longest: int
    about: str
    bulk: int = 0

    def __str__(self) -> str:
        return self.name

    @property
    def corpus(self) -> Path:
        return CORPUS / f"{self.name}.hex"

    def known(self) -> list[bytes]:
        """The inputs of the corpus."""
        return [bytes.fromhex(line) for line in self.corpus.read_text().split("\n") if line]

    def keep(self, inputs: Iterable[bytes]) -> None:
        """Make these the corpus."""
        lines = sorted({data.hex() for data in inputs if data}, key=lambda line: (len(line), line))
        self.corpus.write_text("".join(f"{line}\n" for line in lines))

    def inputs(self, seed: int) -> Iterator[bytes]:
        """Random ones without end, the same ones for the same seed and corpus."""
        dice = random.Random(f"{self.name} {seed}")
        known = self.known()
        while True:
            if known and dice.randrange(2):
                yield changed(dice.choice(known), dice)
            elif self.bulk and not dice.randrange(8):
                yield dice.randbytes(self.bulk)
            else:
                yield dice.randbytes(dice.randrange(1 << dice.randrange(self.longest.bit_length())))


def changed(data: bytes, dice: random.Random) -> bytes:
    """An input with some bytes otherwise, left out, put in, or said again."""
    new = bytearray(data)
    for _ in range(1 << dice.randrange(4)):
        at, size = dice.randrange(len(new) + 1), 1 << dice.randrange(6)
        piece = new[at : at + size]
        new[at : at + size] = dice.choice((dice.randbytes(len(piece)), b"", piece + dice.randbytes(size), 2 * piece))
    return bytes(new)


TARGETS = {
    target.name: target
    for target in (
        Target("framings", framings.one_input, 2048, "every framing with every CRC, and what cuts streams", 1 << 16),
        Target("codecs", codecs.one_input, 256, "headers, handshakes, seals, layouts, guesses, the key challenge"),
        Target("reassembly", reassembly.one_input, 1024, "segments of lanes in any cut and order"),
        Target("streams", streams.one_input, 256, "data larger than memory, as records of a session"),
        Target("compact", compact.one_input, 256, "two sessions of the compact profile, and who is between them"),
        Target("full", full.one_input, 384, "two sessions of the full profile, with and without a key, likewise"),
    )
}
