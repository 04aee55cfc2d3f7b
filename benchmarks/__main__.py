"""``python -m benchmarks``: measures, prints a Markdown table, and writes the documentation's page when asked to.

``python -m benchmarks device``, ``reliable`` or ``durable`` measures boards, sessions or durable messages instead.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from leadscomm.cli.benchkit.runner import Results, run_rounds
from leadscomm.cli.benchkit.works import Work, select

from .leads_setup import set_up
from .machine import facts
from .report import Report, write_between_markers
from .workloads import CANDIDATES, Candidate, choose

DOCS = Path(__file__).resolve().parent.parent / "docs"
PICTURE = "img/performance.svg"
OTHERS = {
    "device": "benchmarks.device.__main__",
    "reliable": "benchmarks.reliable.__main__",
    "durable": "benchmarks.reliable.durable",
}
"""What is measured by commands of their own."""


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    arguments.add_argument(
        "--quick", action="store_true", help="one short round: whether it works, and roughly how it goes"
    )
    arguments.add_argument(
        "--only", default="", metavar="WORK,...", help="oneway, bulk, rtt, broadcast, connections, or a name"
    )
    arguments.add_argument(
        "--peers", default="", metavar="PEER,...", help=", ".join(c.entrant.name for c in CANDIDATES)
    )
    arguments.add_argument("--rounds", type=int, help="how often each is measured (5; 1 with --quick)")
    arguments.add_argument(
        "--budget", type=float, default=600.0, metavar="S", help="begin no round that would end later (600)"
    )
    arguments.add_argument("--seed", type=int, help="of the order within the rounds")
    arguments.add_argument(
        "--write-docs",
        nargs="?",
        const=DOCS,
        type=Path,
        metavar="FOLDER",
        help="write the tables and the plot into docs/ (or a folder like it)",
    )
    arguments.add_argument("--save", type=Path, metavar="FILE", help="keep what was measured, as JSON")
    arguments.add_argument("--load", type=Path, metavar="FILE", help="measure nothing: report what --save kept")
    arguments.add_argument(
        "--setup-leads", action="store_true", help="install LEADS 0.6.1 into .venv-leads-0.6.1, and end"
    )
    return arguments


def run(options: argparse.Namespace, works: Sequence[Work], candidates: Sequence[Candidate]) -> Results:
    if options.load:
        return Results(**json.loads(options.load.read_text(encoding="utf-8")))
    entrants = []
    for candidate in candidates:
        if entrant := candidate.available():
            entrants.append(entrant)
        else:
            print(f"{candidate.entrant.label}: not installed, left out ({candidate.mend})", file=sys.stderr)
    rounds = options.rounds or (1 if options.quick else 5)
    quick = [work.quick() for work in works] if options.quick else works
    return run_rounds(entrants, quick, rounds, options.budget, seed=options.seed)


def write_docs(report: Report, docs: Path) -> None:
    """The tables into performance.md, and the plot beside it."""
    picture: str | None = PICTURE
    try:
        from .plot import draw

        draw(report.results, report.works, report.candidates, docs / PICTURE)
    except ImportError:
        print("matplotlib is not installed: no plot is drawn (pip install matplotlib)", file=sys.stderr)
        picture = picture if (docs / PICTURE).exists() else None
    write_between_markers(docs / "performance.md", report.markdown(picture))


def _end(number: int, frame: Any) -> None:
    raise SystemExit(128 + number)


def main(argv: Sequence[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else list(argv)
    if words and words[0] in OTHERS:
        return int(import_module(OTHERS[words[0]]).main(words[1:]))
    options = parser().parse_args(words)
    if options.setup_leads:
        return set_up()
    try:
        works, candidates = select(options.only), choose(options.peers)
    except ValueError as error:
        parser().error(str(error))
    signal.signal(signal.SIGTERM, _end)
    try:
        results = run(options, works, candidates)
    except KeyboardInterrupt:
        return 130
    if options.save:
        options.save.write_text(json.dumps(asdict(results), indent=1), encoding="utf-8")
    distributions = [c.distribution for c in candidates if c.distribution]
    report = Report(results, works, candidates, facts(distributions))
    if options.write_docs:
        write_docs(report, options.write_docs)
    try:
        print(report.markdown(), flush=True)
    except BrokenPipeError:  # a pager that was left early
        sys.stdout = None
    return 1 if results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
