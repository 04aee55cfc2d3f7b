"""The compact session: two of them joined by a wire that loses, doubles and damages, with a clock turned by hand."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from leadscomm.errors import LocalProtocolError
from leadscomm.protocol.session import wire as frames
from leadscomm.protocol.session.compact.compact import CompactSession
from leadscomm.protocol.session.compact.go_back_n import (
    MARGIN_S,
    MAX_RESEND_S,
    CompactReceiver,
    CompactSender,
    Missing,
    RoundTrip,
    Wire,
)
from leadscomm.protocol.session.handshake import COMPACT, Handshake, Refusal
from leadscomm.protocol.session.wire import ACK, CONTROL, DATA, DATAGRAM, MORE, PING, REFUSE, parse
from tests.protocol.wire import DELAY_S, End, Pair, host, small


def opened(**said: int | str) -> Pair:
    pair = Pair(board=small(**said))
    pair.run(0.02)
    assert pair.host.session.open
    assert pair.board.session.open
    return pair


def kinds(said: list[bytes]) -> list[tuple[int, int]]:
    """Kind and number of each frame."""
    found = [parse(frame) for frame in said]
    return [(frame.kind, frame.number) for frame in found if frame is not None]


# The handshake -------------------------------------------------------------------------------------------------------


def test_who_asks_says_hello_until_he_is_welcome():
    session = CompactSession(host(1), 0.0, asks=True)
    assert session.deadline() == 0.0
    said = [(round(now / 1000, 3), frame) for now in range(120) for frame in session.frames(now / 1000)]
    assert said == [(0.0, host(1).hello()), (0.05, host(1).hello()), (0.1, host(1).hello())]
    assert session.asked == 3
    session.receive(small(7).welcome(host(99), 1), 0.12)  # an answer to somebody else
    session.receive(small(7).welcome(host(1), 0), 0.12)  # to a question for the tag
    assert not session.open
    session.receive(small(7).welcome(host(1), 1), 0.12)
    assert session.open
    assert session.peer == replace(small(7), echo=1)
    session.receive(small(7).welcome(host(1), 1), 0.13)  # said twice
    assert session.open
    assert session.frames(0.13) == []


def test_who_waits_says_nothing_and_answers_each_hello():
    session = CompactSession(small(2), 0.0, asks=False)
    assert session.deadline() is None
    assert session.frames(9.0) == []
    for _ in range(2):
        session.receive(host(1).hello(), 10.0)
        assert session.frames(10.0) == [small(2).welcome(host(1), 1)]
    assert session.open
    session.receive(replace(host(5), profiles=0).hello(), 10.0)  # only wants to know who this is
    assert session.frames(10.0) == [small(2).welcome(host(5), 0)]
    assert session.peer == host(1)


def test_both_may_ask():
    pair = Pair()
    pair.board = End(CompactSession(host(2), pair.now, asks=True))
    pair.run(0.02)
    assert pair.host.session.peer == replace(host(2), echo=1) or pair.host.session.peer == host(2)
    assert pair.board.session.open
    pair.host.session.send(b"hi")
    pair.settle()
    assert pair.board.got == [b"hi"]


def test_strangers_are_told_that_there_is_no_session_but_not_by_who_asks():
    waiting, asking = CompactSession(small(2), 0.0, asks=False), CompactSession(host(1), 0.0, asks=True)
    asking.frames(0.0)
    for frame in (frames.data(b"x", 0, 0), frames.control(ACK), frames.control(PING)):
        waiting.receive(frame, 0.0)
        asking.receive(frame, 0.0)
        assert waiting.frames(0.0) == [Refusal(1).frame()]
        assert asking.frames(0.0) == []
    for frame in (frames.datagram(b"x"), frames.control(frames.BYE), frames.control(7), b"", Refusal(1).frame()):
        waiting.receive(frame, 0.0)
        asking.receive(frame, 0.0)
        assert waiting.frames(0.0) == asking.frames(0.0) == []
    assert waiting.take() == []


def test_answers_are_bounded():
    waiting = CompactSession(small(2), 0.0, asks=False)
    for _ in range(1000):
        waiting.receive(frames.control(PING), 0.0)
    assert len(waiting.frames(0.0)) == 16


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (replace(small(7), version=2).welcome(host(1), 1), "version 2"),
        (Refusal(2, 3).frame(), "version 3"),
        (Refusal(3, 0).frame(), "other profiles of the session protocol (none) than this side (compact)"),
        (Refusal(3, 2).frame(), "(full)"),
        (Refusal(3, 8).frame(), "(number 8, not known here)"),
        (small(7).welcome(host(1), 2), "that this side did not offer (full; offered was compact)"),
        (host(1).hello(), "gives back what is sent"),
    ],
)
def test_a_handshake_that_does_not_fit_names_why(answer: bytes, words: str):
    session = CompactSession(host(1), 0.0, asks=True)
    session.frames(0.0)
    session.receive(answer, 0.0)
    assert session.ended is not None
    assert words in session.ended
    assert not session.again
    assert session.deadline() is None


def test_who_waits_refuses_what_he_does_not_speak_and_goes_on_waiting():
    session = CompactSession(small(2), 0.0, asks=False)
    session.receive(replace(host(1), version=3).hello(), 0.0)
    assert session.frames(0.0) == [Refusal(2, 1).frame()]
    session.receive(replace(host(1), profiles=2).hello(), 0.0)
    assert session.frames(0.0) == [Refusal(3, 1).frame()]
    assert session.trouble is not None
    session.receive(Refusal(2, 3).frame(), 0.0)
    session.receive(frames.control(REFUSE, b"\2"), 0.0)
    session.receive(host(1).hello()[:-1], 0.0)
    assert (session.open, session.ended) == (False, None)
    session.receive(host(1).hello(), 0.0)
    session.receive(replace(host(1), version=3).hello(), 0.0)
    assert session.open


# Restarts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sign",
    [Refusal(1).frame(), small(8).welcome(host(1), 1), host(9).hello()],
    ids=["it has no session", "its epoch is another", "it asks anew"],
)
def test_a_peer_that_was_reset_ends_the_session_and_another_may_follow(sign: bytes):
    pair = opened()
    session = pair.host.session
    for message in (b"one", b"two", b"three"):
        session.send(message)
    pair.step()
    session.receive(sign, pair.now)
    assert session.ended is not None
    assert session.again
    assert not session.wants
    assert session.unacknowledged() == [b"one", b"two", b"three"]
    assert session.remains() == ([b"one", b"two"], [b"three"])
    session.receive(frames.data(b"late", 0, 0), pair.now)
    assert session.take() == session.frames(pair.now) == []


def test_a_reset_is_found_out_by_the_next_frame():
    pair = opened()
    pair.board = End(CompactSession(small(3), pair.now, asks=False))
    pair.host.session.send(b"hello?")
    began = pair.now
    while pair.host.session.ended is None:
        pair.step()
    assert pair.now - began < 0.02
    assert pair.host.session.again
    assert pair.host.session.unacknowledged() == [b"hello?"]


def test_goodbye_is_the_last_word():
    pair = opened()
    pair.host.session.leave()
    assert not pair.host.session.open
    assert pair.host.session.deadline() is None
    pair.run(0.01)
    assert pair.board.session.ended == "the peer left"
    assert not pair.board.session.again
    pair.host.hear(pair.host.framing.encode(frames.data(b"late", 0, 0)), pair.now)
    assert pair.host.got == []
    early = CompactSession(host(1), 0.0, asks=True)
    early.leave()
    assert early.frames(0.0) == []


def test_silence_ends_a_session_and_signs_of_life_keep_it():
    pair = opened()
    pair.run(30)
    assert pair.host.session.open
    assert pair.board.session.open
    pair.board.session = CompactSession(small(2), pair.now, asks=True, ask_at=lambda count: 1e9)  # it is dumb
    began = pair.now
    while pair.host.session.ended is None:
        pair.step()
    assert pair.now - began == pytest.approx(5.0, abs=1.1)
    assert "nothing came" in pair.host.session.ended
    assert pair.host.session.again


def test_who_deals_with_a_message_does_not_listen_and_so_misses_nobody():
    pair = opened()
    pair.host.keeps = True
    pair.board.session.send(b"think about it")
    pair.run(0.01)
    session = pair.host.session
    assert session.busy
    for second in range(1, 20):
        due = session.deadline()
        assert due is not None
        session.frames(pair.now + second)
    assert session.ended is None
    pair.now += 20
    pair.host.deal_with_all(pair.now)
    assert not session.busy
    assert kinds(session.frames(pair.now))[0] == (CONTROL, ACK)
    assert session.ended is None


# Data ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("faults", [0.0, 1e-3, 3e-3])
@pytest.mark.parametrize("board", [host(2), small(), small(window=1, credit=63), small(segment=1, longest=200)])
def test_nothing_is_lost_doubled_or_overtaken(faults: float, board: Handshake):
    pair = Pair(faults, seed=7, board=board)
    dice = random.Random(11)
    sent = [[dice.randbytes(dice.choice((0, 1, 5, 30, 57, 58, 59, 200))) for _ in range(60)] for _ in range(2)]
    while not (pair.host.session.open and pair.board.session.open):
        pair.step()
    queues = [list(reversed(messages)) for messages in sent]
    while any(queues):
        for end, queue in zip(pair.ends(), queues, strict=True):
            if queue and end.session.wants:
                end.session.send(queue.pop())
        pair.step()
        assert (pair.host.session.ended, pair.board.session.ended) == (None, None)
    pair.settle()
    assert [pair.board.got, pair.host.got] == sent
    if not faults:
        for end in pair.ends():
            counters = end.session.counters()
            assert (counters.bad_frames, counters.resent, counters.duplicates) == (0, 0, 0)
            assert counters.round_trip is not None
            assert counters.round_trip == pytest.approx(2 * DELAY_S, abs=0.002)


def test_a_message_is_acknowledged_once_it_was_dealt_with():
    pair = opened()
    pair.board.keeps = True
    pair.host.session.send(b"a")
    pair.run(0.01)
    assert pair.board.got == [b"a"]
    assert not pair.host.session.idle
    pair.board.deal_with_all(pair.now)
    assert pair.board.session.deadline() == pytest.approx(pair.now + 0.002)
    pair.run(0.01)
    assert pair.host.session.idle


def test_an_acknowledgement_travels_with_an_answer():
    pair = opened()
    board = pair.board.session
    board.receive(frames.data(b"question", 0, 0), pair.now)
    assert board.take() == [b"question"]
    board.delivered(pair.now)
    board.send(b"answer")
    assert board.frames(pair.now) == [frames.data(b"answer", 0, 1)]
    assert board.frames(pair.now) == []


def test_a_ping_is_answered_at_once():
    pair = opened()
    pair.board.session.receive(frames.control(PING), pair.now)
    assert pair.board.session.frames(pair.now) == [frames.control(ACK)]


def test_what_came_before_or_behind_a_gap_is_dropped_and_said():
    pair = opened()
    board = pair.board.session
    board.receive(frames.data(b"second", 1, 0), pair.now)
    assert board.take() == []
    assert board.frames(pair.now) == [frames.control(ACK)]
    board.damaged()
    board.damaged(0)
    assert board.frames(pair.now) == frames.asking_again(0)
    assert (board.counters().duplicates, board.counters().bad_frames) == (1, 1)


def test_more_than_seven_that_are_not_dealt_with_are_dropped():
    pair = opened()
    board = pair.board.session
    for number in range(8):
        board.receive(frames.data(b"%d" % number, number, 0), pair.now)
    assert board.take() == [b"%d" % number for number in range(7)]
    assert kinds(board.frames(pair.now)) == [(CONTROL, ACK)]


def test_a_message_that_becomes_too_long_is_refused_and_its_pieces_acknowledged():
    pair = opened()
    pair.board.session = CompactSession(small(2), pair.now, asks=False, longest=100)
    pair.board.session.receive(host(1).hello(), pair.now)
    pair.board.session.frames(pair.now)
    for number in range(3):
        pair.board.session.receive(frames.data(bytes(50), number, 0, more=number < 2), pair.now)
    pair.board.session.receive(frames.data(b"short", 3, 0), pair.now)
    assert pair.board.session.take() == [b"short"]
    assert pair.board.session.frames(pair.now) == [frames.control(ACK, ack=3), Refusal(5, 300).frame()][::-1]
    assert "too long" in str(pair.board.session.take_faults()[0])
    pair.host.session.receive(Refusal(5, 300).frame(), pair.now)
    assert "messages of 300 bytes at most" in str(pair.host.session.take_faults()[0])
    pair.host.session.receive(Refusal(4, 58).frame(), pair.now)  # two frames whose end was lost look like one
    assert pair.host.session.take_faults() == []
    for _ in range(100):
        pair.host.session.receive(Refusal(5, 300).frame(), pair.now)
    assert len(pair.host.session.take_faults()) == 16


def test_what_the_peer_does_not_take_is_refused_before_it_is_sent():
    session = opened().host.session
    session.check(bytes(300))
    with pytest.raises(LocalProtocolError, match="301 bytes, and the peer takes 300"):
        session.check(bytes(301))
    with pytest.raises(LocalProtocolError, match="59 bytes, and the peer takes 58"):
        session.send_datagram(bytes(59))
    CompactSession(host(1), 0.0, asks=True).check(bytes(10**6))  # nobody has said anything yet


def test_datagrams_are_counted():
    pair = opened()
    for number in range(130):
        pair.host.session.send_datagram(b"%d" % number)
        if number % 10 == 9:
            pair.step()
    pair.run(0.01)
    assert pair.board.got == [b"%d" % number for number in range(130)]
    assert pair.board.session.counters().lost_datagrams == 0
    pair.host.session.send_datagram(b"lost")
    pair.step()
    pair.cut()
    pair.host.session.send_datagram(b"came")
    pair.run(0.01)
    assert pair.board.session.counters().lost_datagrams == 1
    pair.board.session.receive(frames.datagram(b"not counted"), pair.now)
    assert pair.board.session.counters().lost_datagrams == 1
    for number in range(100):
        pair.host.session.send_datagram(b"%d" % number)
    assert len(pair.host.session.frames(pair.now)) == 64  # of more than that the oldest are lost


def on_a_line(**said: int | str) -> CompactSession:
    """A session over 115200 baud, and 100 datagrams given to it."""
    session = CompactSession(host(1), 0.0, asks=True, line=Wire(rate=11520))
    session.frames(0.0)
    session.receive(small(2, **said).welcome(host(1), COMPACT), 0.005)
    for _ in range(100):
        session.send_datagram(bytes(40))
    return session


def test_datagrams_leave_at_the_pace_of_the_line_and_take_turns_with_messages():
    session = on_a_line()
    for _ in range(2):
        session.send(bytes(40))
    first = kinds(session.frames(0.01))
    assert [kind for kind, _ in first] == [DATAGRAM, DATAGRAM, DATA, DATA]
    assert [kind for kind, _ in kinds(session.frames(0.011))] == [DATAGRAM]  # one that was passed over
    assert session.frames(0.012) == []  # the line has enough to do
    due = session.deadline()
    assert due is not None
    assert due > 0.012
    assert [kind for kind, _ in kinds(session.frames(due))] == [DATAGRAM]
    count, now = 4, due
    while session.waiting_datagrams:
        now += 0.001
        count += sum(kind == DATAGRAM for kind, _ in kinds(session.frames(now)))
    assert count == 64
    assert now > 64 * 45 / 11520  # and no sooner than the line could take them


def test_datagrams_and_messages_take_turns_at_a_small_credit():
    session = on_a_line(credit=63)
    order, expected, now = "", 0, 0.01
    while len(order) < 12:
        if session.wants:
            session.send(bytes(40))
        said = session.frames(now)
        assert sum(len(frame) + 4 for frame in said) <= 63
        now += 0.01
        for kind, number in kinds(said):
            order += {DATAGRAM: "g", DATA: "d"}.get(kind, "")
            if kind == DATA:
                expected = (number + 1) % 8
                session.receive(frames.control(ACK, ack=expected), now)
            elif (kind, number) == (CONTROL, PING):
                session.receive(frames.control(ACK, ack=expected), now)
    assert order == "gdgdgdgdgdgd"


def test_a_datagram_of_which_nothing_is_heard_does_not_hold_up_for_ever():
    session = on_a_line(credit=63)
    session.send(bytes(40))
    assert kinds(session.frames(0.01))[1:] == [(CONTROL, PING)]
    assert session.frames(0.02) == []  # the message has no room beside it
    due = session.deadline()
    assert due is not None
    assert due < 0.2
    assert kinds(session.frames(due)) == [(DATA, 0)]


# What came damaged ----------------------------------------------------------------------------------------------------


def missing() -> Missing:
    trip = RoundTrip()
    trip.measure(0.01)
    return Missing(trip)


def test_damage_asks_at_once_and_again_when_it_must_have_been_the_answer():
    half = missing()
    assert not half.asks(1.0)
    half.spoiled()
    assert half.asks(1.0)
    half.spoiled()
    assert not half.asks(1.002)  # it was on its way before the question was heard
    half.spoiled()
    assert half.asks(1.01)
    half.filled()
    assert half.deadline() is None


def test_a_question_without_an_answer_is_put_again():
    half = missing()
    half.spoiled()
    assert half.asks(1.0)
    due = half.deadline()
    assert due == pytest.approx(1.0 + 0.01 + 4 * 0.005)
    assert not half.asks(due - 0.001)
    assert half.asks(due)


def test_an_answer_without_data_is_believed_the_second_time():
    half = missing()
    half.spoiled()
    assert half.asks(1.0)
    half.answered(1.001)  # too soon
    assert not half.asks(1.001)
    half.answered(1.01)
    assert half.asks(1.01)  # the question may have been damaged
    half.answered(1.02)
    assert not half.asks(1.02)
    assert half.deadline() is None


def test_what_is_known_to_be_missing_is_asked_for_until_it_comes():
    half = missing()
    half.gap()
    assert half.asks(1.0)
    for now in (1.01, 1.02, 1.03, 1.04):
        half.answered(now)
        assert half.asks(now)
    half.filled()
    assert half.deadline() is None


@pytest.mark.parametrize(("window", "gaps"), [(1, []), (2, [1]), (4, [1, 2, 3]), (7, [])])
def test_a_frame_behind_a_missing_one_is_told_from_one_that_came_before(window: int, gaps: list[int]):
    receiver = CompactReceiver(100)
    assert [number for number in range(8) if receiver.gap(number, window)] == gaps


def test_damage_has_all_sent_again_within_a_round_trip():
    pair = opened()
    board = pair.board.session
    board.send(b"one")
    board.send(b"two")
    lost = board.frames(pair.now)
    assert kinds(lost) == [(DATA, 0), (DATA, 1)]
    host = pair.host.session
    host.damaged(2)
    for frame in host.frames(pair.now):
        board.receive(frame, pair.now + 0.1)
    assert kinds(board.frames(pair.now + 0.1)) == [(CONTROL, ACK), (DATA, 0), (DATA, 1)]


def test_a_zero_parts_frames_on_a_line_that_is_not_clean_if_the_peer_holds_it():
    pair = opened()
    host = pair.host.session
    assert not host.parted(bytes(10))
    host.damaged()
    assert host.parted(bytes(58))
    assert not host.parted(bytes(59))  # 63 bytes with what the framing adds
    host.receive(frames.control(ACK, b"\x20"), pair.now)
    assert not host.parted(bytes(28))
    assert host.parted(bytes(27))
    for _ in range(100):
        host.receive(frames.control(ACK), pair.now)
    assert not host.parted(bytes(10))


# The sending half ----------------------------------------------------------------------------------------------------


def sender(wire: Wire | None = None, **said: int | str) -> CompactSender:
    return CompactSender(small(**said), wire or Wire())


def sent(half: CompactSender, now: float, ack: int = 0) -> list[tuple[int, int]]:
    return kinds(list(half.frames(now, ack)))


def given(count: int, window: int = 2, **said: int | str) -> CompactSender:
    half = sender(window=window, **said)
    for number in range(count):
        half.send(b"%d" % number)
    return half


def test_no_more_than_the_window_is_under_way():
    half = given(9, window=3)
    assert sent(half, 0.0) == [(DATA, 0), (DATA, 1), (DATA, 2)]
    assert sent(half, 0.01) == []
    assert not half.wants
    assert half.acknowledge(2, 0.01, explicit=True)
    assert sent(half, 0.01) == [(DATA, 3), (DATA, 4)]
    assert not half.acknowledge(6, 0.02, explicit=True)  # nobody can expect that
    assert half.acknowledge(5, 0.02, explicit=True)
    assert sent(half, 0.02) == [(DATA, 5), (DATA, 6), (DATA, 7)]
    assert half.acknowledge(0, 0.03, explicit=True)
    assert sent(half, 0.03) == [(DATA, 0)]
    assert half.wants


def test_messages_are_cut_and_count_as_one():
    half = sender(segment=4, window=7)
    half.send(b"123456789")
    half.send(b"1234")
    half.send(b"")
    assert sent(half, 0.0) == [(MORE, 0), (MORE, 1), (DATA, 2), (DATA, 3), (DATA, 4)]
    half.acknowledge(2, 0.01, explicit=True)
    assert half.unacknowledged() == [b"123456789", b"1234", b""]
    half.acknowledge(3, 0.01, explicit=True)
    assert half.unacknowledged() == [b"1234", b""]


def test_the_timer_sends_all_of_it_again_and_waits_longer_each_time():
    half = given(2)
    assert half.deadline() is None
    sent(half, 0.0)
    waits, now = [], 0.0
    for _ in range(6):
        due = half.deadline()
        assert due is not None
        waits.append(round(due - now, 3))
        assert sent(half, due - 0.001) == []
        assert sent(half, due) == [(DATA, 0), (DATA, 1)]
        now = due
    assert waits == [0.05, *[MAX_RESEND_S] * 5]
    assert half.resent == 12
    half.acknowledge(2, now + 1, explicit=True)
    assert half.trip.smoothed == pytest.approx(now + 1)  # nothing says that the first one got lost


def test_the_round_trip_shortens_the_timer():
    half = given(1)
    now = 0.0
    for number in range(20):
        sent(half, now)
        half.acknowledge((number + 1) % 8, now + 0.008, explicit=False)
        half.send(b"more")
        now += 0.01
    sent(half, now)
    assert half.trip.smoothed == pytest.approx(0.008)
    assert half.deadline() == pytest.approx(now + 0.008 + MARGIN_S)


def test_a_slow_line_is_given_the_time_that_it_takes():
    half = CompactSender(small(), Wire(rate=960))
    half.send(bytes(58))
    sent(half, 0.0)
    assert half.deadline() == pytest.approx(0.05 + 2 * (58 + 1 + 4) / 960)


def test_repeated_acks_send_again_once():
    half = given(5, window=4)
    sent(half, 0.0)
    half.acknowledge(0, 0.01, explicit=True)
    half.acknowledge(0, 0.011, explicit=False)  # a header says nothing of that kind
    assert sent(half, 0.011) == []
    half.acknowledge(0, 0.012, explicit=True)
    assert sent(half, 0.012) == [(DATA, 0), (DATA, 1), (DATA, 2), (DATA, 3)]
    for _ in range(5):
        half.acknowledge(0, 0.013, explicit=True)
        assert sent(half, 0.013) == []
    half.acknowledge(2, 0.014, explicit=True)
    half.acknowledge(2, 0.014, explicit=True)
    assert sent(half, 0.014) == [(DATA, 2), (DATA, 3), (DATA, 4)]


def test_one_ack_is_enough_once_it_must_speak_of_the_last_sending():
    half = given(2, window=3)
    sent(half, 0.0)
    half.acknowledge(2, 0.008, explicit=True)
    assert half.trip.shortest == pytest.approx(0.008)
    half.send(b"2")
    sent(half, 0.01)
    half.acknowledge(2, 0.011, explicit=True)  # it left before this frame had come
    assert sent(half, 0.011) == []
    half.acknowledge(2, 0.017, explicit=True)
    assert sent(half, 0.017) == [(DATA, 2)]
    half.acknowledge(2, 0.018, explicit=True)  # said of the first sending, too
    assert sent(half, 0.018) == []
    half.acknowledge(2, 0.025, explicit=True)
    assert sent(half, 0.025) == [(DATA, 2)]
    smoothed = half.trip.smoothed
    half.acknowledge(3, 0.027, explicit=True)
    assert half.trip.smoothed == smoothed  # nobody knows which of them was answered


def test_who_is_heard_is_asked_again_steadily_and_who_is_not_less_and_less():
    half = given(1)
    half.trip.measure(0.008)
    heard: list[float] = []
    silent: list[float] = []
    now = 0.0
    sent(half, now)
    for waits in (silent, heard):
        for _ in range(5):
            due = half.deadline()
            assert due is not None
            waits.append(due - now)
            now = due
            assert sent(half, now) == [(DATA, 0)]
            if waits is heard:
                half.heard(damaged=True)
        half.heard(damaged=False)
    assert silent[0] * 2 == pytest.approx(silent[1])
    assert heard == pytest.approx([silent[0]] * 5)


def test_a_peer_that_does_not_take_a_frame_is_not_flooded():
    half = given(1)
    half.trip.measure(0.001)
    now, count = 0.0, 0
    sent(half, now)
    while now < 10:
        now += 0.0005
        half.heard(damaged=False)
        half.acknowledge(0, now, explicit=True)
        count += len(sent(half, now))
    assert 100 < count < 1500


def test_acks_with_nothing_under_way_are_no_reason():
    half = given(0)
    for _ in range(5):
        half.acknowledge(0, 0.0, explicit=True)
    half.send(b"x")
    assert sent(half, 0.0) == [(DATA, 0)]
    half.acknowledge(0, 0.001, explicit=True)
    assert sent(half, 0.001) == []
    half.acknowledge(0, 0.002, explicit=True)
    assert sent(half, 0.002) == [(DATA, 0)]


def test_credit_bounds_the_bytes_under_way():
    half = sender(window=7, credit=63)
    for _ in range(3):
        half.send(bytes(20))
    assert half.credit == 63
    assert sent(half, 0.0) == [(DATA, 0), (DATA, 1)]  # 25 bytes each on the wire
    half.acknowledge(2, 0.01, explicit=True)
    assert sent(half, 0.01) == [(DATA, 2)]
    half.send(bytes(58))
    assert sent(half, 0.01) == []
    half.acknowledge(3, 0.02, explicit=True)
    assert sent(half, 0.02) == [(DATA, 3)]  # a single one is always allowed


def test_credit_changes_by_acks():
    pair = opened()
    session = pair.host.session
    assert session.sender is not None
    for body, credit in ((b"\x3f", 63), (b"", 63), (b"\0", 0)):
        session.receive(frames.control(ACK, body), pair.now)
        assert session.sender.credit == credit


@pytest.mark.parametrize("what", [{"window": 0}, {"window": 200}, {"segment": 0}])
def test_nonsense_in_a_handshake_does_no_harm(what: dict[str, int]):
    pair = Pair(board=small(**what))
    pair.run(0.02)
    for number in range(20):
        pair.host.session.send(b"%d" % number)
    pair.settle()
    assert pair.board.got == [b"%d" % number for number in range(20)]


def test_any_bytes_do_no_harm():
    dice = random.Random(3)
    make: list[Callable[[], CompactSession]] = [
        lambda: CompactSession(host(1), 0.0, asks=True),
        lambda: opened().host.session,
        lambda: CompactSession(small(2), 0.0, asks=False),
    ]
    for begin in make:
        session = begin()
        for turn in range(3000):
            session.receive(dice.randbytes(dice.randrange(30)), 200.0 + turn / 1000)
            for _ in session.take():
                session.delivered(200.0 + turn / 1000)
            assert len(session.frames(200.0 + turn / 1000)) < 100
            session.take_faults()
            if session.ended is not None:
                session = begin()


def test_pieces_without_a_byte_take_no_memory() -> None:
    board = CompactSession(host(2), 0.0, asks=False, longest=100)
    board.receive(host(1).hello(), 0.0)
    for number in range(10_000):
        board.receive(frames.data(b"", number % 8, 0, more=True), 0.0)
    assert len(board.receiver._pieces.parts) < 100
    board.receive(frames.data(b"hi", 10_000 % 8, 0), 0.0)
    assert board.take() == [b"hi"]


def test_a_peer_that_wants_all_at_once_again_does_not_get_a_storm() -> None:
    session = CompactSession(host(1), 0.0, asks=True)
    session.receive(replace(host(2), resend=0).welcome(host(1), COMPACT), 0.0)
    session.send(b"x")
    now, sent = 0.0, 0
    while now < 0.5:
        sent += len(session.frames(now))
        due = session.deadline()
        assert due is not None
        now = max(now, due)
    assert sent < 20
