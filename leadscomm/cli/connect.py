"""``leadscomm connect``: type lines, see lines; also from a pipe."""

from __future__ import annotations

import argparse
import threading
from typing import Final, TextIO

from leadscomm.cli.diagnosis.sessions import with_session
from leadscomm.cli.terminal import arguments
from leadscomm.cli.terminal.lines import Lines
from leadscomm.cli.terminal.output import Output
from leadscomm.cli.terminal.payload import as_hex, as_text, from_hex
from leadscomm.cli.terminal.waiting import CLOSE_S, INTERRUPTED_S, wait_until
from leadscomm.cli.terminal.wording import counted, one_line
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.endpoint import Endpoint
from leadscomm.entities.callback import Callback
from leadscomm.entities.client import Client
from leadscomm.entities.service import Service
from leadscomm.errors import ConnectionLost, DeliveryError, LocalProtocolError, OutboxFull
from leadscomm.protocol.framing.guess import HAS_SESSIONS

QUIET_S: Final = 2.0
"""After the end of a pipe: silence for so long means that no answer comes any more."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    arguments.add_endpoint(parser)
    arguments.add_hex(parser)
    parser.add_argument("--reconnect", action="store_true", help="connect again when the connection ends or fails")
    parser.add_argument(
        "--wait",
        type=arguments.seconds,
        metavar="SECONDS",
        help="after the last line of a pipe, go on receiving for so long (inf: until the peer ends it); unless given, "
        f"until as many messages have come as lines were sent, or nothing has come for {QUIET_S:g} s",
    )
    parser.epilog = "Received messages go to standard output, one a line; everything else goes to standard error."


def run(args: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Talk until the input, the peer or Ctrl-C ends it."""
    return Conversation(args, Output(out, err)).run()


class Conversation(Callback):
    """One run of the command; also what its client tells."""

    def __init__(self, args: argparse.Namespace, output: Output) -> None:
        super().__init__()
        self._output = output
        self._output.on_lost = self._end
        self._hex: bool = args.hex
        self._show = as_hex if args.hex else as_text
        self._mark = ""
        self._wait: float | None = args.wait
        self._again = bool(args.reconnect or args.endpoint.options["reconnect"])
        self._changed = threading.Condition()
        self._connected = False
        self._met = False  # it was connected at least once
        self._over = False
        self._sent = 0
        self._received = 0
        self._told = ""  # the trouble that was told last
        self._failed = False
        self._lines: Lines | None = None
        self._endpoint: Endpoint = args.endpoint
        self.client = Client(args.endpoint, self, reconnect=self._again)

    def run(self) -> int:
        with Lines() as self._lines:
            self._mark = "< " if self._lines.interactive else ""
            patience = INTERRUPTED_S
            try:
                self.client.start(parallel=True)
                wait_until(self._changed, lambda: self._met or self._over)  # which may have been a moment ago
                if not self._over:
                    self._talk(self._lines)
                patience = CLOSE_S
            finally:
                self.client.close(patience)
                self.client.join(patience)
        self._output.check()
        return 1 if self._failed else 0

    def _talk(self, lines: Lines) -> None:
        if lines.interactive:
            self._output.note(f"connected to {self._endpoint}; type lines, Ctrl-D ends")
        for line in lines:
            if not self._send(line):
                break
        if lines.ended and not lines.interactive:
            self._await_answers()
        if self._output.lost is not None:
            return
        if self._over and not (lines.interactive or lines.ended):
            self._fail("the conversation ended before standard input did; not everything was sent")

    def _send(self, line: bytes) -> bool:
        """Send a line; whether to go on."""
        try:
            message = from_hex(line) if self._hex else line
            while True:
                wait_until(self._changed, lambda: self._connected or self._over)
                if self._over:
                    return False
                try:
                    self.client.send(message)
                    self._sent += 1
                    return True
                except ConnectionLost:
                    wait_until(self._changed, lambda: self._over or not self._connected)
        except (LocalProtocolError, OutboxFull) as error:
            self._output.note(f"not sent: {one_line(error)}")
            typed = self._lines is not None and self._lines.interactive
            self._failed = self._failed or not typed
            return typed or isinstance(error, LocalProtocolError)

    def _await_answers(self) -> None:
        """After the last line: receive what may still come."""
        if self._wait is not None:
            wait_until(self._changed, lambda: self._over, self._wait)
            return
        while True:
            seen = self._received

            def done(seen: int = seen) -> bool:
                return self._over or self._received >= self._sent or self._received > seen

            if not wait_until(self._changed, done, QUIET_S) or self._over or self._received >= self._sent:
                break
        missing = self._sent - self._received
        if missing > 0 and self._received and not self._over:
            self._output.note(f"{counted(missing, 'line')} had no answer")

    def _fail(self, text: str) -> None:
        self._failed = True
        self._tell(f"leadscomm: {text}")

    def _tell(self, text: str) -> None:
        """Say what failed, once however often it is tried again."""
        if text != self._told:
            self._told = text
            self._output.note(text)

    def _end(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()
        if self._lines is not None:
            self._lines.stop()

    # What the client tells -------------------------------------------------------------------------------------------

    def on_connect(self, service: Service, connection: ConnectionBase) -> None:
        if self._met or self._told:
            self._output.note(f"connected to {connection}")
        self._told = ""
        with self._changed:
            self._connected = self._met = True
            self._changed.notify_all()

    def on_receive(self, service: Service, msg: bytes) -> None:
        self._output.say(self._mark + self._show(msg))
        with self._changed:
            self._received += 1
            self._changed.notify_all()

    def on_disconnect(self, service: Service, connection: ConnectionBase) -> None:
        if not (connection.closed() or self._told):
            self._output.note(f"{connection} ended the conversation")
        with self._changed:
            self._connected = False
            self._changed.notify_all()
        if not self._again:
            self._end()

    def on_fail(self, service: Service, error: Exception) -> None:
        if self._again and isinstance(error, OSError) and not isinstance(error, DeliveryError):
            self._tell(f"{one_line(error)}; trying again")
            return
        text = one_line(error)
        if HAS_SESSIONS in text:
            text = f"{self._endpoint} takes nothing without a session: write {with_session(self._endpoint)}"
        self._fail(text)
        if not self._connected and not isinstance(error, DeliveryError):
            self._end()
