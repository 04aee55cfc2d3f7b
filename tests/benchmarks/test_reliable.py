"""The benchmarks of sessions: that each part measures and reports, never how quick anything is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks.reliable import __main__ as reliable
from benchmarks.reliable.cuts import Cuts
from benchmarks.reliable.figures import Figures, Target, target_table
from benchmarks.reliable.hub import PEERS, Hub
from benchmarks.reliable.idle import Idle
from benchmarks.reliable.links import BARE, CODED, RELIABLE, Links
from benchmarks.reliable.paths import SESSION, Paths
from benchmarks.report import BEGIN, END
from tests.faults.namespaces import trouble


def quietly(text: str) -> None: ...


def test_a_table_tells_medians_and_ranges() -> None:
    figures = Figures("Title", "what", "Said.")
    for value in (3.0, 1.0, 20.0):
        figures.add("row", "a", value)
    figures.add("row", "b", 2.0)
    assert figures.markdown().splitlines() == [
        "## Title",
        "",
        "Said.",
        "",
        "| what | a | b |",
        "| --- | ---: | ---: |",
        "| row | 3.00 (1.00–20.0) | 2.00 |",
    ]


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    figures = Figures("Title", "what")
    for a, b in ((1.0, 2.0), (30.0, 10.0), (4.0, 4.0)):
        figures.add("row", "a", a)
        figures.add("row", "b", b)
    assert figures.ratio("row", "a", "b") == 1.0
    assert figures.ratio("row", "a", "c") is None
    assert figures.median("other", "a") is None


def test_growth_is_the_median_of_the_rounds_own_ratios() -> None:
    figures = Figures("Title", "what")
    for few, many in ((1.0, 2.0), (10.0, 30.0), (4.0, 4.0)):
        figures.add("few", "cost", few)
        figures.add("many", "cost", many)
    assert figures.growth("few", "many", "cost") == 2.0
    assert figures.growth("few", "other", "cost") is None


def test_targets_have_verdicts() -> None:
    targets = [
        Target("rate", 0.5, 0.6),
        Target("time", 2.0, 3.0, "ms", least=False),
        Target("not there", 1.0, None),
    ]
    text = target_table(targets)
    assert "1 of the 2 that were measured are met." in text
    assert "| rate | ≥ 0.500 | 0.600 | met |" in text
    assert "| time | ≤ 2.00 ms | 3.00 ms | **not met** |" in text
    assert "| not there | ≥ 1.00 | – | not measured |" in text


def test_the_command_knows_its_parts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["reliable", "--only", "nothing"])
    assert "no part nothing; there are links, paths" in capsys.readouterr().err


@pytest.mark.long
def test_links_are_measured() -> None:
    links = Links(quietly, quick=True)
    links.round()
    assert set(links.rates.cells["TCP, 32 B"]) == {RELIABLE, BARE, CODED}
    assert set(links.rates.cells["UDP, 1 MiB"]) == {RELIABLE}
    assert {target.name for target in links.targets()} >= {"TCP, 32 B: reliable by bare"}


@pytest.mark.long
def test_cuts_and_idle_sessions_are_measured() -> None:
    cuts, idle = Cuts(quietly, quick=True), Idle(quietly, quick=True)
    cuts.round()
    idle.round()
    assert len(cuts.targets()) == 4
    assert all(target.value is not None for target in cuts.targets())
    assert set(idle.costs.cells) == {"session over TCP", "bare TCP"}


@pytest.mark.long
def test_a_hub_is_measured() -> None:
    hub = Hub(quietly, quick=True)
    hub.round()
    assert len(hub.messages.cells) == len(hub.broadcasts.cells) == len(hub.held.cells) == 3 * len(PEERS)
    assert all(target.value is not None for target in hub.targets())


@pytest.mark.long
def test_a_thin_path_is_measured() -> None:
    why = trouble()
    if why is not None:
        pytest.skip(why)
    paths = Paths(quietly, quick=True)
    paths.round()
    assert paths.goodput.median("0% lost", SESSION)
    assert paths.plug.median(SESSION, "recovery")
    assert all(target.value is not None for target in paths.targets())


@pytest.mark.long
def test_the_command_saves_and_writes_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page, saved = tmp_path / "page.md", tmp_path / "figures.json"
    page.write_text(f"# Title\n\n{BEGIN}\n{END}\n", encoding="utf-8")
    monkeypatch.setattr(reliable, "PAGE", page)
    assert reliable.main(["--quick", "--only", "idle", "--save", str(saved), "--write-docs"]) == 0
    assert "## Idle" in page.read_text(encoding="utf-8")
    assert "## Idle" in capsys.readouterr().out
    assert set(json.loads(saved.read_text(encoding="utf-8"))["figures"]["Idle"]) == {"session over TCP", "bare TCP"}
    assert reliable.main(["--load", str(saved)]) == 0
    assert capsys.readouterr().out.rstrip() in page.read_text(encoding="utf-8")
