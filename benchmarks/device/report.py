"""From figures to Markdown: a table beside the figures of other libraries, and each target with its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.report import short, table

Row = Sequence[str]

OTHERS: Sequence[Row] = (
    ("PacketSerial", "2260", "323", "3 / 18 / 66", "64 / 127", "none", "no"),
    ("CmdMessenger", "2692", "888", "4 / 19 / –", "56 / 153", "none", "no"),
    ("SerialTransfer", "5698", "998", "7 / 22 / 70", "77 / 276", "CRC-8, payload only", "no"),
    ("MIN", "2398", "269", "11 / 26 / 74", "370 / 406", "CRC-32", "no"),
    ("T-MIN", "3892", "606", "11 / 26 / 74", "370 / 406", "CRC-32", "window"),
    ("PJON", "6606", "1011", "9 / 27 / 77", "442 / 542", "CRC-8/32", "stop and wait"),
    ("MAVLink 2", "6736", "1178", "18 / 33 / 81", "206 / 408", "CRC-16", "no"),
    ("LEADS Peer", "6096", "308 + heap", "n + 1", "–", "none", "no"),
)
"""Quoted, not measured by this command: an echo sketch with each library on an Uno, by the same compiler and core."""
HEADS = (
    "echo on an Uno",
    "flash",
    "RAM",
    "wire bytes for 1 / 16 / 64",
    "cycles a byte, there / back",
    "integrity",
    "reliable",
)


@dataclass(frozen=True)
class Target:
    """What is to be reached, and what was.

    :ivar least: whether the limit is a lower one.
    """

    name: str
    limit: float
    value: float
    unit: str = ""
    least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.least else self.value <= self.limit

    @property
    def row(self) -> Row:
        unit = f" {self.unit}" if self.unit else ""
        verdict = "met" if self.met else "**not met**"
        limit = f"{'≥' if self.least else '≤'} {self._text(self.limit)}{unit}"
        return self.name, limit, self._text(self.value) + unit, verdict

    @staticmethod
    def _text(value: float) -> str:
        return f"{value:,d}" if isinstance(value, int) else short(value)


def library_table(ours: Sequence[Row]) -> list[str]:
    return table(HEADS, [*ours, *OTHERS])


def target_table(groups: Sequence[tuple[str, Sequence[Target]]]) -> list[str]:
    every = [target for _, targets in groups for target in targets]
    met = sum(target.met for target in every)
    said = (
        f"{met} of {len(every)} are met. Number 4 was recorded by `./dev bench device --long`, and\n"
        "number 5 by `python -m tests.arduino.compare`."
    )
    rows = [(f"{number}. {target.row[0]}", *target.row[1:]) for number, targets in groups for target in targets]
    return [said, "", *table(("target", "limit", "measured", "verdict"), rows)]
