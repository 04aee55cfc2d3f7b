"""Sessions of the C++ library over wires that damage bytes, with clocks that are turned by hand."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.arduino.lossy import Faults
from tests.arduino.model import Host, handshake, wire
from tests.arduino.stepper import Stepper

STEP_MS = 5


def messages(count: int, seed: int, longest: int) -> list[bytes]:
    draw = random.Random(seed)
    return [number.to_bytes(4, "little") + draw.randbytes(draw.randrange(longest - 3)) for number in range(count)]


def exchange(program: Path, kind: str, count: int, seed: int = 1, **faults: float) -> tuple[Host, Stepper]:
    """A host sends `count` messages, the board sends each of them back."""
    sent = messages(count, seed, 58)
    host = Host(epoch=99)
    host.to_send.extend(sent)
    down, up = Faults(seed + 1, **faults), Faults(seed + 2, **faults)
    arrived: list[bytes] = []
    with Stepper(program, kind) as board:
        out, now = b"", 0
        while len(host.received) < count:
            now += STEP_MS
            step = board.step(down(host.step(up(out), now)), after=STEP_MS, echo=True)
            arrived += [message.data for message in step.messages]
            out = step.out
            assert now < count * 1000, "it does not get on"
    assert arrived == sent, "what arrived on the board"
    assert host.received == sent, "what came back"
    assert (host.lost, host.sessions, step.lost) == ([], 1, 0)
    return host, board


ALL = {"flip": 1e-3, "drop": 1e-3, "duplicate": 1e-3, "insert": 1e-3}


@pytest.mark.parametrize("kind", ["reliable", "framed", "lean", "buffered"])
def test_nothing_is_resent_on_a_good_wire(board_program: Path, kind: str) -> None:
    _, board = exchange(board_program, kind, 500)
    assert board.last is not None
    assert (board.last.resent, board.last.bad) == (0, 0)


@pytest.mark.parametrize("kind", ["reliable", "framed", "lean", "buffered"])
def test_each_message_arrives_once_and_in_order(board_program: Path, kind: str) -> None:
    host, board = exchange(board_program, kind, 1_000, **ALL)
    assert board.last is not None
    assert board.last.resent, "the wire was to damage something"
    assert host.bad


@pytest.mark.slow
def test_one_damaged_bit_in_a_hundred_bytes(board_program: Path) -> None:
    exchange(board_program, "reliable", 1_000, flip=1e-2)


@pytest.mark.long
def test_a_hundred_thousand_messages(board_program: Path) -> None:
    exchange(board_program, "reliable", 100_000, seed=11, **ALL)


Wire = Callable[[bytes], bytes]


def converse(program: Path, count: int, one: Wire, other: Wire) -> None:
    """Two boards with each other: each sends when nothing of its own is under way.

    Neither begins, so each gets a HELLO in the other's name.
    """
    with Stepper(program, "reliable") as left, Stepper(program, "lean") as right:
        boards = (left, right)
        for board in boards:
            board.step(wire(handshake(epoch=7, window=2, segment=58, resend=50)))
        to_send = [messages(count, seed, 58) for seed in (1, 2)]
        waiting = [list(reversed(each)) for each in to_send]
        arrived: list[list[bytes]] = [[], []]
        under_way = [b"", b""]
        for _ in range(count * 100):
            for me, board in enumerate(boards):
                acts = [("i", waiting[me][-1])] if waiting[me] else []
                step = board.step((one, other)[me](under_way[me]), *acts, after=STEP_MS)
                if step.statuses == ["sent"]:
                    waiting[me].pop()
                arrived[me] += [message.data for message in step.messages]
                under_way[1 - me] = step.out
                assert step.lost == 0
            if [len(each) for each in arrived] == [count, count]:
                break
        assert arrived == [to_send[1], to_send[0]]


def test_two_boards_on_a_good_wire(board_program: Path) -> None:
    converse(board_program, 300, bytes, bytes)


def test_two_boards_on_a_bad_wire(board_program: Path) -> None:
    converse(board_program, 300, Faults(5, **ALL), Faults(6, **ALL))


@pytest.mark.parametrize("kind", ["reliable", "lean"])
def test_a_board_that_was_reset_is_found_out(board_program: Path, kind: str) -> None:
    """In the middle of everything: the host is refused, begins anew, and reports what was not acknowledged."""
    sent = messages(400, 3, 58)
    host = Host(epoch=99)
    host.to_send.extend(sent)
    arrived: list[bytes] = []
    now = 0
    for salt in (1, 2, 3):
        with Stepper(board_program, kind, salt=salt) as board:
            out = b""
            for _ in range(40):
                now += STEP_MS
                step = board.step(host.step(out, now), after=STEP_MS)
                arrived += [message.data for message in step.messages]
                out = step.out
    assert host.sessions == 3
    lost = set(host.lost)
    assert 1 <= len(lost) <= (4 if kind == "reliable" else 8)
    assert arrived == sorted(arrived, key=sent.index)
    assert len(set(arrived)) == len(arrived)
    missing = set(sent[: len(arrived)]) - set(arrived)
    assert missing <= lost, "what did not arrive was reported"
