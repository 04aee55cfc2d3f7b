"""leadscomm bench: what it prints, never how quick anything is."""

from __future__ import annotations

import json

import pytest

from leadscomm.cli import bench, main
from leadscomm.cli.benchkit.runner import Results
from leadscomm.cli.benchkit.works import WORKS


def test_a_table_fits_eighty_columns() -> None:
    results = Results(failures=["x, leadscomm: y"])
    for work in WORKS:
        for entrant in (bench.ENTRANT, bench.SPIN):
            if entrant.does(work):
                results.add(work.name, entrant.name, {metric.key: 12345.6 for metric in work.metrics})
    lines = bench.table(results, WORKS)
    assert max(map(len, lines)) <= 80
    assert len(lines) == 1 + sum(len(w.metrics) * (2 if w.kind == "rtt" else 1) for w in WORKS) + 1
    assert "Round trip, warm, spin, p50" in "\n".join(lines)
    assert lines[-1] == "failed: x, leadscomm: y"


def test_what_was_not_measured_has_no_line() -> None:
    assert len(bench.table(Results(), WORKS)) == 1


def test_an_unknown_workload_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--only", "nothing"]) == 2
    assert "no workload nothing; there are oneway-32" in capsys.readouterr().err


def test_none_at_all_is_no_number_of_rounds(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "--rounds", "0"])
    assert "argument --rounds: write a whole number, 1 or more" in capsys.readouterr().err


def test_ctrl_c_ends_it_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> Results:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "run_rounds", interrupted)
    assert main(["bench"]) == 130


@pytest.mark.slow
def test_it_measures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--quick", "--only", "rtt-warm"]) == 0
    assert "Round trip, warm, p50" in capsys.readouterr().out
    assert main(["bench", "--quick", "--only", "rtt-warm", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["cells"]) == {"rtt-warm"}
