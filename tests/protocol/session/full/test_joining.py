"""What a link carries before the peer has shown that it hears this side, and what strangers can do: nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leadscomm.errors import LocalProtocolError
from leadscomm.protocol.session import offer as offers
from leadscomm.protocol.session import segments as full
from leadscomm.protocol.session import wire
from leadscomm.protocol.session.full.full import SILENCE_S, FullSession
from leadscomm.protocol.session.full.link import GREET_EVERY_S, Link
from leadscomm.protocol.session.full.liveness import DOUBT_S
from leadscomm.protocol.session.handshake import (
    ASKING,
    COMPACT,
    FULL,
    MESSAGE_TOO_LONG,
    NAME_TAKEN,
    NO_KEY,
    NO_SESSION,
    NOT_UNDERSTOOD,
    OTHER_KEY,
    OTHER_PROFILE,
    Handshake,
    Refusal,
)
from leadscomm.protocol.session.offer import Offer
from leadscomm.protocol.session.seals import Proof
from leadscomm.protocol.session.segments import lane_number
from tests.protocol.session.full.paths import KEY, Way, World, offer

MESSAGE = full.data(lane_number(4), 1, 0, b"\x02hi")


def asked(key: bytes | None = None, **how: bool) -> tuple[FullSession, Link]:
    """A session that was asked for by a peer of epoch 1, which has said no more."""
    session, link = FullSession(offer(2, key=key), 0.0, asks=False), Link(**how)  # type: ignore[arg-type]
    session.add(link, 0.0)
    session.receive(offer(1, key=key).hello(), 0.0, link)
    return session, link


def pong(clock: int) -> bytes:
    return full.pong(1, clock, 0, 0)


def ping_in(frames: list[bytes]) -> int:
    (found,) = [control for control in map(full.read_control, frames) if control and control.which == wire.PING]
    clock = full.read_ping(found.body)
    assert clock is not None
    return clock


def test_before_the_peer_has_answered_it_is_greeted_and_no_more() -> None:
    session, link = asked()
    session.send(b"secret")
    greeting = session.frames(0.0, link)
    assert greeting[0] == offer(2).welcome(offer(1))
    assert len(greeting) == 2
    ping_in(greeting)
    assert session.deadline() == pytest.approx(GREET_EVERY_S)
    assert session.frames(0.1, link) == []
    assert len(session.frames(GREET_EVERY_S, link)) == 1
    session.receive(MESSAGE, 0.3, link)
    session.receive(full.control(wire.BYE, 1), 0.3, link)
    assert not session.incoming.ready
    assert session.ended is None
    assert not session.trusted
    session.frames(SILENCE_S, link)
    assert link.dead
    assert session.frames(SILENCE_S + 1, link) == []


def test_who_leaves_before_it_was_believed_loses_that_link_and_no_more() -> None:
    session, link = asked()
    session.frames(0.0, link)
    session.receive(full.control(wire.BYE, 1), 0.1, link)
    assert session.frames(GREET_EVERY_S, link) == []
    assert link.dead
    assert session.ended is None


@pytest.mark.parametrize("wrong", [1 << 20, 1 << 31, -(1 << 31), 1 << 33])
def test_only_the_answer_to_a_ping_shows_that_it_was_heard(wrong: int) -> None:
    session, link = asked()
    clock = ping_in(session.frames(0.0, link))
    session.receive(pong(clock + wrong), 0.001, link)
    session.receive(full.control(full.PONG, 1), 0.001, link)
    session.receive(full.pong(7, clock, 0, 0), 0.001, link)
    session.receive(full.ping(1, 5), 0.001, link)
    session.receive(full.control(wire.PING, 1), 0.001, link)
    assert not link.proved
    session.receive(pong(clock), 0.001, link)
    assert link.proved
    assert session.trusted
    session.receive(MESSAGE, 0.002, link)
    assert session.take() == [b"hi"]
    answers = [full.read_control(frame) for frame in session.frames(0.002, link)]
    assert full.PONG in [answer.which for answer in answers if answer is not None]  # the PING that came before


def test_with_a_key_a_proof_shows_it() -> None:
    session, link = asked(KEY)
    session.frames(0.0, link)
    session.receive(MESSAGE, 0.0, link)
    assert not link.proved
    session.receive(Proof(KEY, 1, 2).seal(MESSAGE), 0.0, link)
    assert link.proved
    assert session.take() == [b"hi"]


def test_a_copy_of_a_hello_joins_nothing() -> None:
    for key in (None, KEY):
        world = World(
            1, FullSession(offer(1, key=key), 100.0, asks=True), FullSession(offer(2, key=key), 100.0, asks=False)
        )
        world.join(Way())
        world.run(0.5)
        hello, strangers = offer(1, key=key).hello(), Link()
        world.b.add(strangers, world.now)
        world.b.receive(hello, world.now, strangers)
        assert world.b.joining.is_copy(offer(1))
        assert not strangers.joined
        assert world.b.frames(world.now, strangers) == []
        world.b.receive(offer(1, key=key).hello(echo=2), world.now, strangers)
        assert strangers.proved == (key is None)  # without one, who knows both epochs is the peer
        assert world.b.frames(world.now, strangers) != []


def test_nothing_ends_the_session_of_a_peer_that_answers() -> None:
    world = World(1)
    world.join(Way())
    world.run(0.5)
    link = world.paths[0].links[1]
    for sign in (offer(9).hello(), offer(9).welcome(offer(2)), offers.no_session(2, None)):
        world.b.receive(sign, world.now, link)
        assert world.b.liveness.doubted_at is not None
        world.run(2 * DOUBT_S)
        assert world.b.open


def test_where_no_line_is_alive_a_restart_is_believed_at_once() -> None:
    world = World(1)
    path = world.join(Way())
    world.run(0.5)
    world.a.remove(path.links[0])
    link = Link()
    world.a.add(link, world.now)
    world.a.receive(offers.no_session(1, None), world.now, link)
    assert "restarted" in (world.a.ended or "")


def test_an_address_that_may_be_forged_gets_less_than_three_times_what_came() -> None:
    session, link = asked(spoofable=True)
    came, sent, now = [offer(1).hello()], [], 0.0
    for _ in range(100):
        sent += session.frames(now, link)
        now += GREET_EVERY_S / 4
    assert len(sent) < 3 * len(came)
    assert sum(map(len, sent)) < 3 * sum(map(len, came))
    for frame in (b"\x40", b"\xc0", offer(1).hello()):
        came += [frame] * 10
        for _ in range(10):
            session.receive(frame, now, link)
        sent += session.frames(now, link)
    assert len(sent) < 3 * len(came)
    assert sum(map(len, sent)) < 3 * sum(map(len, came))


def test_a_name_that_is_too_long_for_the_question_waits_for_the_next_one() -> None:
    session, link = (
        FullSession(replace(offer(2), handshake=Handshake(2, tag="x" * 250)), 0.0, asks=False),
        Link(spoofable=True),
    )
    session.add(link, 0.0)
    session.receive(offer(1).hello(), 0.0, link)
    assert [frame for frame in session.frames(0.0, link) if frame[0] >> 3 & 7 == wire.WELCOME] == []
    for _ in range(3):
        session.receive(offer(1).hello(), 0.1, link)
    assert [frame for frame in session.frames(0.1, link) if frame[0] >> 3 & 7 == wire.WELCOME] != []


def test_who_only_asks_is_told_no_epoch_but_who_shows_it() -> None:
    session, link = asked()
    session.frames(0.0, link)
    for echo, epoch in ((0, 77), (offers.token(1, 2), offers.token(2, 1))):
        session.receive(Handshake(77, echo=echo, profiles=ASKING, tag="side 1").hello(), 0.0, link)
        (answer,) = session.frames(0.0, link)
        said = Handshake.decode(answer[1:])
        assert said is not None
        assert (said.epoch, said.echo, said.tag) == (epoch, 77, "side 2")


def test_an_unknown_profile_is_refused() -> None:
    session, link = FullSession(offer(2), 0.0, asks=False), Link()
    session.add(link, 0.0)
    session.receive(Handshake(1, profiles=4).hello(), 0.0, link)
    assert session.frames(0.0, link) == [Refusal(OTHER_PROFILE, offer(2).handshake.profiles).frame()]


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        (None, OTHER_KEY, "this side has none"),
        (KEY, OTHER_KEY, "another key"),
        (KEY, NO_KEY, "the peer has none"),
        (None, NOT_UNDERSTOOD, "framing"),
        (None, NO_KEY, None),
        (None, 99, None),
    ],
)
def test_a_hint_is_for_the_text_alone(key: bytes | None, value: int, text: str | None) -> None:
    session, link = FullSession(offer(1, key=key), 0.0, asks=True), Link()
    session.add(link, 0.0)
    for _ in range(3):
        session.receive(Refusal(NO_SESSION, value).frame(), 0.0, link)
    assert (text in (session.hint or "")) if text else session.hint is None
    assert (session.ended, session.trouble) == (None, None)
    assert session.frames(0.0, link) == [offer(1, key=key).hello()]
    session.receive(offer(2, key=key).welcome(offer(1)), 0.0, link)
    session.receive(Refusal(NO_SESSION, OTHER_KEY).frame(), 0.0, link)
    assert session.open


def test_who_does_not_ask_says_nothing_over_a_link_that_nobody_joined() -> None:
    session, link = FullSession(offer(1), 0.0, asks=False), Link()
    session.add(link, 0.0)
    assert link.greets_at == float("inf")
    assert session.deadline() is None


def test_another_key_begins_no_session() -> None:
    for theirs in (None, b"another key of 16 bytes"):
        world = World(
            5, FullSession(offer(1, key=KEY), 100.0, asks=True), FullSession(offer(2, key=theirs), 100.0, asks=False)
        )
        world.join(Way())
        world.run(1.0)
        assert not world.b.open
        assert ("the other has none" in (world.b.trouble or "")) == (theirs is None)
        assert ("another key" in (world.b.trouble or "")) == (theirs is not None)


def test_handshakes_that_come_to_nothing() -> None:
    def asking() -> tuple[FullSession, Link]:
        session, link = FullSession(offer(1), 0.0, asks=True), Link()
        session.add(link, 0.0)
        assert session.frames(0.0, link) == [offer(1).hello()]
        return session, link

    session, link = asking()
    for frame, text in (
        (Refusal(OTHER_PROFILE, COMPACT).frame(), "profiles"),
        (Handshake(5, version=2).hello(), "version 2"),
        (Refusal(NAME_TAKEN).frame(), "another peer of this name"),
    ):
        session, link = asking()
        session.receive(frame, 0.0, link)
        assert (session.ended, session.trouble) == (None, None)  # a damaged one, perhaps
        session.receive(frame, 0.05, link)
        assert text in (session.ended or "")
    for again in (
        Refusal(MESSAGE_TOO_LONG, 5).frame(),
        offers.no_session(1, None),
        offer(5).welcome(offer(6)),
        full.data(lane_number(0), 5, 0, b""),
        wire.datagram(b""),
    ):
        session, link = asking()
        session.receive(again, 0.0, link)
        assert session.frames(0.01, link) == []
        assert session.ended is None
        assert session.deadline() == pytest.approx(0.05)
    session, link = asking()
    asked = offer(1)
    session.receive(offer(5).welcome(asked), 0.0, link)
    session.check(bytes(100))
    session.receive(offer(6).welcome(asked), 0.0, link)
    assert not session.again
    session.tick(1.0)
    assert session.again
    waiting, link = FullSession(offer(2), 0.0, asks=False), Link()
    waiting.add(link, 0.0)
    waiting.check(bytes(1 << 23))
    waiting.receive(Handshake(5, version=2).hello(), 0.0, link)
    waiting.receive(offer(5).hello(echo=9), 0.0, link)
    waiting.receive(full.data(lane_number(0), 5, 0, b""), 0.0, link)
    waiting.receive(wire.datagram(b"x"), 0.0, link)
    waiting.receive(offer(5).hello()[:-1] + b"?", 0.0, link)
    assert waiting.peer is None
    assert waiting.ended is None
    assert waiting.deadline() is None
    assert len(waiting.frames(0.0, link)) == 3
    small = Offer(Handshake(7, longest=10), room=100, messages=1)
    waiting.receive(small.hello(), 0.0, link)
    with pytest.raises(LocalProtocolError, match="10 at most"):
        waiting.check(bytes(11))
    assert waiting.peer is not None
    assert waiting.peer.handshake.profiles & FULL


def test_a_peer_that_speaks_another_profile_is_named() -> None:
    session, link = FullSession(offer(1), 0.0, asks=True), Link()
    session.add(link, 0.0)
    for _ in range(2):
        session.receive(Handshake(5).welcome(Handshake(1), COMPACT), 0.0, link)
    assert "full profile" in (session.trouble or "")
    session.receive(offer(5).welcome(offer(1)), 0.0, link)
    assert session.open
    assert session.trouble is None
    session.receive(Handshake(6).hello(), 0.0, link)
    session.receive(Handshake(6, version=2).hello(), 0.0, link)
    session.receive(Refusal(OTHER_PROFILE, COMPACT).frame(), 0.0, link)
    session.receive(b"\xd8\x01", 0.0, link)
    assert session.open
    assert session.trouble is None
    session.receive(offers.no_session(9, None), 0.0, link)
    assert session.open
    session.leave(0.0)
    session.receive(offers.no_session(1, None), 0.0, link)
    assert session.ended is None
    waiting, link = FullSession(offer(1), 0.0, asks=False), Link()
    waiting.add(link, 0.0)
    waiting.receive(Refusal(OTHER_PROFILE, COMPACT).frame(), 0.0, link)
    assert (waiting.ended, waiting.trouble) == (None, None)


def test_a_frame_of_ones_own_that_comes_back_is_not_answered() -> None:
    session, link = FullSession(offer(1), 0.0, asks=False), Link()
    session.add(link, 0.0)
    session.receive(full.data(lane_number(4), 1, 0, b"x"), 0.0, link)
    assert not link.answers


@pytest.mark.parametrize("key", [None, KEY])
def test_a_line_that_gives_back_what_is_sent_is_named(key: bytes | None) -> None:
    me = offer(1, key=key)
    session, link = FullSession(me, 0.0, asks=True), Link()
    session.add(link, 0.0)
    for _ in range(2):
        assert session.trouble is None
        session.receive(me.hello(), 0.0, link)
    assert "gives back what is sent" in (session.trouble or "")
    assert (session.ended is None) == (key is not None)  # anybody can send a frame back
    assert not link.answers
