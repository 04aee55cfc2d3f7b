"""The frames of the full profile, and what protects them."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscomm.protocol.records.durable import Durable
from leadscomm.protocol.session import offer as offers
from leadscomm.protocol.session import segments as full
from leadscomm.protocol.session.handshake import FULL, NO_KEY, NO_SESSION, NOT_UNDERSTOOD, OTHER_KEY, Handshake, Refusal
from leadscomm.protocol.session.offer import Offer
from leadscomm.protocol.session.seals import Checked, NoSeal, Proof, Seal
from leadscomm.protocol.session.segments import Ack, LaneAck

ROOT = Path(__file__).parents[2]
VECTORS = json.loads((ROOT / "vectors" / "full.json").read_text(encoding="ascii"))
DOC = (ROOT.parent / "docs" / "wire-protocol.md").read_text(encoding="utf-8")
KEY = b"0123456789abcdef"
OFFSETS = st.integers(0, (1 << 64) - 1)


def named(case: dict[str, Any]) -> str:
    return str(case["name"])


def written(case: dict[str, Any]) -> bytes:
    """The frame, from what it says."""
    if case["kind"] == "data":
        return full.data(
            full.lane_number(case["lane"], case["channel"]),
            case["epoch"],
            case["offset"],
            bytes.fromhex(case["payload"]),
        )
    clocks = case.get("clocks", [])
    if case["control"] == "ACK":
        return full.control(0, case["epoch"], ack_of(case).body())
    if case["control"] == "BYE":
        return full.control(4, case["epoch"])
    return full.ping(case["epoch"], *clocks) if case["control"] == "PING" else full.pong(case["epoch"], *clocks)


def ack_of(case: dict[str, Any]) -> Ack:
    lanes = [LaneAck(full.lane_number(*row[:2]), *row[2:4], tuple(map(tuple, row[4]))) for row in case["lanes"]]
    return Ack(case["room"], case["messages"], tuple(lanes))


@pytest.mark.parametrize("case", VECTORS["frames"], ids=named)
def test_frames(case: dict[str, Any]) -> None:
    frame = bytes.fromhex(case["frame"])
    assert written(case) == frame
    if case["kind"] == "data":
        payload = bytes.fromhex(case["payload"])
        assert full.read_data(frame) == (
            case["epoch"],
            full.lane_number(case["lane"], case["channel"]),
            case["offset"],
            payload,
        )
        return
    found = full.read_control(frame)
    assert found is not None
    assert found[:2] == (case["epoch"], ("ACK", "", "", "", "BYE", "PING", "PONG").index(case["control"]))
    if case["control"] == "ACK":
        assert Ack.decode(found.body) == ack_of(case)
    elif case["control"] == "PING":
        assert [full.read_ping(found.body)] == case["clocks"]
    elif case["control"] == "PONG":
        clocks = full.read_pong(found.body)
        assert clocks is not None
        assert list(clocks) == case["clocks"]


@pytest.mark.parametrize("case", VECTORS["frames"], ids=named)
def test_seals(case: dict[str, Any]) -> None:
    frame, checked, proved = (bytes.fromhex(case[key]) for key in ("frame", "checked", "proved"))
    assert NoSeal().seal(frame) == NoSeal().open(frame) == frame
    assert Checked().seal(frame) == checked
    assert Checked().open(checked) == frame
    key = bytes.fromhex(case["key"])
    if case["counter"] < 100:
        sender = Proof(key, case["mine"], case["peers"])
        assert [sender.seal(frame) for _ in range(case["counter"])][-1] == proved
    receiver = Proof(key, case["peers"], case["mine"])
    assert receiver.open(proved) == frame
    assert receiver.open(proved) is None  # once is enough
    assert Proof(key, case["mine"], case["peers"]).open(proved) is None  # sent back to its maker


@pytest.mark.parametrize("case", VECTORS["handshakes"], ids=named)
def test_handshakes(case: dict[str, Any]) -> None:
    frame, key = bytes.fromhex(case["frame"]), case["key"] and bytes.fromhex(case["key"])
    if case["control"] == "REFUSE" and "longest" in case:
        assert offers.too_long(case["refused"], case["longest"], key) == frame
        assert offers.read_too_long(frame, case["refused"], key) == case["longest"]
        assert offers.read_too_long(frame, case["refused"] + 1, key) is None
        assert offers.read_too_long(frame, case["refused"], b"another") is None
        assert offers.read_too_long(frame[:8], case["refused"], key) is None
        return
    if case["control"] == "REFUSE":
        assert offers.no_session(case["refused"], key) == frame
        assert offers.read_no_session(frame, key) == case["refused"]
        assert offers.read_no_session(frame, b"another") is None
        return
    me = Handshake(case["epoch"], tag="base")
    said = Offer(me, case["segment"], case["room"], case["messages"], key, case["longest"], case["rides"])
    asked = Offer(Handshake(case["echo"] or 1))
    assert (said.hello(case["echo"]) if case["control"] == "HELLO" else said.welcome(asked)) == frame
    found = Offer.decode(frame, key)
    assert found is not None
    assert (found.epoch, found.handshake.echo, found.segment, found.room, found.messages) == tuple(
        case[name] for name in ("epoch", "echo", "segment", "room", "messages")
    )
    assert (found.longest, found.rides) == (case["longest"], case["rides"])
    assert found.handshake.longest == (case["longest"] or 65535)
    assert found.handshake.profiles & FULL
    assert offers.keyed(frame) == (key is not None)
    assert Offer.decode(frame, b"another") is None
    assert all(Offer.decode(frame[:end], key) is None for end in range(len(frame)))


def test_what_says_nothing_of_the_full_profile() -> None:
    assert Offer.decode(Handshake(5).hello(), None) is None
    assert Offer.decode(Offer(Handshake(0)).hello(), None) is None
    assert Offer.decode(b"\xc8\x02", None) is None
    assert not offers.keyed(b"\xc8")
    assert offers.read_no_session(b"\xd8\x01\x00\x00", None) is None
    assert offers.read_no_session(b"\xd8\x02\x00\x00" + bytes(8), None) is None


def test_frames_that_are_cut_off() -> None:
    assert full.read_data(bytes(12)) is None
    assert full.read_control(bytes(4)) is None
    assert full.read_ping(bytes(7)) is None
    assert full.read_pong(bytes(23)) is None
    assert Ack.decode(bytes(7)) is None
    assert Ack.decode(bytes(8 + 17)) is None
    assert Ack.decode(bytes(8 + 17) + b"\1") is None
    for number in (2, 7, 15, 64, 65, 255):  # there are no such lanes and channels
        assert Ack.decode(bytes(8) + bytes([number]) + bytes(17)) is None
        assert full.read_data(bytes([64 | number & 63]) + bytes(12)) is None or number > 63


def test_a_counter_is_taken_once_however_late() -> None:
    sender, receiver = Proof(KEY, 1, 2), Proof(KEY, 2, 1)
    frames = [sender.seal(b"%d" % number) for number in range(5000)]
    assert receiver.open(frames[4000]) == b"4000"
    assert [receiver.open(frames[number]) is not None for number in (3999, 0, 0, 4999, 904, 903, 3999)] == [
        True, True, False, True, True, False, False,
    ]  # fmt: skip
    assert receiver.open(b"") is None
    assert receiver.open(frames[1][:20]) is None


@given(st.sampled_from((Checked(), Checked())), st.binary(min_size=1, max_size=50), st.integers(0, 1 << 10))
def test_a_flipped_bit_is_found(seal: Seal, frame: bytes, place: int) -> None:
    worn = bytearray(seal.seal(frame))
    worn[place // 8 % len(worn)] ^= 1 << place % 8
    assert seal.open(bytes(worn)) is None
    assert seal.open(b"") is None


@given(st.binary(max_size=100))
def test_any_bytes_are_an_acknowledgement_or_none(body: bytes) -> None:
    ack = Ack.decode(body)
    assert ack is None or ack.body() == body


@given(
    st.lists(
        st.tuples(
            st.integers(0, 7),
            st.sampled_from(full.CHANNELS),
            OFFSETS,
            st.integers(0, 1 << 62),
            st.lists(st.tuples(st.integers(0, 1 << 31), st.integers(0, 1 << 31)), max_size=5),
        ),
        max_size=8,
    )
)
def test_acknowledgements_are_read_as_written(rows: list[tuple[int, int, int, int, list[tuple[int, int]]]]) -> None:
    lanes = [
        LaneAck(
            full.lane_number(lane, channel),
            delivered,
            at,
            tuple((at + first, at + first + size) for first, size in ranges),
        )
        for lane, channel, delivered, at, ranges in rows
    ]
    ack = Ack(1, 2, tuple(lanes))
    assert Ack.decode(ack.body()) == ack


def test_the_examples_of_the_wire_are_true() -> None:
    section = DOC.partition("### Full profile")[2].partition("### Records")[0]
    rows = dict(re.findall(r"^\| (.+?) \| `([0-9a-f ]+)` \|$", section, re.MULTILINE))
    durable = Durable(bytes(range(8)), 1, b"hi")
    framed = full.data(full.lane_number(4), 0x12345678, 6, b"\2hi")
    assert [bytes.fromhex(text) for text in rows.values()] == [
        framed,
        framed + zlib.crc32(framed).to_bytes(4, "big"),
        full.data(full.lane_number(4, full.RECORDS), 0x12345678, 0, b"\x13" + durable.record()),
        full.control(4, 0x12345678),
        *[Refusal(NO_SESSION, reason).frame() for reason in (OTHER_KEY, NO_KEY, NOT_UNDERSTOOD)],
        full.ping(0x12345678, full.veiled(full.clock(1.0), 0x12345678)),
        offers.token(0x12345678, 0xA1B2C3D4).to_bytes(4, "little"),
        offers.no_session(0x12345678, None),
        offers.too_long(0x12345678, 1 << 20, None),
    ]


@pytest.mark.parametrize("key", [None, KEY])
def test_a_longest_message_that_was_cut_off_or_changed_makes_the_frame_say_nothing(key: bytes | None) -> None:
    hello = Offer(Handshake(5), key=key, longest=1 << 20).hello()
    assert Offer.decode(hello + b"more", key) is not None
    changed = bytearray(hello)
    changed[-1] ^= 1
    assert Offer.decode(bytes(changed), key) is None
    assert Offer.decode(hello[: len(hello) - 1], key) is None


def test_who_knows_nothing_of_the_longest_message_reads_the_rest() -> None:
    """As peers do that look at no more than the block and its closing."""
    hello = Offer(Handshake(5), longest=1 << 20).hello()
    end = len(hello) - 8  # of what such a peer looks at
    assert zlib.crc32(hello[: end - 4]).to_bytes(4, "big") == hello[end - 4 : end]
    assert zlib.crc32(hello[:-4]).to_bytes(4, "big") == hello[-4:]  # and so of one that looks at the end
