"""Framings: any bytes, cut in any way, give the same messages and the same faults, and nothing else."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from leadscomm.errors import LocalProtocolError, RemoteProtocolError
from leadscomm.protocol import Framing, cobs_decode, cobs_encode, make_framing
from leadscomm.protocol.framing.crc import NAMES
from leadscomm.protocol.framing.cutting import cutter_for

from .source import Source, held

SPECS: Sequence[tuple[str, dict[str, object]]] = (
    ("separator", {}),
    ("separator", {"max_message": 5}),
    ("separator", {"separator": b"\r\n", "max_message": 5}),
    ("separator", {"separator": b"aba", "max_message": 3}),
    ("line", {}),
    ("line", {"max_message": 3}),
    ("length", {}),
    ("length", {"max_message": 3}),
    ("board", {"max_message": 300}),
    *(("cobs", {"crc": name, "max_message": longest}) for longest in (1 << 20, 3, 260) for name in NAMES),
)
BYTE_BY_BYTE = 4096
"""Longer streams are only cut at random: they are there for their number of bytes."""
OVERHEAD = 16 << 10
"""Bytes that a framing holds besides its remainder."""


@dataclass
class Stream:
    """Bytes to be fed, and what is known of them.

    :ivar whole: the messages that are in it undamaged and where they can be found again.
    """

    data: bytes
    whole: list[bytes]


def one_input(data: bytes) -> None:
    source = Source(data)
    name, options = source.pick(SPECS)
    stream = build(make_framing(name, **options), source)
    data = stream.data
    once = outcome(make_framing(name, **options), [data])
    assert is_part(stream.whole, once[0]), "an undamaged message is missing"
    cuts = list(cut(data))
    assert outcome(make_framing(name, **options), cuts) == once, "cut at random"
    if len(data) <= BYTE_BY_BYTE:
        single = [data[i : i + 1] for i in range(len(data))]
        assert outcome(make_framing(name, **options), single) == once, "byte by byte"
        cut_into_frames(make_framing(name, **options), single)
    cut_into_frames(make_framing(name, **options), cuts)
    code(data[:BYTE_BY_BYTE])


def build(framing: Framing, source: Source) -> Stream:
    """A stream of frames, of frames that were damaged, and of noise; or of noise alone."""
    if not source.below(2):
        return Stream(source.rest(), [])
    data, whole, sound = b"", [], True
    while source:
        kind, message = source.below(4), source.chunk()
        if kind == 3:
            data += message
        elif fits(framing, message):
            frame = bytearray(framing.encode(message))
            if kind == 2 and frame:
                frame[source.below(len(frame))] ^= 1 << source.below(8)
            elif sound:
                whole.append(message)
            data += frame
        if kind >= 2:  # damage, behind which only COBS finds its feet
            sound = framing.name in ("cobs", "board")
            data += b"\0" if sound else b""
    return Stream(data, whole)


def fits(framing: Framing, message: bytes) -> bool:
    """Whether the framing carries a message; if so, all its ways of encoding are the same."""
    try:
        framing.check(message)
    except LocalProtocolError:
        return False
    frame = framing.encode(message)
    assert frame == framing.encode_all([message]) == b"".join(framing.encode_parts(message))
    return True


def outcome(framing: Framing, pieces: Iterable[bytes]) -> tuple[list[bytes], list[str], bool, bytes, str]:
    """All that a framing makes of a stream."""
    messages: list[bytes] = []
    for piece in pieces:
        messages += framing.feed(piece)
    rest = framing.remainder
    assert held(framing) <= OVERHEAD + 4 * len(rest)
    faults = framing.take_faults()
    assert all(type(message) is bytes and len(message) <= framing.max_message for message in messages)
    assert all(isinstance(fault, RemoteProtocolError) for fault in faults)
    return messages, [str(fault) for fault in faults], framing.broken, rest, str(framing.finish())


def cut_into_frames(framing: Framing, pieces: Sequence[bytes]) -> None:
    """A cutter gives back what it was fed, and keeps no more than a frame."""
    cutter = cutter_for(framing)
    out = [frame for piece in pieces for frame in cutter.feed(piece)]
    out.append(cutter.rest())
    assert b"".join(out) == b"".join(pieces)


def cut(data: bytes) -> Iterator[bytes]:
    """Pieces of many sizes, always the same ones for the same bytes."""
    dice = random.Random(zlib.crc32(data))
    at = 0
    while at < len(data):
        size = 1 + dice.randrange(1 << dice.randrange(1, 15))
        yield data[at : at + size]
        at += size


def is_part(wanted: Sequence[bytes], found: Iterable[bytes]) -> bool:
    """Whether ``wanted`` is in ``found``, in this order; noise may give messages of its own besides."""
    rest = iter(found)
    return all(any(message == other for other in rest) for message in wanted)


def code(data: bytes) -> None:
    """COBS itself."""
    coded = cobs_encode(data)
    assert 0 not in coded
    assert cobs_decode(coded) == data
    decoded = cobs_decode(data)
    assert decoded is None or cobs_decode(cobs_encode(decoded)) == decoded
