"""``leadscomm serve``: listen on an endpoint, show what comes, send what is typed to everybody."""

from __future__ import annotations

import argparse
import threading
from typing import TextIO

from leadscomm.cli import arguments
from leadscomm.cli.lines import Lines
from leadscomm.cli.output import Output
from leadscomm.cli.payload import as_hex, as_text, from_hex
from leadscomm.cli.waiting import CLOSE_S, INTERRUPTED_S, wait_until
from leadscomm.cli.wording import counted, one_line
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.endpoint import Endpoint
from leadscomm.entities.callback import Callback
from leadscomm.entities.server import Server
from leadscomm.entities.service import Service
from leadscomm.entities.stage import Stage
from leadscomm.errors import LocalProtocolError, OutboxFull


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    arguments.add_endpoint(parser)
    parser.add_argument("--echo", action="store_true", help="send every message back to its sender")
    arguments.add_hex(parser)
    parser.add_argument(
        "--quit-on-eof", action="store_true", help="end when standard input does, instead of serving until Ctrl-C"
    )
    parser.epilog = (
        "Each line of standard input is sent to everybody who is connected. From a pipe or a file the first line waits "
        "until somebody is."
    )


def run(args: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Serve until Ctrl-C."""
    return Serving(args, Output(out, err)).run()


class AnnouncingServer(Server):
    """A server that tells when a broadcast would reach somebody."""

    def __init__(self, endpoint: Endpoint, watcher: Serving) -> None:
        super().__init__(endpoint, watcher)
        self._watcher = watcher

    def _joined(self, stage: Stage) -> None:
        super()._joined(stage)
        self._watcher.somebody_came()


class Serving(Callback):
    """One run of the command; also what its server tells."""

    def __init__(self, args: argparse.Namespace, output: Output) -> None:
        super().__init__()
        self._output = output
        self._output.on_gone = self._end
        self._echo: bool = args.echo
        self._show = as_hex if args.hex else as_text
        self._hex: bool = args.hex
        self._quit_on_eof: bool = args.quit_on_eof
        self._changed = threading.Condition()
        self._listening = False
        self._met = False  # somebody is or was connected
        self._over = False
        self._failure: Exception | None = None
        self._refused = 0
        self._lines: Lines | None = None
        self.server: Server = AnnouncingServer(args.endpoint, self)

    def run(self) -> int:
        with Lines() as self._lines:
            patience = INTERRUPTED_S
            try:
                self.server.start(parallel=True)
                wait_until(self._changed, lambda: self._listening or self._over)
                if self._failure is not None:
                    raise self._failure
                self._serve(self._lines)
                patience = CLOSE_S
            finally:
                self.server.close(patience)
                self.server.join(patience)
        self._output.check()
        return 1 if self._refused else 0

    def _serve(self, lines: Lines) -> None:
        self._output.say(f"listening on {self.server.endpoint}")
        if lines.interactive:
            self._output.note("type lines to send them to everybody; Ctrl-C ends")
        for line in lines:
            if not lines.interactive:
                wait_until(self._changed, lambda: self._met or self._over)
            if self._over:
                return
            self._broadcast(line, told=lines.interactive)
        if not (self._quit_on_eof and lines.ended):
            wait_until(self._changed, lambda: self._over)

    def _broadcast(self, line: bytes, *, told: bool) -> None:
        try:
            self.server.broadcast(from_hex(line) if self._hex else line)
        except LocalProtocolError as error:
            self._refused += not told
            self._output.note(f"not sent: {one_line(error)}")
            return
        if told:
            count = self.server.num_connections()
            self._output.note(f"sent to {counted(count, 'connection')}" if count else "nobody is connected")

    def _end(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()
        if self._lines is not None:
            self._lines.stop()

    # What the server tells -------------------------------------------------------------------------------------------

    def on_initialize(self, service: Service) -> None:
        with self._changed:
            self._listening = True
            self._changed.notify_all()

    def somebody_came(self) -> None:
        """A broadcast reaches somebody from now on."""
        with self._changed:
            self._met = True
            self._changed.notify_all()

    def on_connect(self, service: Service, connection: ConnectionBase) -> None:
        self._output.say(f"+ {connection} connected")

    def on_receive(self, service: Service, msg: bytes) -> None:
        sender = self.server.sender
        self._output.say(f"  {sender}: {self._show(msg)}")
        if self._echo and sender is not None:
            try:
                sender.send(msg)
            except OutboxFull as error:
                self._output.note(f"! {one_line(error)}; it is disconnected")
                sender.close()

    def on_disconnect(self, service: Service, connection: ConnectionBase) -> None:
        self._output.say(f"- {connection} disconnected")

    def on_fail(self, service: Service, error: Exception) -> None:
        if self._listening:
            self._output.note(f"! {one_line(error)}")
            return
        self._failure = error
        self._end()
