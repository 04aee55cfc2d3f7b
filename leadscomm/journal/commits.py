"""Group commit: threads that have something to write at the same time share one commit, and so one sync.

There is no thread for it. Whoever gets the turn writes for all who have gathered while the last commit was under way.
The others wait until their work is done or the turn is free, and do not have to get the turn to learn that it is done:
they would stand in line behind the next commit.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from leadscomm.connections.waiting import interrupted
from leadscomm.errors import JournalError, JournalFull
from leadscomm.journal.file import JournalFile
from leadscomm.journal.tables import MessageTable


class Write(ABC):
    """What one caller wants written. All methods are called with the turn held."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.done = False

    @abstractmethod
    def sizes(self) -> Sequence[int]:
        """Bytes of the rows that it adds."""

    @abstractmethod
    def apply(self) -> None:
        """Write, inside a transaction."""

    def revert(self) -> None:
        """Forget what :meth:`apply` has noted in memory: it was not committed."""

    @abstractmethod
    def settle(self) -> None:
        """Note that it was committed. It must not fail."""


class Clearing(Write):
    """The end of messages that nobody needs any more."""

    def __init__(self, table: MessageTable, keys: Sequence[int]) -> None:
        super().__init__()
        self._table = table
        self._keys = keys
        self._found = (0, 0)

    def sizes(self) -> Sequence[int]:
        return ()

    def apply(self) -> None:
        self._found = self._table.delete(self._keys)

    def settle(self) -> None:
        self._table.deleted(self._keys, *self._found)


class Commits:
    """Who writes when. Any thread."""

    def __init__(self, file: JournalFile, tables: Sequence[MessageTable], mark: Callable[[], None]) -> None:
        """:param mark: is called, with the turn held, once something was committed and synced."""
        self._file = file
        self._tables = tables
        self._mark = mark
        self._changed = threading.Condition()
        self._busy = False  # somebody has the turn, and so the file
        self._gathered: list[Write] = []
        self._committed: deque[Write] = deque()  # and not settled yet

    def write(self, write: Write) -> None:
        """Write, together with what others want written. It has reached the disk when this returns.

        :raises JournalFull: there is no room for it. Nothing of it was written.
        """
        self._gathered.append(write)
        try:
            with self._turn(write) as mine:
                if mine:
                    self._commit_all()
        finally:
            with suppress(ValueError):  # of one that was interrupted: nobody waits for it any more
                self._gathered.remove(write)
        self.clear()
        if write.error is not None:
            raise write.error

    @contextmanager
    def reading(self) -> Iterator[None]:
        """The turn, for whoever wants to read."""
        with self._turn():
            self._check_open()
            yield
        self.clear()

    def clear(self) -> None:
        """Delete what is not needed any more, unless another is at the file: who looks again after letting go.

        It is not synced. Where there is no room even for that, it is tried again with the next commit.
        """
        going_on = True
        while going_on and any(table.gone for table in self._tables) and not self._busy:
            with self._turn(wait=False) as mine:
                going_on = mine and not self._file.closed and self._clear_tables()

    def close(self) -> None:
        with self._turn():
            if not self._file.closed:
                self._clear_tables()
                self._file.close()

    @contextmanager
    def _turn(self, write: Write | None = None, wait: bool = True) -> Iterator[bool]:
        """Have the file for oneself; whether that is so.

        :param write: is to be done; once it is, by another, the turn is not waited for any more.
        """
        mine = False
        if self._busy and interrupted(self):  # what was interrupted has the turn, and would be waited for for ever
            if wait:
                raise JournalError(
                    f"{self._file.path}: another message is being stored, which was interrupted for this one; signal "
                    "handlers and finalizers have to leave it to a thread"
                )
            yield False
            return
        try:
            with self._changed:
                if wait:
                    self._changed.wait_for(lambda: not self._busy or (write is not None and write.done))
                mine = not (self._busy or (write is not None and write.done))
                self._busy = self._busy or mine
            yield mine
        finally:
            if mine:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()

    def _check_open(self) -> None:
        if self._file.closed:
            raise JournalError(f"{self._file.path}: this journal is closed")
        self._settle()

    # With the turn ---------------------------------------------------------------------------------------------------

    def _commit_all(self) -> None:
        self._check_open()
        self._clear_tables()
        writes = self._gathered[:]
        try:
            self._commit(writes)
        except Exception:
            # What is wrong with one of them, or too large, must not fail the others; and the log may have taken room.
            self._file.move()
            for write in writes:
                self._commit_alone(write)

    def _commit_alone(self, write: Write) -> None:
        try:
            self._commit([write])
        except Exception as error:
            self._refuse(write, error)

    def _refuse(self, write: Write, error: Exception) -> None:
        write.error, write.done = error, True
        with suppress(ValueError):
            self._gathered.remove(write)

    def _commit(self, writes: Sequence[Write], synced: bool = True) -> None:
        self._file.make_room([size for write in writes for size in write.sizes()])
        try:
            with self._file.transaction(synced):
                for write in writes:
                    write.apply()
        finally:
            if self._file.committed:  # whatever else came up
                self._committed.extend(writes)
                self._settle()
                if synced:
                    self._mark()
            else:
                for write in writes:
                    write.revert()

    def _settle(self) -> None:
        """Tell those whose work is committed. Where a thread is interrupted in this, the next one goes on."""
        while self._committed:
            write = self._committed.popleft()
            write.done = True
            with suppress(ValueError):
                self._gathered.remove(write)
            write.settle()

    def _clear_tables(self) -> bool:
        """Delete what is not needed any more. Whether all of it was done."""
        wanted = [(table, sorted(table.gone)) for table in self._tables if table.gone]
        done = [self._clear_keys(table, keys) for table, keys in wanted]
        if done and not any(table.messages for table in self._tables):
            self._file.shrink()
        return all(done)

    def _clear_keys(self, table: MessageTable, keys: Sequence[int]) -> bool:
        """Delete them at once, or, where there is no room for so much, in parts. Whether all of it was done."""
        try:
            self._commit([Clearing(table, keys)], synced=False)
        except JournalFull:
            half = len(keys) // 2
            return half > 0 and self._clear_keys(table, keys[:half]) and self._clear_keys(table, keys[half:])
        return True
