"""How ./dev runs the tests: side by side, with coverage, and again and again."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from tools.running import ROOT, Failed, Trouble, run, say

WORKERS_A_CORE = 4  # tests wait more than they work
MOST_WORKERS = 32
ONE_PROCESS = ("-n", "--numprocesses", "--dist", "--pdb", "--trace", "-s", "--capture=no", "--co", "--collect-only")
OVERALL_PERCENT = 95
PURE_PERCENT = 100
PURE = "leadscomm/protocol/**,leadscomm/broker/router.py"
RECORD = ROOT / "tests" / "repeated.json"
BUSY = "import os, sys\nwhile os.getppid() == int(sys.argv[1]):\n    sum(range(100000))\n"


def cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def arguments(args: list[str]) -> list[str]:
    """What pytest is told: as ``args`` say, and in several processes, unless they are about single files or tests."""
    said = any(arg.partition("=")[0] in ONE_PROCESS or arg[:2] == "-n" for arg in args)
    places = [place for place in (ROOT / arg.partition("::")[0] for arg in args) if place.exists()]
    if said or (places and all(place.is_file() for place in places)):
        return args
    return ["-n", str(min(WORKERS_A_CORE * cores(), MOST_WORKERS)), "--dist", "worksteal", *args]


def covered(python: str, args: list[str]) -> None:
    """Run the tests and see what they ran of the package: too little of it is a failure too."""
    coverage = [python, "-m", "coverage"]
    run(*coverage, "erase")
    closing, code = run_and_keep_last_line(*coverage, "run", "-m", "pytest", *arguments(args))
    run(*coverage, "combine", "--quiet")
    try:
        run(*coverage, "report", f"--fail-under={OVERALL_PERCENT}")
        run(*coverage, "report", "--include=" + PURE, f"--fail-under={PURE_PERCENT}")
    except Failed:
        code = code or 1
        say(f"coverage: {OVERALL_PERCENT} % overall and {PURE_PERCENT} % of {PURE} are required")
    print(closing, flush=True)  # what was tested stays the last word, below the coverage
    if code:
        raise Failed(code)


def run_and_keep_last_line(*command: str) -> tuple[str, int]:
    """Run, show everything, and return the last line and the exit code."""
    last = ""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            last = line.decode(errors="replace").strip() or last
    return last, process.returncode


# Again and again -----------------------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What came of one run; ``failures`` are the names of the tests, or why there was no run."""

    seconds: int
    passed: int
    skipped: int
    failures: list[str]


def repeat(args: list[str]) -> None:
    """Run the tests several times, print a table of what came of it, and add that to RECORD."""
    busy = "--busy" in args
    numbers = [arg for arg in args if arg.isdigit()]
    if len(numbers) != 1:
        raise Trouble("how many times? ./dev repeat N [--busy] [ARGS]")
    rest = [arg for arg in args if arg != "--busy" and arg not in numbers]
    began = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="minutes")
    logs = Path(tempfile.mkdtemp(prefix="leadscomm-repeat-"))
    outcomes = []
    with busy_cores(cores() if busy else 0):
        for number in range(1, int(numbers[0]) + 1):
            outcomes.append(once(logs / f"{number}.log", rest))
            print(row(number, outcomes[-1]), flush=True)
            record(began, ["./dev", "repeat", *args], outcomes)
    if any(outcome.failures for outcome in outcomes):
        raise Trouble(f"what the runs printed is in {logs}")


def once(log: Path, args: list[str]) -> Outcome:
    """Run ./dev test as whoever types it does; all that it prints goes into ``log``."""
    results = log.with_suffix(".xml")
    began = time.monotonic()
    with log.open("wb") as out:
        command = [sys.executable, str(ROOT / "dev"), "test", f"--junitxml={results}", *args]
        code = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out).returncode
    seconds = round(time.monotonic() - began)
    if not results.exists():
        return Outcome(seconds, 0, 0, [f"./dev test ended with {code} before there was a result"])
    passed, skipped, failures = read(results)
    if code and not failures:
        failures = [f"./dev test ended with {code}"]
    return Outcome(seconds, passed, skipped, failures)


def read(results: Path) -> tuple[int, int, list[str]]:
    """How many tests passed and were skipped, and the names of those that failed; of pytest's JUnit XML."""
    passed = skipped = 0
    failures = []
    for case in ElementTree.parse(results).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failures.append("{}::{}".format(case.get("classname"), case.get("name")))
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return passed, skipped, sorted(set(failures))


def row(number: int, outcome: Outcome) -> str:
    counts = f"{outcome.passed} passed, {outcome.skipped} skipped, {len(outcome.failures)} failed"
    line = f"run {number:>3}: {outcome.seconds:>5} s, {counts}"
    return "\n  ".join([line, *outcome.failures])


def record(began: str, command: list[str], outcomes: list[Outcome]) -> None:
    """Write what came of this series, in the place of what was written of it before."""
    known: list[dict[str, Any]] = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else []
    series = {
        "began": began,
        "command": " ".join(command),
        "commit": revision(),
        "system": system(),
        "cores": cores(),
        "python": platform.python_version(),
        "runs": [outcome._asdict() for outcome in outcomes],
    }
    known = [other for other in known if other["began"] != began] + [series]
    RECORD.write_text(json.dumps(known, indent=1) + "\n", "utf-8")


def revision() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, check=False)
    return done.stdout.decode().strip() or "unknown"


def system() -> str:
    try:
        release = Path("/etc/os-release").read_text("utf-8")
    except OSError:
        return platform.platform()
    names = dict(line.split("=", 1) for line in release.splitlines() if "=" in line)
    return names.get("PRETTY_NAME", platform.platform()).strip('"')


@contextlib.contextmanager
def busy_cores(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many processes that do nothing but compute, until this is left or this process is gone."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY, str(os.getpid())]) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()
