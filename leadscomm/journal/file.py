"""The file of a journal: an SQLite database that is opened by one program at a time, and synced by what it commits.

How it is written, and why:

- As a write-ahead log: a commit is one write to the end of ``<path>-wal`` and one sync. A rollback journal takes four
  syncs, and the sync is what takes the time.
- ``synchronous=FULL``: a commit has reached the disk when it returns. Commits that nobody waits for do without; they
  survive the end of the process at once, and the loss of power with the next one that is synced.
- ``locking_mode=EXCLUSIVE``: one program at a time, without shared memory, thus also where there is none.
- ``secure_delete=OFF``: deleted messages are not overwritten, which would write each of them twice.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import shutil
import sqlite3
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from leadscomm.connections.shortage import why
from leadscomm.errors import JournalError, JournalFull
from leadscomm.holders import holders

APPLICATION_ID: Final = 0x4C434A31
"""What an SQLite file says of itself, at byte 68: ``LCJ1``."""
SCHEMA: Final = 2
"""The version of the tables."""
BUSY_S: Final = 1.0
"""How long somebody who is just looking into the file, or closing it, is waited for."""
PAGE: Final = 4096
FRAME: Final = PAGE + 24
"""Bytes of a page in the write-ahead log."""
FIXED_PAGES: Final = 8
"""Pages that a commit writes whatever it stores, at most: indexes, the free list, the first page."""
SPARE: Final = 64 * 1024
"""Bytes of the disk that no message takes: what is stored can still be forgotten in them."""
AMPLE: Final = 16 * 1024 * 1024
"""Bytes of the disk with which nothing is counted; several times what the log holds."""
LARGE: Final = 16 * 1024 * 1024
"""Bytes of a file that is made small again when it holds no message."""

_TABLES: Final = """
CREATE TABLE journal(origin BLOB NOT NULL, last_seq INTEGER NOT NULL);
CREATE TABLE outbox(seq INTEGER PRIMARY KEY, peer TEXT NOT NULL, lane INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE INDEX outbox_lanes ON outbox(peer, lane);
CREATE TABLE inbox(arrival INTEGER PRIMARY KEY, peer TEXT NOT NULL, origin BLOB NOT NULL, seq INTEGER NOT NULL,
 lane INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE seen(origin BLOB NOT NULL, lane INTEGER NOT NULL, seq INTEGER NOT NULL, used INTEGER NOT NULL,
 PRIMARY KEY(origin, lane)) WITHOUT ROWID;
"""
_ADDED_IN_2: Final = """
ALTER TABLE outbox ADD COLUMN sum INTEGER;
ALTER TABLE inbox ADD COLUMN sum INTEGER;
ALTER TABLE seen ADD COLUMN sum INTEGER;
CREATE TABLE origins(first INTEGER PRIMARY KEY, origin BLOB NOT NULL, sum INTEGER NOT NULL);
"""
"""Checksums, which rows of version 1 do not have; and from which number on the journal has had which origin."""
_SETTINGS: Final = (
    "PRAGMA synchronous=FULL",
    "PRAGMA fullfsync=1",  # macOS: through the disk's own cache as well
    "PRAGMA checkpoint_fullfsync=1",
    "PRAGMA secure_delete=OFF",
    "PRAGMA temp_store=MEMORY",
)


_files: Final[weakref.WeakSet[JournalFile]] = weakref.WeakSet()


class JournalFile:
    """The open file. One thread at a time.

    :param path: absolute; made if it is not there, for its owner alone.
    :ivar committed: whether the last transaction was.
    :ivar made: whether it was made just now.
    :raises JournalError: it cannot be opened, is in use, or is no journal; nothing was changed.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.committed = False
        self.made = False
        self.closed = False
        self._syncs = True
        _make(path)
        _files.add(self)
        with self._explained():
            self.db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                self._open()
            except BaseException:
                self.db.close()
                raise

    def _open(self) -> None:
        self.db.execute("PRAGMA locking_mode=EXCLUSIVE")
        tables = self._number("SELECT count(*) FROM sqlite_master")
        identity = self._number("PRAGMA application_id")
        version = self._number("PRAGMA user_version")
        if not tables and identity in (0, APPLICATION_ID):
            self._create()
        elif identity != APPLICATION_ID:
            raise JournalError(f"{self.path}: a database of another program; give the journal a path of its own")
        elif version not in (1, SCHEMA):
            text = f"{self.path}: a journal of version {version}, and this leadscomm knows version {SCHEMA}"
            raise JournalError(f"{text}: open it with the leadscomm that wrote it, or take another path")
        for setting in _SETTINGS:
            self.db.execute(setting)
        found = self.db.execute("PRAGMA integrity_check(1)").fetchone()[0]  # indexes too: what they hide is not sent
        if found != "ok":
            raise sqlite3.DatabaseError(f"malformed: {found}")
        if version == 1 and not self.made:
            with self.transaction():
                self._execute_all(_ADDED_IN_2)

    def _create(self) -> None:
        """Make the tables, in one commit that also syncs the folder."""
        self.db.execute(f"PRAGMA page_size={PAGE}")
        self.db.execute("PRAGMA journal_mode=WAL")
        with self.transaction():
            self._execute_all(_TABLES + _ADDED_IN_2)
            self.db.execute(f"PRAGMA application_id={APPLICATION_ID}")
            self.db.execute("INSERT INTO journal VALUES(?, 0)", (secrets.token_bytes(8),))
        self.move()  # so that without its log the file is a journal still, and the same one
        self.made = True

    def _execute_all(self, statements: str) -> None:
        for statement in statements.split(";")[:-1]:
            self.db.execute(statement)
        self.db.execute(f"PRAGMA user_version={SCHEMA}")

    def _number(self, query: str) -> int:
        return int(self.db.execute(query).fetchone()[0])

    def disown(self) -> None:
        """This process was forked, and the file is its parent's. SQLite's own end of it would move and delete the log
        that the parent goes on writing: it never comes, since the child keeps the database for good."""
        self.closed = True
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(getattr(self, "db", None)))

    def close(self) -> None:
        """Move the log into the file, and let go of both."""
        if not self.closed:
            self.closed = True
            with self._explained():
                self.db.close()

    # Reading and writing ---------------------------------------------------------------------------------------------

    def read(self, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query.

        :raises JournalError: the file is damaged.
        """
        with self._explained():
            yield from self.db.execute(query, values)

    @contextmanager
    def transaction(self, synced: bool = True) -> Iterator[None]:
        """What is written inside is committed as one, or not at all if anything is raised.

        It was committed nevertheless if something that has nothing to do with it, such as KeyboardInterrupt, comes
        up after that: ``committed`` tells.

        :param synced: it has reached the disk in the end.
        :raises JournalFull: there is no room.
        :raises JournalError: the file is damaged.
        """
        self.committed = refused = False
        with self._explained():
            if synced != self._syncs:
                self.db.execute(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
                self._syncs = synced
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except sqlite3.Error:
                refused = True
                raise
            finally:
                self.committed = not (refused or self.db.in_transaction)
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                if refused:
                    self._bury()

    def _bury(self) -> None:
        """Write over what a commit that failed has left in the log. If only its sync failed, it is there as a whole,
        and would count if the program ended now."""
        with suppress(sqlite3.Error):
            self.db.execute("PRAGMA synchronous=NORMAL")
            self._syncs = False
            self.db.execute("UPDATE journal SET last_seq = last_seq + 1")  # a gap; the same value would write nothing

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _explain(self.path, error) from error
        except UnicodeDecodeError as error:  # SQLite quotes what it cannot read, and Python cannot read that
            raise damaged(self.path, error.reason) from error

    # Room ------------------------------------------------------------------------------------------------------------

    def make_room(self, sizes: Sequence[int]) -> None:
        """See that rows of these sizes can be written, and later be moved from the log into the file.

        What is in the log and finds no room in the file keeps the log from ever becoming empty; then nothing could
        be forgotten either. So nothing is stored that would leave less than ``SPARE`` of the disk.

        :raises JournalFull: there is no room for them.
        """
        if self._free() >= AMPLE + 4 * sum(sizes):
            return
        self.move()
        if not sizes:
            return
        pages = _pages(sizes)
        growth = max(0, pages - self._number("PRAGMA freelist_count"))
        if self._free() < growth * PAGE + max((pages + FIXED_PAGES) * FRAME, SPARE):
            raise _full(self.path, f"{self._free()} bytes of the disk are free")

    def _free(self) -> int:
        try:
            return shutil.disk_usage(os.path.dirname(self.path)).free
        except OSError:  # then writing will tell
            return AMPLE

    def move(self) -> None:
        """Move what is in the log into the file, and give the log's room back, if that is possible."""
        with suppress(sqlite3.Error):
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def shrink(self) -> None:
        """Give back the room of a file that was large once, and holds next to nothing now, if that is possible."""
        if self._number("PRAGMA page_count") * PAGE > LARGE:
            with suppress(sqlite3.Error):
                self.db.execute("VACUUM")
            self.move()


def _pages(sizes: Sequence[int]) -> int:
    """How many pages rows of these sizes take at most. Of small ones a page may hold more than half its bytes only."""
    large = [size for size in sizes if size > PAGE // 2]
    small = sum(sizes) - sum(large)
    return sum(size // (PAGE - 4) + 2 for size in large) + 2 * small // PAGE + 1


def _make(path: str) -> None:
    """Make an empty file that its owner alone may read. One that is there is not even opened: to close it again would
    take away the lock of whoever has it open in this process."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(path, error.strerror or "") from error
        raise JournalError(f"{path}: cannot be made: {why(error)}") from error


def _explain(path: str, error: sqlite3.Error) -> JournalError:
    """SQLite's words as an error of ours. (Its numbers are known to Python from 3.11 on.)"""
    text = str(error)
    if "is full" in text or "I/O error" in text:
        return _full(path, text)
    if "locked" in text:
        others = ", ".join(map(str, holders(path))) or "this program itself, or one that the system does not tell of"
        return JournalError(f"{path}: in use by {others}; give each program a journal of its own, or end the other one")
    if "unable to open" in text:
        mend = "it, or a file beside it, cannot be opened: are there rights to them and their folder, and descriptors"
        return JournalError(f"{path}: {text}; {mend} (`ulimit -n`)?")
    if any(word in text for word in ("malformed", "not a database", "decode")):
        return damaged(path, text)
    return JournalError(f"{path}: {text}")


def damaged(path: str, seen: str) -> JournalError:
    """The error for a file whose content cannot be trusted."""
    mend = "give the journal another path; what can be saved of a damaged one, sqlite3's .recover saves"
    return JournalError(f"{path}: damaged, or no journal ({seen}); nothing was changed; {mend}")


def _full(path: str, seen: str) -> JournalFull:
    return JournalFull(
        f"{path}: no room; nothing was stored ({seen}). Free some of the disk, or raise what limits the file's size; "
        "what waits is kept, and sent as soon as its peer is there"
    )


def _forked() -> None:
    for file in list(_files):
        if not file.closed:
            file.disown()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forked)
