"""What was found interesting before, and some random inputs: always the same ones. ``./dev fuzz`` tries more."""

from __future__ import annotations

from itertools import islice

import pytest

from .source import Source, held
from .targets import TARGETS, Target

RANDOM_INPUTS = {"framings": 200, "codecs": 2000, "reassembly": 100, "streams": 200, "compact": 100, "full": 100}
every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=str)


@every_target
def test_the_corpus(target: Target) -> None:
    for data in target.known():
        target.run(data)


@every_target
def test_random_inputs(target: Target) -> None:
    for data in islice(target.inputs(seed=1), RANDOM_INPUTS[target.name]):
        target.run(data)


def test_choices_end_with_the_input() -> None:
    source = Source(b"\x05ab")
    assert (source.below(4), source.pick("xyz"), bool(source)) == (1, "y", True)
    assert (source.chunk(), bool(source), source.below(9), source.rest()) == (b"", False, 0, b"")


def test_what_is_held_is_counted_once() -> None:
    block = bytes(1000)
    assert 1000 < held([block, block, {"a": block}]) < 2000
