"""``leadscomm serve``: listen on an endpoint, show what comes, send what is typed to everybody."""

from __future__ import annotations

import argparse
from typing import TextIO

from leadscomm.cli.terminal import arguments
from leadscomm.cli.terminal.attended import Attended, add_quit_on_eof
from leadscomm.cli.terminal.output import Output
from leadscomm.cli.terminal.wording import counted, one_line
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.endpoint import Endpoint
from leadscomm.entities.running.reader import Stage
from leadscomm.entities.server import Server
from leadscomm.entities.service import Service
from leadscomm.errors import OutboxFull


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    arguments.add_endpoint(parser)
    parser.add_argument("--echo", action="store_true", help="send every message back to its sender")
    arguments.add_hex(parser)
    add_quit_on_eof(parser)
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


class Serving(Attended):
    """One run of the command; also what its server tells."""

    def __init__(self, args: argparse.Namespace, output: Output) -> None:
        super().__init__(args, output)
        self._echo: bool = args.echo
        self._met = False  # somebody is or was connected
        self.service: Server = AnnouncingServer(args.endpoint, self)

    def _announce(self, *, interactive: bool) -> None:
        self._output.say(f"listening on {self.service.endpoint}")
        if interactive:
            self._output.note("type lines to send them to everybody; Ctrl-C ends")

    def _may_send(self, line: bytes) -> bool:
        return self._met

    def _send(self, line: bytes, *, told: bool) -> None:
        self.service.broadcast(self._message(line))
        if told:
            count = self.service.num_connections()
            self._output.note(f"sent to {counted(count, 'connection')}" if count else "nobody is connected")

    # What the server tells -------------------------------------------------------------------------------------------

    def somebody_came(self) -> None:
        """A broadcast reaches somebody from now on."""
        self._met = True
        self._notify()

    def on_connect(self, service: Service, connection: ConnectionBase) -> None:
        self._output.say(f"+ {connection} connected")

    def on_receive(self, service: Service, msg: bytes) -> None:
        sender = self.service.sender
        self._output.say(f"  {sender}: {self._show(msg)}")
        if self._echo and sender is not None:
            try:
                sender.send(msg)
            except OutboxFull as error:
                self._output.note(f"! {one_line(error)}; it is disconnected")
                sender.close()

    def on_disconnect(self, service: Service, connection: ConnectionBase) -> None:
        self._output.say(f"- {connection} disconnected")
