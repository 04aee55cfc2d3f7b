"""LEADS text, and how a board hears which of its two languages it is spoken to in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.arduino.model import BYE, CONTROL, DATA, handshake, header, wire, written
from tests.arduino.stepper import Step, Stepper

BOARDS = ("reliable", "buffered", "named")
HELLO = wire(handshake())


def texts(step: Step) -> list[bytes]:
    return [message.data for message in step.messages]


@pytest.fixture
def text_board(board: Stepper) -> Stepper:
    assert board.step(b"ic;").out == b"wsc;"
    return board


def test_nothing_is_said_before_the_host_is_heard(board: Stepper) -> None:
    for _ in range(10):
        step = board.step(b"", ("s", b"x"), ("d", b"x"), after=1000)
        assert step.out == b""
        assert "sent" not in step.statuses


def test_the_dialogue_of_a_leads_host(text_board: Stepper) -> None:
    step = text_board.step(b"led:1;;ic;wss_lf:12.00;", ("s", b"tpd:0.5"))
    assert (step.out, texts(step), step.connected) == (b"tpd:0.5;wsc;", [b"led:1", b"wss_lf:12.00"], True)
    step = text_board.step(b"disconnect;")
    assert (step.out, texts(step), step.connected) == (b"", [], False)
    assert text_board.step(b"", ("s", b"x")).statuses == ["not connected"]
    assert text_board.step(b"ic;").out == b"wsc;"


def test_text_comes_in_any_cut(text_board: Stepper) -> None:
    got = [message for byte in b"a:1;\r\nbc:2;;d;" for message in texts(text_board.step(bytes([byte])))]
    assert got == [b"a:1", b"bc:2", b"d"]


def test_text_that_cannot_be_carried_is_refused(text_board: Stepper) -> None:
    step = text_board.step(b"", ("s", b"a;b"), ("s", b"x" * 251))
    assert (step.statuses, step.out) == (["not text", "too long"], b"")


def test_text_that_is_too_long_is_dropped_whole(text_board: Stepper) -> None:
    step = text_board.step(b"x" * 600 + b";next;")
    assert (texts(step), step.bad, step.out) == ([b"next"], 1, b"")


def test_noise_before_the_question_is_no_matter(board: Stepper) -> None:
    assert board.step(b"\xff\x07;ic;").out == b"wsc;"


@pytest.mark.parametrize("before", [b"", b"\r\n", b";", b"disconnect;", b"\0", b"noise \xff\x01\0"])
def test_a_host_that_trusts_the_board_is_heard(board: Stepper, before: bytes) -> None:
    """LEADS 0.9.7 does not ask again when it opens its port anew; the board may have started with that."""
    board.step(before)
    step = board.step(b"led:1;x:\x7e 2;", ("s", b"tpd:1"))
    assert (texts(step), step.connected) == ([b"led:1", b"x:\x7e 2"], True)
    assert board.step(b"", ("s", b"tpd:1")).out == b"tpd:1;"
    assert texts(board.step(written(b"\0frame"))) == [b"frame"], "who speaks in frames then is heard, too"


def test_a_host_that_left_may_come_back_without_asking(text_board: Stepper) -> None:
    assert not text_board.step(b"disconnect;").connected
    step = text_board.step(b"led:1;", ("s", b"x"))
    assert (texts(step), step.connected) == ([b"led:1"], True)


@pytest.mark.parametrize("before", [b"\x03led:1;x;", b"\x85;led:1;", b"\xfe;;x;", b"x\x7f;"])
def test_what_is_no_text_is_not_taken_before_the_question(board: Stepper, before: bytes) -> None:
    """A board may start in the middle of a frame."""
    step = board.step(before + b"y;" + wire(b"\0frame"))
    assert (texts(step), step.out) == ([], b"")
    assert texts(board.step(wire(b"\0frame"))) == [b"frame"]
    assert texts(board.step(b"led:1;")) == [], "frames were heard"


def test_a_host_of_the_other_language_may_follow_at_any_time(board: Stepper) -> None:
    frame = wire(b"\0frame")
    for _ in range(3):
        assert texts(board.step(frame)) == [b"frame"]
        assert board.step(b"", ("d", b"x")).out in (written(b"\0x"), b"")
        assert board.step(b"ic;").out == b"wsc;"
        assert texts(board.step(b"a:1;")) == [b"a:1"]
    assert texts(board.step(b"half a text" + b"\0" + frame)) == [b"frame"]


def test_a_frame_may_hold_what_text_ends_with(board: Stepper) -> None:
    board.step(b"ic;")
    board.step(wire(handshake(profiles=0, epoch=0x3B3B3B3B)))  # so may the first one, where it is a HELLO
    payload = b"\0ic;a;ic;led:1;"
    for _ in range(3):
        step = board.step(wire(payload) * 3)
        assert (texts(step), step.out) == ([payload[1:]] * 3, b"")


def test_a_session_that_gives_way_to_text_is_reported(board_program: Path) -> None:
    with Stepper(board_program, "reliable") as board:
        board.step(HELLO, ("s", b"x"))
        board.step(b"", ("s", b"unacknowledged"))
        step = board.step(b"ic;")
        assert (step.out[-4:], step.lost, step.connected, step.session) == (b"wsc;", 1, True, 1)
        assert texts(board.step(b"a:1;")) == [b"a:1"]
        step = board.step(HELLO)
        assert step.session == 0x12345678


def test_long_frames_may_begin_like_the_question(board_program: Path) -> None:
    """With frames of 104 bytes and more "ic;" is a possible beginning of one, in a session."""
    with Stepper(board_program, "buffered") as board:
        board.step(HELLO)
        for number in range(4):
            board.step(wire(bytes([header(DATA, number, 3 if number == 3 else 0)]) + b"x"))
        frame = bytes([header(DATA, 4, 3)]) + b";" + b"x" * 100
        assert wire(frame).startswith(b"ic;")
        step = board.step(wire(frame))
        assert texts(step) == [frame[1:]]
        assert b"wsc" not in step.out
        board.step(wire(bytes([header(CONTROL, BYE, 0)])))
        assert board.step(b"ic;").out == b"wsc;"


def test_text_alone(board_program: Path) -> None:
    with Stepper(board_program, "text") as board:
        step = board.step(b"\r\nled:1;\nic;disconnect;b\xc3\xbc:2;", ("s", b"tpd:1"), ("s", b"a;b"))
        assert (step.out, texts(step)) == (b"tpd:1;wsc;", [b"led:1", b"b\xc3\xbc:2"])
        assert step.statuses == ["sent", "not text"]
        step = board.step(b"x" * 59 + b";" + b"y" * 58 + b";")
        assert (texts(step), step.bad) == ([b"y" * 58], 1)


def test_datagrams_alone(board_program: Path) -> None:
    with Stepper(board_program, "datagram") as board:
        step = board.step(HELLO + b"ic;\0" + wire(b"\0one", b"\x41data", b"\x3ftwo"), echo=True)
        assert (texts(step), step.out) == ([b"one", b"two"], written(b"\0one", b"\0two"))
        assert board.step(b"", ("s", b"x" * 59)).statuses == ["too long"]
