"""How ./dev runs the tests: how many processes take part, and what is made of many runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools import suite

RESULTS = """<testsuites><testsuite>
<testcase classname="tests.a" name="one"/>
<testcase classname="tests.a" name="two"><skipped/></testcase>
<testcase classname="tests.b" name="three"><failure/></testcase>
<testcase classname="tests.b" name="three"><error/></testcase>
</testsuite></testsuites>"""


@pytest.mark.parametrize(
    "args", [[], ["-q", "-m", "not slow"], ["tests/tools"], ["-x", "tests/tools", "tests/test_log.py"]]
)
def test_tests_run_side_by_side(args: list[str]) -> None:
    assert suite.arguments(args)[0] == "-n"
    assert suite.arguments(args)[-len(args) :] == args or not args


@pytest.mark.parametrize(
    "args", [["tests/test_log.py"], ["tests/test_log.py::test_x", "-q"], ["-n2"], ["--pdb"], ["-s"]]
)
def test_one_process_is_enough(args: list[str]) -> None:
    assert suite.arguments(args) == args


def test_results_are_read(tmp_path: Path) -> None:
    results = tmp_path / "results.xml"
    results.write_text(RESULTS, "utf-8")
    assert suite.read(results) == (1, 1, ["tests.b::three"])


def test_a_series_is_recorded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "RECORD", tmp_path / "record.json")
    fine, bad = suite.Outcome(9, 3, 1, []), suite.Outcome(8, 2, 1, ["tests.b::three"])
    suite.record("then", ["./dev", "repeat", "2"], [fine])
    suite.record("then", ["./dev", "repeat", "2"], [fine, bad])
    suite.record("later", ["./dev", "repeat", "1", "--busy"], [fine])
    first, second = json.loads(suite.RECORD.read_text("utf-8"))
    assert [run["failures"] for run in first["runs"]] == [[], ["tests.b::three"]]
    assert (second["command"], second["cores"]) == ("./dev repeat 1 --busy", suite.cores())


def test_cores_are_kept_busy_no_longer_than_asked_for() -> None:
    with suite.busy_cores(2) as processes:
        assert [process.poll() for process in processes] == [None, None]
    assert all(process.poll() is not None for process in processes)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_who_is_killed_leaves_no_core_busy() -> None:
    program = (
        "import os\nfrom tools.suite import busy_cores\nwith busy_cores(1): print(os.getpid()); os.kill(os.getpid(), 9)"
    )
    done = subprocess.Popen([sys.executable, "-c", program], cwd=suite.ROOT, stdout=subprocess.PIPE)
    assert done.communicate(timeout=60)[0].split() == [b"%d" % done.pid]  # the pipe is closed when both are gone
    assert done.returncode < 0
