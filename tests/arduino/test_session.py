"""The compact session of the C++ library, frame by frame, against docs/wire-protocol.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadscomm.protocol import make_framing
from leadscomm.protocol.framing.board import BOARD_CRC
from leadscomm.protocol.session.full.full import FullSession
from leadscomm.protocol.session.full.link import Link
from leadscomm.protocol.session.handshake import Handshake
from leadscomm.protocol.session.offer import Offer
from tests.arduino.model import (
    ACK,
    BYE,
    CONTROL,
    DATA,
    DATAGRAM,
    HANDSHAKE,
    HELLO,
    MORE,
    PING,
    REFUSE,
    WELCOME,
    handshake,
    header,
    wire,
)
from tests.arduino.stepper import Step, Stepper

BOARDS = ("reliable", "framed", "lean", "buffered")
RESEND = 100  # what our HELLO asks for, in ms
TICK = 32  # no timer of the board is off by more than this, in ms


def frames(data: bytes) -> list[bytes]:
    framing = make_framing("cobs", crc=BOARD_CRC, max_message=1000)
    found = framing.feed(data)
    assert not framing.faults
    assert not framing.remainder
    return found


def said(step: Step) -> list[tuple[int, ...] | bytes]:
    """The board's frames: (kind, number, ack) and, where there is one, the payload behind it."""
    return [
        part
        for frame in frames(step.out)
        for part in ((frame[0] >> 6, frame[0] >> 3 & 7, frame[0] & 7), frame[1:])
        if part
    ]


def data(number: int, payload: bytes, ack: int = 0, kind: int = DATA) -> bytes:
    return wire(bytes([header(kind, number, ack)]) + payload)


def control(name: int, ack: int = 0, rest: bytes = b"") -> bytes:
    return wire(bytes([header(CONTROL, name, ack)]) + rest)


@pytest.fixture
def met(board: Stepper) -> Stepper:
    """A board with a session; it asks for nothing and owes nothing."""
    step = board.step(wire(handshake(resend=RESEND)))
    assert step.connected
    return board


def test_hello_is_answered_by_welcome(board: Stepper) -> None:
    step = board.step(wire(handshake(epoch=0x11223344)))
    (welcome,) = frames(step.out)
    version, profiles, epoch, echo, segment, _, resend, window, credit, size = HANDSHAKE.unpack_from(welcome, 1)
    assert welcome[0] == header(CONTROL, WELCOME, 0)
    assert (version, profiles, echo, resend, credit, welcome[20:]) == (1, 1, 0x11223344, 50, 0, b"wsc")
    assert epoch
    assert size == 3
    own = {"reliable": (58, 2), "framed": (58, 4), "lean": (58, 4), "buffered": (250, 4)}
    assert (segment, window) == own[board.kind]
    assert (step.connected, step.session) == (True, 0x11223344)


def epoch_of(board: Stepper, question: int, after: int = 0) -> int:
    (welcome,) = frames(board.step(wire(handshake(epoch=question)), after=after).out)
    return int(HANDSHAKE.unpack_from(welcome, 1)[2])


@pytest.mark.parametrize("kind", BOARDS)
def test_the_epoch_stays_until_the_board_starts_anew(board_program: Path, kind: str) -> None:
    epochs = []
    for salt in (1, 2):
        with Stepper(board_program, kind, salt=salt) as board:
            epochs.append({epoch_of(board, question) for question in (5, 5, 6)})
    assert [len(own) for own in epochs] == [1, 1]
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("kind", BOARDS)
def test_the_epoch_has_all_of_the_questions_random_number_and_the_time(board_program: Path, kind: str) -> None:
    def first(question: int, salt: int = 1, after: int = 0) -> int:
        with Stepper(board_program, kind, salt=salt) as board:
            return epoch_of(board, question, after)

    one = first(0x11223344)
    assert first(0x11223344) == one
    for byte in range(4):
        other = first(0x11223344 ^ 0x82 << 8 * byte)
        assert (other ^ one) >> 8 * byte & 0xFF, f"byte {byte} is of the question"
    assert first(0x11223344, after=4) != one
    assert first(0x11223344, salt=8) != one
    assert first(0) & 0xFF, "0 says that none was chosen"


def test_who_only_asks_gets_the_tag_and_no_session(board: Stepper) -> None:
    step = board.step(wire(handshake(profiles=0)))
    (welcome,) = frames(step.out)
    assert (welcome[2], welcome[-3:], step.connected) == (0, b"wsc", False)


