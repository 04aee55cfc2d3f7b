"""How far a peer's clock is ahead, as far as answers tell."""

from __future__ import annotations

import random

import pytest

from leadscomm.protocol.session.full.clocks import DRIFT, LONGEST_TRIP_S, PeerClock


def ask(clock: PeerClock, now: float, ahead: float, there: float, back: float) -> float:
    """A question and its answer, from ``now`` on; return when it came."""
    came = now + there + ahead
    assert clock.answered(now, came, came + 0.5, now + there + 0.5 + back) == pytest.approx(there + back)
    return now + there + 0.5 + back


def test_the_best_of_the_latest_answers_counts() -> None:
    clock = PeerClock()
    assert clock.offset(0.0) is None
    now = ask(clock, 100.0, 7.0, 0.3, 0.1)
    offset = clock.offset(now)
    assert offset is not None
    assert offset == pytest.approx((7.1, 0.2))
    now = ask(clock, now, 7.0, 0.01, 0.01)
    for _ in range(7):
        now = ask(clock, now, 7.0, 0.3, 0.1)
    offset = clock.offset(now)
    assert offset is not None
    assert offset.seconds == pytest.approx(7.0)
    assert 0.01 < offset.uncertainty < 0.011
    ask(clock, now, 7.0, 0.3, 0.1)  # the good one is too old now
    offset = clock.offset(now)
    assert offset is not None
    assert offset.uncertainty > 0.19


def test_drift_is_followed() -> None:
    dice, clock, now = random.Random(1), PeerClock(), 100.0
    for _ in range(500):
        ahead = 3.0 + 0.5 * DRIFT * now
        now = ask(clock, now + 10.0, ahead, 0.002 + dice.expovariate(100), 0.002 + dice.expovariate(100))
        offset = clock.offset(now)
        assert offset is not None
        assert abs(offset.seconds - ahead) <= offset.uncertainty < 0.05


def test_nonsense_is_not_believed() -> None:
    clock = PeerClock()
    assert clock.answered(0.0, 0.0, 5.0, 1.0) is None  # it left before it came
    assert clock.answered(0.0, 0.0, 0.0, LONGEST_TRIP_S + 1) is None
    assert clock.offset(0.0) is None
