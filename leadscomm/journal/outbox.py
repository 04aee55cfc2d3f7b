"""The outbox of a journal: messages that wait until their peer has dealt with them."""

from __future__ import annotations

import secrets
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import ClassVar

from leadscomm.journal.commits import Write
from leadscomm.journal.file import JournalFile, damaged
from leadscomm.journal.records import FAMILY, LAST_SEQ, ORIGIN, Stored
from leadscomm.journal.tables import MessageTable, checked, checksum

Then = Callable[[str, list[Stored]], None]


class JournalOutbox(MessageTable):
    """The table of what is to be sent.

    No number is given twice. What a damaged log, a copy or a backup make the file forget cannot be known here; so the
    journal has another origin each time it is opened, and a message is named by its origin and its number. What was
    stored before keeps its own.

    :ivar origin: of what is stored from now on.
    :ivar of_the_file: names the file; the origin of what was stored by version 1.
    """

    name: ClassVar[str] = "outbox"
    columns: ClassVar[str] = "seq, peer, lane, payload"

    def __init__(self, file: JournalFile, limit: int) -> None:
        super().__init__(file, limit)
        self.of_the_file, last = _named(file)
        self.last = self.kept = max(self.last, last)
        self.origin: bytes = self.of_the_file[:FAMILY] + secrets.token_bytes(ORIGIN - FAMILY)
        before = list(checked(file, "origins", "first, origin", "ORDER BY first"))
        self._first = self.last + 1
        self._firsts = [0, *(first for first, _ in before), self._first]
        self._origins = [self.of_the_file, *(origin for _, origin in before), self.origin]
        self._begun = False  # the origin is in the file

    def origin_of(self, seq: int) -> bytes:
        """The origin of a stored message. Any thread."""
        return self.origin if seq >= self._first else self._origins[bisect_right(self._firsts, seq) - 1]

    def begin(self) -> None:
        """Write down the origin, with the first message that has it; and no longer those that no message has."""
        if not self._begun:
            oldest = "SELECT max(first) FROM origins WHERE first <= (SELECT coalesce(min(seq), ?) FROM outbox)"
            self.file.db.execute(f"DELETE FROM origins WHERE first < ({oldest})", (self._first,))
            row = (self._first, self.origin)
            self.file.db.execute("INSERT OR REPLACE INTO origins VALUES(?, ?, ?)", (*row, checksum(*row)))

    def inserted(self, sizes: Sequence[int], last: int) -> None:
        super().inserted(sizes, last)
        self._begun = True

    def delete(self, keys: Sequence[int]) -> tuple[int, int]:
        """As everywhere. When the newest message goes, its number stays known."""
        self.file.db.execute("UPDATE journal SET last_seq = max(last_seq, ?)", (keys[-1],))
        return super().delete(keys)

    def waiting(self, peer: str, lane: int, after: int, limit: int) -> list[Stored]:
        rows = self.select("peer = ? AND lane = ? AND seq > ?", (peer, lane, after), limit)
        return [Stored(seq, lane, payload) for seq, _, lane, payload in rows]

    def peers(self) -> dict[str, tuple[int, int]]:
        found = self.file.read("SELECT peer, count(*), sum(length(payload)) FROM outbox GROUP BY peer")
        return {peer: (messages, size) for peer, messages, size in found}


def _named(file: JournalFile) -> tuple[bytes, int]:
    """What names the file, and the newest number whose message is gone.

    :raises JournalError: they are not there, or cannot be.
    """
    for origin, last in file.read("SELECT origin, last_seq FROM journal"):
        if isinstance(origin, bytes) and len(origin) == ORIGIN and isinstance(last, int) and 0 <= last < LAST_SEQ:
            return origin, last
    raise damaged(file.path, "the row that names it is gone, or not as it was written")


class Storing(Write):
    """Messages on their way into the outbox, for one peer or the same ones for several."""

    def __init__(
        self, outbox: JournalOutbox, peers: Sequence[str], lane: int, messages: Sequence[bytes], then: Then | None
    ) -> None:
        super().__init__()
        self._outbox = outbox
        self._peers = peers
        self._lane = lane
        self._messages = messages
        self._then = then
        self.stored: list[tuple[str, list[Stored]]] = []

    def sizes(self) -> Sequence[int]:
        besides = [2 * len(peer.encode()) + 40 for peer in self._peers]  # in the row and in the index
        return [len(message) + more for more in besides for message in self._messages]

    def apply(self) -> None:
        self.stored = []
        self._outbox.begin()
        for peer in self._peers:
            first = self._outbox.last + 1
            self._outbox.last += len(self._messages)  # not taken back where this fails: a gap does no harm
            stored = [Stored(first + index, self._lane, message) for index, message in enumerate(self._messages)]
            self._outbox.insert([(seq, peer, lane, payload) for seq, lane, payload in stored])
            self.stored.append((peer, stored))

    def settle(self) -> None:
        sizes = [len(message) for message in self._messages] * len(self._peers)
        last = self.stored[-1][1][-1].seq if sizes else 0
        self._outbox.inserted(sizes, last)
        if self._then is not None:
            try:
                for peer, stored in self.stored:
                    self._then(peer, stored)
            except Exception as error:
                self.error = error
