"""The demo's link to a board: the companion firmware runs on a virtual one, and says again what it is told."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Final

from leadscomm.cli.demonstration.histogram import Histogram
from leadscomm.cli.demonstration.link import Link, Tell
from leadscomm.cli.demonstration.report import Report
from leadscomm.cli.terminal.payload import as_text
from leadscomm.cli.terminal.wording import one_line
from leadscomm.entities.service import Service
from leadscomm.errors import CommError
from leadscomm.hardware.board.board import Board
from leadscomm.hardware.toolchain import arduino_folder
from leadscomm.testing.program import board_program
from leadscomm.testing.virtual_board import VirtualBoard

_CYCLE_S: Final = 0.1
_SINGLES: Final = 10
_ENDS_WITHIN_S: Final = 10.0


def companion() -> Path:
    """The firmware of the demo's board, once everything is there that runs it.

    :raises CommError: something is missing, or this system cannot; the text says what, and the mend.
    """
    firmware = arduino_folder() / "firmware" / "companion-uno.hex"
    board_program()
    return firmware


class BoardLink(Link):
    """A board, whose client is this process: it asks, and the board answers."""

    def __init__(self, tell: Tell) -> None:
        super().__init__("board", "", 1, tell)
        self._stopped = threading.Event()
        self._virtual: VirtualBoard | None = None
        self._board: Board | None = None

    def on_fail(self, service: Service, error: Exception) -> None:
        self._fail(one_line(error))

    def start(self) -> None:
        """Plug the board in, and begin to talk. What goes wrong is found in :attr:`trouble`."""
        try:
            self._virtual = VirtualBoard(companion())
        except (CommError, OSError) as error:
            self._fail(one_line(error))
            return
        self._board = Board(self._virtual.endpoint, self, reconnect=False)
        self._board.start(parallel=True)
        self._reader = threading.Thread(
            target=self._talk, args=(self._board,), name="leadscomm-demo-board", daemon=True
        )
        self._reader.start()

    def _talk(self, board: Board) -> None:
        times = Histogram()
        begin = time.monotonic()
        try:
            while not self._stopped.is_set():
                cycle = time.monotonic()
                for _ in range(_SINGLES):
                    times.add(self._exchange(board))
                self._note(times, time.monotonic() - begin)
                self._stopped.wait(max(0.0, cycle + _CYCLE_S - time.monotonic()))
        except (CommError, OSError) as error:
            self._fail(one_line(error))
        self._note(times, time.monotonic() - begin, last=True)

    def _exchange(self, board: Board) -> float:
        number = self.arrived + 1
        message = b"#%d speed=%.1f" % (number, 40 + number % 97 / 10)
        took = board.echo(message)
        self.arrived = number
        if self.sample:
            self.sample = False
            self._tell(self.name, f"{as_text(message)}  ->  {as_text(message)}")
        return took

    def _note(self, times: Histogram, at: float, *, last: bool = False) -> None:
        before = self._report
        if at > before.at and not last:
            self.rate = (self.arrived - before.sent) / (at - before.at)
        sent = self.arrived + (1 if self.trouble else 0)  # what went wrong was sent, and not answered
        self._report = Report(at, sent, self.arrived, 0, times.quantile(0.5), times.quantile(0.99), last)
        self.begun.set()

    def stop(self) -> None:
        """Ask it to end; at once."""
        super().stop()
        self._stopped.set()

    def close(self) -> None:
        """End what is still there."""
        self.stop()
        if self._board is not None:
            self._board.close(2.0)
            self._board.join(2.0)
        if self._reader is not None:
            self._reader.join(_ENDS_WITHIN_S)
        if self._virtual is not None:
            self._virtual.close()
