"""The workloads without a library: both ends in this process, joined by a peer that calls the callback at once."""

from __future__ import annotations

import io
import json
import queue
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from leadscomm.cli.benchkit import child, ours, works
from leadscomm.cli.benchkit.ours import Ours
from leadscomm.cli.benchkit.peer import Counter, Exchange, Link, Peer, PlainExchange, burst_of, resident_bytes
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


def play(work: Work, peer: Peer, client_peer: Peer | None = None) -> Measures:
    """A workload's three parts, each in a thread of its own as it else is in a process of its own."""
    (server, talk_s), (client, talk_c) = ends(), ends()
    threads = [threading.Thread(target=work.server, args=(peer, talk_s))]
    threads.append(threading.Thread(target=work.client, args=(client_peer or peer, talk_c)))
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


def test_a_plain_exchange_waits_for_the_whole_answer() -> None:
    def serve(listener: socket.socket) -> None:
        with listener.accept()[0] as sock:
            assert sock.recv(100) == b"ping;"
            sock.sendall(b"po")
            sock.sendall(b"ng;")
            assert sock.recv(100) == b"again;"

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        (exchange,) = Peer.exchanges(FakePeer(), f"127.0.0.1:{listener.getsockname()[1]}", 1)
        assert isinstance(exchange, PlainExchange)
        assert exchange(b"ping") == b"pong"
        with pytest.raises(ConnectionError, match="the server closed the connection"):
            exchange(b"again")
        server.join(10)
        exchange.sock.close()


def test_this_process_has_memory() -> None:
    assert resident_bytes() > 1 << 20


def test_a_counter_counts() -> None:
    counter = Counter()
    counter.on_receive(None, b"")
    assert counter.n == 1


# The measuring process's side of the conversation


class AnsweringPeer(FakePeer):
    """A client whose server answers at once."""

    def connect(self, address: str, callback: Any) -> Link:
        class Back(Link):
            def __init__(self) -> None:
                self.depth = 0
                self.due = 0

            def send(self, message: bytes) -> None:
                self.due += 1
                if self.depth:
                    return
                self.depth = 1
                while self.due:
                    self.due -= 1
                    callback.on_receive(self, message)
                self.depth = 0

        return Back()


def run_child(monkeypatch: pytest.MonkeyPatch, words: list[str], heard: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What child_main says when it hears these things; the last of them lets it end."""
    said = io.StringIO()
    ended = threading.Event()
    monkeypatch.setattr(child.os, "_exit", lambda code: ended.set())
    monkeypatch.setattr(child, "_own_stdout", lambda: said)
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(json.dumps(one) + "\n" for one in [*heard, {"bye": True}])))
    child.child_main(AnsweringPeer, words)
    assert ended.wait(10)
    return [json.loads(line) for line in said.getvalue().splitlines()]


def test_a_server_process_says_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_child(monkeypatch, ["server", "rtt", "seconds=0.01"], []) == [{"address": "here"}]


def test_a_client_process_says_that_it_is_there_and_what_it_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    ready, measured = run_child(monkeypatch, ["client", "rtt", "seconds=0.01", "--spin"], [{"address": "here"}])
    assert ready == {"ready": True}
    assert set(measured) == {"p50", "p99"}


@pytest.mark.parametrize("words", [[], ["server"], ["neither", "rtt"]])
def test_a_process_that_is_asked_nothing_says_how_to_ask(words: list[str]) -> None:
    with pytest.raises(SystemExit, match=r"usage: server\|client"):
        child.child_main(AnsweringPeer, words)


# leadscomm itself


class OursHere(Ours):
    """Both sides in this process, closed at the end."""

    def __init__(self, kind: str, size: int) -> None:
        super().__init__(kind, size)
        self.open: list[Any] = []

    def connect(self, address: str, callback: Any) -> Any:
        self.open.append(super().connect(address, callback))
        return self.open[-1]

    def close(self) -> None:
        for client in self.open:
            client.close()
        if not self.open:
            self.server.close()


@pytest.mark.parametrize("work", [TINY[0], TINY[2], TINY[4]], ids=lambda work: work.name)
def test_leadscomm_is_measured(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "SAID_EVERY", 8)
    monkeypatch.setattr(ours, "AHEAD", 16)
    server, client = OursHere(work.kind, work.size), OursHere(work.kind, work.size)
    measures = play(work, server, client)
    client.close()
    server.close()
    assert measures[work.metrics[0].key] > 0
    assert measures.get("lost", 0.0) == 0.0
