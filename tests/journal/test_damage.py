"""Journals that were damaged, cut short, copied or brought back: no name of a message is used again, so that no
receiver takes what is new for what it knows; and what is missing is said."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leadscomm import Client, JournalError, Server
from leadscomm.journal.journal import Journal
from leadscomm.journal.records import FAMILY, OPENINGS, Duplicates, Record
from tests.entities.recorder import Recorder

PEER = "base"


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "receiver") as journal:
        yield journal


def deliver(sender: Journal, receiver: Journal) -> list[bytes]:
    """Bring all that waits to the receiver; what is new there."""
    waiting = sender.waiting(PEER, 4, limit=10**9)
    new = receiver.take_in(
        "arm", [Record(sender.origin_of(stored.seq), stored.seq, 4, stored.payload) for stored in waiting]
    )
    receiver.dealt(new)
    return [record.payload for record in new]


def crashed(path: Path, receiver: Journal, count: int = 50) -> None:
    """A journal whose program stored and delivered, and was killed: its three files, as they are then."""
    work = path.with_name("work")
    with Journal(work) as journal:
        for number in range(count):
            journal.store(PEER, 4, [b"first-%d" % number])
        deliver(journal, receiver)
        for end in ("", "-wal", "-mark"):
            shutil.copy(f"{work}{end}", f"{path}{end}")


def log_of(path: Path) -> Path:
    return Path(f"{path}-wal")


def cut(path: Path) -> None:
    os.truncate(log_of(path), os.path.getsize(log_of(path)) // 5)


def cut_to_nothing(path: Path) -> None:
    os.truncate(log_of(path), 0)


def take_away(path: Path) -> None:
    log_of(path).unlink()


def zeros(path: Path) -> None:
    content = bytearray(log_of(path).read_bytes())
    content[len(content) // 3 : len(content) // 3 + 5000] = bytes(5000)
    log_of(path).write_bytes(content)


def flip(path: Path) -> None:
    content = bytearray(log_of(path).read_bytes())
    content[len(content) // 2] ^= 4
    log_of(path).write_bytes(content)


@pytest.mark.parametrize("damage", [cut, cut_to_nothing, take_away, zeros, flip])
def test_what_is_stored_after_damage_to_the_log_arrives_and_what_is_missing_is_told(
    tmp_path: Path, receiver: Journal, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal"
    crashed(path, receiver)
    damage(path)
    with Journal(path) as journal:
        kept = journal.peers().get(PEER, (0, 0))[0]
        assert kept < 50
        assert str(path) in str(journal.lost)
        assert f"the last {50 - kept} message(s) that were to be sent from here" in str(journal.lost)
        assert str(journal.lost) in caplog.text
        new = [b"second-%d" % number for number in range(50)]
        journal.store(PEER, 4, new)
        assert deliver(journal, receiver) == new  # and what it had kept was known already
        assert deliver(journal, receiver) == []


def test_a_crash_alone_loses_nothing_and_says_nothing(tmp_path: Path, receiver: Journal) -> None:
    path = tmp_path / "journal"
    crashed(path, receiver)
    with Journal(path) as journal:
        assert journal.lost is None
        assert deliver(journal, receiver) == []
        journal.store(PEER, 4, [b"next"])
        assert deliver(journal, receiver) == [b"next"]
    assert not os.path.exists(f"{path}-mark")


def test_the_last_commit_of_a_crash_may_be_half_written(tmp_path: Path, receiver: Journal) -> None:
    """What was not committed is no loss: nobody was told that it is stored."""
    path = tmp_path / "journal"
    crashed(path, receiver)
    with open(log_of(path), "ab") as log:
        log.write(bytes(1000))
    with Journal(path) as journal:
        assert journal.lost is None


def test_what_came_and_is_missing_is_told(tmp_path: Path) -> None:
    path, work = tmp_path / "journal", tmp_path / "work"
    with Journal(work) as journal:
        for seq in range(1, 6):
            journal.take_in("arm", [Record(b"sender's", seq, 4, b"x")])
        for end in ("", "-mark"):
            shutil.copy(f"{work}{end}", f"{path}{end}")
    with Journal(path) as journal:
        assert "the last 0 message(s) that were to be sent from here and the last 5 that came" in str(journal.lost)


@pytest.mark.parametrize("more", [False, True])
def test_a_backup_that_is_brought_back_and_a_copy_number_anew(tmp_path: Path, receiver: Journal, more: bool) -> None:
    path, backup = tmp_path / "journal", tmp_path / "backup"
    with Journal(path) as journal:
        journal.store(PEER, 4, [b"first"])
        deliver(journal, receiver)
    shutil.copy(path, backup)
    with Journal(path) as journal:
        journal.store(PEER, 4, [b"second"])
        assert deliver(journal, receiver) == [b"second"]
    with Journal(backup) as journal:
        assert journal.store(PEER, 4, [b"third"]) == [2]
        assert deliver(journal, receiver) == [b"third"]
        assert journal.origin_of(1) != journal.origin_of(2)
        assert len({journal.origin_of(seq)[:FAMILY] for seq in (1, 2)}) == 1


def test_what_is_stored_keeps_its_name_through_all_openings(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    names: dict[int, bytes] = {}
    for number in range(1, 6):
        with Journal(path) as journal:
            (seq,) = journal.store(PEER, 4, [b"%d" % number])
            names[seq] = journal.origin
            waiting = [stored.seq for stored in journal.waiting(PEER, 4)]
            assert [journal.origin_of(seq) for seq in waiting] == [names[seq] for seq in waiting]
            if number == 3:
                journal.forget([1, 2])
    assert len(set(names.values())) == 5
    with sqlite3.connect(path) as file:
        assert [first for (first,) in file.execute("SELECT first FROM origins ORDER BY first")] == [3, 4, 5]
    file.close()


def test_an_opening_that_stores_nothing_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path).close()
    before = path.read_bytes()
    Journal(path).close()
    assert path.read_bytes() == before


def test_a_file_that_was_put_in_its_place_after_a_crash_is_told(tmp_path: Path, receiver: Journal) -> None:
    path = tmp_path / "journal"
    crashed(path, receiver)
    path.unlink()
    log_of(path).unlink()
    with Journal(path) as journal:
        assert "another file is in its place" in str(journal.lost)
    with Journal(path) as journal:
        assert journal.lost is None


@pytest.mark.parametrize("content", [b"", b"short", bytes(28), b"LCM1" + bytes(28)])
def test_a_mark_that_makes_no_sense_says_nothing(tmp_path: Path, content: bytes) -> None:
    Path(f"{tmp_path}/journal-mark").write_bytes(content)
    with Journal(tmp_path / "journal") as journal:
        assert journal.lost is None


def test_a_mark_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    os.symlink(precious, tmp_path / "journal-mark")
    with Journal(tmp_path / "journal") as journal:
        journal.store(PEER, 4, [b"x"])
    assert precious.read_bytes() == b"precious"


# The file itself -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_a_bit_in_any_page_is_refused_or_does_no_harm(tmp_path: Path, seed: int) -> None:
    """Of sender and receiver: no message arrives changed, and no new one is taken for a known one."""
    path, rng = tmp_path / "journal", random.Random(seed)
    payloads = [b"first-%d " % number + bytes(rng.randrange(3000)) for number in range(8)]
    with Journal(path) as journal:
        for payload in payloads:
            journal.store(PEER, 4, [payload])
        journal.take_in("arm", [Record(b"sender-%d" % number, 5, 4, b"came") for number in range(3)])
    content = path.read_bytes()
    refused = 0
    for _ in range(60):
        damaged = bytearray(content)
        damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            with Journal(path) as journal:
                assert {stored.payload for stored in journal.waiting(PEER, 4, limit=10**9)} <= set(payloads)
                fresh = [Record(b"sender-%d" % number, 6, 4, b"new") for number in range(3)]
                assert len(journal.take_in("arm", fresh)) == 3
                assert journal.store(PEER, 4, [b"new"])
                assert journal.origin not in {journal.origin_of(stored.seq) for stored in journal.waiting(PEER, 4)[:-1]}
        except JournalError:
            refused += 1
        for end in ("-wal", "-mark"):
            Path(f"{path}{end}").unlink(missing_ok=True)
    assert 0 < refused < 60


def test_a_mark_of_what_came_that_was_changed_is_refused(tmp_path: Path) -> None:
    """Otherwise all that this sender sends from now on would be acknowledged and dropped."""
    path = tmp_path / "journal"
    with Journal(path) as journal:
        journal.dealt(journal.take_in("arm", [Record(b"sender's", 0x123456, 4, b"x")]))
    content = path.read_bytes()
    place = content.rindex(b"\x12\x34\x56", 0, len(content))
    path.write_bytes(content[:place] + b"\x52" + content[place + 1 :])
    with pytest.raises(JournalError, match="a row of seen, number 1, is not as it was written"):
        Journal(path)


def test_a_journal_of_the_first_version_opens_and_keeps_its_names(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    file = sqlite3.connect(path)
    file.executescript(
        """
        CREATE TABLE journal(origin BLOB NOT NULL, last_seq INTEGER NOT NULL);
        CREATE TABLE outbox(seq INTEGER PRIMARY KEY, peer TEXT NOT NULL, lane INTEGER NOT NULL, payload BLOB NOT NULL);
        CREATE INDEX outbox_lanes ON outbox(peer, lane);
        CREATE TABLE inbox(arrival INTEGER PRIMARY KEY, peer TEXT NOT NULL, origin BLOB NOT NULL, seq INTEGER NOT NULL,
         lane INTEGER NOT NULL, payload BLOB NOT NULL);
        CREATE TABLE seen(origin BLOB NOT NULL, lane INTEGER NOT NULL, seq INTEGER NOT NULL, used INTEGER NOT NULL,
         PRIMARY KEY(origin, lane)) WITHOUT ROWID;
        PRAGMA application_id=1279478321; PRAGMA user_version=1; PRAGMA journal_mode=WAL;
        INSERT INTO journal VALUES(x'0011223344556677', 7);
        INSERT INTO outbox VALUES(8, 'base', 4, x'61');
        INSERT INTO inbox VALUES(3, 'arm', x'6f726967696e2d31', 5, 4, x'62');
        INSERT INTO seen VALUES(x'6f726967696e2d31', 4, 5, 3);
        """
    )
    file.close()
    for _ in range(2):
        with Journal(path) as journal:
            assert journal.lost is None
            assert journal.origin_of(8) == bytes.fromhex("0011223344556677")
            assert journal.waiting(PEER, 4)[0].payload == b"a"
            assert [record.payload for record in journal.left()] == [b"b"]
            assert journal.take_in("arm", [Record(b"origin-1", 5, 4, b"b")]) == []
            (seq,) = journal.store(PEER, 4, [b"c"])
            assert seq >= 9
            assert journal.origin_of(seq) == journal.origin != journal.origin_of(8)


# Who forgets whom ----------------------------------------------------------------------------------------------------


def test_a_journal_that_is_opened_again_and_again_does_not_make_the_others_forgotten() -> None:
    table = Duplicates(most=OPENINGS + 10)
    table.note([Record(b"one-others", 5, 4, b"")])
    origins = [b"two%05d" % number for number in range(OPENINGS + 100)]
    forgotten = table.note([Record(origin, 5, 4, b"") for origin in origins])
    assert forgotten == origins[:100]
    assert table.new([Record(b"one-others", 5, 4, b"")]) == []
    assert table.new([Record(origins[-1], 5, 4, b"")]) == []


# Told to whom it concerns --------------------------------------------------------------------------------------------


def test_made_up_origins_push_nobody_elses_out() -> None:
    """An address that brings ever new ones forgets its own; who comes from another address then is known by that."""
    table = Duplicates(most=100)
    honest = [Record(b"honest%02d" % number, 5, 4, b"", source=f"192.0.2.{number}") for number in range(20)]
    table.note(honest)
    for number in range(1000):
        table.note([Record(b"%08d" % number, 1, 4, b"", source=f"198.51.100.{number % 3}")])
    assert table.new(honest) == []
    newest = Record(b"%08d" % 999, 1, 4, b"")
    assert table.new([newest]) == []
    table.note([newest._replace(source="192.0.2.99")])
    assert len(table._highest) == len(table._sources) == sum(table._counts.values()) == 100
    assert table._sources[newest.origin] == "192.0.2.99"


def test_on_fail_is_told_of_what_is_missing_and_the_next_messages_arrive(tmp_path: Path, receiver: Journal) -> None:
    path = tmp_path / "journal"
    crashed(path, receiver)
    receiver.close()
    cut(path)
    told, sender = Recorder(), Recorder()
    server = Server("tcp://127.0.0.1:0?reliable=1", told, durable=tmp_path / "receiver")
    with server, Client(server.endpoint, sender, durable=path) as client:
        client.send(b"after the damage")
        assert told.wait("receive", 1) == [b"after the damage"]
        (error,) = sender.wait("fail", 1)
        assert isinstance(error, JournalError)
        assert str(path) in str(error)


def test_a_journal_whose_name_is_gone_is_refused(tmp_path: Path) -> None:
    """A page that was written in another's place, which SQLite finds nothing wrong with."""
    path = tmp_path / "journal"
    for change in (
        "DELETE FROM journal",
        "UPDATE journal SET last_seq = 9223372036854775807",
        "UPDATE journal SET origin = x'00'",
    ):
        path.unlink(missing_ok=True)
        Journal(path).close()
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute(change)
            database.commit()
        with pytest.raises(JournalError, match="the row that names it"):
            Journal(path)


def test_damage_that_sqlite_cannot_quote_is_told(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path).close()
    content = path.read_bytes()
    place = content.index(b"CREATE INDEX")
    path.write_bytes(content[:place] + b"CRE\xb2TE" + content[place + 6 :])
    with pytest.raises(JournalError, match="damaged"):
        Journal(path)
