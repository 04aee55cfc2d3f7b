"""Journals on disks that are full: nothing is half stored, what is stored can be read and forgotten, and room helps."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leadscomm import JournalFull
from leadscomm.journal.journal import Journal
from leadscomm.journal.records import Record

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tmpfs and limits of Linux")


@pytest.fixture
def small_disk(tmp_path: Path, require_tool: Callable[..., None]) -> Iterator[Path]:
    """A file system of 256 KiB."""
    require_tool("root", "run the tests as root", found=os.geteuid() == 0)
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True)
    require_tool("mount", f"allow it ({mounted.stderr.decode().strip()})", found=mounted.returncode == 0)
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(journal: Journal, size: int) -> list[int]:
    """Store messages until there is no room for another."""
    seqs: list[int] = []
    with pytest.raises(JournalFull, match=r"no room; nothing was stored .* Free some of the disk") as caught:
        while True:
            seqs += journal.store("arm", 4, [bytes([len(seqs) % 256]) * size])
    assert isinstance(caught.value, OSError)
    return seqs


def stored(journal: Journal) -> list[int]:
    return [found.seq for found in journal.waiting("arm", 4, limit=10**9)]


@pytest.mark.parametrize("size", [10, 900, 3000, 20_000])
@pytest.mark.parametrize("restart", [False, True])
def test_a_full_disk(small_disk: Path, size: int, restart: bool) -> None:
    path = small_disk / "journal"
    journal = Journal(path)
    seqs = fill(journal, size)
    assert len(seqs) * size > 20_000
    if restart:
        journal.close()
        journal = Journal(path)
    with journal:
        assert stored(journal) == seqs
        assert [len(found.payload) for found in journal.waiting("arm", 4, limit=10**9)] == [size] * len(seqs)
        with pytest.raises(JournalFull):
            journal.take_in("arm", [Record(b"sender's", 1, 4, bytes(size + 30_000))])
        assert journal.left() == []
        for _ in range(2):  # what is forgotten makes room, again and again
            journal.forget(seqs)
            assert journal._outbox.gone == set()
            assert stored(journal) == []
            again = fill(journal, size)
            assert len(again) >= 0.95 * len(seqs)
            assert stored(journal) == again
            seqs = again
    with Journal(path) as journal:
        assert stored(journal) == seqs


def test_what_is_forgotten_one_by_one_makes_room_on_a_full_disk(small_disk: Path) -> None:
    with Journal(small_disk / "journal") as journal:
        waiting = fill(journal, 5000)
        for _ in range(100):
            for _ in range(4):
                journal.forget([waiting.pop(0)])
                assert journal._outbox.gone == set()
            waiting += journal.store("arm", 4, [bytes(5000)])
            waiting += fill(journal, 5000)
        assert stored(journal) == waiting


def test_a_disk_that_others_have_filled(small_disk: Path) -> None:
    """Nothing can be written at all. What is stored can be read; what is forgotten is, at the latest with room."""
    path = small_disk / "journal"
    with Journal(path) as journal:
        seqs = journal.store("arm", 4, [b"x" * 1000] * 30)
        (record,) = journal.take_in("base", [Record(b"sender's", 1, 4, b"came")])
        with open(small_disk / "other", "wb", buffering=0) as other, pytest.raises(OSError, match="No space left"):
            while True:
                other.write(bytes(4096))
        with pytest.raises(JournalFull):
            journal.store("arm", 4, [b"x"])
        with pytest.raises(JournalFull):
            journal.take_in("base", [Record(b"sender's", 2, 4, b"came too")])
        assert stored(journal) == seqs
        journal.forget(seqs[:10])
        journal.dealt([record])
        assert stored(journal) == seqs[10:]
        assert journal.left() == []
    with Journal(path) as journal:  # opened while nothing can be written
        assert set(stored(journal)) >= set(seqs[10:])
        journal.forget(seqs[:10])
        os.unlink(small_disk / "other")
        assert journal.store("arm", 4, [b"x"]) == [31]
        assert [found.seq for found in journal.take_in("base", [Record(b"sender's", 2, 4, b"came too")])] == [2]
    with Journal(path) as journal:
        assert stored(journal) == [*seqs[10:], 31]


def test_there_is_no_room_for_the_file_itself(small_disk: Path) -> None:
    with open(small_disk / "other", "wb", buffering=0) as other, pytest.raises(OSError, match="No space left"):
        while True:
            other.write(bytes(4096))
    with pytest.raises(JournalFull, match="no room"):
        Journal(small_disk / "journal")
    os.unlink(small_disk / "other")
    with Journal(small_disk / "journal") as journal:
        assert journal.store("arm", 4, [b"x"]) == [1]


LIMITED = """
import resource, sys
from leadscomm import JournalFull
from leadscomm.journal.journal import Journal

limit = 300_000
with Journal(sys.argv[1]) as journal:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    seqs = []
    try:
        while True:
            seqs += journal.store("arm", 4, [bytes(1000)])
    except JournalFull as error:
        assert "raise what limits the file's size" in str(error), error
    assert [found.seq for found in journal.waiting("arm", 4, limit=10**9)] == seqs
    assert len(seqs) > 50
    journal.forget(seqs[:10])
    assert [found.seq for found in journal.waiting("arm", 4, limit=10**9)] == seqs[10:]
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    seqs += journal.store("arm", 4, [bytes(1000)])
    assert not journal._outbox.gone
with Journal(sys.argv[1]) as journal:
    assert [found.seq for found in journal.waiting("arm", 4, limit=10**9)] == seqs[10:]
print(len(seqs))
"""


def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    """Which no look at the disk foretells; without root."""
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "journal")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
