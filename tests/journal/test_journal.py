"""The journal: what is stored waits, what comes twice is dropped, who comes together shares a commit; who opens it."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from leadscomm import JournalError, JournalFull, RemoteProtocolError
from leadscomm.journal import file as journal_file
from leadscomm.journal import inbox as journal_inbox
from leadscomm.journal.journal import Journal
from leadscomm.journal.records import Duplicates, Record, Stored
from tests.entities.recorder import PATIENCE_S

ONE, OTHER = b"origin-1", b"origin-2"


def came(*seqs: int, origin: bytes = ONE, lane: int = 4) -> list[Record]:
    return [Record(origin, seq, lane, b"message %d" % seq) for seq in seqs]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "journal")


# The outbox ----------------------------------------------------------------------------------------------------------


def test_what_is_stored_waits_until_it_is_forgotten(path: str) -> None:
    with Journal(path) as journal:
        assert journal.store("arm", 4, [b"a", b"b"]) == [1, 2]
        assert journal.store("arm", 4, [b"c"]) == [3]
        journal.forget([2])
        assert journal.waiting("arm", 4) == [Stored(1, 4, b"a"), Stored(3, 4, b"c")]
        assert journal.waiting("arm", 4, after=1) == [Stored(3, 4, b"c")]
        journal.forget([1, 3])
        assert journal.waiting("arm", 4) == []


def test_it_waits_through_a_restart_and_numbers_go_on(path: str) -> None:
    with Journal(path) as journal:
        assert journal.store("arm", 4, [b"a", b"b"]) == [1, 2]
        journal.forget([1])
    with Journal(path) as journal:
        assert journal.waiting("arm", 4) == [Stored(2, 4, b"b")]
        journal.forget([2])
    with Journal(path) as journal:
        assert journal.waiting("arm", 4) == []
        assert journal.store("arm", 4, [b"c"]) == [3]
        assert journal.lost is None


def test_peers_and_lanes_are_kept_apart(path: str) -> None:
    with Journal(path) as journal:
        journal.store("arm", 4, [b"a"])
        journal.store("base", 4, [b"bb", b"b"])
        journal.store("arm", 0, [b"urgent"])
        assert journal.waiting("arm", 4) == [Stored(1, 4, b"a")]
        assert journal.waiting("arm", 0) == [Stored(4, 0, b"urgent")]
        assert journal.waiting("base", 0) == journal.waiting("nobody", 4) == []
        assert journal.peers() == {"arm": (2, 7), "base": (2, 3)}
        journal.forget([2, 3])
        assert journal.peers() == {"arm": (2, 7)}


def test_waiting_is_told_in_portions(path: str) -> None:
    with Journal(path) as journal:
        journal.store("arm", 4, [b"x" * 100] * 5)
        assert [found.seq for found in journal.waiting("arm", 4, limit=250)] == [1, 2]
        assert [found.seq for found in journal.waiting("arm", 4, after=2, limit=1)] == [3]


def test_an_empty_message_and_a_large_one(path: str) -> None:
    large = random.Random(1).randbytes(3_000_000)
    with Journal(path) as journal:
        journal.store("arm", 4, [b"", bytearray(large), memoryview(b"view")])
        assert [found.payload for found in journal.waiting("arm", 4, limit=len(large))] == [b"", large]
        assert journal.store("arm", 4, []) == []


def test_text_is_refused_before_anything_is_stored(path: str) -> None:
    with Journal(path) as journal:
        with pytest.raises(TypeError, match="encode"):
            journal.store("arm", 4, [b"good", "text"])  # type: ignore[list-item]
        assert journal.waiting("arm", 4) == []


def test_the_limit_is_told_with_its_mend_and_forgetting_makes_room(path: str) -> None:
    with Journal(path, limit=1000) as journal:
        seqs = journal.store("arm", 4, [b"x" * 300] * 2)
        with pytest.raises(JournalFull, match=r"the outbox has room for 1000 bytes, holds 728 in 2 .* raise limit="):
            journal.store("arm", 4, [b"x" * 300])
        with pytest.raises(JournalFull, match="the inbox has room"):
            journal.take_in("arm", [Record(ONE, 1, 4, b"x" * 1000)])
        journal.forget(seqs)
        assert journal.store("arm", 4, [b"x" * 300]) == [3]
    with Journal(path, limit=1000) as journal, pytest.raises(JournalFull):
        journal.store("arm", 4, [b"x" * 600])


def test_a_file_that_was_large_becomes_small_when_it_is_empty(path: str) -> None:
    with Journal(path) as journal:
        journal.take_in("arm", came(7))
        seqs = journal.store("arm", 4, [bytes(1_000_000)] * 18)
        journal.dealt(journal.left())
        journal.forget(seqs)
        assert os.path.getsize(path) + os.path.getsize(path + "-wal") < 1_000_000
        assert journal.take_in("arm", came(7, 8))[0].seq == 8
        assert journal.store("arm", 4, [b"next"]) == [19]


def test_the_same_message_for_several_peers(path: str) -> None:
    told: list[tuple[str, list[Stored]]] = []
    with Journal(path) as journal:
        journal.store_for_all(["arm", "base"], 2, b"to all", lambda *stored: told.append(stored))
        assert told == [("arm", [Stored(1, 2, b"to all")]), ("base", [Stored(2, 2, b"to all")])]
        assert journal.waiting("arm", 2) == [Stored(1, 2, b"to all")]
        assert journal.peers() == {"arm": (1, 6), "base": (1, 6)}


# The inbox -----------------------------------------------------------------------------------------------------------


def test_what_came_is_left_until_it_is_dealt_with(path: str) -> None:
    with Journal(path) as journal:
        first, second = journal.take_in("arm", came(5, 9))
        assert (first.peer, first.seq, first.payload) == ("arm", 5, b"message 5")
        assert first.arrival < second.arrival
        journal.dealt([first])
        assert journal.left() == journal.left("arm") == [second]
        assert journal.left("base") == []
    with Journal(path) as journal:
        assert journal.left() == [second]
        journal.dealt(journal.left())
        assert journal.left() == []


def test_left_is_told_in_portions(path: str) -> None:
    with Journal(path) as journal:
        journal.take_in("arm", came(1, 2))
        journal.take_in("base", came(1, origin=OTHER))
        (first,) = journal.left(limit=1)
        assert [(record.peer, record.seq) for record in journal.left(after=first.arrival)] == [("arm", 2), ("base", 1)]


def test_what_comes_twice_is_dropped_after_a_restart_too(path: str) -> None:
    with Journal(path) as journal:
        journal.dealt(journal.take_in("arm", came(1, 2, 2, 1)))
        assert journal.take_in("arm", came(1, 2)) == []
    with Journal(path) as journal:
        assert [record.seq for record in journal.take_in("other name", came(2, 3))] == [3]
        assert [record.seq for record in journal.take_in("arm", came(2, lane=0))] == [2]
        assert [record.seq for record in journal.take_in("arm", came(2, origin=OTHER))] == [2]


def test_a_message_has_an_id_of_its_own() -> None:
    first, second = came(1, 2)
    assert first.id == "6f726967696e2d31-1"
    assert len({first.id, second.id, came(1, origin=OTHER)[0].id}) == 3


@pytest.mark.parametrize("bad", [Record(b"short", 1, 4, b""), Record(ONE, 0, 4, b""), Record(ONE, 2**63, 4, b"")])
def test_what_no_journal_says_is_refused(path: str, bad: Record) -> None:
    with Journal(path) as journal:
        with pytest.raises(RemoteProtocolError, match=bad.id):
            journal.take_in("arm", [*came(1), bad])
        assert journal.left() == []


def test_of_many_origins_those_used_last_are_remembered(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_inbox, "Duplicates", partial(Duplicates, most=3))
    names = [b"origin%02d" % number for number in range(6)]
    with Journal(path) as journal:
        for name in names[:3]:
            journal.take_in("arm", came(5, origin=name))
        journal.take_in("arm", came(6, origin=names[0]))  # used again
        for name in names[3:5]:
            journal.take_in("arm", came(5, origin=name))
        assert journal.take_in("arm", came(6, origin=names[0])) == []
        assert journal.take_in("arm", came(5, origin=names[4])) == []
        assert len(journal.take_in("arm", came(5, origin=names[1]))) == 1  # forgotten, thus new
        journal.take_in("arm", came(7, origin=names[5]))
    with sqlite3.connect(path) as file:
        assert file.execute("SELECT count(DISTINCT origin) FROM seen").fetchone()[0] <= 4
    file.close()
    with Journal(path) as journal:
        assert journal.take_in("arm", came(5, origin=names[1])) == []


def test_the_table_of_duplicates_alone() -> None:
    table = Duplicates(most=2)
    assert table.new(came(3, 4, 3)) == came(3, 4)
    assert table.new(came(3)) == came(3)
    assert table.note(came(3, 4)) == []
    assert table.new(came(4, 5)) == came(5)
    assert table.note(came(1, origin=OTHER)) == []
    assert table.note(came(1, origin=b"origin-3")) == [ONE]


# Threads -------------------------------------------------------------------------------------------------------------


def tell(told: list[Stored], _: str, stored: list[Stored]) -> None:
    told += stored


def gather(journal: Journal, calls: list[threading.Thread], then: Callable[[], None] = list) -> list[str]:
    """Let all calls gather while another commit is under way. Returns the statements that followed."""
    statements: list[str] = []
    enough = threading.Event()

    def hold(_: str, __: list[Stored]) -> None:
        for call in calls:
            call.start()
        for _ in range(int(PATIENCE_S / 0.001)):
            if len(journal._commits._gathered) == len(calls):
                break
            enough.wait(0.001)
        journal._file.db.set_trace_callback(statements.append)
        then()

    journal.store("nobody", 7, [b"first"], hold)
    for call in calls:
        call.join(PATIENCE_S)
    journal._file.db.set_trace_callback(None)
    return statements


def test_threads_that_store_at_the_same_time_share_one_commit(path: str) -> None:
    told: list[Stored] = []
    returned: dict[int, list[int]] = {}
    with Journal(path) as journal:

        def store(number: int) -> None:
            returned[number] = journal.store("arm", 4, [b"%d" % number] * 2, partial(tell, told))

        def take(number: int) -> None:
            returned[number] = [record.seq for record in journal.take_in("arm", came(1, 2))]

        calls = [threading.Thread(target=store, args=(number,)) for number in range(8)]
        calls += [threading.Thread(target=take, args=(number,)) for number in (8, 9)]
        statements = gather(journal, calls)
        assert statements.count("COMMIT") == 1
        assert [stored.seq for stored in told] == list(range(2, 18))
        assert told == journal.waiting("arm", 4)
        for number in range(8):
            assert returned[number] == [stored.seq for stored in told if stored.payload == b"%d" % number]
        assert sorted([returned[8], returned[9]]) == [[], [1, 2]]  # what came twice, in one commit
        assert [record.seq for record in journal.left()] == [1, 2]


def test_one_that_cannot_be_written_fails_alone(path: str) -> None:
    errors: list[Exception] = []
    with Journal(path) as journal:

        def store(peer: str) -> None:
            try:
                journal.store(peer, 4, [b"x"])
            except Exception as error:
                errors.append(error)

        gather(journal, [threading.Thread(target=store, args=(peer,)) for peer in ("a", "\ud800", "b")])
        assert [type(error) for error in errors] == [UnicodeEncodeError]
        assert set(journal.peers()) == {"nobody", "a", "b"}


def test_an_error_of_then_reaches_its_caller_and_nobody_else(path: str) -> None:
    def fail(_: str, __: list[Stored]) -> None:
        raise ZeroDivisionError

    with Journal(path) as journal:
        with pytest.raises(ZeroDivisionError):
            journal.store("arm", 4, [b"stored nevertheless"], fail)
        assert journal.store("arm", 4, [b"next"]) == [2]
        assert len(journal.waiting("arm", 4)) == 2


class Interrupted:
    """A database whose next COMMIT meets with Ctrl-C, right before it or right after it."""

    def __init__(self, db: sqlite3.Connection, after: bool) -> None:
        self.db = db
        self.after = after
        self.waits = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.db, name)

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Any:
        if statement != "COMMIT" or not self.waits:
            return self.db.execute(statement, values)
        self.waits = False
        if self.after:
            self.db.execute(statement)
        raise KeyboardInterrupt


@pytest.mark.parametrize("after", [False, True])
def test_an_interrupt_in_one_thread_loses_and_doubles_nothing_of_the_others(path: str, after: bool) -> None:
    told: list[Stored] = []
    stored: list[bytes] = []
    interrupted: list[bytes] = []
    with Journal(path) as journal:

        def store(payload: bytes) -> None:
            try:
                journal.store("arm", 4, [payload], partial(tell, told))
                stored.append(payload)
            except KeyboardInterrupt:
                interrupted.append(payload)

        def put_in_the_way() -> None:
            db = journal._file.db
            journal._file.db = Interrupted(db, after)  # type: ignore[assignment]

        calls = [threading.Thread(target=store, args=(payload,)) for payload in (b"a", b"b", b"c")]
        gather(journal, calls, put_in_the_way)
        assert len(interrupted) == 1
        assert len(stored) == 2
        kept = [found.payload for found in journal.waiting("arm", 4)]
        assert sorted(kept) == sorted(stored + interrupted if after else stored)
        assert journal.waiting("arm", 4) == told
        assert journal._outbox.messages == len(kept) + 1


def test_forgetting_waits_for_nobody(path: str) -> None:
    """Not even for a commit that is under way: whoever is at the file deletes it after letting go."""
    with Journal(path) as journal:
        seqs = journal.store("arm", 4, [b"a", b"b"])
        record = journal.take_in("arm", came(1))

        def while_under_way(_: str, __: list[Stored]) -> None:
            journal.forget(seqs)
            journal.dealt(record)

        journal.store("base", 4, [b"c"], while_under_way)
        assert journal._outbox.gone == journal._inbox.gone == set()
        assert journal.peers() == {"base": (1, 1)}
        assert journal.left() == []


def test_many_threads_at_once(path: str) -> None:
    told: list[Stored] = []
    with Journal(path) as journal:

        def work(number: int) -> None:
            origin = b"thread%02d" % number
            for turn in range(1, 21):
                seqs = journal.store(f"peer{number}", 4, [b"x" * turn] * turn, partial(tell, told))
                journal.forget(seqs[1:])
                records = came(turn, turn + 1, origin=origin)
                journal.dealt(journal.take_in(f"peer{number}", records))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [stored.seq for stored in told] == list(range(1, 6 * 210 + 1))
        assert journal.left() == []
        assert journal.peers() == {f"peer{number}": (20, 210) for number in range(6)}
        assert (journal._outbox.messages, journal._inbox.messages) == (120, 0)


# Opening and closing -------------------------------------------------------------------------------------------------


def test_after_closing_everything_is_an_error(path: str) -> None:
    journal = Journal(path)
    (record,) = journal.take_in("arm", came(1))
    journal.close()
    journal.close()
    calls = (
        partial(journal.store, "arm", 4, [b"x"]),
        partial(journal.waiting, "arm", 4),
        partial(journal.forget, [1]),
        partial(journal.take_in, "arm", came(2)),
        partial(journal.dealt, [record]),
        partial(journal.left),
        partial(journal.peers),
    )
    for call in calls:
        with pytest.raises(JournalError, match="is closed"):
            call()
    assert not os.path.exists(path + "-wal")


def test_it_may_be_closed_by_another_thread(path: str) -> None:
    journal = Journal(path)
    closer = threading.Thread(target=journal.close)
    closer.start()
    closer.join()
    with Journal(path):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions")
def test_its_files_are_for_its_owner_alone(path: str) -> None:
    with Journal(path) as journal:
        journal.store("arm", 4, [b"x"])
        for name in (path, path + "-wal"):
            assert stat.S_IMODE(os.stat(name).st_mode) == 0o600


def test_the_home_folder_is_meant_by_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    with Journal("~/journal") as journal:
        assert journal.path == str(tmp_path / "journal")


def test_a_path_may_be_relative_and_strange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = ":memory:" if sys.platform != "win32" else "strange"
    with Journal(Path(name)) as journal:
        journal.store("arm", 4, [b"x"])
        monkeypatch.chdir("/")
        journal.store("arm", 4, [b"y"])
    with Journal(tmp_path / name) as journal:
        assert len(journal.waiting("arm", 4)) == 2


HOLDER = "import sys; from leadscomm.journal.journal import Journal; j = Journal(sys.argv[1]); print(); input()"


def test_one_program_at_a_time_and_the_other_one_is_named(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_file, "BUSY_S", 0.0)
    command = [sys.executable, "-c", HOLDER, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(JournalError, match=r"in use by .*; give each program a journal of its own") as caught:
            Journal(path)
        holder.communicate(b"\n")
    if sys.platform == "linux":
        assert f"process {holder.pid}" in str(caught.value) or "another program" in str(caught.value)
    with Journal(path) as journal:
        with pytest.raises(JournalError, match="in use by this program itself"):
            Journal(path)
        journal.store("arm", 4, [b"the lock is still there"])
        with pytest.raises(JournalError, match="in use"):
            Journal(path)


def bytes_of(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


@pytest.mark.parametrize("content", [b"xy", b"no database", b"text\n" * 1000, bytes(8192), b"SQLite format 3\0" * 300])
def test_a_foreign_file_is_left_alone(path: str, content: bytes) -> None:
    Path(path).write_bytes(content)
    with pytest.raises(JournalError, match="damaged, or no journal"):
        Journal(path)
    assert bytes_of(path) == content
    assert os.listdir(os.path.dirname(path)) == ["journal"]


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_foreign_database_is_left_alone(path: str, mode: str) -> None:
    other = sqlite3.connect(path)
    other.execute(f"PRAGMA journal_mode={mode}")
    other.execute("CREATE TABLE outbox(something)")
    other.commit()
    other.close()
    before = bytes_of(path)
    with pytest.raises(JournalError, match="a database of another program"):
        Journal(path)
    assert bytes_of(path) == before


def test_an_empty_file_becomes_a_journal(path: str) -> None:
    Path(path).touch()
    with Journal(path) as journal:
        assert journal.store("arm", 4, [b"x"]) == [1]


def test_another_version_is_told(path: str) -> None:
    Journal(path).close()
    file = sqlite3.connect(path)
    file.execute("PRAGMA user_version=3")
    file.close()
    with pytest.raises(JournalError, match="a journal of version 3, and this leadscomm knows version 2"):
        Journal(path)


@pytest.mark.parametrize("seed", range(5))
def test_damage_is_told_and_not_made_worse(path: str, seed: int) -> None:
    with Journal(path) as journal:
        for _ in range(10):
            journal.store("arm", 4, [b"x" * 900] * 10)
    content = bytearray(bytes_of(path))
    rng = random.Random(seed)
    page = rng.randrange(1, len(content) // 4096)
    content[page * 4096 : page * 4096 + 4096] = rng.randbytes(4096)
    Path(path).write_bytes(content)
    with pytest.raises(JournalError, match="damaged, or no journal"):
        Journal(path)
    assert bytes_of(path) == content


def test_a_file_that_was_cut_off_is_damaged(path: str) -> None:
    with Journal(path) as journal:
        journal.store("arm", 4, [b"x" * 900] * 100)
    os.truncate(path, 8192)
    with pytest.raises(JournalError, match="damaged"):
        Journal(path)
    assert os.path.getsize(path) == 8192


def test_places_where_there_can_be_none(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be made: No such file or directory"):
        Journal(tmp_path / "missing" / "journal")
    with pytest.raises(JournalError, match=tmp_path.name):
        Journal(tmp_path)
    with pytest.raises(OSError, match="cannot be made"):
        Journal(tmp_path / "missing" / "journal")
