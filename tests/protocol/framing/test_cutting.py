"""Streams cut into whole frames, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscomm.protocol.framing import FAREWELL, make_framing
from leadscomm.protocol.framing.base import Framing
from leadscomm.protocol.framing.cutting import Cutter, LengthCutter, MarkCutter, PieceCutter, TryingCutter, cutter_for


class Tagged(Framing):
    """A framing that somebody else might write: one byte of length before each message, 0xFF is refused."""

    name = "tagged"

    def __init__(self) -> None:
        super().__init__(100)
        self._head = b""

    def encode(self, message: bytes) -> bytes:
        return bytes([len(message)]) + message

    def feed(self, data: bytes) -> list[bytes]:
        data, messages = self._head + data, []
        while data and len(data) > data[0]:
            messages.append(data[1 : 1 + data[0]])
            data = data[1 + data[0] :]
        if data[:1] == b"\xff":
            self.add_fault("too long")
            data = b""
        self._head = data
        return messages


MAKERS = {
    "separator": lambda: make_framing("separator"),
    "long separator": lambda: make_framing("separator", separator="--"),
    "line": lambda: make_framing("line"),
    "length": lambda: make_framing("length"),
    "cobs": lambda: make_framing("cobs"),
    "board": lambda: make_framing("board"),
    "one's own": Tagged,
}
every_framing = pytest.mark.parametrize("name", MAKERS)
MESSAGES = st.lists(
    st.binary(max_size=40)
    .map(lambda message: message.translate(None, b";-\r\n"))
    .filter(lambda message: message != FAREWELL)
)


def cut(cutter: Cutter, data: bytes, ends: list[int]) -> list[bytes]:
    frames, at = [], 0
    for end in [*sorted(ends), len(data)]:
        end = min(end, len(data))
        frames += cutter.feed(data[at:end])
        at = end
    return frames


@every_framing
@given(messages=MESSAGES, ends=st.lists(st.integers(0, 300), max_size=6))
def test_each_frame_comes_out_as_it_is_wherever_the_stream_was_cut(name, messages, ends):
    framing = MAKERS[name]()
    expected = [framing.encode(message) for message in messages]
    cutter = cutter_for(MAKERS[name]())
    assert cut(cutter, b"".join(expected), ends) == expected
    assert cutter.rest() == b""


@every_framing
@given(data=st.binary(max_size=300), ends=st.lists(st.integers(0, 300), max_size=6))
def test_of_any_bytes_none_is_lost(name, data, ends):
    cutter = cutter_for(MAKERS[name]())
    frames = cut(cutter, data, ends)
    assert b"".join(frames) + cutter.rest() == data
    assert cutter.rest() == b""


@pytest.mark.parametrize(
    ("name", "kind"), [("line", MarkCutter), ("length", LengthCutter), ("datagram", PieceCutter), ("cobs", MarkCutter)]
)
def test_the_cutter_of_a_framing(name, kind):
    assert type(cutter_for(make_framing(name))) is kind


def test_who_changes_a_framing_has_it_tried():
    class Shouted(type(make_framing("length"))):
        """Perhaps another length."""

    assert type(cutter_for(Shouted())) is TryingCutter


def test_a_datagram_is_a_frame_and_an_empty_one_is_none():
    cutter = cutter_for(make_framing("datagram"))
    assert [cutter.feed(data) for data in (b"one", b"", b"two")] == [[b"one"], [], [b"two"]]


@pytest.mark.parametrize("name", ["separator", "cobs", "length"])
def test_what_never_ends_is_let_through(name):
    cutter = cutter_for(make_framing(name, max_message=100))
    junk = b"\xff" * 90
    came = b""
    for count in range(1, 11):
        came += b"".join(cutter.feed(junk))
        assert count * 90 - len(came) <= 165
    assert came + cutter.rest() == junk * 10
