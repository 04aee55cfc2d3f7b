"""The outbox of a journal: messages that wait until their peer has dealt with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from leadscomm.connections.journal_commits import Write
from leadscomm.connections.journal_file import JournalFile
from leadscomm.connections.journal_records import Stored
from leadscomm.connections.journal_table import MessageTable

Then = Callable[[str, list[Stored]], None]


class JournalOutbox(MessageTable):
    """The table of what is to be sent. Its numbers are never given twice, also after a restart."""

    name: ClassVar[str] = "outbox"
    key: ClassVar[str] = "seq"

    def __init__(self, file: JournalFile, limit: int) -> None:
        super().__init__(file, limit)
        self.last = max(self.last, next(file.read("SELECT last_seq FROM journal"))[0])

    def delete(self, keys: Sequence[int]) -> tuple[int, int]:
        """As everywhere. When the newest message goes, its number stays known."""
        self.file.db.execute("UPDATE journal SET last_seq = max(last_seq, ?)", (keys[-1],))
        return super().delete(keys)

    def waiting(self, peer: str, lane: int, after: int, limit: int) -> list[Stored]:
        rows = self.select("lane", "peer = ? AND lane = ? AND seq > ?", (peer, lane, after), limit)
        return [Stored(*row) for row in rows]

    def peers(self) -> dict[str, tuple[int, int]]:
        found = self.file.read("SELECT peer, count(*), sum(length(payload)) FROM outbox GROUP BY peer")
        return {peer: (messages, size) for peer, messages, size in found}


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
        besides = [2 * len(peer.encode()) + 32 for peer in self._peers]  # in the row and in the index
        return [len(message) + more for more in besides for message in self._messages]

    def apply(self) -> None:
        self.stored = []
        for peer in self._peers:
            first = self._outbox.last + 1
            self._outbox.last += len(self._messages)  # not taken back where this fails: a gap does no harm
            stored = [Stored(first + index, self._lane, message) for index, message in enumerate(self._messages)]
            self._outbox.insert([(seq, peer, lane, payload) for seq, lane, payload in stored])
            self.stored.append((peer, stored))

    def settle(self) -> None:
        self._outbox.inserted([len(message) for message in self._messages] * len(self._peers))
        if self._then is not None:
            try:
                for peer, stored in self.stored:
                    self._then(peer, stored)
            except Exception as error:
                self.error = error
