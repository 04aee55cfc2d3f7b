"""What commands have in common that run a service until Ctrl-C, and send with it what is typed."""

from __future__ import annotations

import argparse
import threading
from abc import abstractmethod

from leadscomm.cli.terminal.lines import Lines
from leadscomm.cli.terminal.output import Output
from leadscomm.cli.terminal.payload import as_hex, as_text, from_hex
from leadscomm.cli.terminal.waiting import CLOSE_S, INTERRUPTED_S, wait_until
from leadscomm.cli.terminal.wording import one_line
from leadscomm.entities.callback import Callback
from leadscomm.entities.service import Service
from leadscomm.errors import CommError


def add_quit_on_eof(parser: argparse.ArgumentParser) -> None:
    """The option ``--quit-on-eof``."""
    parser.add_argument(
        "--quit-on-eof", action="store_true", help="end when standard input does, instead of serving until Ctrl-C"
    )


class Attended(Callback):
    """One run of such a command; also what its service tells.

    :param args: with ``hex`` and ``quit_on_eof``.
    """

    service: Service

    def __init__(self, args: argparse.Namespace, output: Output) -> None:
        super().__init__()
        self._output = output
        self._output.on_lost = self._end
        self._show = as_hex if args.hex else as_text
        self._hex: bool = args.hex
        self._quit_on_eof: bool = args.quit_on_eof
        self._changed = threading.Condition()
        self._begun = False
        self._over = False
        self._failure: Exception | None = None
        self._refused = 0
        self._patience: float | None = None
        """Seconds that a line from a pipe waits until it may be sent; None: without an end."""
        self._lines: Lines | None = None

    def run(self) -> int:
        """Until Ctrl-C, or the end; return the exit code."""
        with Lines() as self._lines:
            patience = INTERRUPTED_S
            try:
                self.service.start(parallel=True)
                wait_until(self._changed, lambda: self._begun or self._over)
                if self._failure is not None:
                    raise self._failure
                self._attend(self._lines)
                patience = CLOSE_S
            finally:
                self.service.close(patience)
                self.service.join(patience)
        self._output.check()
        return 1 if self._refused else 0

    def _attend(self, lines: Lines) -> None:
        self._announce(interactive=lines.interactive)
        for line in lines:
            if not lines.interactive:
                self._await_turn(line)
            if self._over:
                return
            try:
                self._send(line, told=lines.interactive)
            except CommError as error:
                self._refused += not lines.interactive
                self._output.note(f"not sent: {one_line(error)}")
        if not (self._quit_on_eof and lines.ended):
            wait_until(self._changed, lambda: self._over)

    def _await_turn(self, line: bytes) -> None:
        wait_until(self._changed, lambda: self._over or self._may_send(line), self._patience)

    @abstractmethod
    def _announce(self, *, interactive: bool) -> None:
        """It has begun: say so."""

    @abstractmethod
    def _may_send(self, line: bytes) -> bool:
        """Whether the time of a line has come, if nobody is typing; asked again after :meth:`_notify`."""

    @abstractmethod
    def _send(self, line: bytes, *, told: bool) -> None:
        """Send a line.

        :param told: tell somebody who is typing what became of it.
        :raises CommError: it cannot be sent.
        """

    def _message(self, text: bytes) -> bytes:
        """The message that was typed."""
        return from_hex(text) if self._hex else text

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _end(self) -> None:
        self._over = True
        self._notify()
        if self._lines is not None:
            self._lines.stop()

    # What the service tells ------------------------------------------------------------------------------------------

    def on_initialize(self, service: Service) -> None:
        self._begun = True
        self._notify()

    def on_fail(self, service: Service, error: Exception) -> None:
        if self._begun:
            self._output.note(f"! {one_line(error)}")
            return
        self._failure = error
        self._end()
