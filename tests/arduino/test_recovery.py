"""How soon a session with a board gets over damage, in the time of a serial line that is turned by hand."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from leadscomm.connections.opening import Plan
from leadscomm.protocol.session.handshake import Handshake
from tests.arduino.stepper import Stepper
from tests.arduino.timed import TimedLine


def per_second(program: Path, baud: int, count: int, faults: float, seed: int = 1) -> tuple[float, TimedLine]:
    """How many messages of 2 to 58 bytes a board sends back in a second; each comes once and in order."""
    dice = random.Random(7)
    messages = [dice.randbytes(dice.randrange(2, 59)) for _ in range(count)]
    me = Handshake(epoch=99, resend=Plan(baud).resend_ms)
    with Stepper(program, "reliable") as board:
        line = TimedLine(board, me, baud, seed, flip=faults, drop=faults, duplicate=faults, insert=faults)
        session = line.host.session
        while not session.open:
            line.step()
        began, left = line.now, list(reversed(messages))
        while len(line.host.got) < count:
            while left and session.wants:
                session.send(left.pop())
            line.step()
            assert session.ended is None
        assert line.host.got == messages
        assert board.last is not None
        assert (board.last.lost, session.take_faults()) == (0, [])
    return count / (line.now - began), line


@pytest.mark.parametrize(
    ("baud", "count", "faults", "least"),
    [(1_000_000, 150, 0.0, 600), (1_000_000, 300, 1e-3, 400), (1_000_000, 60, 1e-2, 60), (115_200, 100, 1e-3, 100)],
)
def test_damage_costs_little_more_than_a_round_trip(
    board_program: Path, baud: int, count: int, faults: float, least: int
) -> None:
    rate, line = per_second(board_program, baud, count, faults)
    assert rate >= least
    assert bool(line.host.session.counters().bad_frames) == bool(faults)


def at_each_message(text: bytes) -> Callable[[float, int], bytes]:
    return lambda now, came: text * came


def every(seconds: float, text: bytes) -> Callable[[float, int], bytes]:
    due = [0.0]

    def prints(now: float, came: int) -> bytes:
        if now < due[0]:
            return b""
        due[0] = now + seconds
        return text

    return prints


@pytest.mark.parametrize(
    "prints",
    [
        at_each_message(b"got 1234\r\n"),
        at_each_message(b"\0\0"),
        at_each_message(b"x" * 40),
        every(0.1, b"t=123456\r\n"),
        every(0.1, b"y" * 300),
        every(0.005, b"."),
        every(0.02, b"got 1\0t=2\r\n"),
    ],
    ids=[
        "a line each",
        "zeros each",
        "a long line each",
        "a line",
        "a very long line",
        "a byte often",
        "a zero inside",
    ],
)
def test_what_a_sketch_prints_slows_a_session_and_does_not_starve_it(
    board_program: Path, prints: Callable[[float, int], bytes]
) -> None:
    with Stepper(board_program, "reliable") as board:
        line = TimedLine(board, Handshake(epoch=99, resend=Plan(115_200).resend_ms), 115_200)
        line.prints = prints
        session, number, began = line.host.session, 0, 0.0
        while number < 20:
            assert line.now < 5, "it is starved"
            if session.open and len(line.host.got) == number:
                began = began or line.now
                number += 1
                session.send(b"%04d" % number)
            line.step()
            assert session.ended is None
        assert line.host.got == [b"%04d" % count for count in range(1, number)]
        assert (number - 1) / (line.now - began) > 30
