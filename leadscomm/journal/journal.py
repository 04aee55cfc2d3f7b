"""A journal: the outbox and the inbox of one program, on its disk. What it has taken outlives the program.

::

    sender      store → (synced) → the session, until the peer has dealt with it → forget
    receiver    take_in → (synced) → acknowledged → on_receive → dealt

A message that was stored is sent until it is acknowledged, after restarts too; a receiver's table of duplicates, which
is synced together with the inbox, drops what comes again. ``docs/durable.md`` says what is promised.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from typing import Any, Final

from leadscomm.errors import JournalError, RemoteProtocolError
from leadscomm.journal.commits import Commits
from leadscomm.journal.file import JournalFile
from leadscomm.journal.inbox import JournalInbox, TakingIn
from leadscomm.journal.mark import Mark, MarkFile
from leadscomm.journal.outbox import JournalOutbox, Storing, Then
from leadscomm.journal.records import LAST_SEQ, ORIGIN, Record, Stored
from leadscomm.protocol.framing.base import plain

_log = logging.getLogger(__name__)

LIMIT: Final = 1024**3
"""Bytes that wait in the outbox, and as many in the inbox, at most."""


class Journal:
    """The open journal of this program. All methods are for any thread; a context manager.

    Threads that call :meth:`store` or :meth:`take_in` at the same time share one sync. A program that forks must not
    use or close it in the child.

    :param path: of its file; ``~`` is expanded. It is made if it is not there, for its owner alone. Beside it, while
        it is open and after a crash, there are ``<path>-wal`` and ``<path>-mark``, which belong to it.
    :param limit: bytes that wait in the outbox, and as many in the inbox, at most.
    :ivar lost: what is missing since it was used last, for whoever is to be told; the log was. None: nothing.
    :raises JournalError: it cannot be opened, is in use, or is no journal.
    """

    def __init__(self, path: str | os.PathLike[str], limit: int = LIMIT) -> None:
        self.path = os.path.abspath(os.path.expanduser(os.fspath(path)))
        self._file = JournalFile(self.path)
        try:
            self._outbox = JournalOutbox(self._file, limit)
            self._inbox = JournalInbox(self._file, limit)
        except BaseException:
            self._file.close()
            raise
        self._mark = MarkFile(self.path + "-mark")
        self.lost = self._missing(self._mark.found)
        if self.lost is not None:
            _log.error("%s", self.lost)
        self._note()
        self._commits = Commits(self._file, (self._outbox, self._inbox), self._note)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Write what is left to write, and let go of the file. Whoever uses the journal afterwards gets an error."""
        self._commits.close()
        self._mark.close(remove=not os.path.exists(self.path + "-wal"))

    def _note(self) -> None:
        self._mark.write(Mark(self._outbox.of_the_file, self._outbox.kept, self._inbox.kept))

    def _missing(self, mark: Mark | None) -> JournalError | None:
        """What the mark of the last run speaks of, and the file does not hold."""
        here = mark is not None and mark.journal == self._outbox.of_the_file
        stored, came = (self._outbox.last, self._inbox.last) if here else (0, 0)
        if mark is None or (mark.seq <= stored and mark.arrival <= came):
            return None
        why = "its log was cut short or damaged, or is gone" if here else "another file is in its place"
        return JournalError(
            f"{self.path}: {why}, or an older copy was brought back: the last {max(0, mark.seq - stored)} message(s) "
            f"that were to be sent from here and the last {max(0, mark.arrival - came)} that came are missing. Those "
            "that had been dealt with are no loss; the others are lost. What is stored from now on is not concerned"
        )

    @property
    def origin(self) -> bytes:
        """8 bytes that no other journal has, and neither has this one when it is opened again: with the number of a
        message they name it. Of what is stored from now on."""
        return self._outbox.origin

    def origin_of(self, seq: int) -> bytes:
        """The origin of a message that is stored, perhaps before the journal was opened. Any thread."""
        return self._outbox.origin_of(seq)

    def disown(self) -> None:
        """This process was forked, and the journal is its parent's: leave the file alone."""
        if not self._file.closed:
            self._file.disown()

    # The outbox ------------------------------------------------------------------------------------------------------

    def store(self, peer: str, lane: int, messages: Sequence[bytes], then: Then | None = None) -> list[int]:
        """Store messages for a peer. They have reached the disk when this returns.

        Threads that store at the same time may return in another order than that of their numbers. A session needs
        messages in that order: otherwise the receiver takes those that were overtaken for duplicates.

        :param then: is called with the peer and what was stored, in the order of the numbers over all threads, once
            it has reached the disk and before any later ``store`` returns. It must be quick, and use the journal for
            nothing.
        :return: their numbers.
        :raises JournalFull: there is no room on the disk, or within the limit. None of them was stored.
        :raises JournalError: the journal is closed or damaged.
        """
        ((_, stored),) = self._store([peer], lane, messages, then)
        return [message.seq for message in stored]

    def store_for_all(self, peers: Sequence[str], lane: int, message: bytes, then: Then | None = None) -> None:
        """As :meth:`store`, the same message for each of several peers, for all of them or for none."""
        self._store(peers, lane, [message], then)

    def _store(
        self, peers: Sequence[str], lane: int, messages: Sequence[bytes], then: Then | None
    ) -> list[tuple[str, list[Stored]]]:
        payloads = [plain(message) for message in messages]
        self._outbox.check([len(payload) for payload in payloads] * len(peers))
        storing = Storing(self._outbox, peers, lane, payloads, then)
        self._commits.write(storing)
        return storing.stored

    def waiting(self, peer: str, lane: int, after: int = 0, limit: int = 65536) -> list[Stored]:
        """Messages that are not forgotten, oldest first.

        :param after: only those with a greater number.
        :param limit: bytes of their payload at most, unless the first one alone has more.
        """
        with self._commits.reading():
            return self._outbox.waiting(peer, lane, after, limit)

    def peers(self) -> dict[str, tuple[int, int]]:
        """Whom messages wait for: ``{peer: (messages, bytes)}``."""
        with self._commits.reading():
            return self._outbox.peers()

    def forget(self, seqs: Iterable[int]) -> None:
        """The peer has dealt with these, or nobody wants them sent any more.

        Waits for nobody and for no sync. After a crash some of them may be sent again, and are dropped as duplicates.
        """
        self._check_open()
        self._outbox.gone.update(seqs)
        self._commits.clear()

    # The inbox -------------------------------------------------------------------------------------------------------

    def take_in(self, peer: str, records: Sequence[Record]) -> list[Record]:
        """Take messages that came. They have reached the disk when this returns, and can be acknowledged.

        :param records: those of one lane in the order in which they came.
        :return: the new ones, without those that came before; their ``peer`` and ``arrival`` are set.
        :raises JournalFull: there is no room. None of them was taken, so none may be acknowledged.
        :raises RemoteProtocolError: an origin or a number that no journal has.
        :raises JournalError: the journal is closed or damaged.
        """
        for record in records:
            if len(record.origin) != ORIGIN or not 0 < record.seq <= LAST_SEQ:
                raise RemoteProtocolError(f"{peer}: a message that says to be {record.id}, which no journal's can be")
        self._inbox.check([len(record.payload) for record in records])
        taking = TakingIn(self._inbox, peer, records)
        self._commits.write(taking)
        return taking.taken

    def dealt(self, records: Iterable[Record]) -> None:
        """The callbacks of these, which :meth:`take_in` or :meth:`left` returned, have returned.

        Waits for nobody and for no sync. After a loss of power some of them may be delivered again.
        """
        self._check_open()
        self._inbox.gone.update(record.arrival for record in records)
        self._commits.clear()

    def left(self, peer: str | None = None, after: int = 0, limit: int = 1024**2) -> list[Record]:
        """Messages of the inbox that are not dealt with, oldest first: also those that are being dealt with right now.

        :param peer: only those that it brought.
        :param after: only those that arrived after this one (``arrival``).
        :param limit: bytes of their payload at most, unless the first one alone has more.
        """
        with self._commits.reading():
            return self._inbox.left(peer, after, limit)

    def _check_open(self) -> None:
        if self._file.closed:
            raise JournalError(f"{self.path}: this journal is closed")
