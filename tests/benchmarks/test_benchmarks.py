"""The harness with real processes and tiny counts: that it measures and reports, never how quick anything is."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks.report import BEGIN, END, Report
from benchmarks.workloads import Candidate, choose
from leadscomm.cli.benchkit import processes, runner
from leadscomm.cli.benchkit.processes import Child, ChildFailed
from leadscomm.cli.benchkit.runner import Entrant, Results, run_rounds
from leadscomm.cli.benchkit.works import Broadcast, Connections, OneWay, RoundTrip, Work

TINY: tuple[Work, ...] = (
    OneWay("oneway-32", "32 B one way", seconds=0.01, warm_up=0.001),
    RoundTrip("rtt-warm", "Round trip, warm", seconds=0.01, warm_up=5),
    Broadcast("broadcast", "Broadcast to 50 clients", clients=3, seconds=0.01, warm_up=0.001),
    Connections("connections", "1,000 connections", count=5, samples=20, warm_up=2),
)
PEERS = choose("leadscomm,leadscomm-spin,leadscomm-length,raw,blocks,socketserver,asyncio")
OTHERS = choose("uvloop,pyzmq,twisted,websockets,zenoh,leads")


def check_run(candidates: tuple[Candidate, ...], works: tuple[Work, ...]) -> Results:
    """Every measurement that should be there is, and shows in the tables."""
    entrants = [entrant for candidate in candidates if (entrant := candidate.available())]
    said: list[str] = []
    results = run_rounds(entrants, works, rounds=1, say=said.append)
    assert results.failures == []
    for work in works:
        expected = {entrant.name for entrant in entrants if entrant.does(work)}
        assert set(results.cells.get(work.name, {})) == expected
    assert len(said) == sum(len(cells) for cells in results.cells.values())
    text = Report(results, works, candidates, []).markdown()
    assert all(entrant.label in text for entrant in entrants)
    return results


@pytest.mark.slow
@pytest.mark.parametrize("work", TINY, ids=lambda work: work.name)
def test_a_tiny_run(work: Work) -> None:
    check_run(PEERS, (work,))


@pytest.mark.slow
@pytest.mark.parametrize("candidate", OTHERS, ids=lambda candidate: candidate.entrant.name)
def test_a_tiny_run_of_the_other_libraries(candidate: Candidate) -> None:
    if candidate.available() is None:
        pytest.skip(f"{candidate.entrant.label} is not installed ({candidate.mend})")
    check_run((candidate,), TINY)


def test_the_command_measures_saves_and_reports_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = tmp_path / "measured.json"
    asked = ["--only", "rtt-warm", "--peers", "raw"]
    assert command.main([*asked, "--quick", "--save", str(saved)]) == 0
    first = capsys.readouterr()
    assert "| raw sockets, one sendall a message |" in first.out
    assert "round 1/1  rtt-warm" in first.err
    assert command.main([*asked, "--load", str(saved)]) == 0
    assert capsys.readouterr().out == first.out


def test_a_failure_is_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = tmp_path / "measured.json"
    saved.write_text(json.dumps({"cells": {}, "failures": ["rtt-warm, raw: ended"], "rounds": 1}), encoding="utf-8")
    assert command.main(["--load", str(saved)]) == 1
    assert "failed: rtt-warm, raw: ended" in capsys.readouterr().out


@pytest.mark.parametrize("asked", [["--only", "nothing"], ["--peers", "nobody"]])
def test_what_does_not_exist_is_named(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(asked)
    assert "there are" in capsys.readouterr().err


@pytest.mark.slow
def test_the_page_and_the_plot_are_written(tmp_path: Path) -> None:
    """By a process of its own: matplotlib keeps the files of its fonts open."""
    page, saved = tmp_path / "performance.md", tmp_path / "measured.json"
    page.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    cells = {"rtt-warm": {"leadscomm": [{"p50": 2.0, "p99": 3.0}], "raw": [{"p50": 4.0, "p99": 5.0}]}}
    saved.write_text(json.dumps({"cells": cells, "failures": [], "rounds": 1}), encoding="utf-8")
    asked = ["--load", str(saved), "--only", "rtt", "--write-docs", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "benchmarks", *asked], check=True, capture_output=True, timeout=120)
    drawn = tmp_path / command.PICTURE
    assert drawn.exists() == (importlib.util.find_spec("matplotlib") is not None)
    assert (command.PICTURE in page.read_text(encoding="utf-8")) == drawn.exists()
    assert "| **leadscomm** | 2.0 | 2.0–2.0 | – |" in page.read_text(encoding="utf-8")


def child(code: str, timeout: float = 10.0) -> Child:
    return Child([sys.executable, "-c", code], timeout)


def test_a_child_is_talked_to_and_ends_when_its_parent_hangs_up() -> None:
    with child("import sys; print(sys.stdin.readline().strip(), flush=True); sys.stdin.read()") as one:
        one.say(question=6)
        assert one.hear() == {"question": 6}


def test_a_child_that_ends_too_early_is_quoted() -> None:
    with child("raise SystemExit('no such luck')") as one, pytest.raises(ChildFailed, match="ended: no such luck"):
        one.hear()


def test_a_child_that_is_silent_is_given_up_and_ended() -> None:
    with child("import sys; sys.stdin.read()", timeout=0.01) as one, pytest.raises(ChildFailed, match="said nothing"):
        one.hear()


def test_a_child_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "ENDS_WITHIN_S", 0.01)
    with child("import threading; print('{}', flush=True); threading.Event().wait()") as one:
        assert one.hear() == {}


def test_speaking_to_a_child_that_has_ended_is_an_error() -> None:
    with child("pass") as one, pytest.raises(ChildFailed, match="ended"):
        one.hear()
    with child("pass") as one:
        one._process.wait()
        with pytest.raises(ChildFailed, match="ended"):
            one.say(anything=1)


def test_a_program_that_is_not_there_is_said() -> None:
    with pytest.raises(ChildFailed, match="could not be started"):
        Child(["/no/such/program"])


def test_a_failed_measurement_is_noted_and_the_others_go_on() -> None:
    broken = Entrant("broken", "broken", (sys.executable, "-c", "raise SystemExit('never')"))
    results = run_rounds([broken], TINY[1:2], rounds=2, say=lambda line: None)
    assert [failure.split(":")[0] for failure in results.failures] == ["rtt-warm, broken"] * 2
    assert results.rounds == 2


def test_lost_messages_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "measure", lambda entrant, work: {"rate": 5.0, "lost": 0.25})
    results = run_rounds([PEERS[0].entrant], TINY[:1], rounds=1, say=lambda line: None)
    assert results.failures == ["oneway-32, leadscomm: 25 % of the messages were lost"]


def test_no_round_is_begun_that_would_pass_the_budget() -> None:
    said: list[str] = []
    results = run_rounds([], TINY, rounds=3, budget=-1, say=said.append)
    assert results.rounds == 1
    assert said == ["round 2 would take longer than the -1 s there are: the run ends after 1"]
