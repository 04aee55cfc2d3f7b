"""The benchmark of durable messages, with tiny times: that it measures and reports, never how quick anything is."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.reliable import durable
from benchmarks.report import BEGIN, END


def test_the_ratios_are_those_of_each_round() -> None:
    rates = {durable.BASE.name: [100.0, 400.0, 50.0], "ours": [200.0, 400.0, 500.0]}
    assert list(durable.rows(rates)) == [
        [durable.BASE.name, "100", "50–400", "1"],
        ["ours", "400", "200–500", "2.00"],
    ]


def test_a_tiny_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["durable", "--rounds", "1", "--seconds", "0.01", "--folder", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert all(f"| {way.name} |" in said for way in durable.WAYS)
    assert list(tmp_path.iterdir()) == []


def test_the_page_has_the_markers() -> None:
    text = durable.PAGE.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
