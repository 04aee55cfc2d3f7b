"""The table of commands, and what they have in common: options, logging, errors and exit codes.

Exit codes: 0 it worked; 1 it failed, and standard error says why in one line; 2 the command line is wrong; 130 Ctrl-C;
143 it was told to end (SIGTERM).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO, cast

from leadscomm.cli import (
    bench,
    board,
    connect,
    demo,
    doctor,
    flash,
    log,
    node,
    pin,
    ports,
    receive,
    report,
    send,
    serve,
    servo,
)
from leadscomm.cli.terminal.output import StandardOutput
from leadscomm.cli.terminal.wording import one_line
from leadscomm.connections.url import closest
from leadscomm.errors import CommError
from leadscomm.version import __version__

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

INTERRUPTED: Final = 130
TERMINATED: Final = 143


class AddArguments(Protocol):
    def __call__(self, parser: argparse.ArgumentParser) -> None: ...


class Run(Protocol):
    def __call__(self, args: argparse.Namespace, out: TextIO, err: TextIO) -> int: ...


@dataclass(frozen=True)
class Command:
    """One command.

    :ivar help: one line.
    :ivar add_arguments: gives the parser its options.
    :ivar run: does it and returns the exit code; ``CommError`` and ``OSError`` may be raised.
    """

    help: str
    add_arguments: AddArguments
    run: Run


COMMANDS: Final = {
    "serve": Command("listen on an endpoint, show what comes, send what is typed", serve.add_arguments, serve.run),
    "connect": Command("connect to an endpoint: type lines, see lines", connect.add_arguments, connect.run),
    "send": Command("send a file", send.add_arguments, send.run),
    "receive": Command("receive files", receive.add_arguments, receive.run),
    "node": Command("run a node as a file has it: many peers by name", node.add_arguments, node.run),
    "ports": Command("list the serial ports", ports.add_arguments, ports.run),
    "doctor": Command("find out why an endpoint does not work", doctor.add_arguments, doctor.run),
    "log": Command("write down everything that comes, with the time", log.add_arguments, log.run),
    "flash": Command("compile a sketch and bring it onto a board", flash.add_arguments, flash.run),
    "pin": Command("read and set the pins of a board", pin.add_arguments, pin.run),
    "servo": Command("turn the servos of a board", servo.add_arguments, servo.run),
    "report": Command("show the pins of a board again and again", report.add_arguments, report.run),
    "board": Command("emulate an Arduino board and run real firmware on it", board.add_arguments, board.run),
    "bench": Command("measure how quick it is on this machine", bench.add_arguments, bench.run),
    "demo": Command("see a server and its clients talk, with figures", demo.add_arguments, demo.run),
}


class Parser(argparse.ArgumentParser):
    """One that does not pass over it in silence when it cannot write, and names what was probably meant."""

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        (file or sys.stderr).write(message)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As ``argparse`` has it; but what a command does not know is said by that command, with its usage."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self._meant(unknown[0], self._options())}")
        return found, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += self._meant(str(value), map(str, action.choices or ()))
            raise

    def _options(self) -> list[str]:
        return [name for action in self._actions for name in action.option_strings]

    @staticmethod
    def _meant(word: str, known: Iterable[str]) -> str:
        names = {name.lstrip("-"): name for name in known}  # two dashes in common are no likeness
        near = closest(word.lstrip("-"), names)
        return f"; did you mean {names[near]}?" if near else ""


def make_parser() -> argparse.ArgumentParser:
    """The command line as ``--help`` shows it."""
    parser = Parser(
        prog="leadscomm",
        description="Messages over TCP, TLS, UDP, Unix sockets and serial lines.",
        epilog="An endpoint is a URL such as tcp://127.0.0.1:16900, udp://host:16900 or "
        "serial:///dev/ttyACM0?baud=115200; a number alone is a port of this machine. "
        "'leadscomm COMMAND --help' says more of each command.",
    )
    parser.add_argument("--version", action="version", version=f"leadscomm {__version__}")
    _add_verbose(parser, "verbose")
    table = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        sub = table.add_parser(name, help=command.help, description=f"{command.help[0].upper()}{command.help[1:]}.")
        _add_verbose(sub, "verbose_too")
        command.add_arguments(sub)
        sub.set_defaults(command=command)
    return parser


def _add_verbose(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("-v", action="count", default=0, dest=name, help="log what happens (-vv: everything)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    :param argv: what follows the program's name; ``sys.argv`` unless given.
    :return: the exit code. A wrong command line raises ``SystemExit``, as ``argparse`` does.
    """
    parser = make_parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what may come next, and argcomplete answers it
        import argcomplete

        argcomplete.autocomplete(parser)
    with _streams() as (out, err), contextlib.redirect_stdout(out):
        try:
            args = parser.parse_args(argv)
        except OSError as error:  # --help into a full disk
            return _failed(error, err)
        with _logging(args.verbose + args.verbose_too, err), _terminable():
            return execute(args.command, args, out, err)


@contextlib.contextmanager
def _streams() -> Iterator[tuple[TextIO, TextIO]]:
    """Standard output and standard error, which write whatever they are given; nowhere, if they were closed."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        stdout, err = sys.stdout or nowhere, sys.stderr or nowhere
        for stream in (stdout, err):
            if isinstance(stream, io.TextIOWrapper):
                # A whole line at a time, also with PYTHONUNBUFFERED=1: what comes between two writes would part it.
                stream.reconfigure(errors="backslashreplace", line_buffering=True, write_through=False)
        out = StandardOutput(stdout)
        try:
            yield cast(TextIO, out), err
        finally:
            out.settle()


def execute(command: Command, args: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Run a command; what it raises becomes one line on ``err`` and an exit code."""
    try:
        code = command.run(args, out, err)
        out.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except _Terminated:
        return TERMINATED
    except (CommError, OSError, ImportError) as error:
        return _failed(error, err)


def _failed(error: Exception, err: TextIO) -> int:
    """The exit code of a failure. It is told, unless it is that whoever read the output has had enough."""
    if not isinstance(error, BrokenPipeError):
        with contextlib.suppress(OSError):
            print(f"leadscomm: {one_line(error)}", file=err, flush=True)
    return 1


class _Terminated(BaseException):
    """SIGTERM came; like Ctrl-C it ends the program by way of its ``finally`` blocks."""


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _logging(verbose: int, err: TextIO) -> Iterator[None]:
    """Send the library's log to ``err``: warnings, with ``-v`` also what happens, with ``-vv`` everything."""
    handler = logging.StreamHandler(err)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s" if not verbose else _DETAILED))
    logger = logging.getLogger("leadscomm")
    level, propagate = logger.level, logger.propagate
    logger.setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)])
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


_DETAILED: Final = "%(asctime)s %(levelname)s %(threadName)s: %(message)s"
