"""``./dev fuzz``: tries very many inputs, for as long as is asked for, and keeps what they showed.

With atheris (./dev installs it where there is one) coverage guides it; without, or with --random, inputs are random.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.machine import facts
from benchmarks.report import table, write_between_markers

from .reduction import reduced
from .runners import NO_LIMIT, Done, GuidedRunner, RandomRunner, Runner, can_guide
from .targets import TARGETS, Target

RECORD = Path(__file__).with_name("record.json")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "fuzzing.md"
TURN_S = 60.0
LONG_BYTES = 10**10
LONG_RUNS = 2 * 10**7
HEADS = ("target", "inputs", "bytes", "minutes", "memory grew by", "failures")


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    unknown = set(options.targets).difference(TARGETS)
    if unknown:
        parser().error(f"no target is called {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    targets = [TARGETS[name] for name in options.targets or TARGETS]
    if options.replay:
        for target in targets:
            target.run(bytes.fromhex(options.replay.read_text()))
        return 0
    guided = can_guide() and not options.random
    make: Callable[[Target], Runner] = GuidedRunner if guided else lambda target: RandomRunner(target, options.seed)
    runners = [make(target) for target in targets]
    try:
        run(runners, options, guided)
        for runner in runners if options.keep else []:
            runner.target.keep(reduced(runner.target, runner.target.known() + runner.new_inputs()))
    finally:
        for runner in runners:
            runner.close()
    results = [runner.done for runner in runners]
    print("\n".join(rows(results)), flush=True)
    if options.write_docs:
        record("guided" if guided else "random", results)
    return 1 if any(done.failures for done in results) else 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="./dev fuzz", description=__doc__)
    made.add_argument("targets", nargs="*", metavar="TARGET", help=f"{', '.join(TARGETS)}; all of them")
    much = made.add_mutually_exclusive_group()
    much.add_argument("--runs", type=int, metavar="N", help="so many inputs of each target")
    much.add_argument("--minutes", type=float, metavar="M", help="so long for each target (1)")
    much.add_argument(
        "--long",
        action="store_true",
        help=f"until {LONG_RUNS:,d} guided inputs, or {LONG_BYTES:,d} random bytes, were tried in all",
    )
    made.add_argument("--random", action="store_true", help="random inputs, not guided ones")
    made.add_argument("--seed", type=int, default=2, help="of the random ones (2; the tests have 1)")
    made.add_argument("--keep", action="store_true", help="put into the corpus what reached something new")
    made.add_argument("--write-docs", action="store_true", help=f"record the figures, and write docs/{PAGE.name}")
    made.add_argument("--replay", type=Path, metavar="FILE", help="try this one input again")
    return made


def run(runners: Sequence[Runner], options: argparse.Namespace, guided: bool) -> None:
    """As much as is asked for. In a long run the targets take turns, so that each has the same time."""
    if not options.long:
        seconds = NO_LIMIT if options.runs else 60 * (options.minutes or 1.0)
        for runner in runners:
            say(runner)
            runner.turn(options.runs or NO_LIMIT, seconds)
        return
    while not enough([runner.done for runner in runners], guided) and not all(runner.hopeless for runner in runners):
        for runner in runners:
            say(runner)
            runner.turn(NO_LIMIT, TURN_S)


def enough(results: Sequence[Done], guided: bool) -> bool:
    if guided:
        return sum(done.inputs for done in results) >= LONG_RUNS
    return sum(done.bytes for done in results) >= LONG_BYTES


def say(runner: Runner) -> None:
    print(f"{runner.target}: {runner.done.inputs:,d} inputs so far", file=sys.stderr, flush=True)


def record(mode: str, results: Sequence[Done]) -> None:
    """Keep the figures of these targets and this kind of run, and write the page from all that there are."""
    kept = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    kept.setdefault(mode, {}).update({done.target: {"machine": facts([])[0], **asdict(done)} for done in results})
    RECORD.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    write_between_markers(PAGE, "\n\n".join(text_of(name, kept[name]) for name in sorted(kept)) + "\n")


def text_of(mode: str, kept: dict[str, dict[str, Any]]) -> str:
    """One kind of run, in the order of the targets."""
    machines = sorted({kept[name].pop("machine") for name in kept})
    results = [Done(**kept[name]) for name in TARGETS if name in kept]
    return "\n".join([f"### {mode.capitalize()} inputs", "", *rows(results), "", f"Tried on {'; '.join(machines)}."])


def rows(results: Sequence[Done]) -> list[str]:
    """The figures as a table, with their sum."""
    names = ("inputs", "bytes", "seconds", "growth", "failures")
    total = Done("all", *(sum(getattr(done, name) for done in results) for name in names))
    return table(HEADS, [row(done) for done in [*results, total]])


def row(done: Done) -> list[str]:
    bytes_fed = f"{done.bytes:,d}" if done.bytes else "–"
    grown = f"{done.growth / (1 << 20):.1f} MiB"
    return [done.target, f"{done.inputs:,d}", bytes_fed, f"{done.seconds / 60:.1f}", grown, str(done.failures)]


if __name__ == "__main__":
    sys.exit(main())
