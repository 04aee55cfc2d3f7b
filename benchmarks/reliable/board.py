"""A session over a serial line: this side against the firmware of a board, which the virtual board runs."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.device import link
from benchmarks.device.firmware import Firmware
from leadscomm.testing import VirtualBoard

from .figures import Figures, Target


class Board:
    """The table."""

    def __init__(self, say: Callable[[str], None], quick: bool) -> None:
        self._say = say
        self._count = 200 if quick else 500
        self.echo = Figures(
            "A board on a serial line",
            f"reliable echo at {link.BAUD:,d} baud",
            "Both ways at once, in simulated time; the share is of what the wire carries when frames follow each other "
            "without a gap.",
        )

    def round(self) -> None:
        with Firmware() as firmware:
            for size in (16, 30, 58):
                with VirtualBoard(firmware.elf("Reliable")) as board:
                    done = link.echo(board, range(size, size + 1), self._count)
                if done.lost or done.wrong:
                    self._say(f"board, {size} bytes: {done.lost} lost, {done.wrong} wrong")
                self.echo.add(f"{size} bytes", "messages a second, each way", done.goodput / size)
                self.echo.add(f"{size} bytes", "share of the wire", done.share)
                self._say(f"board, {size} bytes: {done.goodput / size:.0f} messages/s, {done.share:.2f} of the wire")

    def targets(self) -> list[Target]:
        return [Target("a board, 30 bytes: share of the wire", 0.85, self.echo.median("30 bytes", "share of the wire"))]
