"""``leadscomm node``: run a node as a file has it, show who is there and what comes, send what is typed."""

from __future__ import annotations

import argparse
from typing import Final, TextIO

from leadscomm.cli.terminal import arguments
from leadscomm.cli.terminal.attended import Attended, add_quit_on_eof
from leadscomm.cli.terminal.output import Output
from leadscomm.connections.base import ConnectionBase
from leadscomm.entities.node import Node, name_of
from leadscomm.entities.service import Service
from leadscomm.errors import CommError

ALL: Final = "*"
WAIT_S: Final = 30.0
"""A peer that dials again and again has come by then; a name that nobody has is said."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("config", metavar="FILE", help="a TOML file with a table [node]: name, listen, connect, groups")
    arguments.add_hex(parser)
    add_quit_on_eof(parser)
    parser.add_argument(
        "--wait",
        type=arguments.seconds,
        default=WAIT_S,
        metavar="SECONDS",
        help=f"how long a line from a pipe or a file waits for its peer (default {WAIT_S:g}; inf: for ever)",
    )
    parser.epilog = (
        "Each line 'NAME text' of standard input is sent to the peer of that name, '* text' to all of them. From a "
        "pipe or a file each line waits until its peer is there."
    )


def run(args: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Run it until Ctrl-C."""
    return Watching(args, Output(out, err)).run()


class Watching(Attended):
    """One run of the command; also what its node tells."""

    def __init__(self, args: argparse.Namespace, output: Output) -> None:
        super().__init__(args, output)
        self._patience = args.wait
        self.service: Node = Node.from_file(args.config, self)

    def _announce(self, *, interactive: bool) -> None:
        places = ", ".join(str(endpoint).partition("?")[0] for endpoint in self.service.listens)
        self._output.say(f"{self.service.name} " + (f"listens on {places}" if places else "runs"))
        if interactive:
            self._output.note("type 'NAME text' to send to a peer, '* text' to all; Ctrl-C ends")

    def _may_send(self, line: bytes) -> bool:
        name, text = _split(line)
        if text is None:
            return True  # and is refused
        there = self.service.peers()
        return bool(there) if name == ALL else not name or name in there

    def _send(self, line: bytes, *, told: bool) -> None:
        name, text = _split(line)
        if not name or text is None:
            raise CommError("write the name of a peer (* for all), a space, and the message")
        message = self._message(text)
        if name == ALL:
            if not self.service.peers():
                raise CommError("nobody is here")
            self.service.broadcast(message)
        else:
            self.service.send(message, to=name)

    # What the node tells ---------------------------------------------------------------------------------------------

    def on_connect(self, service: Service, connection: ConnectionBase) -> None:
        self._output.say(f"+ {name_of(connection)}")
        self._notify()

    def on_link(self, service: Service, connection: ConnectionBase, link: str, up: bool) -> None:
        self._output.say(f"  {name_of(connection)} {'+' if up else '-'} {link}")

    def on_receive(self, service: Service, msg: bytes) -> None:
        sender = self.service.sender
        self._output.say(f"  {'' if sender is None else name_of(sender)}: {self._show(msg)}")

    def on_disconnect(self, service: Service, connection: ConnectionBase) -> None:
        self._output.say(f"- {name_of(connection)}")


def _split(line: bytes) -> tuple[str, bytes | None]:
    """The name and the message; None: there is none."""
    name, space, text = line.partition(b" ")
    return name.decode("utf-8", "replace"), text if space else None
