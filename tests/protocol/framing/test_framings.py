"""Each framing: messages go through, bad ones are refused, bad frames are reported and bounded."""

from __future__ import annotations

import sys
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadscomm.errors import EndpointError, LocalProtocolError, RemoteProtocolError
from leadscomm.protocol import (
    CobsFraming,
    DatagramFraming,
    Framing,
    LengthFraming,
    LineFraming,
    SeparatorFraming,
    cobs_decode,
    cobs_encode,
)
from leadscomm.protocol.framing import FramingSpec, WholeFraming
from leadscomm.protocol.framing.base import MAX_FAULTS_KEPT

CHUNK = 1 << 16
STREAMS = [
    SeparatorFraming,
    lambda: SeparatorFraming(b"\r\n"),
    lambda: SeparatorFraming(b"--"),
    lambda: SeparatorFraming(b"aabaa"),
    LineFraming,
    LengthFraming,
    CobsFraming,
    lambda: CobsFraming("crc-ccitt-false"),
    lambda: CobsFraming("crc-24"),
]
NAMES = [
    "separator ;",
    "separator CR LF",
    "separator --",
    "separator aabaa",
    "line",
    "length",
    "cobs",
    "cobs 16",
    "cobs 24",
]
every_stream = pytest.mark.parametrize("make", STREAMS, ids=NAMES)
relaxed = settings(deadline=None, max_examples=50)
every_framing = pytest.mark.parametrize("make", [*STREAMS, DatagramFraming], ids=[*NAMES, "datagram"])

alphabets = st.sampled_from([b"a", b"ab-", b"\r\nx", b"\0x", b"\0\xff;", bytes(range(256))])
payloads = alphabets.flatmap(
    lambda alphabet: st.one_of(
        st.lists(st.sampled_from(alphabet), max_size=12).map(bytes),
        st.integers(240, 520).flatmap(lambda size: st.sampled_from(alphabet).map(lambda byte: bytes([byte]) * size)),
    )
)


def accepts(framing: Framing, message: bytes) -> bool:
    try:
        framing.check(message)
    except LocalProtocolError:
        return False
    return True


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(i % (len(data) + 1) for i in at), len(data)]
    return [data[i:j] for i, j in pairwise(edges)]


@every_stream
@relaxed
@given(messages=st.lists(payloads, max_size=5), at=st.lists(st.integers(0, 10_000), max_size=30))
def test_what_is_accepted_arrives_at_any_chunking(make: type[Framing], messages: list[bytes], at: list[int]) -> None:
    sender = make()
    messages = [message for message in messages if accepts(sender, message)]
    block = sender.encode_all(messages)
    assert block == b"".join(map(sender.encode, messages))
    assert block == b"".join(b"".join(sender.encode_parts(message)) for message in messages)
    for chunks in ([block], cut(block, at), cut(block, list(range(len(block))))):
        receiver = make()
        assert [message for chunk in chunks for message in receiver.feed(chunk)] == messages
        assert (receiver.take_faults(), receiver.remainder, receiver.finish()) == ([], b"", None)


