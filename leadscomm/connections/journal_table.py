"""What outbox and inbox of a journal have in common: messages by number, how many there are and how large."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Final

from leadscomm.connections.journal_file import JournalFile
from leadscomm.errors import JournalFull

ROW: Final = 64
"""Bytes that a message is counted with besides its own."""


class MessageTable:
    """A table of messages. What it says of itself any thread may read; its methods are for whoever has the turn.

    :ivar messages: how many there are.
    :ivar bytes: of all of them, each with :data:`ROW` besides.
    :ivar last: the number of the newest.
    :ivar gone: the numbers of those that nobody needs any more, and that are in the file still.
    """

    name: ClassVar[str]
    key: ClassVar[str]

    def __init__(self, file: JournalFile, limit: int) -> None:
        self.file = file
        self._limit = limit
        counts = f"SELECT count(*), coalesce(sum(length(payload)), 0), coalesce(max({self.key}), 0) FROM {self.name}"
        self.messages, payloads, self.last = next(file.read(counts))
        self.bytes = payloads + ROW * self.messages
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
            self.file.db.executemany(f"INSERT INTO {self.name} VALUES({','.join('?' * len(rows[0]))})", rows)

    def inserted(self, sizes: Sequence[int]) -> None:
        """Count what :meth:`insert` has written, once it is committed."""
        self.messages += len(sizes)
        self.bytes += sum(sizes) + ROW * len(sizes)

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

    def select(self, columns: str, where: str, values: Sequence[Any], limit: int) -> list[tuple[Any, ...]]:
        """Rows that are not gone, by their numbers: number first, payload last. Of payload ``limit`` bytes at most,
        unless the first one alone has more."""
        found: list[tuple[Any, ...]] = []
        query = f"SELECT {self.key}, {columns}, payload FROM {self.name} WHERE {where} ORDER BY {self.key}"
        for row in self.file.read(query, values):
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
