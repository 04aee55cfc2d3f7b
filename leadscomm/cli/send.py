"""``leadscomm send``: a file to whoever runs ``leadscomm receive``, or takes streams otherwise."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final, TextIO

from leadscomm.cli.terminal import arguments
from leadscomm.cli.terminal.progress import Progress
from leadscomm.cli.terminal.waiting import CLOSE_S, INTERRUPTED_S
from leadscomm.cli.terminal.wording import one_line
from leadscomm.connections.endpoint import Endpoint
from leadscomm.entities.callback import Callback
from leadscomm.entities.client import Client
from leadscomm.entities.records.streams import TIMEOUT_S
from leadscomm.entities.service import Service
from leadscomm.errors import ConnectionLost, TransferError
from leadscomm.streams.transfer import Transfer

_STDIN: Final = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("file", metavar="FILE", help="what is sent; - is standard input")
    arguments.add_endpoint(parser)
    parser.add_argument("--name", help="what the receiver is told that it is called; the file's own name unless given")
    parser.add_argument(
        "--timeout",
        type=arguments.seconds,
        default=TIMEOUT_S,
        metavar="SECONDS",
        help=f"how long nothing may move before it is given up; {TIMEOUT_S:g} unless given",
    )
    parser.epilog = (
        "The endpoint is used with reliable=1. A connection that is lost is dialled again, and the file goes on from "
        "where it was; so it does when the command is given again."
    )


def run(args: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Send it."""
    return Sending(args, err).run()


class Sending(Callback):
    """One run of the command; also what its client tells."""

    def __init__(self, args: argparse.Namespace, err: TextIO) -> None:
        super().__init__()
        self._args = args
        self._progress = Progress(err)
        self._trouble: Exception | None = None
        self.client = Client(Endpoint.parse(args.endpoint, reliable=True), self, reconnect=True)

    def run(self) -> int:
        patience = INTERRUPTED_S
        if self._args.file != _STDIN:
            open(self._args.file, "rb").close()  # what is wrong with it is told before anything else
        try:
            self.client.start(parallel=True)
            if self.client.connection is None:
                raise self._trouble or ConnectionLost(f"{self.client.endpoint} does not answer")
            self._progress.ended(self._send())
            patience = CLOSE_S
        finally:
            self._progress.clear()
            self.client.close(patience)
            self.client.join(patience)
        return 0

    def _send(self) -> Transfer:
        file, name, timeout = self._args.file, self._args.name, self._args.timeout
        try:
            if file == _STDIN:
                return self.client.send_stream(
                    sys.stdin.buffer, name=name or "stdin", progress=self._progress, timeout=timeout
                )
            return self.client.send_file(file, name=name or Path(file).name, progress=self._progress, timeout=timeout)
        except TransferError as error:
            raise TransferError(one_line(error)) from (self._trouble if error.__cause__ is None else error)

    # What the client tells -------------------------------------------------------------------------------------------

    def on_fail(self, service: Service, error: Exception) -> None:
        if self._trouble is None or str(error) != str(self._trouble):
            self._trouble = error
            if service.running() and self.client.connection is not None:
                self._progress.note(f"{one_line(error)}; trying again")
