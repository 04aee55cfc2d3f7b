"""Figures over rounds, their tables, and the targets that they are held against."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.report import short, table


@dataclass
class Figures:
    """One table: for each row and column a figure a round."""

    title: str
    head: str
    said: str = ""
    cells: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, row: str, column: str, value: float) -> None:
        self.cells.setdefault(row, {}).setdefault(column, []).append(value)

    def median(self, row: str, column: str) -> float | None:
        values = self.cells.get(row, {}).get(column)
        return statistics.median(values) if values else None

    def ratio(self, row: str, column: str, other: str) -> float | None:
        """One column by another, of what was measured in the same round: the median of these."""
        found = self.cells.get(row, {})
        ratios = [a / b for a, b in zip(found.get(column, ()), found.get(other, ())) if b]
        return statistics.median(ratios) if ratios else None

    def growth(self, row: str, other: str, column: str) -> float | None:
        """One row's figure in a column by another row's, likewise: how many times the first one the second is."""
        found = [self.cells.get(name, {}).get(column, ()) for name in (row, other)]
        ratios = [b / a for a, b in zip(*found) if a]
        return statistics.median(ratios) if ratios else None

    def markdown(self) -> str:
        columns = list(dict.fromkeys(column for row in self.cells.values() for column in row))
        rows = [[row, *(self._cell(row, column) for column in columns)] for row in self.cells]
        lines = [f"## {self.title}", ""]
        if self.said:
            lines += [self.said, ""]
        return "\n".join([*lines, *table((self.head, *columns), rows)])

    def _cell(self, row: str, column: str) -> str:
        values = self.cells[row].get(column)
        if not values:
            return "–"
        middle = short(statistics.median(values))
        return middle if len(values) == 1 else f"{middle} ({short(min(values))}–{short(max(values))})"


@dataclass(frozen=True)
class Target:
    """What is to be reached.

    :ivar value: what was; None where the run did not measure it.
    :ivar least: whether the limit is a lower one.
    """

    name: str
    limit: float
    value: float | None
    unit: str = ""
    least: bool = True

    @property
    def row(self) -> Sequence[str]:
        unit = f" {self.unit}" if self.unit else ""
        limit = f"{'≥' if self.least else '≤'} {short(self.limit)}{unit}"
        if self.value is None:
            return self.name, limit, "–", "not measured"
        met = self.value >= self.limit if self.least else self.value <= self.limit
        return self.name, limit, short(self.value) + unit, "met" if met else "**not met**"


def target_table(targets: Sequence[Target]) -> str:
    rows = [target.row for target in targets]
    met, measured = sum(row[3] == "met" for row in rows), sum(row[3] != "not measured" for row in rows)
    said = f"{met} of the {measured} that were measured are met."
    return "\n".join(["## Targets", "", said, "", *table(("target", "limit", "measured", "verdict"), rows)])
