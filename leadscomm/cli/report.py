"""``leadscomm report``: the pins of a board with the companion firmware, again and again."""

from __future__ import annotations

import argparse
import csv
import json
import math
import queue
from collections.abc import Callable
from typing import TextIO

from leadscomm.cli.pin import shown
from leadscomm.cli.terminal import arguments
from leadscomm.cli.terminal.companions import PinName, add_board, opened_board, pin
from leadscomm.cli.terminal.waiting import LOOK_S
from leadscomm.errors import ConnectionLost
from leadscomm.hardware.board.reports import Sample

Row = list[float | bool]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("pins", nargs="+", type=pin, metavar="PIN", help="13, or A0 for an analog input")
    add_board(parser)
    parser.add_argument("--rate", type=float, default=10.0, metavar="HZ", help="reports a second (default 10)")
    parser.add_argument("--count", type=arguments.count, metavar="N", help="end after so many reports")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--csv", action="store_true", help="print a table: time in seconds, volts, 1 or 0")
    how.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.epilog = (
        "The time is that of the board's clock, in seconds. A report that is lost on the way is not repeated."
    )


def run(args: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Report until Ctrl-C, the count is reached, or the board is gone."""
    pins: list[PinName] = list(dict.fromkeys(args.pins))
    came: queue.SimpleQueue[Sample] = queue.SimpleQueue()
    left = math.inf if args.count is None else args.count
    with opened_board(args) as board:
        analog = [name.number for name in pins if name.analog]
        digital = [name.number for name in pins if not name.analog]
        try:
            board.report(came.put, analog=analog, digital=digital, rate=args.rate)
        except ValueError as error:
            raise ConnectionLost(str(error)) from error
        write = _writer(args, pins, out)
        while left:
            try:
                sample = came.get(timeout=LOOK_S)
            except queue.Empty:
                if board.connection is None:
                    raise ConnectionLost(f"{board.endpoint} is gone") from None
                continue
            values: Row = [sample.analog[p.number] if p.analog else sample.digital[p.number] for p in pins]
            write(sample.time, values)
            left -= 1
    return 0


def _writer(args: argparse.Namespace, pins: list[PinName], out: TextIO) -> Callable[[float, Row], None]:
    """What prints a report in the form that was asked for."""
    names = [str(name) for name in pins]

    def as_row(time: float, row: Row) -> None:
        table.writerow([f"{time:.6f}", *(f"{float(value):g}" for value in row)])

    def as_object(time: float, row: Row) -> None:
        print(json.dumps({"time": time, **dict(zip(names, row))}), file=out)

    def as_line(time: float, row: Row) -> None:
        told = "  ".join(f"{name} {shown(value)}" for name, value in zip(names, row))
        print(f"{time:.3f} s  {told}", file=out)

    if args.csv:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(["time", *names])
        return as_row
    return as_object if args.json else as_line
