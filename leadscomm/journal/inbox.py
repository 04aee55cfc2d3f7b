"""The inbox of a journal: messages that came, until they are dealt with; and who sent how much, to know duplicates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from leadscomm.journal.commits import Write
from leadscomm.journal.file import JournalFile
from leadscomm.journal.records import Duplicates, Record
from leadscomm.journal.tables import MessageTable, checked, checksum


class JournalInbox(MessageTable):
    """The table of what came, and the table of duplicates beside it."""

    name: ClassVar[str] = "inbox"
    columns: ClassVar[str] = "arrival, peer, origin, seq, lane, payload"

    def __init__(self, file: JournalFile, limit: int) -> None:
        super().__init__(file, limit)
        self.duplicates = Duplicates()
        self.under_way: dict[tuple[bytes, int], int] = {}  # what the present transaction takes in
        rows = list(checked(file, "seen", "used, lane, seq, origin", "ORDER BY used"))
        self.last = self.kept = max([self.last, *(used for used, *_ in rows)])
        self.surplus = self.duplicates.note(Record(origin, seq, lane, b"") for _, lane, seq, origin in rows)

    def mark(self, records: Iterable[Record]) -> None:
        """Write down that these came, and no longer what came from those who were forgotten."""
        marks = {(record.origin, record.lane): (record.seq, record.arrival) for record in records}
        rows = [(*place, *mark, checksum(mark[1], place[1], mark[0], place[0])) for place, mark in marks.items()]
        self.file.db.executemany("INSERT OR REPLACE INTO seen VALUES(?, ?, ?, ?, ?)", rows)
        self.file.db.executemany("DELETE FROM seen WHERE origin = ?", [(origin,) for origin in self.surplus])

    def marked(self, records: Sequence[Record]) -> None:
        """Remember what :meth:`mark` has written, once it is committed."""
        self.under_way.clear()
        if records:
            self.surplus = self.duplicates.note(records)

    def left(self, peer: str | None, after: int, limit: int) -> list[Record]:
        where, values = ("arrival > ?", [after]) if peer is None else ("arrival > ? AND peer = ?", [after, peer])
        rows = self.select(where, values, limit)
        return [Record(origin, seq, lane, payload, peer, row) for row, peer, origin, seq, lane, payload in rows]


class TakingIn(Write):
    """Messages on their way into the inbox."""

    def __init__(self, inbox: JournalInbox, peer: str, records: Sequence[Record]) -> None:
        super().__init__()
        self._inbox = inbox
        self._peer = peer
        self._records = records
        self.taken: list[Record] = []

    def sizes(self) -> Sequence[int]:
        besides = len(self._peer.encode()) + 72
        return [len(record.payload) + besides for record in self._inbox.duplicates.new(self._records)]

    def apply(self) -> None:
        inbox, first = self._inbox, self._inbox.last + 1
        new = inbox.duplicates.new(self._records, inbox.under_way)
        inbox.last += len(new)
        self.taken = [record._replace(peer=self._peer, arrival=first + i) for i, record in enumerate(new)]
        inbox.insert([(r.arrival, r.peer, r.origin, r.seq, r.lane, r.payload) for r in self.taken])
        inbox.mark(self.taken)

    def revert(self) -> None:
        self._inbox.under_way.clear()

    def settle(self) -> None:
        self._inbox.marked(self.taken)
        sizes = [len(record.payload) for record in self.taken]
        self._inbox.inserted(sizes, self.taken[-1].arrival if self.taken else 0)
