"""The host's side of a virtual board in tests: an open port, and waiting in simulated time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import cast

import serial

from leadscomm.testing import VirtualBoard
from tests.entities.recorder import PATIENCE_S


def until(board: VirtualBoard, condition: Callable[[], bool]) -> None:
    """Let the board run until the condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"it never happened; {board.state()}, {board.counters()}"
        board.advance(0.0005)


def count(board: VirtualBoard, name: str) -> int:
    return board.counters()[name]


@contextlib.contextmanager
def opened(board: VirtualBoard, baud: int = 115200) -> Iterator[serial.Serial]:
    """The board's port, open; the board has noticed, and its firmware, where it is quick, has begun to listen."""
    before = count(board, "opens")
    with cast("serial.Serial", serial.serial_for_url(board.port, baud, timeout=PATIENCE_S)) as port:
        until(board, lambda: count(board, "opens") > before)
        board.advance(0.001)
        yield port


def send_all(board: VirtualBoard, port: serial.Serial, data: bytes) -> None:
    """Write, and wait until all of it has been on the wire."""
    before = count(board, "to_board")
    port.write(data)
    until(board, lambda: count(board, "to_board") == before + len(data))
    board.advance(0.01)  # the last one arrives
