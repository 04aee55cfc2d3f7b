"""From measurements to Markdown: what each reached, the ratios to ours, and for each target whether it is met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leadscomm.cli.benchkit.runner import OURS, Results, Summary
from leadscomm.cli.benchkit.works import Metric, Work

from .workloads import CANDIDATES, TARGETS, Candidate, Target, metric_of, work_named

BEGIN = "<!-- benchmarks: begin -->"
END = "<!-- benchmarks: end -->"
NOT_INSTALLED = "not installed"


@dataclass(frozen=True)
class Verdict:
    """A target and what was measured for it; ``met`` is None where the run cannot tell."""

    target: Target
    value: float | None

    @property
    def met(self) -> bool | None:
        return None if self.value is None else self.target.holds(self.value)

    @property
    def word(self) -> str:
        return {True: "met", False: "**not met**", None: "not measured"}[self.met]


def judge(results: Results, targets: Sequence[Target] = TARGETS) -> list[Verdict]:
    """Each target against the medians of one run."""
    return [Verdict(target, _value(results, target)) for target in targets]


def _value(results: Results, target: Target) -> float | None:
    ours = results.summary(target.work, target.ours, target.key)
    if ours is None or target.against is None:
        return None if ours is None else ours.median
    return ratio(ours, results.summary(target.work, target.against, target.key))


def ratio(ours: Summary | None, theirs: Summary | None) -> float | None:
    """Ours divided by theirs, of the medians; None where one is missing or theirs is nothing."""
    if ours is None or theirs is None or theirs.median <= 0:
        return None
    return ours.median / theirs.median


def figure(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"


def short(value: float) -> str:
    """Three figures that count: 0.583, 1.42, 25.1, 130."""
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2 if value >= 0.9995 else 3
    return f"{value:,.{digits}f}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table; the first column is text, the others are figures."""
    rule = ["---"] + ["---:"] * (len(heads) - 1)
    return ["| " + " | ".join(cells) + " |" for cells in (heads, rule, *rows)]


def _label(candidate: Candidate) -> str:
    label = candidate.entrant.label
    return f"**{label}**" if candidate.entrant.name == OURS else label


