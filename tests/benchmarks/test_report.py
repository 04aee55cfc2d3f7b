"""The report, from made-up figures: ratios, verdicts, what is missing, and the page's markers."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import report as reporting
from benchmarks.report import BEGIN, END, Report, Verdict, judge, ratio, short, write_between_markers
from benchmarks.workloads import CANDIDATES, TARGETS, Candidate, Target, choose, metric_of, work_named
from leadscomm.cli.benchkit.runner import OURS, Entrant, Results, Summary
from leadscomm.cli.benchkit.works import WORKS, select


def results_of(work: str, key: str, **figures: float) -> Results:
    results = Results(rounds=1)
    for name, value in figures.items():
        results.add(work, name, {key: value})
    return results


def test_a_summary_is_the_median_and_the_range() -> None:
    results = Results()
    for rate in (5.0, 1.0, 3.0):
        results.add("oneway-32", OURS, {"rate": rate})
    assert results.summary("oneway-32", OURS, "rate") == Summary(3.0, 1.0, 5.0)
    assert results.summary("oneway-32", OURS, "p50") is None
    assert results.summary("oneway-32", "raw", "rate") is None


@pytest.mark.parametrize(
    ("work", "key", "against", "limit", "ours", "theirs", "met"),
    [
        ("oneway-32", "rate", "asyncio", 25, 5000, 200, True),
        ("oneway-32", "rate", "asyncio", 25, 4999, 200, False),
        ("oneway-32", "rate", "asyncio", 25, 0, 200, False),
        ("rtt-warm", "p50", "raw", 1.10, 22, 20, True),
        ("rtt-warm", "p50", "raw", 1.10, 22.1, 20, False),
        ("connections", "p99", "asyncio", 0.8, 100, 200, True),
        ("bulk", "rate", "raw", 1.0, 2000, 2001, False),
    ],
)
def test_a_ratio_meets_its_target_or_does_not(
    work: str, key: str, against: str, limit: float, ours: float, theirs: float, met: bool
) -> None:
    results = results_of(work, key, leadscomm=ours, **{against: theirs})
    (verdict,) = judge(results, [Target(work, key, against, limit)])
    assert verdict.met is met
    assert verdict.word == ("met" if met else "**not met**")


@pytest.mark.parametrize(("kib", "met"), [(0.7, True), (2.0, True), (2.1, False)])
def test_a_target_without_a_peer_is_judged_as_it_is(kib: float, met: bool) -> None:
    (verdict,) = judge(results_of("connections", "kib", leadscomm=kib), [Target("connections", "kib", None, 2.0)])
    assert verdict.met is met


@pytest.mark.parametrize("figures", [{}, {"leadscomm": 9.0}, {"pyzmq": 9.0}, {"leadscomm": 9.0, "pyzmq": 0.0}])
def test_what_was_not_measured_is_neither_met_nor_missed(figures: dict[str, float]) -> None:
    results = results_of("broadcast", "rate", **figures)
    (verdict,) = judge(results, [Target("broadcast", "rate", "pyzmq", 2.5)])
    assert verdict.met is None
    assert verdict.word == "not measured"


def test_spin_is_judged_by_its_own_figures() -> None:
    results = results_of("rtt-warm", "p50", **{"leadscomm": 20.0, "leadscomm-spin": 5.0, "raw": 20.0})
    spin = next(target for target in TARGETS if target.ours != OURS and target.work == "rtt-warm")
    assert Verdict(spin, 0.25) == judge(results, [spin])[0]


def test_every_target_names_a_figure_and_a_peer_that_there_are() -> None:
    names = {candidate.entrant.name for candidate in CANDIDATES}
    for target in TARGETS:
        assert target.metric() in work_named(target.work).metrics
        assert target.ours in names
        assert target.against is None or target.against in names
        for name in (target.ours, target.against or target.ours):
            entrant = next(c.entrant for c in CANDIDATES if c.entrant.name == name)
            assert entrant.does(work_named(target.work)), f"{name} does not do {target.work}"


def test_less_is_better_for_times_and_memory_and_more_for_rates() -> None:
    for work in WORKS:
        for metric in work.metrics:
            assert metric_of(work.name, metric.key).more_is_better is (metric.key == "rate")


@pytest.mark.parametrize(
    ("value", "text"), [(0.5834, "0.583"), (1.0, "1.00"), (1.425, "1.43"), (25.12, "25.1"), (130.4, "130")]
)
def test_ratios_have_three_figures(value: float, text: str) -> None:
    assert short(value) == text


def test_a_ratio_needs_both_sides() -> None:
    assert ratio(None, Summary(1, 1, 1)) is None
    assert ratio(Summary(3, 1, 5), Summary(2, 2, 2)) == 1.5


def made_up_report() -> str:
    results = results_of("oneway-32", "rate", leadscomm=9000.0, raw=250.0)
    results.add("oneway-32", "raw", {"rate": 350.0, "lost": -0.5})
    results.failures.append("oneway-32, twisted: it ended")
    absent = Candidate(Entrant("nowhere", "a library nobody has", ("false",)), "no_such_module", "no-such-thing")
    return Report(results, select("oneway-32"), (*CANDIDATES, absent), ["a machine"]).markdown("img/x.svg")


def test_the_tables_show_medians_ranges_and_ratios_last() -> None:
    text = made_up_report()
    assert "| **leadscomm** | 9,000 | 9,000–9,000 | – |" in text
    assert "| raw sockets, one sendall a message | 300 | 250–350 | 30.0 |" in text
    assert "](img/x.svg)" in text
    assert "- a machine" in text


def test_what_is_missing_or_failed_is_said() -> None:
    text = made_up_report()
    assert "| a library nobody has | not installed | – | – |" in text
    assert "(`pip install no-such-thing`)" in text
    assert "- failed: oneway-32, twisted: it ended" in text
    assert "on_receive` was called for 150.0 % as many messages" in text


def test_all_targets_are_in_the_table_with_their_verdict() -> None:
    results = results_of("oneway-32", "rate", leadscomm=9000.0, blocks=10000.0, asyncio=900.0)
    lines = Report(results, WORKS, CANDIDATES, []).targets()
    assert "1 of the 2 targets that this run measured are met" in lines[0]
    rows = [line for line in lines if line.startswith("|")][2:]
    assert len(rows) == len(TARGETS)
    assert "| 32 B one way | raw sockets, 64 KiB blocks | ≥ 0.6 | 0.900 | met |" in rows
    assert "| 32 B one way | asyncio protocol | ≥ 25 | 10.0 | **not met** |" in rows
    assert "| 1,000 connections: memory | – | ≤ 2 KiB each | – | not measured |" in rows


def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    width = None
    for line in made_up_report().splitlines():
        cells = line.count("|") if line.startswith("|") else None
        assert cells is None or width is None or cells == width, line
        width = cells


def test_the_page_keeps_what_is_around_the_markers(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nafter\n", encoding="utf-8")
    for _ in range(2):
        write_between_markers(page, "new\n")
        assert page.read_text(encoding="utf-8") == f"# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\nafter\n"


@pytest.mark.parametrize("text", ["nothing", f"{BEGIN} only", f"{END} before {BEGIN}"])
def test_a_page_without_markers_is_refused(tmp_path: Path, text: str) -> None:
    page = tmp_path / "performance.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"performance\.md needs one"):
        write_between_markers(page, "new")
    assert page.read_text(encoding="utf-8") == text


def test_the_documentation_has_the_markers() -> None:
    page = Path(reporting.__file__).resolve().parent.parent / "docs" / "performance.md"
    assert page.read_text(encoding="utf-8").count(BEGIN) == 1
    assert page.read_text(encoding="utf-8").count(END) == 1


def test_peers_are_chosen_by_name() -> None:
    assert [c.entrant.name for c in choose("asyncio, raw")] == ["raw", "asyncio"]
    assert choose("") == CANDIDATES
    with pytest.raises(ValueError, match=r"no peer nobody; there are leadscomm, "):
        choose("raw,nobody")
