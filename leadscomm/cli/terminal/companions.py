"""What the commands for boards with the companion firmware share: which board is meant, and pins by their names."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from leadscomm.cli.terminal import arguments
from leadscomm.entities.callback import Callback
from leadscomm.entities.service import Service
from leadscomm.errors import ConnectFailed
from leadscomm.hardware.board.board import Board

COMPANION: Final = "companion"
ANY_COMPANION: Final = f"serial://auto?identity={COMPANION}"


class PinName(NamedTuple):
    """A pin as it is written: ``13``, or ``A0`` for an analog input."""

    number: int
    analog: bool

    def __str__(self) -> str:
        return f"A{self.number}" if self.analog else str(self.number)


def pin(text: str) -> PinName:
    """Read the name of a pin."""
    analog = text[:1] in ("A", "a")
    digits = text[1:] if analog else text
    if not digits.isdecimal() or int(digits) > 255:
        raise argparse.ArgumentTypeError(f"{text!r} is no pin: write a number such as 13, or A0 for an analog input")
    return PinName(int(digits), analog)


def add_board(parser: argparse.ArgumentParser) -> None:
    """The option ``--board``."""
    arguments.completed(
        parser.add_argument(
            "--board",
            type=arguments.endpoint,
            default=ANY_COMPANION,
            metavar="ENDPOINT",
            help=f"which board (default {ANY_COMPANION}: the one that is found)",
        )
    )


@contextlib.contextmanager
def opened_board(args: argparse.Namespace) -> Iterator[Board]:
    """The board that is meant, connected.

    :raises CommError: it does not answer; the text says why.
    """
    troubles = _Troubles()
    with Board(args.board, troubles, reconnect=False) as board:
        if board.connection is None:
            first = troubles.first or ConnectFailed(f"{args.board}: no board answers")
            if args.board.options.get("identity") == COMPANION:
                raise ConnectFailed(f"{first}; `leadscomm flash` brings the companion firmware onto a board") from first
            raise first
        yield board


class _Troubles(Callback):
    def __init__(self) -> None:
        super().__init__()
        self.first: Exception | None = None

    def on_fail(self, service: Service, error: Exception) -> None:
        self.first = self.first or error
