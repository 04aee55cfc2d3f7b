"""``leadscomm receive``: takes what ``leadscomm send`` sends, or anybody who sends streams."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path
from typing import TextIO

from leadscomm.cli.terminal import arguments
from leadscomm.cli.terminal.output import Output
from leadscomm.cli.terminal.progress import Progress
from leadscomm.cli.terminal.waiting import CLOSE_S, INTERRUPTED_S, wait_until
from leadscomm.cli.terminal.wording import one_line
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.endpoint import Endpoint
from leadscomm.entities.callback import Callback
from leadscomm.entities.server import Server
from leadscomm.entities.service import Service
from leadscomm.streams.receiving import Stream


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    arguments.add_endpoint(parser)
    parser.add_argument(
        "folder", metavar="FOLDER", nargs="?", default=".", help="where the files go; here, if not given"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files of the same name")
    parser.add_argument("--once", action="store_true", help="end when one file has come, instead of at Ctrl-C")
    parser.epilog = (
        "The path of each file that has come whole goes to standard output, one a line; everything else goes to "
        "standard error. The endpoint is used with reliable=1."
    )


def run(args: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Receive until Ctrl-C."""
    return Receiving(args, out, err).run()


class Receiving(Callback):
    """One run of the command; also what its server tells."""

    def __init__(self, args: argparse.Namespace, out: TextIO, err: TextIO) -> None:
        super().__init__()
        self._progress = Progress(err)
        self._output = Output(out, err)
        self._output.on_lost = self._end
        self._folder = Path(args.folder)
        self._overwrite: bool = args.overwrite
        self._once: bool = args.once
        self._changed = threading.Condition()
        self._listening = False
        self._over = False
        self._failure: Exception | None = None
        self.server = Server(Endpoint.parse(args.endpoint, reliable=True), self)

    def run(self) -> int:
        patience = INTERRUPTED_S
        if not self._folder.is_dir():
            raise NotADirectoryError(20, "there is no such folder", str(self._folder))
        try:
            self.server.start(parallel=True)
            wait_until(self._changed, lambda: self._over)
            if self._failure is not None:
                raise self._failure
            patience = CLOSE_S
        finally:
            self._progress.clear()
            self.server.close(patience)
            self.server.join(patience)
        self._output.check()
        return 0

    def _end(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()

    # What the server tells -------------------------------------------------------------------------------------------

    def on_initialize(self, service: Service) -> None:
        self._listening = True
        self._progress.note(f"listening on {self.server.endpoint}; files go to {self._folder.resolve()}")

    def on_stream(self, service: Service, connection: ConnectionBase, stream: Stream) -> None:
        stream.save_into(self._folder, overwrite=self._overwrite, progress=self._progress)

    def on_stream_end(self, service: Service, connection: ConnectionBase, stream: Stream) -> None:
        self._progress.ended(stream)
        if stream.error is not None:
            self._progress.note(one_line(stream.error))
            return
        self._progress.clear()
        self._output.say(str(stream.path))
        if self._once:
            self._end()

    def on_fail(self, service: Service, error: Exception) -> None:
        if self._listening:
            self._progress.note(f"! {one_line(error)}")
            return
        self._failure = error
        self._end()