def test_what_cannot_be_spoken_is_refused(board: Stepper) -> None:
    refusals = {
        wire(handshake(version=2)): b"\2\1\0",
        wire(bytes([header(CONTROL, HELLO, 0), 9])): b"\2\1\0",  # of another version, and shorter
        wire(handshake(profiles=2)): b"\3\1\0",
        data(0, b"x"): b"\1\0\0",
        control(ACK): b"\1\0\0",
        control(PING): b"\1\0\0",
        b"\xff" * 300 + b"\0": b"\4" + bytes([250 if board.kind == "buffered" else 58, 0]),
    }
    for received, refusal in refusals.items():
        step = board.step(received)
        if board.kind == "lean" and refusal[0] == 3:
            assert said(step)[:1] != [(CONTROL, REFUSE, 0)], "who speaks another profile hears nothing of it"
        else:
            assert said(step) == [(CONTROL, REFUSE, 0), refusal]
        assert (step.connected, step.messages) == (False, [])


@pytest.mark.parametrize(
    ("tag", "long"), [("", False), ("base", False), ("a name of 22 bytes ...", False), ("n" * 23, True)]
)
def test_a_host_that_speaks_both_profiles_comes_to_the_compact_one(board: Stepper, tag: str, long: bool) -> None:
    """Its HELLO is longer by the block of the full profile; a board that cannot take it is asked in short."""
    now = 0.0
    host = FullSession(Offer(Handshake(7, tag=tag)), now, asks=True)
    link = Link(240, checked=True)
    host.add(link, now)
    asked = []
    while host.joining.compact_peer is None:
        asked += host.frames(now, link)
        step = board.step(b"".join(map(wire, asked[-1:])))
        for frame in frames(step.out):
            host.receive(frame, now, link)
        now += 0.05
        assert now < 1.0
    assert len(asked) == (2 if long and board.kind != "buffered" else 1)
    assert host.joining.compact_peer.tag == "wsc"
    assert step.connected
    assert host.ended is None


def test_data_is_delivered_in_order_and_acknowledged(met: Stepper) -> None:
    step = met.step(data(0, b"a") + data(1, b"") + data(1, b"") + data(3, b"d"))
    assert [message.data for message in step.messages] == [b"a", b""]
    assert all(message.reliable and not message.more for message in step.messages)
    assert said(met.step())[-1] == (CONTROL, ACK, 2)
    assert met.step().out == b"", "an acknowledgement is said once"


def test_acknowledgements_are_put_together(met: Stepper) -> None:
    """At most one a poll, and none where the answer carries it."""
    step = met.step(data(0, b"a"), echo=True)
    assert said(step) == [(DATA, 0, 1), b"a"]
    met.step(data(1, b"b", 1) + data(7, b"?", 1) + data(7, b"?", 1), one_poll=True)
    assert said(met.step(one_poll=True)) == [(CONTROL, ACK, 2)]


def test_damage_and_gaps_are_answered_at_once(met: Stepper) -> None:
    met.step(b"\5bad\0", one_poll=True)
    step = met.step()
    assert said(step) == [(CONTROL, ACK, 0)]
    assert step.bad == 1
    met.step(data(3, b"late"))
    assert said(met.step()) == [(CONTROL, ACK, 0)]


def test_messages_are_kept_and_sent_again(met: Stepper) -> None:
    window = 2 if met.kind == "reliable" else 4
    acts = [("s", bytes([65 + place])) for place in range(window + 1)]
    step = met.step(b"", *acts)
    assert step.statuses == ["sent"] * window + ["full"]
    first = said(step)
    assert first[0] == (DATA, 0, 0)
    assert first[-2] == (DATA, window - 1, 0)
    assert met.step(after=RESEND - TICK).out == b""
    assert said(met.step(after=2 * TICK)) == first, "nothing was acknowledged"
    step = met.step(control(ACK, 1), ("s", b"next"))
    assert step.statuses == ["full"], "acts come before what is received"
    assert met.step(b"", ("s", b"next")).statuses == ["sent"]
    step = met.step(control(ACK, (window + 1) % 8))
    assert step.resent == window
    assert met.step(after=RESEND + TICK).out == b""


def test_an_ack_that_repeats_itself_resends_once(met: Stepper) -> None:
    first = said(met.step(b"", ("s", b"a"), ("s", b"b")))
    assert met.step(control(ACK, 0)).out == b""
    again = met.step(control(ACK, 0))
    again = again if again.out else met.step()
    assert said(again) == first
    assert met.step(control(ACK, 0) + control(ACK, 0)).out == met.step().out == b"", "the timer's turn"


def test_acks_that_mean_nothing(met: Stepper) -> None:
    met.step(b"", ("s", b"a"))
    met.step(control(ACK, 5) + control(ACK, 3))
    assert said(met.step(after=RESEND + TICK)) == [(DATA, 0, 0), b"a"]


