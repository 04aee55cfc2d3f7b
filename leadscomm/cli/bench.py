"""``leadscomm bench``: how quick leadscomm is on this machine, between two processes over the loopback interface."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TextIO

from leadscomm.cli.terminal import arguments

from .benchkit.runner import OURS, Entrant, Results, run_rounds
from .benchkit.works import Work, select

ENTRANT = Entrant(OURS, "leadscomm", (sys.executable, "-m", "leadscomm.cli.benchkit.ours"), most_connections=5000)
SPIN = Entrant("spin", "leadscomm, spin", ENTRANT.command, kinds=("rtt",), options=("--spin=0.005",))
DEFAULT_ROUNDS = 3
USUAL = "oneway,bulk,rtt,broadcast,connections"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--only", default="", metavar="WORK,...", help=f"choose from {USUAL}")
    parser.add_argument(
        "--rounds", type=arguments.count, help=f"how often each is measured ({DEFAULT_ROUNDS}; 1 with --quick)"
    )
    parser.add_argument("--json", action="store_true", help="print every round's figures as JSON instead of a table")


def run(args: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Measures and prints the figures; the progress goes to standard error. Returns the process's exit code."""
    try:
        works = select(args.only)
    except ValueError as error:
        print(f"leadscomm bench: {error}", file=err)
        return 2
    chosen = [work.quick() for work in works] if args.quick else works
    rounds = args.rounds or (1 if args.quick else DEFAULT_ROUNDS)
    results = run_rounds([ENTRANT, SPIN], chosen, rounds)
    print(json.dumps(asdict(results), indent=1) if args.json else "\n".join(table(results, works)), file=out)
    return 1 if results.failures else 0


def table(results: Results, works: Sequence[Work]) -> list[str]:
    """A line for each figure: its median and its range over the rounds; 80 columns at most."""
    lines = [f"{'':<30}{'median':>12}  {'range':<22}unit"]
    for work in works:
        for entrant in (ENTRANT, SPIN):
            for metric in work.metrics:
                summary = results.summary(work.name, entrant.name, metric.key)
                if summary is None:
                    continue
                low, middle, high = (
                    f"{value:,.{metric.digits}f}" for value in (summary.low, summary.median, summary.high)
                )
                name = work.title + (", spin" if entrant is SPIN else "")
                name += "" if metric.key in ("rate", "kib") else f", {metric.key}"
                lines.append(f"{name:<30}{middle:>12}  {low + ' – ' + high:<22}{metric.unit}")
    return [*lines, *(f"failed: {failure}" for failure in results.failures)]
