"""``./dev bench reliable``: what sessions cost and bring; prints Markdown, and writes docs/reliable-performance.md if
asked to.

In a round each part is measured once. Ratios are of what was measured in the same round. The parts ``paths`` (two
network namespaces) and ``board`` (a compiler for boards) are left out where they cannot be.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any, Final, Protocol

from benchmarks.machine import facts
from benchmarks.report import write_between_markers
from tests.faults.namespaces import trouble

from .board import Board
from .cuts import Cuts
from .figures import Figures, Target, target_table
from .hub import Hub
from .idle import Idle
from .links import Links
from .paths import Paths

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "reliable-performance.md"


class Part(Protocol):
    """Some tables. Every :class:`Figures` among its attributes is one."""

    def round(self) -> None: ...

    def targets(self) -> list[Target]: ...


PARTS: Final[dict[str, Any]] = {"links": Links, "paths": Paths, "cuts": Cuts, "board": Board, "idle": Idle, "hub": Hub}


def missing(name: str) -> str | None:
    """Why a part cannot be measured here."""
    if name == "paths":
        return trouble()
    if name == "board" and shutil.which("avr-gcc") is None:
        return "avr-gcc is not installed"
    return None


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def chosen(only: str, quick: bool) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    for name in only.split(",") if only else PARTS:
        why = missing(name)
        if why is None:
            parts[name] = PARTS[name](say, quick)
        else:
            say(f"{name}: left out: {why}")
    return parts


def every_table(parts: dict[str, Part]) -> list[Figures]:
    return [value for part in parts.values() for value in vars(part).values() if isinstance(value, Figures)]


def run(parts: dict[str, Part], rounds: int, budget: float) -> int:
    """Measure; return how many rounds there were."""
    began, longest = monotonic(), 0.0
    for number in range(1, rounds + 1):
        if number > 1 and monotonic() - began + longest > budget:
            return number - 1
        since = monotonic()
        for name, part in parts.items():
            say(f"round {number}/{rounds}: {name}")
            part.round()
        longest = max(longest, monotonic() - since)
    return rounds


def busy() -> str:
    """How much else the machine has to do: on a busy one rates mean little, and ratios less than they should."""
    if not hasattr(os, "getloadavg"):
        return "load average unknown"
    return "load average {:.1f}, {:.1f}, {:.1f} at the end: 1 to 2 of it are the measurement's own".format(
        *os.getloadavg()
    )


def markdown(parts: dict[str, Part], rounds: int, load: str) -> str:
    targets = [target for part in parts.values() for target in part.targets()]
    sections = [target_table(targets)]
    sections += [figures.markdown() for figures in every_table(parts) if figures.cells]
    times = "1 round" if rounds == 1 else f"{rounds} rounds: the median, and the lowest and the highest"
    sections.append("\n".join(["## What it was measured with", "", f"- {facts([])[0]}", f"- {load}", f"- {times}"]))
    return "\n\n".join(sections) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench reliable", description=__doc__)
    parser.add_argument("--only", default="", metavar="PART,...", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (3)")
    parser.add_argument("--budget", type=float, default=280.0, metavar="S", help="begin no round that ends later (280)")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the figures, as JSON")
    parser.add_argument("--load", type=Path, metavar="FILE", help="measure nothing: report what --save kept")
    parser.add_argument("--write-docs", action="store_true", help=f"write docs/{PAGE.name}")
    options = parser.parse_args(argv)
    if unknown := set(filter(None, options.only.split(","))).difference(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if options.load:
        kept = json.loads(options.load.read_text(encoding="utf-8"))
        parts = {name: PARTS[name](say, False) for name in PARTS}
        for figures in every_table(parts):
            figures.cells = kept["figures"].get(figures.title, {})
        parts = {name: part for name, part in parts.items() if any(one.cells for one in every_table({name: part}))}
    else:
        parts = chosen(options.only, options.quick)
        rounds = run(parts, 1 if options.quick else options.rounds, options.budget)
        kept = {"rounds": rounds, "load": busy(), "figures": {one.title: one.cells for one in every_table(parts)}}
    if options.save:
        options.save.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    text = markdown(parts, kept["rounds"], kept["load"])
    print(text, flush=True)
    if options.write_docs:
        write_between_markers(PAGE, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
