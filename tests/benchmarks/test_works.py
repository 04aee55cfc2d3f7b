"""The workloads without a library: both ends in this process, joined by a peer that calls the callback at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from leadscomm.cli.benchkit import works
from leadscomm.cli.benchkit.peer import Counter, Exchange, Link, Peer, burst_of, resident_bytes
from leadscomm.cli.benchkit.works import Broadcast, Connections, Measures, OneWay, RoundTrip, Work, make_work, select


class End:
    """One end of a conversation in memory: what one says the other hears."""

    def __init__(self, incoming: queue.SimpleQueue[Any], outgoing: queue.SimpleQueue[Any]) -> None:
        self.incoming, self.outgoing = incoming, outgoing

    def say(self, **facts: Any) -> None:
        self.outgoing.put(facts)

    def hear(self) -> dict[str, Any]:
        heard: dict[str, Any] = self.incoming.get(timeout=20)
        return heard

    def poll(self) -> dict[str, Any] | None:
        try:
            return self.incoming.get_nowait()
        except queue.Empty:
            return None


def ends() -> tuple[End, End]:
    one: queue.SimpleQueue[Any] = queue.SimpleQueue()
    other: queue.SimpleQueue[Any] = queue.SimpleQueue()
    return End(one, other), End(other, one)


class Direct(Link):
    """Calls the other side's callback; a server's answer comes back the same way, from a queue and not nested."""

    def __init__(self, there: Any, here: Any, pieces: int = 1) -> None:
        self.there, self.here, self.pieces = there, here, pieces
        self.waiting: list[bytes] = []
        self.busy = False

    @property
    def sender(self) -> Link:
        return Answer(self)

    def send(self, message: bytes) -> None:
        for _ in range(self.pieces):
            self.there.on_receive(self, message)
        if self.busy:
            return
        self.busy = True
        while self.waiting:
            self.here.on_receive(self, self.waiting.pop())
        self.busy = False


class Answer(Link):
    def __init__(self, link: Direct) -> None:
        self.link = link

    def send(self, message: bytes) -> None:
        self.link.waiting.append(message)


class All(Link):
    def __init__(self, callbacks: list[Any]) -> None:
        self.callbacks = callbacks

    def send(self, message: bytes) -> None:
        for callback in self.callbacks:
            callback.on_receive(self, message)


class FakePeer(Peer):
    """Server and client are one object; ``pieces`` is how many calls a message makes, 0 for one that is lost."""

    pieces = 1

    def listen(self, callback: Any) -> str:
        self.callback_there = callback
        self.callbacks: list[Any] = []
        return "here"

    def connect(self, address: str, callback: Any) -> Link:
        assert address == "here"
        self.callbacks.append(callback)
        return Direct(self.callback_there, callback, self.pieces)

    def everyone(self) -> Link:
        return All(self.callbacks)

    def exchanges(self, address: str, count: int) -> Iterator[Exchange]:
        return iter([bytes] * count)


class InexactPeer(FakePeer):
    exact: ClassVar[bool] = False
    pieces = 2


class LosingPeer(FakePeer):
    pieces = 0


def play(work: Work, peer: Peer) -> Measures:
    """A workload's three parts, each in a thread of its own as it else is in a process of its own."""
    (server, talk_s), (client, talk_c) = ends(), ends()
    threads = [threading.Thread(target=work.server, args=(peer, talk_s))]
    threads.append(threading.Thread(target=work.client, args=(peer, talk_c)))
    for thread in threads:
        thread.start()
    measures = work.drive(server, client)
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    return measures


TINY: tuple[Work, ...] = (
    OneWay("oneway-32", "", 32, seconds=0.01, warm_up=0.001),
    OneWay("bulk", "", 1 << 20, seconds=0.01, warm_up=0.001),
    RoundTrip("rtt-warm", "", seconds=0.01, warm_up=5),
    RoundTrip("rtt-quiet", "", seconds=0.01, warm_up=1, pause=0.001),
    Broadcast("broadcast", "", clients=3, seconds=0.01, warm_up=0.001),
    Connections("connections", "", count=5, samples=20, warm_up=2),
)


@pytest.mark.parametrize("work", TINY, ids=lambda work: work.name)
def test_a_workload_gives_all_its_figures(work: Work) -> None:
    measures = play(work, FakePeer(work.kind, work.size))
    for metric in work.metrics:
        assert measures[metric.key] >= 0
    assert measures.get("lost", 0.0) == 0.0


def test_messages_cut_in_pieces_are_not_paid_for() -> None:
    measures = play(TINY[0], InexactPeer())
    assert measures["lost"] == pytest.approx(-1)


def test_lost_messages_do_not_hold_the_measurement_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(works, "LOST_AFTER_S", 0.01)
    assert play(TINY[0], LosingPeer()) == {"rate": 0.0, "lost": 1.0}


@pytest.mark.parametrize("work", works.WORKS, ids=lambda work: work.name)
def test_a_workload_survives_the_command_line(work: Work) -> None:
    again = make_work(work.kind, work.words())
    assert again.words() == work.words()
    assert type(again.quick()) is type(work)
    assert again.metrics == work.metrics


@pytest.mark.parametrize(("kind", "words"), [("nothing", []), ("oneway", ["colour=blue"])])
def test_an_unknown_workload_or_word_is_refused(kind: str, words: list[str]) -> None:
    with pytest.raises(SystemExit, match=kind):
        make_work(kind, words)


def test_workloads_are_chosen_by_name_or_its_first_part() -> None:
    assert [work.name for work in select("rtt,oneway-256")] == ["oneway-256", "rtt-quiet", "rtt-warm"]
    assert select("") == works.WORKS
    with pytest.raises(ValueError, match="no workload nothing; there are oneway-32"):
        select("nothing")


def test_a_burst_is_one_message_at_least() -> None:
    assert burst_of(b"x" * 32) == 256
    assert burst_of(b"x" * (1 << 20)) == 1


def test_percentiles_are_in_microseconds() -> None:
    assert works.percentiles([second / 1e6 for second in range(100)]) == pytest.approx({"p50": 50.0, "p99": 99.0})


def test_this_process_has_memory() -> None:
    assert resident_bytes() > 1 << 20


def test_a_counter_counts() -> None:
    counter = Counter()
    counter.on_receive(None, b"")
    assert counter.n == 1
