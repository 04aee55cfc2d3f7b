"""``./dev fuzz`` itself: what it counts, keeps and tells."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from leadscomm.protocol import make_framing

from . import __main__ as command
from . import runners, targets
from .reduction import reduced
from .runners import MOST_FAILURES, NO_LIMIT, Done, GuidedRunner, RandomRunner, can_guide
from .targets import Target


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[bytes], None]], Target]:
    """A target of one's own, with an empty corpus."""
    monkeypatch.setattr(targets, "CORPUS", tmp_path)
    monkeypatch.setattr(runners, "FAILED", tmp_path / "failed")

    def make(run: Callable[[bytes], None]) -> Target:
        target = Target("own", run, 64, "a test", bulk=1000)
        target.keep([])
        return target

    return make


def refuse_zeros(data: bytes) -> None:
    if 0 in data:
        raise ValueError("a zero")


def test_random_inputs_are_counted(make: Callable[..., Target]) -> None:
    sizes: list[int] = []
    runner = RandomRunner(make(lambda data: sizes.append(len(data))), seed=1)
    runner.turn(300, NO_LIMIT)
    runner.turn(200, NO_LIMIT)
    assert (runner.done.inputs, runner.done.bytes, runner.done.failures) == (500, sum(sizes), 0)
    assert {min(sizes), max(sizes)} == {0, 1000}


def test_the_same_seed_gives_the_same_inputs(make: Callable[..., Target]) -> None:
    target = make(refuse_zeros)
    target.keep([b"known", b"", b"ok"])
    assert target.known() == [b"ok", b"known"]
    first, again, other = (list(islice(target.inputs(seed), 100)) for seed in (1, 1, 2))
    assert first == again != other


def test_a_failure_is_kept_and_can_be_tried_again(
    make: Callable[..., Target], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = make(refuse_zeros)
    runner = RandomRunner(target, seed=1)
    runner.turn(NO_LIMIT, NO_LIMIT)
    assert runner.done.failures == MOST_FAILURES
    assert "own: ValueError: a zero" in capsys.readouterr().out
    kept = sorted((tmp_path / "failed").iterdir())
    assert all(0 in bytes.fromhex(file.read_text()) for file in kept)
    monkeypatch.setitem(targets.TARGETS, "own", target)
    with pytest.raises(ValueError, match="a zero"):
        command.main(["own", "--replay", str(kept[0])])


def test_of_inputs_that_reach_the_same_the_shortest_is_kept(make: Callable[..., Target]) -> None:
    target = make(lambda data: make_framing("length").feed(data))
    messages = [b"\0\0\0\1a", b"\0\0\0\1b", b"\0\0\0\2ab", b"\xff\xff\xff\xff"]
    kept = reduced(target, [*messages, b"", b"\0\0\0\2a"])
    assert b"" in kept
    assert b"\0\0\0\2ab" not in kept
    assert b"\xff\xff\xff\xff" in kept


def test_what_was_done_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "fuzzing.md"
    page.write_text("before\n<!-- benchmarks: begin -->\n<!-- benchmarks: end -->\nafter\n")
    monkeypatch.setattr(command, "PAGE", page)
    monkeypatch.setattr(command, "RECORD", tmp_path / "record.json")
    command.record("guided", [Done("framings", inputs=1234567, seconds=90.0, growth=1 << 20)])
    command.record("random", [Done("framings", 10, 2000, 6.0), Done("codecs", 5, 1000, 6.0, failures=1)])
    text = page.read_text()
    assert "| framings | 1,234,567 | – | 1.5 | 1.0 MiB | 0 |" in text
    assert "| all | 15 | 3,000 | 0.2 | 0.0 MiB | 1 |" in text
    assert text.index("Guided") < text.index("Random")
    assert set(json.loads((tmp_path / "record.json").read_text())) == {"guided", "random"}


def test_a_target_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["framing"])
    assert "no target is called framing; there are framings, codecs" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not can_guide(), reason="atheris is not here; ./dev fuzz installs it, where it can be had")
def test_a_guided_run() -> None:
    runner = GuidedRunner(targets.TARGETS["codecs"])
    try:
        runner.turn(500, 60)
    finally:
        runner.close()
    assert (runner.done.inputs, runner.done.failures) == (500, 0)
