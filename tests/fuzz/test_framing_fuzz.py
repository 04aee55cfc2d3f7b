"""Random bytes, whole and one at a time, give the same messages and the same faults, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadscomm.errors import RemoteProtocolError
from leadscomm.protocol import Framing, make_framing

Make = Callable[[], Framing]
MAKERS: dict[str, Make] = {
    f"{name} {options}": lambda name=name, options=options: make_framing(name, **options)  # type: ignore[misc]
    for name, options in [
        ("separator", {}),
        ("separator", {"max_message": 5}),
        ("separator", {"separator": b"\r\n", "max_message": 5}),
        ("separator", {"separator": b"aba", "max_message": 3}),
        ("line", {}),
        ("line", {"max_message": 3}),
        ("length", {}),
        ("length", {"max_message": 3}),
        ("cobs", {}),
        ("cobs", {"crc": "crc-8"}),
        ("cobs", {"crc": "crc-8", "max_message": 3}),
        ("cobs", {"crc": "crc-ccitt-false", "max_message": 260}),
    ]
}
relaxed = settings(deadline=None, max_examples=50)
every_framing = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())

bytes_of = st.sampled_from([b"ab", b"aba\r\n", b";x", b"\0\1\2\3", b"\0\1\2\3\4\5\xff;\r\nab", bytes(range(256))])
streams = st.one_of(st.binary(max_size=600), bytes_of.flatmap(lambda some: st.lists(st.sampled_from(some)).map(bytes)))


def outcome(framing: Framing, chunks: list[bytes]) -> tuple[list[bytes], list[str], bool, bytes, str]:
    messages = [message for chunk in chunks for message in framing.feed(chunk)]
    faults = framing.take_faults()
    assert all(type(message) is bytes and len(message) <= framing.max_message for message in messages)
    assert all(isinstance(fault, RemoteProtocolError) for fault in faults)
    rest = framing.remainder
    return messages, [str(fault) for fault in faults], framing.broken, rest, str(framing.finish())


def pieces(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(i % (len(data) + 1) for i in at), len(data)]
    return [data[i:j] for i, j in pairwise(edges)]


@every_framing
@relaxed
@given(data=streams, at=st.lists(st.integers(0, 600), max_size=10))
def test_any_bytes(make: Make, data: bytes, at: list[int]) -> None:
    whole = outcome(make(), [data])
    assert outcome(make(), [data[i : i + 1] for i in range(len(data))]) == whole
    assert outcome(make(), pieces(data, at)) == whole


@every_framing
def test_many_bytes(make: Make) -> None:
    dice = random.Random(2)
    for _ in range(5):
        data = dice.randbytes(5000).replace(bytes([dice.randrange(256)]), b"\0")
        whole = outcome(make(), [data])
        assert outcome(make(), [data[i : i + 1] for i in range(len(data))]) == whole
        assert outcome(make(), pieces(data, [dice.randrange(5000) for _ in range(20)])) == whole


@every_framing
@relaxed
@given(
    messages=st.lists(st.binary(max_size=3), min_size=1, max_size=5), hit=st.integers(0, 10_000), bit=st.integers(0, 7)
)
def test_a_damaged_stream_gives_the_same_at_any_chunking(make: Make, messages: list[bytes], hit: int, bit: int) -> None:
    data = bytearray(make().encode_all(messages))
    data[hit % len(data)] ^= 1 << bit
    whole = outcome(make(), [bytes(data)])
    assert outcome(make(), [bytes([byte]) for byte in data]) == whole


@relaxed
@given(
    before=st.lists(st.binary(max_size=40), max_size=3),
    noise=st.binary(max_size=300),
    after=st.lists(st.binary(max_size=40), min_size=1, max_size=3),
)
def test_cobs_finds_its_feet_again(before: list[bytes], noise: bytes, after: list[bytes]) -> None:
    framing = make_framing("cobs")
    messages = framing.feed(framing.encode_all(before) + noise + b"\0" + framing.encode_all(after))
    assert messages == before + after
    assert bool(framing.faults) == bool(noise.strip(b"\0"))