def test_without_room_nothing_is_lost_and_nothing_blocks(met: Stepper) -> None:
    step = met.step(b"", ("s", b"a"), ("d", b"now or never"), room=0)
    if met.kind != "buffered":
        assert (step.statuses, step.out) == (["sent", "full"], b"")
    assert [part for part in said(met.step()) if part != b"now or never"][:2] == [(DATA, 0, 0), b"a"]


def test_datagrams_do_not_take_the_room_that_a_message_waits_for(met: Stepper) -> None:
    if met.kind == "buffered":
        met.step(b"", ("d", b"fills the buffer"), room=0)
    step = met.step(b"", ("s", b"a long message ...."), ("d", b"x"), room=10)
    assert step.statuses == ["sent", "full"]
    assert met.step(b"", ("d", b"x")).statuses == ["full"]
    assert met.step(b"", ("d", b"x")).statuses == ["sent"]


def test_a_frame_begins_with_a_zero_for_what_a_sketch_has_printed(met: Stepper) -> None:
    line = b"".join(b"got 1\r\n" + met.step(data(number, b"x"), echo=True).out for number in range(2))
    framing = make_framing("cobs", crc=BOARD_CRC, max_message=1000)
    echoed = [frame[1:] for frame in framing.feed(line) if frame and frame[0] >> 6 == DATA]
    assert echoed == [b"x", b"x"]
    assert len(framing.faults) == 2, "the prints"


def test_datagrams_begin_so_where_there_is_room(board_program: Path) -> None:
    with Stepper(board_program, "datagram") as board:
        frame = wire(b"\0x")
        assert board.step(b"", ("s", b"x"), room=len(frame) - 1).statuses == ["full"]
        assert board.step(b"", ("s", b"x"), room=len(frame)).out == frame
        assert board.step(b"", ("s", b"x"), room=len(frame) + 1).out == b"\0" + frame


def test_frames_leave_byte_by_byte_where_room_is_scarce(board_program: Path) -> None:
    with Stepper(board_program, "buffered") as board:
        out = board.step(wire(handshake()), room=1).out
        while step := board.step(room=1).out:
            assert len(step) == 1
            out += step
        (welcome,) = frames(out)
        assert welcome[0] == header(CONTROL, WELCOME, 0)


def test_a_message_is_not_taken_where_its_answer_has_no_room(met: Stepper) -> None:
    window = 2 if met.kind == "reliable" else 4
    met.step(b"", *[("s", b"x")] * window)
    step = met.step(data(0, b"order"), echo=True)
    assert step.messages == []
    step = met.step(data(0, b"order", ack=1), echo=True)
    assert (step.messages[0].data, step.statuses) == (b"order", ["sent"])


def test_a_message_that_comes_at_a_bad_time_comes_again(met: Stepper) -> None:
    assert len(met.step(data(0, b"order"), refuse=True).messages) == 1
    assert said(met.step()) in ([(CONTROL, ACK, 0)], [])
    assert [message.data for message in met.step(data(0, b"order")).messages] == [b"order"]


def test_pieces(met: Stepper) -> None:
    step = met.step(data(0, b"long ", kind=MORE) + wire(b"\0between") + data(1, b"message"))
    assert [(message.data, message.more, message.reliable) for message in step.messages] == [
        (b"long ", True, True),
        (b"between", False, False),
        (b"message", False, True),
    ]
    assert said(met.step(b"", ("m", b"a"), ("s", b"b"))) in (
        [(MORE, 0, 2), b"a", (DATA, 1, 2), b"b"],
        [(MORE, 0, 2), b"a", (DATA, 1, 2), b"b", (CONTROL, ACK, 2)],
    )


def test_datagrams_are_counted_in_a_session_alone(board: Stepper) -> None:
    assert board.step(b"", ("d", b"x")).statuses == ["not connected"]
    board.step(wire(b"\0hello"))
    assert said(board.step(b"", ("d", b"x"))) == [(DATAGRAM, 0, 0), b"x"]
    board.step(wire(handshake()))
    counts = [frames(board.step(b"", ("d", b"x")).out)[0][0] for _ in range(65)]
    assert counts == [*range(1, 64), 1, 2]


def test_a_new_epoch_ends_the_session_and_loses_what_was_under_way(met: Stepper) -> None:
    met.step(data(0, b"piece", kind=MORE))
    met.step(b"", ("s", b"a"), ("s", b"b"))
    assert met.step(wire(handshake())).lost == 0, "the same HELLO again changes nothing"
    step = met.step(wire(handshake(epoch=77)))
    assert (step.lost, step.session) == (2, 77)
    assert [message.data for message in met.step(data(0, b"first")).messages] == [b"first"]
    assert said(met.step(b"", ("s", b"new")))[:2] == [(DATA, 0, 1), b"new"]


