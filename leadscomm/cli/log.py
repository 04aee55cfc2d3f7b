"""``leadscomm log``: everything that comes from an endpoint, with the time, until Ctrl-C."""

from __future__ import annotations

import argparse
import csv
import io
import threading
from datetime import datetime, timezone
from typing import TextIO

from leadscomm.cli.terminal import arguments
from leadscomm.cli.terminal.output import Output
from leadscomm.cli.terminal.payload import as_hex, as_text
from leadscomm.cli.terminal.waiting import INTERRUPTED_S, wait_until
from leadscomm.cli.terminal.wording import one_line
from leadscomm.connections.base import ConnectionBase
from leadscomm.entities.callback import Callback
from leadscomm.entities.client import Client
from leadscomm.entities.entity import Entity
from leadscomm.entities.server import Server
from leadscomm.entities.service import Service
from leadscomm.errors import ConnectFailed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    arguments.add_endpoint(parser)
    parser.add_argument("--csv", action="store_true", help="a table: time, peer, message; the first line names them")
    parser.add_argument("--serve", action="store_true", help="listen on the endpoint, instead of connecting to it")
    parser.add_argument("--hex", action="store_true", help="show messages as hexadecimal: 68 65 6c 6c 6f")
    parser.add_argument("--count", type=arguments.count, metavar="N", help="end after so many messages")
    parser.epilog = (
        "Messages go to standard output, one a line; everything else goes to standard error. A connection that ends is "
        "made again. The time is UTC, in seconds and parts of them, as ISO 8601 writes it."
    )


def run(args: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Log until Ctrl-C."""
    return Logging(args, Output(out, err)).run()


class Logging(Callback):
    """One run of the command; also what its service tells."""

    def __init__(self, args: argparse.Namespace, output: Output) -> None:
        super().__init__()
        self._output = output
        self._output.on_lost = self._end
        self._csv: bool = args.csv
        self._show = as_hex if args.hex else as_text
        self._left: float = float("inf") if args.count is None else args.count
        self._changed = threading.Condition()
        self._over = False
        self._listening = False
        self._failure: Exception | None = None
        self._told = ""
        self._lock = threading.Lock()  # messages of several peers come in several threads
        self.service: Entity = Server(args.endpoint, self) if args.serve else Client(args.endpoint, self)

    def run(self) -> int:
        if self._csv:
            self._output.say("time,peer,message")
        try:
            self.service.start(parallel=True)
            wait_until(self._changed, lambda: self._over)
            if self._failure is not None:
                raise self._failure
        finally:
            self.service.close(INTERRUPTED_S)
            self.service.join(INTERRUPTED_S)
        self._output.check()
        return 0

    def _end(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _line(self, peer: str, message: str) -> str:
        moment = datetime.now(timezone.utc).isoformat(timespec="microseconds")
        if not self._csv:
            return f"{moment} {peer}: {message}"
        row = io.StringIO()
        csv.writer(row, lineterminator="").writerow([moment, peer, message])
        return row.getvalue()

    # What the service tells ------------------------------------------------------------------------------------------

    def on_initialize(self, service: Service) -> None:
        self._listening = True
        if isinstance(service, Server):
            self._output.note(f"listening on {service.endpoint}")

    def on_connect(self, service: Service, connection: ConnectionBase) -> None:
        self._told = ""
        self._output.note(f"+ {connection}")

    def on_receive(self, service: Service, msg: bytes) -> None:
        with self._lock:
            if self._left <= 0:
                return
            self._left -= 1
            self._output.say(self._line(str(self.service.sender), self._show(msg)))
        if self._left <= 0:
            self._end()

    def on_disconnect(self, service: Service, connection: ConnectionBase) -> None:
        self._output.note(f"- {connection}")

    def on_fail(self, service: Service, error: Exception) -> None:
        if isinstance(service, Server) and not self._listening:
            self._failure = error
            self._end()
            return
        text = one_line(error) + (
            "; trying again" if isinstance(service, Client) and isinstance(error, ConnectFailed) else ""
        )
        if text != self._told:  # what is tried again and again is told once
            self._told = text
            self._output.note(f"! {text}")
