"""Who asks for which session, and what is said to those who have none; from full to compact."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscomm.protocol.session import wire
from leadscomm.protocol.session.compact.compact import CompactSession
from leadscomm.protocol.session.full.full import FullSession
from leadscomm.protocol.session.full.link import Link
from leadscomm.protocol.session.handshake import (
    ASKING,
    COMPACT,
    FRAME_TOO_LONG,
    FULL,
    NO_SESSION,
    OTHER_PROFILE,
    OTHER_VERSION,
    VERSION,
    Handshake,
    Refusal,
    refusal_of,
    welcome_of,
)
from leadscomm.protocol.session.offer import Offer, answer, no_session, read_hello, read_no_session
from leadscomm.protocol.session.segments import control, data, ping
from leadscomm.protocol.session.wire import parse

KEY = b"sixteen bytes or more"
ME = Handshake(7, tag="base")


def offer(epoch: int, profiles: int = FULL | COMPACT, key: bytes | None = None, tag: str = "arm") -> Offer:
    return Offer(Handshake(epoch, tag=tag, profiles=profiles), key=key)


@pytest.mark.parametrize("key", [None, KEY])
def test_who_asks_is_known_from_the_first_frame(key: bytes | None) -> None:
    hello = read_hello(offer(5, FULL, key).hello(echo=9), key)
    assert hello is not None
    assert hello.offer is not None
    assert (hello.offer.epoch, hello.offer.handshake.echo, hello.offer.tag) == (5, 9, "arm")
    assert hello.said.profiles == FULL
    assert hello.keyed == (key is not None)
    other = read_hello(offer(5, FULL, key).hello(), b"another key")
    assert other is not None
    assert (other.offer, other.keyed, other.said.tag) == (None, key is not None, "arm")


def test_a_hello_of_the_compact_profile() -> None:
    hello = read_hello(Handshake(5, tag="arm").hello(), None)
    assert hello is not None
    assert (hello.said.profiles, hello.said.epoch, hello.offer) == (COMPACT, 5, None)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xc8",
        b"\xc8\x00",
        offer(5).welcome(offer(6)),
        Handshake(5, profiles=ASKING).hello(),
        Handshake(5, version=2).hello(),
        no_session(5, None),
        wire.datagram(b"hello"),
        data(0, 5, 0, b"hello"),
    ],
)
def test_what_asks_for_no_session(frame: bytes) -> None:
    assert read_hello(frame, None) is None


def test_strangers_are_told_that_there_is_no_session_with_them() -> None:
    for frame in (data(32, 5, 0, b"x"), control(wire.ACK, 5), ping(5, 1)):
        for key in (None, KEY):
            said = answer(frame, ME, key)
            assert said is not None
            assert read_no_session(said, key) == 5
            assert refusal_of(parse(said)) == Refusal(NO_SESSION)
    for frame in (wire.data(b"hi", 1, 2), wire.control(wire.PING)):  # of the compact profile
        assert answer(frame, ME, None) == Refusal(NO_SESSION).frame()


def test_who_asks_who_is_there_is_told() -> None:
    said = answer(Handshake(5, profiles=ASKING, tag="arm").hello(), ME, None)
    welcome = welcome_of(parse(said or b""))
    assert welcome is not None
    assert (welcome.tag, welcome.profiles, welcome.echo) == ("base", ASKING, 5)


def test_what_is_not_answered() -> None:
    silent = [b"", wire.datagram(b"x"), offer(5).hello(), offer(5).welcome(offer(6)), no_session(5, None), b"\xc8\1"]
    assert [answer(frame, ME, None) for frame in silent] == [None] * len(silent)
    assert answer(Handshake(5, version=2).hello(), ME, None) == Refusal(OTHER_VERSION, VERSION).frame()


@given(st.binary(max_size=60), st.sampled_from((None, KEY)))
def test_any_bytes_are_read_and_answered_or_not(frame: bytes, key: bytes | None) -> None:
    for header in (frame[:1], b"\xc8\1", b"\x60", b"\xc0"):
        read_hello(header + frame, key)
        answer(header + frame, ME, key)


# From full to compact -------------------------------------------------------------------------------------------------


def asking(profiles: int = FULL | COMPACT) -> tuple[FullSession, Link]:
    session, link = FullSession(offer(1, profiles), 0.0, asks=True), Link()
    session.add(link, 0.0)
    return session, link


def test_a_session_tells_who_only_asks() -> None:
    session, link = asking()
    session.receive(Handshake(5, profiles=ASKING).hello(), 0.0, link)
    session.receive(Handshake(1, tag="x").welcome(Handshake(1), ASKING), 0.0, link)  # to nobody's question
    (welcome, hello) = session.frames(0.0, link)
    assert welcome == Handshake(5, tag="arm").welcome(Handshake(5), ASKING)  # not this side's epoch
    assert hello == offer(1).hello()
    assert session.trouble is None


def test_a_board_answers_and_the_compact_profile_goes_on_from_there() -> None:
    session, link = asking()
    (hello,) = session.frames(0.0, link)
    board = CompactSession(Handshake(5, tag="wsc"), 0.0, asks=False)
    board.receive(hello, 0.0)
    (welcome,) = board.frames(0.0)
    session.receive(welcome, 0.0, link)
    assert session.joining.compact_peer is not None
    assert session.joining.compact_peer.tag == "wsc"
    assert session.ended is None
    compact = CompactSession(session.me.handshake, 0.0, asks=True)
    compact.receive(welcome, 0.0)
    assert compact.open
    compact.send(b"hi")
    for frame in compact.frames(0.0):
        board.receive(frame, 0.0)
    assert board.take() == [b"hi"]


def test_who_did_not_offer_the_compact_profile_does_not_fall_back() -> None:
    session, link = asking(FULL)
    (hello,) = session.frames(0.0, link)
    assert Handshake.decode(hello[1:]) == Handshake(1, profiles=FULL, tag="arm", segment=65535)
    for _ in range(2):
        session.receive(Handshake(5).welcome(Handshake(1), COMPACT), 0.0, link)
    assert session.joining.compact_peer is None
    assert "full profile" in (session.trouble or "")
    for _ in range(2):
        session.receive(Refusal(FRAME_TOO_LONG, 58).frame(), 0.0, link)
    assert "58 bytes" in (session.ended or "")


def test_a_board_that_takes_no_long_frame_is_asked_in_short() -> None:
    session, link = asking()
    assert session.frames(0.0, link) == [offer(1).hello()]
    session.receive(Refusal(FRAME_TOO_LONG, 32).frame(), 0.0, link)
    assert session.ended is None
    assert session.frames(0.06, link) == [offer(1, COMPACT).handshake.hello()]
    session.receive(offer(5).welcome(offer(1)), 0.1, link)  # a host after all
    assert session.open
    other = Link()
    session.add(other, 0.2)
    other.shortly = True
    assert session.frames(0.2, other) == [offer(1).hello(echo=5)]


def test_a_wish_that_nobody_fulfils_ends_the_session_of_who_asked() -> None:
    session, link = asking()
    for _ in range(2):
        session.receive(Refusal(OTHER_PROFILE, COMPACT).frame(), 0.0, link)
    assert session.ended is not None
