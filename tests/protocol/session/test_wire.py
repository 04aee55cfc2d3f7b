"""The frames of a session, the handshake and framing=board, by the golden vectors and at random."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscomm.errors import LocalProtocolError
from leadscomm.protocol import BoardFraming, CobsFraming, make_framing
from leadscomm.protocol.session import wire as frames
from leadscomm.protocol.session.handshake import COMPACT, VERSION, Handshake, Refusal, welcome_of

VECTORS = json.loads((Path(__file__).parent.parent.parent / "vectors" / "session.json").read_text(encoding="ascii"))
CONTROLS = ("ACK", "HELLO", "WELCOME", "REFUSE", "BYE", "PING")
KINDS = {"datagram": frames.DATAGRAM, "data": frames.DATA, "more": frames.MORE, "control": frames.CONTROL}


def named(case: dict[str, Any]) -> str:
    return str(case["name"])


def shake(said: dict[str, Any]) -> Handshake:
    return Handshake(**said)


def made(case: dict[str, Any]) -> bytes:
    """The frame that the vector describes, as this side makes it."""
    payload = bytes.fromhex(case.get("payload", ""))
    if case["kind"] == "datagram":
        return frames.datagram(payload, case["count"])
    if case["kind"] != "control":
        return frames.data(payload, case["number"], case["ack"], more=bytes.fromhex(case["frame"])[0] >> 6 == 2)
    if "handshake" in case:
        said = shake(case["handshake"])
        if case["control"] == "HELLO":
            return said.hello()
        return said.welcome(Handshake(epoch=said.echo), said.profiles)
    if "reason" in case:
        return Refusal(case["reason"], case["value"]).frame()
    body = bytes((case["credit"],)) if "credit" in case else b""
    return frames.control(CONTROLS.index(case["control"]), body, case["ack"])


@pytest.mark.parametrize("case", VECTORS["frames"], ids=named)
def test_a_frame_is_made_as_written(case: dict[str, Any]) -> None:
    frame = bytes.fromhex(case["frame"])
    assert CobsFraming("crc-ccitt-false").encode(frame).hex() == case["wire"]
    if "behind" in case["name"] or "both profiles" in case["name"]:
        frame = frame[: len(made(case))]  # what is behind the tag belongs to the full profile
    assert made(case) == frame


@pytest.mark.parametrize("case", VECTORS["frames"], ids=named)
def test_a_frame_is_read_as_written(case: dict[str, Any]) -> None:
    (frame,) = CobsFraming("crc-ccitt-false").feed(bytes.fromhex(case["wire"]))
    found = frames.parse(frame)
    assert found is not None
    assert found.kind == (2 if frame[0] >> 6 == 2 else KINDS[case["kind"]])
    if case["kind"] == "datagram":
        assert (found.number, found.payload.hex()) == (case["count"], case["payload"])
    elif case["kind"] != "control":
        assert (found.number, found.ack, found.payload.hex()) == (case["number"], case["ack"], case["payload"])
    else:
        assert (found.number, found.ack) == (CONTROLS.index(case["control"]), case["ack"])
    if "handshake" in case:
        assert Handshake.decode(found.payload) == shake(case["handshake"])
    if "reason" in case:
        assert Refusal.decode(found.payload) == Refusal(case["reason"], case["value"])
    if "credit" in case:
        assert found.payload[0] == case["credit"]


@pytest.mark.parametrize("case", VECTORS["damaged"], ids=named)
def test_nothing_is_taken_from_damage(case: dict[str, Any]) -> None:
    for frame in CobsFraming("crc-ccitt-false").feed(bytes.fromhex(case["wire"])):
        found = frames.parse(frame)
        if found is not None:
            assert found.kind == frames.CONTROL
            assert found.number not in (frames.HELLO, frames.WELCOME) or Handshake.decode(found.payload) is None
            assert found.number != frames.REFUSE or Refusal.decode(found.payload) is None


@given(
    st.builds(
        Handshake,
        epoch=st.integers(1, 2**32 - 1),
        echo=st.integers(0, 2**32 - 1),
        profiles=st.integers(0, 3),
        tag=st.text(max_size=60).filter(str.isprintable),
        segment=st.integers(0, 65535),
        longest=st.integers(0, 65535),
        resend=st.integers(0, 65535),
        window=st.integers(0, 255),
        credit=st.integers(0, 255),
    ),
    st.binary(max_size=12),
)
def test_a_handshake_survives_the_wire(said: Handshake, behind: bytes) -> None:
    found = frames.parse(said.hello() + behind)
    assert found is not None
    assert Handshake.decode(found.payload) == said
    assert welcome_of(found) is None
    assert welcome_of(frames.parse(said.welcome(Handshake(epoch=said.echo), said.profiles))) == said


@given(st.binary(max_size=40))
def test_any_bytes_are_a_handshake_or_none(body: bytes) -> None:
    said = Handshake.decode(body)
    if said is not None and said.version == VERSION:
        assert len(body) >= 19
    Refusal.decode(body)
    welcome_of(frames.parse(body))


def test_of_another_version_only_that_is_read() -> None:
    assert Handshake.decode(b"\x07") == Handshake(epoch=0, version=7)
    assert Handshake.decode(b"") is None
    assert Handshake.decode(Handshake(epoch=1, tag="wsc").hello()[1:-1]) is None


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (Refusal(1), "no session"),
        (Refusal(2, 9), "version 9"),
        (Refusal(3, 0), "framing=board"),
        (Refusal(4, 58), "58 bytes"),
        (Refusal(5, 300), "300 bytes"),
        (Refusal(77), "77"),
    ],
)
def test_a_refusal_says_what_to_do(refusal: Refusal, words: str) -> None:
    assert words in str(refusal)


def test_datagrams_are_counted_in_a_circle() -> None:
    assert [frames.next_count(count) for count in (0, 1, 62, 63)] == [1, 2, 63, 1]
    assert frames.counts_missed(0, 1) == 0
    assert frames.counts_missed(63, 1) == 0
    assert frames.counts_missed(62, 2) == 2
    assert frames.counts_missed(5, 9) == 3


# framing=board -------------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=80)), st.integers(1, 9))
def test_messages_to_a_board_survive_any_cut(messages: list[bytes], size: int) -> None:
    sender, receiver = make_framing("board"), make_framing("board", max_message=80)
    stream = b"".join(map(sender.encode, messages))
    assert sender.encode_all(messages) == stream
    got = [message for at in range(0, len(stream), size) for message in receiver.feed(stream[at : at + size])]
    assert (got, receiver.faults, receiver.remainder) == (messages, [], b"")


def test_what_is_no_datagram_is_left_out_but_a_refusal_is_told() -> None:
    framing, below = BoardFraming(), CobsFraming("crc-ccitt-false")
    said = [
        frames.datagram(b"one", 1),
        frames.data(b"data", 0, 0),
        Handshake(epoch=1, profiles=COMPACT).hello(),
        Refusal(2, 9).frame(),
        frames.control(frames.REFUSE, b"\1"),
        b"",
        frames.datagram(b"two", 7),
    ]
    assert framing.feed(below.encode_all(said) + b"\5noise\0") == [b"one", b"two"]
    texts = [str(fault) for fault in framing.take_faults()]
    assert len(texts) == 4
    assert "version 9" in texts[0]
    assert "cut off" in texts[1]
    assert "without a header" in texts[2]


def test_a_message_to_a_board_has_a_longest_size() -> None:
    framing = BoardFraming(max_message=4)
    assert framing.feed(framing.encode(b"1234")) == [b"1234"]
    with pytest.raises(LocalProtocolError):
        framing.encode(b"12345")
    assert framing.feed(BoardFraming().encode(b"12345")) == []
    assert framing.count_faults() == 1
    framing.feed(b"\x05ab")
    assert framing.remainder == b"\x05ab"
    framing.clear()
    assert framing.finish() is None


def test_every_bad_frame_counts_once_whatever_the_cut() -> None:
    for size in (3, 3000):
        framing = make_framing("board")
        stream = b"\1\2\0" * 1000
        for at in range(0, len(stream), size):
            framing.feed(stream[at : at + size])
        assert framing.count_faults() == 1000
