"""The plot in the documentation: a small bar chart for each workload, leadscomm's bars marked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from leadscomm.cli.benchkit.runner import OURS, Results
from leadscomm.cli.benchkit.works import Work

from .report import figure
from .workloads import Candidate

OURS_COLOUR = "#0b6e4f"
OTHERS_COLOUR = "#9aa5b1"
COLUMNS = 3


def draw(results: Results, works: Sequence[Work], candidates: Sequence[Candidate], target: Path) -> None:
    """Writes an SVG that is the same for the same figures. Needs matplotlib (in the ``bench`` extra)."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "leadscomm", "svg.fonttype": "none", "font.size": 8})
    from matplotlib import pyplot

    shown = [work for work in works if results.cells.get(work.name)]
    rows = -(-len(shown) // COLUMNS)
    page, axes = pyplot.subplots(rows, COLUMNS, figsize=(12, 2.7 * rows), squeeze=False, layout="constrained")
    for place, axis in enumerate(axes.flat):
        if place < len(shown):
            _bars(axis, results, shown[place], candidates)
        else:
            axis.axis("off")
    target.parent.mkdir(parents=True, exist_ok=True)
    page.savefig(target, format="svg", metadata={"Date": None})
    pyplot.close(page)


def _bars(axis: Any, results: Results, work: Work, candidates: Sequence[Candidate]) -> None:
    metric = work.metrics[0]
    bars = []
    for candidate in candidates:
        summary = results.summary(work.name, candidate.entrant.name, metric.key)
        if summary is not None:
            bars.append((summary, candidate.entrant.name))
    bars.sort(key=lambda bar: bar[0].median, reverse=not metric.more_is_better)
    values = [summary.median for summary, _ in bars]
    colours = [OURS_COLOUR if name.startswith(OURS) else OTHERS_COLOUR for _, name in bars]
    axis.barh([name for _, name in bars], values, color=colours)
    for row, value in enumerate(values):
        axis.annotate(f" {figure(value, metric.digits)}", (value, row), va="center", fontsize=7)
    better = "more" if metric.more_is_better else "less"
    name = "" if metric.key == "rate" else f"{metric.key.replace('kib', 'memory')}, "
    axis.set_title(f"{work.title}\n{name}{metric.unit} ({better} is better)", fontsize=8)
    axis.margins(x=0.18)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(length=0)
    axis.xaxis.set_visible(False)
