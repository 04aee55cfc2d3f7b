"""``leadscomm servo``: turn servos at a board with the companion firmware."""

from __future__ import annotations

import argparse
from typing import TextIO

from leadscomm.cli.terminal.companions import PinName, add_board, opened_board, pin


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument(
        "servos",
        nargs="+",
        type=_order,
        metavar="PIN=DEGREES",
        help="6=90 turns the servo at pin 6 to 90 degrees (0 to 180); 6=off lets go of it",
    )
    add_board(parser)
    parser.epilog = "The board holds a servo until it is told otherwise or reset, which opening its port does to most."


def run(args: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Turn them."""
    with opened_board(args) as board:
        for name, degrees in args.servos:
            board.pin(name.number).servo(degrees)
    return 0


def _order(text: str) -> tuple[PinName, float | None]:
    written, _, value = text.partition("=")
    name = pin(written)
    try:
        degrees = None if value == "off" else float(value)
    except ValueError:
        degrees = -1.0
    if name.analog or (degrees is not None and not 0 <= degrees <= 180):
        raise argparse.ArgumentTypeError(f"{text}: write a digital pin and 0 to 180 degrees, such as 6=90, or 6=off")
    return name, degrees
