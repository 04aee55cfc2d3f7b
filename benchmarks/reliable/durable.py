"""``./dev bench durable``: durable messages a second, beside the commits a second that SQLite itself makes.

All of it runs in one folder, thus on one disk, in turns: a disk's syncs take now twice as long and now half, so only
what was measured next to each other is comparable. The ratios are medians of the rounds' own ratios.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import facts
from benchmarks.report import figure, short, table, write_between_markers
from leadscomm.journal.journal import Journal
from leadscomm.journal.records import Record

PAGE = Path(__file__).resolve().parents[2] / "docs" / "durable.md"
MESSAGE = bytes(range(100))
BATCH = 100
THREADS = 8


def per_second(step: Callable[[], int], seconds: float) -> float:
    """How many messages a second the steps bring, one after the other, until that time is over."""
    done, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        done += step()
    return done / spent


def sqlite_commits(folder: Path, mode: str, seconds: float) -> float:
    """One row, one commit, synced: SQLite alone."""
    with closing(sqlite3.connect(folder / f"plain-{mode}", isolation_level=None)) as db:
        db.execute(f"PRAGMA journal_mode={mode}")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("CREATE TABLE IF NOT EXISTS messages(seq INTEGER PRIMARY KEY, payload BLOB)")

        def insert() -> int:
            db.execute("INSERT INTO messages(payload) VALUES(?)", (MESSAGE,))
            return 1

        return per_second(insert, seconds)


def stored(folder: Path, batch: int, threads: int, seconds: float) -> float:
    """Messages for which ``store`` has returned."""
    rates: list[float] = []
    with Journal(folder / "outbox") as journal:

        def run() -> None:
            rates.append(per_second(lambda: len(journal.store("peer", 4, [MESSAGE] * batch)), seconds))

        workers = [threading.Thread(target=run) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        journal.forget(range(1, 10**6))
    return sum(rates)


def round_trip(folder: Path, batch: int, seconds: float) -> float:
    """Messages through everything: stored, taken in by a second journal, dealt with there, forgotten here."""
    with Journal(folder / "sender") as sender, Journal(folder / "receiver") as receiver:

        def carry() -> int:
            seqs = sender.store("receiver", 4, [MESSAGE] * batch)
            new = receiver.take_in("sender", [Record(sender.origin, seq, 4, MESSAGE) for seq in seqs])
            sender.forget(seqs)
            receiver.dealt(new)
            return len(new)

        return per_second(carry, seconds)


@dataclass(frozen=True)
class Way:
    """Something that is measured: its name, and how many messages a second in a folder and a time."""

    name: str
    measure: Callable[[Path, float], float]


BASE = Way("SQLite alone, a row a commit", lambda folder, s: sqlite_commits(folder, "wal", s))
WAYS = (
    BASE,
    Way("the same with a rollback journal, its default", lambda folder, s: sqlite_commits(folder, "delete", s)),
    Way("**`store`**, one thread", lambda folder, s: stored(folder, 1, 1, s)),
    Way(f"**`store`**, {THREADS} threads", lambda folder, s: stored(folder, 1, THREADS, s)),
    Way(f"**`store`**, {BATCH} at once", lambda folder, s: stored(folder, BATCH, 1, s)),
    Way("stored, taken in, dealt with, forgotten", lambda folder, s: round_trip(folder, 1, s)),
    Way(f"the same, {BATCH} at once", lambda folder, s: round_trip(folder, BATCH, s)),
)


def measure(folder: Path, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Each way's rates, round by round."""
    rates: dict[str, list[float]] = {way.name: [] for way in WAYS}
    for number in range(1, rounds + 1):
        for way in WAYS:
            rates[way.name].append(way.measure(folder, seconds))
        print(f"round {number} of {rounds}", file=sys.stderr, flush=True)
    return rates


def rows(rates: dict[str, list[float]]) -> Iterator[list[str]]:
    base = rates[BASE.name]
    for name, found in rates.items():
        ratio = statistics.median(one / other for one, other in zip(found, base))
        spread = f"{figure(min(found), 0)}–{figure(max(found), 0)}"
        yield [name, figure(statistics.median(found), 0), spread, "1" if name == BASE.name else short(ratio)]


def markdown(rates: dict[str, list[float]]) -> str:
    rounds = max(len(found) for found in rates.values())
    lines = table([f"messages of {len(MESSAGE)} bytes", "a second", "range", "to SQLite's commits"], list(rows(rates)))
    lines += ["", f"- {facts([])[0]}, SQLite {sqlite3.sqlite_version}, medians of {rounds} round(s)"]
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench durable", description=__doc__)
    parser.add_argument("--folder", type=Path, help="where to write: the disk that is measured (the temporary folder)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each way in each round (0.5)")
    parser.add_argument("--write-docs", action="store_true", help=f"write docs/{PAGE.name}")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="leadscomm-", dir=options.folder) as folder:
        text = markdown(measure(Path(folder), options.rounds, options.seconds))
    print(text, flush=True)
    if options.write_docs:
        write_between_markers(PAGE, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
