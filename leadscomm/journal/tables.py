"""What outbox and inbox of a journal have in common: messages by number, how many there are and how large."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Final

from leadscomm.errors import JournalFull
from leadscomm.journal.file import JournalFile, damaged

ROW: Final = 64
"""Bytes that a message is counted with besides its own."""


def checksum(*values: Any) -> int:
    """What is stored beside a row, whose last value is bytes, to know later that it is as it was written."""
    *others, last = values
    words = [
        value if type(value) is bytes else value.encode() if isinstance(value, str) else b"%d" % (value or 0)
        for value in others
    ]
    return zlib.crc32(last if type(last) is bytes else str(last).encode(), zlib.crc32(b" ".join(words)))


def checked(file: JournalFile, table: str, columns: str, more: str = "", values: Sequence[Any] = ()) -> Iterator[Any]:
    """Rows of a table as they were written.

    :raises JournalError: one is not. (Rows of a journal's first version have no checksum.)
    """
    for *row, found in file.read(f"SELECT {columns}, sum FROM {table} {more}", values):
        if found is not None and found != checksum(*row):
            raise damaged(file.path, f"a row of {table}, number {row[0]!r}, is not as it was written")
        yield row


class MessageTable:
    """A table of messages. What it says of itself any thread may read; its methods are for whoever has the turn.

    :ivar messages: how many there are.
    :ivar bytes: of all of them, each with :data:`ROW` besides.
    :ivar last: the number of the newest.
    :ivar kept: the newest one that was committed.
    :ivar gone: the numbers of those that nobody needs any more, and that are in the file still.
    """

    name: ClassVar[str]
    columns: ClassVar[str]
    """The number first, the payload last."""

    def __init__(self, file: JournalFile, limit: int) -> None:
        self.file = file
        self._limit = limit
        self.key = self.columns.partition(",")[0]
        self.messages = self.bytes = self.last = 0
        for row in checked(file, self.name, self.columns):
            self.messages += 1
            self.bytes += len(row[-1]) + ROW
            self.last = max(self.last, row[0])
        self.kept = 0
        self.gone: set[int] = set()

    def check(self, sizes: Sequence[int]) -> None:
        """See that messages of these sizes stay within the limit. Any thread; several at once may pass it by theirs.

        :raises JournalFull: they do not.
        """
        wanted = sum(sizes) + ROW * len(sizes)
        if self.bytes + wanted > self._limit:
            raise JournalFull(
                f"{self.file.path}: the {self.name} has room for {self._limit} bytes, holds {self.bytes} in "
                f"{self.messages} message(s), and {wanted} more do not fit. Bring its peers into reach, or raise limit="
            )

    def insert(self, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            whole = [(*row, checksum(*row)) for row in rows]
            self.file.db.executemany(f"INSERT INTO {self.name} VALUES({','.join('?' * len(whole[0]))})", whole)

    def inserted(self, sizes: Sequence[int], last: int) -> None:
        """Count what :meth:`insert` has written, once it is committed; the last number of it."""
        self.messages += len(sizes)
        self.bytes += sum(sizes) + ROW * len(sizes)
        self.kept = max(self.kept, last)

    def delete(self, keys: Sequence[int]) -> tuple[int, int]:
        """Delete messages by their numbers, which ascend. Returns how many were there, and their bytes."""
        messages = payloads = 0
        for span in _spans(keys):
            where = f"FROM {self.name} WHERE {self.key} BETWEEN ? AND ?"
            found = next(self.file.read(f"SELECT count(*), coalesce(sum(length(payload)), 0) {where}", span))
            messages, payloads = messages + found[0], payloads + found[1]
            self.file.db.execute(f"DELETE {where}", span)
        return messages, payloads + ROW * messages

    def deleted(self, keys: Sequence[int], messages: int, size: int) -> None:
        """Count what :meth:`delete` has deleted, once it is committed."""
        self.messages -= messages
        self.bytes -= size
        self.gone.difference_update(keys)

    def select(self, where: str, values: Sequence[Any], limit: int) -> list[Any]:
        """Rows that are not gone, by their numbers. Of payload ``limit`` bytes at most, unless the first one alone has
        more."""
        found: list[Any] = []
        for row in checked(self.file, self.name, self.columns, f"WHERE {where} ORDER BY {self.key}", values):
            if row[0] in self.gone:
                continue
            limit -= len(row[-1])
            if found and limit < 0:
                break
            found.append(row)
        return found


def _spans(keys: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ascending numbers as first and last of each row without a gap: what is acknowledged often comes in such rows."""
    first = 0
    for index, key in enumerate(keys):
        if index + 1 == len(keys) or keys[index + 1] != key + 1:
            yield keys[first], key
            first = index + 1
