"""One link of the demo: a server in this process, and a client of it in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Final

from leadscomm.cli.demonstration.report import ANSWER, Report
from leadscomm.cli.terminal.payload import as_text
from leadscomm.cli.terminal.wording import one_line
from leadscomm.connections.base import ConnectionBase
from leadscomm.entities.callback import Callback
from leadscomm.entities.server import Server
from leadscomm.entities.service import Service
from leadscomm.packages import Self

_ENDS_WITHIN_S: Final = 10.0
"""A client has so long to receive its last answers and say its last word; then it is ended."""
_CLIENT: Final = "leadscomm.cli.demonstration.client"
_PACKAGE: Final = Path(__file__).resolve().parents[3]

Tell = Callable[[str, str], None]
"""Told of what happens on a link: its name, and a line of text. Any thread."""


class Link(Callback):
    """A server and its client.

    :ivar name: "tcp", "udp" or "serial".
    :ivar arrived: messages that the server received.
    :ivar trouble: what went wrong; "" if nothing did.
    :ivar missing: why this machine cannot show it; "" if it can.
    :ivar begun: set once the first figures have come, or something went wrong.
    :ivar sample: set it, and the next message is told.

    :param listens: the server's endpoint.
    :param dials: the client's; the server's own unless given.
    :param burst: how many messages the client sends at once.
    """

    def __init__(self, name: str, listens: str, burst: int, tell: Tell, dials: str | None = None) -> None:
        super().__init__()
        self.name = name
        self.burst = burst
        self.arrived = 0
        self.trouble = ""
        self.missing = ""
        self.begun = threading.Event()
        self.sample = False
        self.rate = 0.0
        self._stopping = False
        self._report = Report()
        self._listens = listens
        self._dials = dials
        self._tell = tell
        self._server: Server | None = None
        self._child: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._words: IO[bytes] | None = None

    # What the server tells -------------------------------------------------------------------------------------------

    def on_connect(self, service: Service, connection: ConnectionBase) -> None:
        if not self._stopping:
            self._tell(self.name, f"{connection} connected")

    def on_receive(self, service: Service, msg: bytes) -> None:
        self.arrived += 1
        answer = ANSWER + msg
        sender = self._server.sender if self._server is not None else None
        if sender is not None:
            sender.send(answer)
        if self.sample:
            self.sample = False
            self._tell(self.name, f"{as_text(msg)}  ->  {as_text(answer)}")

    def on_fail(self, service: Service, error: Exception) -> None:
        self._fail(f"server: {one_line(error)}")

    def _fail(self, text: str) -> None:
        """Note what went wrong, if it is the first that does."""
        self.trouble = self.trouble or text
        self.begun.set()

    # Its life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the server, then the client's process. What goes wrong is found in :attr:`trouble`."""
        self._server = Server(self._listens, self)
        self._server.start(parallel=True)
        if not self._server.running():
            self._server.join()
            self._fail("the server ended at once")
            return
        words = self._words = tempfile.TemporaryFile()
        paths = os.pathsep.join(filter(None, (str(_PACKAGE), os.environ.get("PYTHONPATH"))))
        self._child = subprocess.Popen(
            [sys.executable, "-m", _CLIENT, self._dials or str(self._server.endpoint), str(self.burst)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,  # Ctrl-C is for the demo, which then ends its clients
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # the same on Windows
        )
        self._reader = threading.Thread(target=self._read, name=f"leadscomm-demo-{self.name}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """Follow what the client reports."""
        assert self._child is not None
        assert self._child.stdout is not None
        with self._child.stdout as lines:
            for line in lines:
                try:
                    report = Report.read(line)
                except ValueError as error:
                    self._fail(str(error))
                    continue
                before = self._report
                if report.at > before.at and not report.last:
                    self.rate = (report.sent - before.sent) / (report.at - before.at)
                self._report = report
                self.begun.set()
                if report.error:
                    self._fail(f"client: {report.error}")
        if not self._report.last:
            self._fail(f"the client ended without a last word{self._last_words()}")

    def stop(self) -> None:
        """Ask the client to end; at once."""
        self._stopping = True
        if self._child is not None and self._child.stdin is not None:
            try:
                self._child.stdin.close()
            except OSError:
                pass

    def finish(self) -> None:
        """Wait for the client's last word, and see to it that it has ended."""
        reader = self._reader
        if reader is None:
            return
        reader.join(_ENDS_WITHIN_S)
        if reader.is_alive():
            self._fail(f"the client did not end within {_ENDS_WITHIN_S:g} s")

    def _last_words(self) -> str:
        if self._words is None:
            return ""
        self._words.seek(0)
        lines = self._words.read().decode("utf-8", "replace").split("\n")
        return f": {lines[-2].strip()}" if len(lines) > 1 else ""

    def close(self) -> None:
        """End what is still there."""
        self.stop()
        try:
            if self._child is not None:
                self._child.wait(_ENDS_WITHIN_S if self._report.last else 1.0)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self._kill()
            if self._server is not None:
                self._server.close(2.0)
                self._server.join(2.0)
            if self._words is not None:
                self._words.close()

    def _kill(self) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        if self._reader is not None:
            self._reader.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # What is shown ---------------------------------------------------------------------------------------------------

    @property
    def report(self) -> Report:
        """The client's latest figures."""
        return self._report

    def lost(self) -> int:
        """How many messages were not answered; exact once the client has had its last word."""
        return self._report.sent - self._report.answered

    def fault(self) -> str:
        """What is wrong after the end; "" if every message arrived, once, and was answered rightly."""
        report = self._report
        if self.missing or self.trouble:
            return self.trouble
        if not report.answered:
            return "nothing was delivered"
        if self.lost() or report.strange or self.arrived != report.sent:
            return (
                f"{report.sent:,} sent, {self.arrived:,} arrived, {report.answered:,} answered, "
                f"{report.strange:,} unexpected"
            )
        return ""
