"""Messages in a lane, each behind its length."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscomm.protocol.session.full.prefixed import PREFIX_BYTES, Separator, joined, sizes

LENGTHS = (0, 1, 127, 128, 255, 256, 300, 4095, 4096, 16383, 16384, 1 << 21)


@given(st.lists(st.sampled_from(LENGTHS[:-1]), max_size=12), st.integers(0, 1 << 32))
def test_what_was_joined_is_found_again_whatever_the_cut(lengths: list[int], seed: int) -> None:
    dice = random.Random(seed)  # and not one of Hypothesis: it would have to invent every byte
    messages = [dice.randbytes(length) for length in lengths]
    stream = joined(messages)
    assert len(stream) == sum(sizes(messages))
    assert Separator(1 << 14).feed(stream) == messages
    piecewise, found, at = Separator(1 << 14), [], 0
    while at < len(stream):
        size = dice.choice((1, 2, 3, 100, 5000))
        found += piecewise.feed(stream[at : at + size])
        at += size
    assert found == messages
    assert not piecewise.broken


def test_lengths_as_they_are_written() -> None:
    written = {
        0: "00",
        1: "01",
        127: "7f",
        128: "8001",
        300: "ac02",
        16383: "ff7f",
        16384: "808001",
        1 << 21: "80808001",
    }
    for length, prefix in (*written.items(), (1 << 21, "80808001")):
        message = bytes(length)
        assert joined([message]) == bytes.fromhex(prefix) + message
        assert Separator(length).feed(joined([message])) == [message]
        assert list(sizes([message])) == [length + len(prefix) // 2]


def test_no_length_holds_a_zero_but_that_of_the_empty_message() -> None:
    assert all(0 not in joined([bytes(length)])[:-length] for length in range(1, 70000, 7))


@pytest.mark.parametrize(
    "stream",
    [
        b"\xe5\x00" + bytes(101),
        b"\x80\x00",  # a length of nought, and not as short as it can be
        b"\xff" * PREFIX_BYTES,
    ],
)
def test_what_is_no_length_breaks_the_lane(stream: bytes) -> None:
    for step in (1, len(stream)):
        separator, found = Separator(100), []
        for at in range(0, 3 + len(stream), step):
            found += separator.feed((b"\2hi" + stream)[at : at + step])
        assert found == [b"hi"]
        assert separator.broken
        assert separator.feed(b"\2hi") == []


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_any_bytes_are_messages_or_break_it_whatever_the_cut(pieces: list[bytes]) -> None:
    whole, piecewise = Separator(50), Separator(50)
    found = [message for piece in pieces for message in piecewise.feed(piece)]
    assert whole.feed(b"".join(pieces)) == found
    assert whole.broken == piecewise.broken


def test_what_is_too_long_is_passed_over() -> None:
    stream = joined([b"hi", bytes(101), b"", bytes(1000), bytes(300), b"x" * 100])
    for step in (1, 7, 150, len(stream)):
        separator, found, passed = Separator(100), [], []
        for at in range(0, len(stream), step):
            before = len(found)
            found += separator.feed(stream[at : at + step])
            passed += [(before + each.before, each.size, each.whole) for each in separator.too_long]
            separator.too_long = []
        assert found == [b"hi", b"", b"x" * 100]
        assert passed == [(1, 101, 102), (2, 1000, 1002), (2, 300, 302)]
        assert not separator.broken


def test_what_is_passed_over_takes_no_memory() -> None:
    separator = Separator(100)
    assert separator.feed(b"\2hi\xff\xff\xff\xff\x0f") == [b"hi"]
    for _ in range(1000):
        assert separator.feed(bytes(1000)) == []
    assert separator._body.size == 0