@every_stream
def test_what_is_refused_would_not_arrive(make: type[Framing]) -> None:
    """The check refuses no more than it must."""
    for size in range(7):
        for pattern in range(3**size):
            message = bytes(b"ab-"[pattern // 3**i % 3] for i in range(size))
            framing = make()
            arrives = framing.feed(framing.encode_all([message])) == [message] and not framing.remainder
            assert accepts(framing, message) == arrives, message


@every_framing
def test_any_kind_of_bytes_can_be_sent(make: type[Framing]) -> None:
    framing = make()
    frame = framing.encode(b"abc")
    for message in (bytearray(b"abc"), memoryview(b"abc"), memoryview(b"a.b.c")[::2], memoryview(b"abc").cast("c")):
        framing.check(message)  # type: ignore[arg-type]
        assert type(framing.encode(message)) is bytes  # type: ignore[arg-type]
        assert framing.encode(message) == frame  # type: ignore[arg-type]


@every_framing
def test_other_messages_are_refused_naming_the_mend(make: type[Framing]) -> None:
    framing = make()
    for method in (framing.check, framing.encode):
        with pytest.raises(TypeError, match=r"not str: call \.encode\(\)"):
            method("text")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"not int: .*\.encode\(\)"):
            method(5)  # type: ignore[arg-type]


@every_framing
def test_any_kind_of_bytes_can_be_fed(make: type[Framing]) -> None:
    frame = make().encode(b"abc")
    for data in (bytearray(frame), memoryview(frame)):
        messages = make().feed(data)  # type: ignore[arg-type]
        assert messages == [b"abc"]
        assert type(messages[0]) is bytes


@every_framing
def test_nothing_fed_is_nothing_received(make: type[Framing]) -> None:
    framing = make()
    assert (framing.feed(b""), framing.faults, framing.remainder, framing.finish()) == ([], [], b"", None)


@every_framing
def test_messages_that_are_too_long_name_the_mend(make: type[Framing]) -> None:
    framing = make()
    framing.max_message = 4
    framing.check(b"1234")
    with pytest.raises(LocalProtocolError, match=r"has 5 bytes and .* framing carries 4: .*raise max_message"):
        framing.check(b"12345")


@every_framing
def test_a_maximum_must_leave_room(make: type[Framing]) -> None:
    with pytest.raises(EndpointError, match="max_message=0"):
        type(make())(max_message=0)


@every_stream
def test_the_remainder_can_be_looked_at_and_dropped(make: type[Framing]) -> None:
    framing = make()
    frame = framing.encode(b"0123456789")
    for i in range(1, len(frame)):
        assert framing.feed(frame[:i]) == []
        assert framing.remainder == frame[:i]
        framing.clear()
        assert framing.remainder == b""
    assert framing.feed(frame) == [b"0123456789"]


@every_stream
def test_a_stream_that_ends_inside_a_message(make: type[Framing]) -> None:
    framing = make()
    frame = framing.encode(b"0123456789")
    framing.feed(frame + frame[:-1])
    error = framing.finish()
    assert isinstance(error, RemoteProtocolError)
    assert f"after {len(frame) - 1} bytes of it: {frame[:2].hex(' ')}" in str(error)
    assert framing.finish() is None


@every_stream
@pytest.mark.parametrize("length", [200, 511, 512, 513, 5_000, CHUNK, 3 * CHUNK + 1, 1 << 20])
def test_long_and_short_messages_mixed(make: type[Framing], length: int) -> None:
    framing = make()
    long = b"x" * length
    messages = [long, b"", b"y", long, long, b"z" * 600, *[b"s"] * 50, long, b"t"]
    block = framing.encode_all(messages)
    received = [message for i in range(0, len(block), CHUNK) for message in framing.feed(block[i : i + CHUNK])]
    assert received == messages
    assert framing.finish() is None


@every_stream
def test_a_long_message_in_tiny_pieces_takes_memory_in_proportion(make: type[Framing]) -> None:
    framing = make()
    frame = framing.encode(b"xy" * 50_000)
    tracemalloc.start()
    try:
        for i in range(0, len(frame) - 2, 2):
            framing.feed(frame[i : i + 2])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(frame)
    assert framing.feed(frame[len(framing.remainder) :]) == [b"xy" * 50_000]


@every_stream
def test_the_chunks_of_a_long_message_are_kept_as_they_are(make: type[Framing]) -> None:
    """So that its bytes are copied once, when it is whole."""
    framing = make()
    message = b"x" * (8 * CHUNK)
    frame = framing.encode(message)
    chunks = [frame[i : i + CHUNK] for i in range(0, len(frame), CHUNK)]
    for chunk in chunks[:-1]:
        before = sys.getrefcount(chunk)
        assert framing.feed(chunk) == []
        assert sys.getrefcount(chunk) == before + 1 or chunk is chunks[0]
    assert framing.feed(chunks[-1]) == [message]


# Separator


def test_the_farewell_is_received_but_not_sent_by_chance() -> None:
    framing = SeparatorFraming()
    assert framing.farewell == b"disconnect"
    with pytest.raises(LocalProtocolError, match=r"farewell.*close the connection.*framing=cobs or framing=length"):
        framing.check(framing.farewell)
    assert framing.encode_all([framing.farewell]) == b"disconnect;"
    assert framing.feed(b"disconnect;") == [b"disconnect"]


@pytest.mark.parametrize("separator", [b"c", b"connect", b"tt", b"ectx"])
def test_a_farewell_that_the_separator_would_cut_is_none(separator: bytes) -> None:
    possible = separator in (b"tt", b"ectx")
    assert SeparatorFraming(separator).farewell == (b"disconnect" if possible and separator != b"tt" else None)


@every_framing
def test_only_separator_framing_has_a_farewell(make: type[Framing]) -> None:
    framing = make()
    assert (framing.farewell is not None) == isinstance(framing, SeparatorFraming)
    if framing.farewell is None:
        framing.check(b"disconnect")


def test_a_payload_with_the_separator_names_the_mend() -> None:
    with pytest.raises(LocalProtocolError, match=r"b';' meet at byte 1,.*framing=cobs or framing=length"):
        SeparatorFraming().check(b"a;b")


def test_a_separator_must_be_bytes_and_not_empty() -> None:
    with pytest.raises(EndpointError, match="empty"):
        SeparatorFraming(b"")
    with pytest.raises(TypeError, match=r"a separator is bytes, not str: call \.encode\(\)"):
        SeparatorFraming(";")  # type: ignore[arg-type]


@pytest.mark.parametrize("wire", [b"ok;12345;ok;", b"ok;12345"])
def test_a_missing_separator_says_what_was_seen(wire: bytes) -> None:
    framing = SeparatorFraming(max_message=4)
    assert framing.feed(wire) == [b"ok"]
    assert framing.broken
    (fault,) = framing.take_faults()
    assert str(fault) == (
        "no b';' within 4 bytes (max_message), the message begins with 31 32 33 34 35: "
        "does the peer use separator framing, with the same separator?"
    )
    assert framing.feed(b";ok;") == []
    assert (framing.faults, framing.remainder, framing.finish()) == ([], b"", None)


# Line


@pytest.mark.parametrize(("message", "seen"), [(b"a\nb", "holds a line feed"), (b"a\r", "ends with a carriage return")])
def test_a_payload_with_a_line_end_names_the_mend(message: bytes, seen: str) -> None:
    with pytest.raises(LocalProtocolError, match=f"{seen}.*framing=cobs or framing=length"):
        LineFraming().check(message)


# Length


def test_a_length_that_is_too_large_is_refused_before_its_bytes_come() -> None:
    framing = LengthFraming(max_message=8)
    assert framing.feed(b"\0\0\0\2okGET / HTTP/1.1\r\n") == [b"ok"]
    assert framing.broken
    (fault,) = framing.take_faults()
    assert "begins with 47 45 54 20 and so announces 1195725856 bytes, 8 are allowed (max_message)" in str(fault)
    assert framing.feed(b"\0\0\0\2ok") == []
    assert framing.finish() is None


def test_four_bytes_bound_the_length() -> None:
    assert LengthFraming(max_message=(1 << 32) - 1).max_message == (1 << 32) - 1
    with pytest.raises(EndpointError, match="four bytes of length reach to 4294967295"):
        LengthFraming(max_message=1 << 32)


# COBS


@pytest.mark.parametrize(
    ("body", "frame"),
    [
        ("", "01"),
        ("00", "0101"),
        ("0000", "010101"),
        ("1122003344", "0311220333 44"),
        ("11223344", "0511223344"),
        ("11000000", "0211010101"),
    ],
)
def test_cobs_examples(body: str, frame: str) -> None:
    assert cobs_encode(bytes.fromhex(body)) == bytes.fromhex(frame)
    assert cobs_decode(bytes.fromhex(frame)) == bytes.fromhex(body)


@pytest.mark.parametrize("frame", [b"", b"\0", b"\x02a\0", b"\x05a", b"\x02a\x05b", b"\xff" + b"a" * 254 + b"\x03"])
def test_what_is_not_cobs(frame: bytes) -> None:
    assert cobs_decode(frame) is None


@pytest.mark.parametrize(
    ("wire", "seen"),
    [
        (b"\x09abc\0", "a frame of 4 bytes is not COBS: 09 61 62 63"),
        (b"\x04abc\0", "a frame of 3 bytes is shorter than its crc-32: 61 62 63"),
        (b"\x06abcde\0", "a message of 1 bytes came with crc-32 62636465 instead of e8b7be43: 61 62 63 64 65"),
        (b"\x0e" + b"a" * 13 + b"\0", "a frame holds more than 8 bytes (max_message), it begins with 0e 61 61"),
        (b"a" * 99 + b"\0", "a frame holds more than 8 bytes (max_message), it begins with 61 61 61"),
    ],
)
def test_a_bad_cobs_frame_says_what_was_seen_and_the_next_one_arrives(wire: bytes, seen: str) -> None:
    ok = CobsFraming().encode(b"ok")
    framing = CobsFraming(max_message=8)
    assert framing.feed(ok + wire + ok) == [b"ok", b"ok"]
    (fault,) = framing.take_faults()
    assert str(fault).startswith(seen)
    assert not framing.broken


def test_a_cobs_frame_without_end_is_not_collected() -> None:
    framing = CobsFraming(max_message=100)
    for _ in range(1000):
        assert framing.feed(b"x" * 50) == []
        assert len(framing.remainder) <= 106
    assert len(framing.faults) == 1
    assert framing.finish() is None
    framing.feed(b"x" * 500)
    framing.clear()
    assert framing.feed(CobsFraming().encode(b"ok")) == [b"ok"]


def test_a_payload_just_too_long_among_good_ones() -> None:
    for size in (3, 300):
        for filler in (b"x", b"\0"):
            framing, larger = CobsFraming(max_message=size), CobsFraming()
            fits, long = filler * size, filler * (size + 1)
            assert framing.feed(larger.encode_all([fits, long, fits])) == [fits, fits]
            assert len(framing.faults) == 1


def test_a_crc_alone_is_the_empty_message_and_its_code_byte_is_no_part_of_it() -> None:
    class OneByteCheck(CobsFraming):
        def __init__(self) -> None:
            super().__init__("crc-8")
            self._wire = lambda data: b"\x01"
            self._wires = lambda messages: iter([b"\x01"] * len(messages))

    framing = OneByteCheck()
    assert framing.feed(b"\x01\0") == []
    assert "shorter than its crc-8" in str(framing.take_faults()[0])
    assert framing.feed(b"\x02\x01\0") == [b""]


# Datagram


@every_framing
def test_only_datagrams_must_be_written_one_by_one(make: type[Framing]) -> None:
    framing = make()
    assert framing.joins != isinstance(framing, DatagramFraming)


def test_a_datagram_is_a_message() -> None:
    framing = DatagramFraming()
    assert (
        framing.encode(b"a;\0") == framing.encode_all([b"a;\0"]) == b"".join(framing.encode_parts(b"a;\0")) == b"a;\0"
    )
    assert framing.feed(b"a;\0") == [b"a;\0"]
    framing.clear()
    assert (framing.remainder, framing.finish()) == (b"", None)


def test_an_empty_datagram_is_no_message() -> None:
    framing = DatagramFraming()
    with pytest.raises(LocalProtocolError, match="send at least one byte"):
        framing.check(b"")
    assert framing.feed(b"") == []


@pytest.mark.parametrize("count", [0, 2])
def test_messages_do_not_share_a_datagram(count: int) -> None:
    with pytest.raises(LocalProtocolError, match=f"{count} messages"):
        DatagramFraming().encode_all([b"a"] * count)


def test_the_longest_datagram() -> None:
    framing = DatagramFraming()
    framing.check(bytes(65507))
    with pytest.raises(LocalProtocolError):
        framing.check(bytes(65508))
    with pytest.raises(EndpointError, match="at most 65507"):
        DatagramFraming(max_message=65508)


def test_a_datagram_that_is_too_long_does_not_end_the_conversation() -> None:
    framing = DatagramFraming(max_message=4)
    assert [framing.feed(data) for data in (b"ok", b"12345", b"ok")] == [[b"ok"], [], [b"ok"]]
    assert "a datagram of 5 bytes, 4 are allowed" in str(framing.take_faults()[0])
    assert not framing.broken


# Faults


def test_faults_are_bounded_and_counted() -> None:
    framing = CobsFraming()
    framing.feed(b"\x09\0" * (MAX_FAULTS_KEPT + 5))
    assert len(framing.faults) == MAX_FAULTS_KEPT
    faults = framing.take_faults()
    assert len(faults) == MAX_FAULTS_KEPT
    assert str(faults[-1]).endswith("(and 5 more bad frames after this)")
    framing.feed(b"\x09\0")
    assert [str(fault) for fault in framing.take_faults()] == ["a frame of 1 bytes is not COBS: 09"]
    assert framing.take_faults() == []


def test_an_excerpt_is_short() -> None:
    framing = SeparatorFraming(max_message=1000)
    framing.feed(b"x" * 1001)
    assert ("78 " * 16 + "...") in str(framing.take_faults()[0])
    assert ("78 " * 17) not in str(framing.take_faults())


# Lines that do not carry every byte ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["length", "cobs", "datagram", "board"])
def test_a_framing_that_may_use_any_byte_needs_a_line_that_carries_them(name):
    with pytest.raises(EndpointError, match=f"framing={name} needs every byte"):
        FramingSpec(name, lost=b"\x11\x13")


def test_a_framing_of_marks_avoids_what_the_line_does_not_carry():
    framing = FramingSpec("separator", lost=b"\x11").make()
    framing.check(b"text")
    with pytest.raises(LocalProtocolError, match="0x11 at byte 4"):
        framing.check(b"text\x11")
    with pytest.raises(EndpointError, match="line end b'\\\\n' holds such a byte"):
        FramingSpec("line", lost=b"\n")
    Framing.avoid(framing, b"\x11")  # one of one's own may refuse it in check
    assert FramingSpec("separator", lost=b"d").make().farewell is None
    assert FramingSpec("separator", {"separator": b"n"}, lost=b"\x11").make().farewell is None


def test_a_framing_of_whole_messages_asks_nothing_but_that_they_are_bytes() -> None:
    framing = WholeFraming()
    framing.check(b"")
    framing.check(bytes(1 << 20))
    with pytest.raises(TypeError):
        framing.check("text")  # type: ignore[arg-type]
