"""Hypothesis plays two sessions, the wire between them and their restarts, against lists of what was sent and came."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from leadscomm.protocol.session.compact.compact import CompactSession
from leadscomm.protocol.session.handshake import Handshake
from tests.protocol.wire import End, Pair, host, small

SIDES = st.sampled_from((0, 1))


class TwoPeers(RuleBasedStateMachine):
    """Whatever happens on the wire: what came in a session is the beginning of what was sent in it, and what is not
    acknowledged at its end is the end of that."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair(seed=1)
        self.pair.board = End(CompactSession(small(2), self.pair.now, asks=False))
        self.sent: list[list[bytes]] = [[], []]  # by each side in its present session
        self.heard: dict[tuple[int, int], list[bytes]] = {}  # by the epochs of receiver and sender
        self.epoch = 10
        self.count = 0

    def end(self, side: int) -> End:
        return self.pair.ends()[side]

    def me(self, side: int) -> Handshake:
        self.epoch += 1
        return small(self.epoch) if side else host(self.epoch)

    def close_books(self, side: int) -> None:
        """A session has ended: nothing is missing but what it reports."""
        end = self.end(side)
        session = end.session
        if session.peer is not None:
            reported, sent = session.unacknowledged(), self.sent[side]
            assert reported == sent[len(sent) - len(reported) :]
            acknowledged = len(sent) - len(reported)
            heard = self.heard.get((session.peer.epoch, session.me.epoch))
            if heard is None:  # the other side is still in it
                other = self.end(1 - side)
                heard = other.got if other.session.me.epoch == session.peer.epoch else []
            assert heard == sent[: len(heard)]
            assert len(heard) >= acknowledged
            self.heard[session.me.epoch, session.peer.epoch] = end.got
        self.sent[side] = []

    def begin(self, side: int, *, asks: bool) -> None:
        self.close_books(side)
        end = End(CompactSession(self.me(side), self.pair.now, asks=asks), keeps=self.end(side).keeps)
        if side:
            self.pair.board = end
        else:
            self.pair.host = end

    @rule(milliseconds=st.integers(1, 400), faults=st.sampled_from((0.0, 0.0, 1e-3, 1e-2)), seed=st.integers(0, 99))
    def time_passes(self, milliseconds: int, faults: float, seed: int) -> None:
        self.pair.faults, self.pair.random = faults, random.Random(seed)
        for _ in range(milliseconds):
            self.pair.step()
            for side in (0, 1):
                if self.end(side).session.ended is not None:
                    assert self.end(side).session.again
                    self.begin(side, asks=side == 0)

    @rule(side=SIDES, sizes=st.lists(st.integers(0, 150), max_size=10))
    def send(self, side: int, sizes: list[int]) -> None:
        for size in sizes:
            session = self.end(side).session
            if session.open and session.wants:
                self.count += 1
                message = (b"%d:" % self.count).ljust(size, b"\0")
                session.send(message)
                self.sent[side].append(message)

    @rule(side=SIDES)
    def restart(self, side: int) -> None:
        self.begin(side, asks=side == 0)

    @rule(side=SIDES, keeps=st.booleans())
    def think(self, side: int, keeps: bool) -> None:
        self.end(side).keeps = keeps
        if not keeps:
            self.end(side).deal_with_all(self.pair.now)

    @rule()
    def cut(self) -> None:
        self.pair.cut()

    @rule()
    def all_is_well_again(self) -> None:
        """On a good wire everything arrives, and both are idle."""
        for side in (0, 1):
            self.think(side, keeps=False)
        for _ in range(20):
            self.time_passes(1000, 0.0, 0)
            sessions = [self.end(side).session for side in (0, 1)]
            if all(session.open and session.idle for session in sessions):
                break
        else:
            raise AssertionError("it does not come to rest")
        assert sessions[0].peer is not None
        assert (sessions[0].peer.epoch, sessions[1].peer and sessions[1].peer.epoch) == (
            sessions[1].me.epoch,
            sessions[0].me.epoch,
        )
        for side in (0, 1):
            assert self.end(1 - side).got == self.sent[side]

    @invariant()
    def bounded(self) -> None:
        for side in (0, 1):
            session = self.end(side).session
            assert len(session.unacknowledged()) < 20


TwoPeers.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
test_two_peers = TwoPeers.TestCase