class Report:
    """The generated part of the documentation's page."""

    def __init__(self, results: Results, works: Sequence[Work], candidates: Sequence[Candidate], facts: Sequence[str]):
        self.results = results
        self.works = works
        self.candidates = candidates
        self.facts = facts
        self.absent = [candidate for candidate in candidates if candidate.available() is None]

    def markdown(self, picture: str | None = None) -> str:
        """Everything between the markers, without them."""
        parts = [self._overview()]
        if picture:
            parts.append([f"![Each library's figure in each workload, leadscomm's marked]({picture})"])
        parts += [["## Targets", "", *self.targets()], ["## Each workload"]]
        parts += [self.details(work) for work in self.works]
        parts.append(["## What it was measured with", "", *self._foot()])
        return "\n\n".join("\n".join(part) for part in parts if part) + "\n"

    def _summary(self, work: Work, candidate: Candidate, metric: Metric) -> Summary | None:
        return self.results.summary(work.name, candidate.entrant.name, metric.key)

    def _overview(self) -> list[str]:
        """Medians only: a row for each library, a column for each workload's headline figures."""
        heads = ["median", *(f"{work.title}, {_heading(work)}" for work in self.works)]
        rows = []
        for candidate in self.candidates:
            cells = [self._cell(candidate, work) for work in self.works]
            rows.append([_label(candidate), *cells])
        return table(heads, rows)

    def _cell(self, candidate: Candidate, work: Work) -> str:
        figures = []
        for metric in _headlines(work):
            if summary := self._summary(work, candidate, metric):
                figures.append(figure(summary.median, metric.digits))
        if figures:
            return " / ".join(figures)
        return NOT_INSTALLED if candidate in self.absent and candidate.entrant.does(work) else "–"

    def targets(self) -> list[str]:
        """The table of targets, each with its verdict, and how many are met."""
        verdicts = judge(self.results)
        rows = [self._verdict_row(verdict) for verdict in verdicts]
        met, measured = sum(v.met is True for v in verdicts), sum(v.met is not None for v in verdicts)
        said = f"{met} of {measured} targets are met."
        if measured < len(verdicts):
            said = f"{met} of the {measured} targets that this run measured are met ({len(verdicts)} in all)."
        return [said, "", *table(["work", "against", "target", "measured", "verdict"], rows)]

    def _verdict_row(self, verdict: Verdict) -> list[str]:
        target = verdict.target
        metric = metric_of(target.work, target.key)
        title = work_named(target.work).title
        names = {candidate.entrant.name: candidate.entrant.label for candidate in CANDIDATES}
        spin = ", with spin" if target.ours != OURS else ""
        unit = f" {metric.unit}" if target.against is None else ""
        return [
            f"{title}{spin}: {_metric_name(metric)}" if metric.key != "rate" else f"{title}{spin}",
            names[target.against] if target.against else "–",
            f"{'≥' if metric.more_is_better else '≤'} {target.limit:g}{unit}",
            "–" if verdict.value is None else short(verdict.value) + unit,
            verdict.word,
        ]

    def details(self, work: Work) -> list[str]:
        """One workload: each figure's median, its range over the rounds, and ours divided by it."""
        lines: list[str] = []
        for metric in work.metrics:
            rows = [self._detail_row(work, candidate, metric) for candidate in self.candidates]
            rows = [row for row in rows if row]
            if not any(self._summary(work, candidate, metric) for candidate in self.candidates):
                continue
            better = "more is better" if metric.more_is_better else "less is better"
            heads = [f"{_metric_name(metric)}, {metric.unit} ({better})", "median", "range", "leadscomm / it"]
            lines += ["", *table(heads, rows)]
        return [f"### {work.title}", *lines, *self._surplus(work)] if lines else []

    def _detail_row(self, work: Work, candidate: Candidate, metric: Metric) -> list[str]:
        summary = self._summary(work, candidate, metric)
        if summary is None:
            if candidate in self.absent and candidate.entrant.does(work):
                return [_label(candidate), NOT_INSTALLED, "–", "–"]
            return []
        ours = self.results.summary(work.name, OURS, metric.key)
        quotient = ratio(ours, summary)
        spread = f"{figure(summary.low, metric.digits)}–{figure(summary.high, metric.digits)}"
        last = "–" if quotient is None or candidate.entrant.name == OURS else short(quotient)
        return [_label(candidate), figure(summary.median, metric.digits), spread, last]

    def _surplus(self, work: Work) -> list[str]:
        """Where the number of calls of on_receive was not the number of messages, that is said."""
        said = []
        for candidate in self.candidates:
            lost = self.results.summary(work.name, candidate.entrant.name, "lost")
            if lost is None or not (lost.low or lost.high):
                continue
            said.append(
                f"{candidate.entrant.label}: `on_receive` was called for {100 * (1 - lost.median):.1f} % as many "
                "messages as were sent; no more are counted than were sent."
            )
        return ["", *said] if said else []

    def _foot(self) -> list[str]:
        lines = [f"- {fact}" for fact in self.facts if fact]
        rounds = "1 round" if self.results.rounds == 1 else f"{self.results.rounds} rounds"
        lines.append(f"- {rounds}, server and client in two processes, over the loopback interface")
        lines += [f"- {c.entrant.label}: {NOT_INSTALLED} (`{c.mend}`)" for c in self.absent]
        lines += [f"- failed: {failure}" for failure in self.results.failures]
        return lines


def _headlines(work: Work) -> list[Metric]:
    return [metric for metric in work.metrics if metric.headline]


def _heading(work: Work) -> str:
    return " / ".join(m.unit if m.key in ("rate", "kib") else f"{m.key} {m.unit}" for m in _headlines(work))


def _metric_name(metric: Metric) -> str:
    return {"rate": "rate", "kib": "memory"}.get(metric.key, metric.key)


def write_between_markers(page: Path, generated: str) -> None:
    """Replaces what a page has between the markers. Raises ValueError where it does not have them in order."""
    text = page.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end or BEGIN in tail:
        raise ValueError(f"{page.name} needs one {BEGIN} and after it one {END}")
    page.write_text(f"{head}{BEGIN}\n\n{generated}\n{END}{tail}", encoding="utf-8")
