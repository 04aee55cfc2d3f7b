"""``leadscomm pin``: read and set the pins of a board with the companion firmware."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Final, TextIO

from leadscomm.cli.terminal.companions import PinName, add_board, opened_board, pin
from leadscomm.errors import BoardError
from leadscomm.hardware.board.board import Board
from leadscomm.hardware.board.pins import Pin
from leadscomm.hardware.companion import Mode

_WORDS: Final[dict[str, Callable[[Pin], None]]] = {
    "on": lambda pin: pin.write(True),
    "off": lambda pin: pin.write(False),
    "input": lambda pin: pin.mode(Mode.INPUT),
    "pullup": lambda pin: pin.mode(Mode.PULLUP),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument(
        "pins",
        nargs="+",
        type=_order,
        metavar="PIN[=VALUE]",
        help="13 or A0 is read; 13=on, 13=off, 9=25%% (PWM), 2=input, 2=pullup set a pin",
    )
    add_board(parser)
    parser.add_argument("--json", action="store_true", help="print what was read as JSON: volts, true or false")
    parser.epilog = (
        "They are carried out in the order given. Opening the port resets most boards, and so does the next command: a "
        "pin stays as it was set until then. With dtr=keep in the endpoint the board is not reset."
    )


def run(args: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Carry the orders out; what was read goes to standard output."""
    seen: dict[str, float | bool] = {}
    with opened_board(args) as board:
        for name, change in args.pins:
            try:
                if change is not None:
                    change(board.pin(name.number))
                    continue
                seen[str(name)] = _read(board, name)
            except BoardError as error:
                raise BoardError(f"{name}: {error}", error.status) from error
            if not args.json:
                print(f"{name} {shown(seen[str(name)])}", file=out)
    if args.json:
        print(json.dumps(seen), file=out)
    return 0


def shown(value: float | bool) -> str:
    """A level or a voltage in words."""
    return ("high" if value else "low") if isinstance(value, bool) else f"{value:.3f} V"


def _read(board: Board, name: PinName) -> float | bool:
    return board.analog(name.number).read() if name.analog else board.pin(name.number).read()


def _order(text: str) -> tuple[PinName, Callable[[Pin], None] | None]:
    """``13`` or ``13=on``: a pin, and what is to be done to it, if anything."""
    written, given, value = text.partition("=")
    name = pin(written)
    if not given:
        return name, None
    if name.analog:
        raise argparse.ArgumentTypeError(f"{text}: analog inputs are read, not set")
    change = _WORDS.get(value)
    return name, _pwm(text, value) if change is None else change


def _pwm(text: str, value: str) -> Callable[[Pin], None]:
    try:
        percent = float(value.removesuffix("%")) if value.endswith("%") else -1.0
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        raise argparse.ArgumentTypeError(f"{text}: write {', '.join(_WORDS)}, or a share of time such as 25%")
    return lambda pin: pin.pwm(percent / 100)
