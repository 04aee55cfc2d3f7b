"""``leadscomm board --virtual``: a board without the board, for programs that want one."""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TextIO

from leadscomm.cli.terminal.wording import wrapped
from leadscomm.connections.serial.connection import who_are_there
from leadscomm.errors import EndpointError
from leadscomm.hardware.toolchain import build
from leadscomm.testing.emulated import EMULATED, find_emulated
from leadscomm.testing.virtual_board import VirtualBoard

_LOOK_S: Final = 0.2
_ANSWER_S: Final = 1.0
"""Firmware that says who it is has done so by then."""
_FAULTS: Final = {
    "flip": "one of its bits changes",
    "drop": "it is lost",
    "duplicate": "it comes twice",
    "insert": "another comes before it",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add = parser.add_argument
    add("firmware", nargs="?", help="an ELF or HEX file, or a sketch to be compiled; needed unless a bootloader is")
    add("--virtual", action="store_true", required=True, help="emulate the board (there is no other kind yet)")
    add("--mcu", choices=EMULATED, default="uno", help="which board or processor (default uno)")
    add(
        "--bootloader",
        action="store_true",
        help="start in the board's bootloader, for avrdude; firmware may be missing",
    )
    add("--bootloader-file", metavar="FILE", help="start in this one instead, an ELF or HEX file")
    add("--tcp", action="store_true", help="a TCP port of 127.0.0.1 instead of a serial port")
    add("--link", metavar="PATH", help="a symbolic link that always points to the serial port")
    add("--baud", type=int, default=115200, help="what the endpoint says (default 115200)")
    add("--no-baud-check", action="store_true", help="do not garble bytes where the two baud rates differ")
    add("--no-reset-on-open", action="store_true", help="opening the port does not reset the board")
    add("--fast", action="store_true", help="simulated time runs as fast as it can, instead of with real time")
    add("--receiver-depth", type=int, default=3, metavar="N", help="bytes that the receiver holds (default 3)")
    add("--eeprom", metavar="FILE", help="keep the EEPROM in this file")
    add("--analog", action="append", default=[], type=_setting, metavar="N=VOLTS", help="input A0, A1, ...; repeatable")
    add("--pin", action="append", default=[], type=_setting, metavar="N=0|1", help="hold a digital pin; repeatable")
    for fault, meaning in _FAULTS.items():
        add(f"--{fault}", type=float, default=0.0, metavar="P", help=f"probability for each byte that {meaning}")
    add("--direction", choices=("both", "to", "from"), default="both", help="which way faults are made, seen from here")
    add("--seed", type=int, default=0, help="of the faults (default 0)")
    add("--json", action="store_true", help="print one line of JSON when it is there, and one of counters at the end")
    parser.epilog = "It runs until Ctrl-C, or until the firmware crashes: exit code 1 then."


def _setting(text: str) -> tuple[int, float]:
    number, _, value = text.removeprefix("A").partition("=")
    try:
        return int(number), float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"write a number, = and a value, and not {text!r}") from None


def run(args: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Emulate until Ctrl-C."""
    with _firmware(args) as firmware, contextlib.closing(_make(args, firmware)) as board:
        greeting = json.dumps(_facts(board)) if args.json else "\n".join(_greeting(board, args))
        asked = board.counters()  # what it took to ask the firmware who it is, for the greeting
        try:
            print(greeting, file=out, flush=True)
            while True:
                board.check()
                time.sleep(_LOOK_S)
        finally:
            counters = board.counters()
            print(json.dumps(counters) if args.json else "\n".join(_summary(counters, asked)), file=out, flush=True)


@contextlib.contextmanager
def _firmware(args: argparse.Namespace) -> Iterator[str | None]:
    """The file to run; what a sketch was compiled to is kept until the end."""
    path = Path(args.firmware or "")
    if not args.firmware or (path.suffix != ".ino" and not path.is_dir()):
        yield args.firmware
        return
    with tempfile.TemporaryDirectory(prefix="leadscomm-") as folder:
        yield str(build(path, find_emulated(args.mcu).model.name, build_folder=folder))


def _make(args: argparse.Namespace, firmware: str | None) -> VirtualBoard:
    try:
        board = _start(args, firmware)
        try:
            for channel, volts in args.analog:
                board.set_analog(channel, volts)
            for pin, level in args.pin:
                board.set_pin(pin, bool(level))
        except BaseException:
            board.close()
            raise
    except ValueError as error:
        raise EndpointError(str(error)) from error
    return board


def _start(args: argparse.Namespace, firmware: str | None) -> VirtualBoard:
    return VirtualBoard(
        firmware,
        args.mcu,
        transport="tcp" if args.tcp else "pty",
        bootloader=args.bootloader_file or args.bootloader,
        reset_on_open=not args.no_reset_on_open,
        baud=args.baud,
        baud_check=not args.no_baud_check,
        pace=not args.fast,
        receiver_depth=args.receiver_depth,
        direction=args.direction,
        seed=args.seed,
        eeprom=args.eeprom,
        link=args.link,
        **{fault: getattr(args, fault) for fault in _FAULTS},
    )


def _facts(board: VirtualBoard) -> dict[str, Any]:
    return {
        "endpoint": board.endpoint,
        "port": board.port,
        "board": board.kind.name,
        "mcu": board.kind.model.mcu,
        "pid": board.pid,
    }


def _greeting(board: VirtualBoard, args: argparse.Namespace) -> list[str]:
    lines = [f"{board.endpoint}: a virtual {board.kind.model.title}, until Ctrl-C"]
    if args.firmware:
        lines += _hints(board, args.baud)
    if args.bootloader:
        lines += wrapped(f"write to it: leadscomm flash --board {board.kind.model.name} --port {board.port}", " " * 13)
    return lines


def _hints(board: VirtualBoard, baud: int) -> list[str]:
    """How to talk to it, in its own language: it is asked first."""
    found = who_are_there([board.port], time.monotonic() + _ANSWER_S, baud)[board.port]
    joint = "&" if "?" in board.endpoint else "?"
    if found.tag == "companion":
        shell = f"leadscomm pin 13=on --board '{board.endpoint}'"
        python = f"leadscomm.hardware.Board({board.endpoint!r})"
    elif found.tag is None or found.in_text:
        options = "" if found.in_text else f"{joint}framing=line"
        shell = f"leadscomm connect '{board.endpoint}{options}'"
        python = f"leadscomm.create_client({board.endpoint + options!r})"
    else:
        shell = f"leadscomm connect '{board.endpoint}{joint}framing=board'"
        python = f"leadscomm.create_client('{board.endpoint}{joint}reliable=1')"
    return wrapped(f"talk to it:  {shell}", " " * 13) + wrapped(f"in Python:   {python}", " " * 13)


def _summary(counters: dict[str, int], before: dict[str, int]) -> list[str]:
    """What has happened since ``before``, in words."""
    since = {name: count - before[name] for name, count in counters.items()}
    faults = sum(since[name] for name in ("flipped", "dropped", "duplicated", "inserted"))
    text = (
        f"{since['to_board']:,} bytes to the board, {since['from_board']:,} from it; {since['overruns']:,} "
        f"lost in its receiver, {since['garbled']:,} garbled, {faults:,} faults made; opened {since['opens']:,} "
        f"times, {since['resets']:,} resets; {counters['ram']:,} bytes of RAM used at most"
    )
    return wrapped(text)