@pytest.mark.parametrize("farewell", [control(BYE), control(REFUSE, 0, b"\1\0\0")])
def test_the_host_ends_the_session(met: Stepper, farewell: bytes) -> None:
    met.step(b"", ("s", b"a"))
    if met.kind == "lean" and farewell != control(BYE):
        for _ in range(6):
            step = met.step(farewell, after=1024)
        assert (step.connected, step.lost) == (False, 1), "it does not listen to that: the silence ends it"
        return
    step = met.step(farewell)
    assert (step.connected, step.session, step.lost, step.out) == (False, 0, 1, b"")
    assert met.step(b"", ("s", b"a")).statuses == ["not connected"]


def test_bye(met: Stepper) -> None:
    step = met.step(b"", ("b", b""))
    assert (said(step), step.connected) == ([(CONTROL, BYE, 0)], False)


def test_silence_is_broken_and_ends_the_session(met: Stepper) -> None:
    said_first = []
    for _ in range(12):
        step = met.step(after=500)
        said_first += said(step)
    assert not step.connected
    assert said_first[0] == (CONTROL, PING, 0)
    assert 2 <= len(said_first) <= 4


@pytest.mark.parametrize("pause", [1000, 1024, 1028, 1500, 2048, 6000, 60_000])
def test_who_polls_seldom_leaves_a_silent_host_too(met: Stepper, pause: int) -> None:
    """Whatever the pause: at the fifth second that it sees begin; what was kept is reported."""
    met.step(b"", ("s", b"a"))
    polls = 0
    while met.step(after=pause).connected:
        polls += 1
        assert polls < 10
    assert polls >= 4
    assert met.step().lost == 1


def test_a_host_that_pings_keeps_the_session(met: Stepper) -> None:
    for _ in range(70):  # millis() at 16 bits goes round in this time
        step = met.step(control(PING), after=1000)
        assert step.connected
        assert (CONTROL, ACK, 0) in said(met.step())


def test_the_clock_goes_round(board: Stepper) -> None:
    board.now = 65_530
    board.step(wire(handshake(resend=RESEND)))
    sent = said(board.step(b"", ("s", b"a")))
    assert said(board.step(after=RESEND - TICK)) == [(CONTROL, PING, 0)], "another second has begun"
    assert said(board.step(after=2 * TICK)) == sent


def test_a_full_ring_is_told(board_program: Path) -> None:
    with Stepper(board_program, "reliable") as board:
        board.step(wire(handshake()))
        step = board.step(bytes(63))
        assert step.full == 1
        out = said(step) or said(board.step())
        assert out == [(CONTROL, ACK, 0), b"\x3f"]
        (welcome,) = frames(board.step(wire(handshake())).out)
        assert HANDSHAKE.unpack_from(welcome, 1)[8] == 63


def test_the_hosts_limits_are_kept(board: Stepper) -> None:
    board.step(wire(handshake(window=1, segment=4 if board.kind != "lean" else 58)))
    if board.kind == "lean":
        assert board.step(b"", ("s", b"1234"), ("s", b"next")).statuses == ["sent", "sent"]
        return
    step = board.step(b"", ("s", b"12345"), ("s", b"1234"), ("s", b"next"))
    assert step.statuses == ["too long", "sent", "sent"]
    assert said(step) == [(DATA, 0, 0), b"1234"]
    board.step(control(ACK, 1))
    assert said(board.step(after=10)) in ([(DATA, 1, 0), b"next"], [])


def test_credit_of_the_host_lets_a_single_frame_be_under_way(met: Stepper) -> None:
    met.step(control(ACK, 0, b"\x20"))
    both = [(DATA, 0, 0), b"a", (DATA, 1, 0), b"b"]
    assert said(met.step(b"", ("s", b"a"), ("s", b"b"))) == (both if met.kind == "lean" else both[:2])


def test_two_frames_that_became_one_are_damage(met: Stepper) -> None:
    """In a session the host knows how long a frame may be, so this is no reason to refuse anything."""
    met.step(b"\xff" * 300 + b"\0", one_poll=True)
    for _ in range(3):
        step = met.step()
    assert step.bad == 1
    assert met.step(data(0, b"again")).messages


def test_a_flood_of_garbage_is_survived(met: Stepper) -> None:
    for block in range(64):
        met.step(bytes((block * 7 + place * 31) % 255 + 1 for place in range(16_384)))
    met.step(b"\0")
    assert [message.data for message in met.step(data(0, b"still here")).messages] == [b"still here"]
