"""What bytes look like."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscomm.protocol.framing import FRAMINGS, CobsFraming, FramingSpec, guess, make_framing
from leadscomm.protocol.session.handshake import Refusal
from leadscomm.protocol.session.offer import no_session
from tests.protocol.session.full.paths import offer

MESSAGES = [b"speed=42.1", b"temperature=20", b"{}"]
NAMES = ("separator", "line", "length", "cobs")


def encoded(name: str, **options: object) -> bytes:
    return make_framing(name, **options).encode_all(MESSAGES)


@pytest.mark.parametrize("sent", NAMES)
@pytest.mark.parametrize("expected", NAMES)
def test_each_framing_is_told_from_the_others(sent, expected):
    seen = guess.look(encoded(sent), FramingSpec(expected))
    if sent == expected:
        assert (seen.verdict, seen.messages, seen.faults) == (guess.FITS, len(MESSAGES), 0)
    else:
        assert (seen.verdict, seen.options) == (guess.OTHER, f"framing={sent}")


def test_another_crc_is_another_framing():
    seen = guess.look(encoded("cobs", crc="crc-ccitt-false"), FramingSpec("cobs"))
    assert (seen.verdict, seen.options) == (guess.OTHER, "framing=cobs&crc=crc-ccitt-false")


@pytest.mark.parametrize("name", ["separator", "line", "cobs"])
def test_listening_may_begin_inside_a_message(name):
    assert guess.look(encoded(name)[4:], FramingSpec(name)).verdict == guess.FITS


@pytest.mark.parametrize(
    ("data", "protocol"),
    [
        (b"\x15\x03\x03\x00\x02\x02F", "a TLS alert"),
        (b"\x16\x03\x01\x02\x00", "a TLS handshake"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH"),
        (b"LCK1" + bytes(32), "leadscomm's key challenge"),
    ],
)
def test_well_known_protocols_are_named(data, protocol):
    seen = guess.look(data, FramingSpec("separator"))
    assert (seen.verdict, seen.protocol) == (guess.FOREIGN, protocol)
    assert seen.mend


def test_noise_text_and_too_little():
    spec = FramingSpec("separator")
    noise = random.Random(7).randbytes(500)
    seen = guess.look(noise, spec)
    assert seen.verdict == guess.NOISE
    assert 0.2 < seen.printable < 0.6
    assert guess.look(noise[:15], spec).verdict == guess.LITTLE
    assert guess.look(bytes(100), spec).verdict == guess.NOISE  # a line held low
    assert guess.look(b"\xff" * 100, spec).verdict == guess.NOISE
    assert guess.look(b"no end in sight, as it seems", spec).verdict == guess.TEXT
    assert guess.look(b"hello", spec).verdict == guess.LITTLE


def test_a_length_with_something_left_over_does_not_convince():
    assert guess.look(encoded("length") + b"\x01", FramingSpec("separator")).verdict != guess.OTHER


def test_umlauts_are_no_noise():
    assert guess.look("Grüße aus Köln;".encode(), FramingSpec("separator")).verdict == guess.FITS


@given(st.binary(min_size=1, max_size=300), st.sampled_from(sorted(FRAMINGS)))
def test_whatever_comes_it_says_something(data, name):
    seen = guess.look(data, FramingSpec(name))
    assert 0 <= seen.printable <= 1
    assert bool(seen.options) == (seen.verdict == guess.OTHER)
    assert bool(seen.protocol) == (seen.verdict == guess.FOREIGN)


def test_frames_without_a_message_are_frames_all_the_same():
    hello = CobsFraming("crc-ccitt-false").encode(b"\xc8\1\0")
    assert guess.look(hello, FramingSpec("board")).verdict == guess.FITS


def test_the_greeting_of_another_kind_of_conversation_is_known():
    hello, refusal = offer(0x12345678).hello(), Refusal(1, 3).frame()
    for frame in (hello, refusal, no_session(0x12345678, None)):
        stuffed = CobsFraming().encode(frame)
        for data in (frame, stuffed, stuffed + stuffed, bytes([0, 0, 0, len(frame)]) + frame):
            assert "reliable=1" in guess.greeting(data)
    assert "reliable=1" in guess.greeting(CobsFraming().encode(hello)[:30])
    assert guess.ASKS_FOR_KEY in guess.greeting(b"LCK1" + bytes(8))
    for other in (b"", b"\0", b"hello", b"wsc:1.0", hello[:10], bytes(40), b"\xff" * 40, b"\xd8\1"):
        assert guess.greeting(other) == ""


def test_who_asks_for_a_session_is_known_by_a_damaged_hello_too():
    hello = offer(0x12345678).hello()
    for data in (hello, hello[:-1] + b"!", CobsFraming().encode(hello)[:30], bytes([0, 0, 0, len(hello)]) + hello):
        assert guess.asks_for_session(data)
    for other in (b"", hello[:10], Refusal(1, 3).frame(), hello[:2] + b"\0" + hello[3:], bytes(40)):
        assert not guess.asks_for_session(other)


@given(st.binary(max_size=200))
def test_whatever_comes_a_greeting_is_looked_for(data):
    assert isinstance(guess.greeting(data), str)
