"""Messages that outlive the programs: the journal of an entity, joined to its sessions.

::

    send → Journal.store → Outgoing → the session ─ ─ ─ the session → Journal.take_in → on_receive → Journal.dealt
                               Journal.forget ← settled ─ ─ ─ acknowledged once it is taken in

A receiver without a journal deals with durable messages too: it remembers in memory what came.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.sending.how import PLAINLY, How, how_to
from leadscomm.connections.sending.writer import here
from leadscomm.connections.shortage import why
from leadscomm.connections.waiting import interrupted
from leadscomm.entities.records.handler import NotNow, RecordHandler
from leadscomm.entities.records.outgoing import Outgoing
from leadscomm.entities.running.conversation import SessionStage
from leadscomm.entities.running.owner import Owner
from leadscomm.entities.running.reader import Stage
from leadscomm.errors import (
    CommError,
    ConnectionLost,
    DeliveryError,
    JournalError,
    LocalProtocolError,
    RemoteProtocolError,
)
from leadscomm.journal.records import FAMILY, Duplicates, Record, Stored
from leadscomm.protocol.framing.base import plain
from leadscomm.protocol.records.durable import Durable, read_durable
from leadscomm.protocol.session.full.lanes import DEFAULT_LANE
from leadscomm.protocol.session.segments import LANES
from leadscomm.sessions.session import SessionConnection

if TYPE_CHECKING:
    from leadscomm.journal.journal import Journal

TOGETHER: Final = 256
"""So many messages that have come are stored by one sync, at most."""


class _Inflow:
    """What came from one journal and was not delivered yet. Sessions that follow each other deliver in turn.

    :ivar users: threads that are at it, or wait for their turn.
    """

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.users = 0
        self.owed: deque[Record] = deque()


class DurableMessages(RecordHandler):
    """Sends and receives the durable messages of an entity.

    :param entity: whose callbacks are called.
    """

    def __init__(self, entity: Owner) -> None:
        self._owner = weakref.ref(entity)  # it holds this, and is to go as soon as nobody uses it
        self._path: str | None = None
        self._peer: str | None = None
        self._journal: Journal | None = None
        self._duplicates = Duplicates()
        self._lock = threading.RLock()  # around what follows, and the table of duplicates
        self._inflows: dict[bytes, _Inflow] = {}
        self._outgoing: dict[str, Outgoing] = {}
        self._full = False  # on_fail was told that nothing can be taken in

    @property
    def _entity(self) -> Owner:
        entity = self._owner()
        assert entity is not None
        return entity

    # Its journal -----------------------------------------------------------------------------------------------------

    def keep(self, path: str | None) -> None:
        """Keep what is sent and received in this file, while the service runs; None: in memory, and only what was
        received."""
        self._path = path

    def open(self) -> None:
        """Open the journal, if there is to be one.

        :raises JournalError: it cannot be opened.
        """
        if self._path is not None and self._journal is None:
            try:
                from leadscomm.journal.journal import Journal

                self._journal = Journal(self._path)
            except OSError as error:
                if isinstance(error, CommError):
                    raise
                raise JournalError(f"{self._path}: cannot be opened: {why(error)}") from error

    def close(self) -> None:
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.close()

    def disown(self) -> None:
        """This process was forked, and the journal is its parent's."""
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.disown()
        self._lock = threading.RLock()
        self._inflows, self._outgoing = {}, {}

    @property
    def kept(self) -> bool:
        """Whether messages are stored before they are sent."""
        return self._journal is not None

    def only_peer(self, peer: str) -> None:
        """All sessions are with this one, whatever it calls itself."""
        self._peer = peer

    def redeliver(self) -> None:
        """Deliver what an earlier run of the program took in and did not deal with. Before the first session."""
        journal, entity, after = self._journal, self._entity, 0
        if journal is not None and journal.lost is not None:
            entity._report(journal.lost)
        while journal is not None and (records := journal.left(after=after)):
            for record in records:
                if entity._stopping.is_set():
                    return
                with _about(record, redelivered=True):
                    entity._call(entity.callback.on_receive, entity, record.payload)
                journal.dealt([record])
                after = record.arrival

    # Sending ---------------------------------------------------------------------------------------------------------

    def send(
        self,
        peer: str,
        message: bytes,
        lane: int | None = None,
        lifetime: float | None = None,
        latest: Hashable | None = None,
        timeout: float | None = None,
    ) -> None:
        """Store a message, and send it as soon as there is a session with the peer. Any thread. The parameters are
        those of an outbox's ``send``.

        :param timeout: has no meaning, since storing waits for no room.
        :raises JournalFull: there is no room for it.
        :raises LocalProtocolError: the peer does not take so long a one; ``lifetime`` or ``latest``, which it cannot
            have. Nothing was stored.
        :raises ConnectionLost: the service does not run.
        """
        self.send_all([peer], message, how_to(lane, lifetime, latest, timeout))

    def send_all(self, peers: Sequence[str], message: bytes, how: How = PLAINLY) -> None:
        """The same to several peers; stored for all of them or for none."""
        message = plain(message)
        journal = self._journal
        if journal is None:
            raise ConnectionLost(
                f"{self._entity._name} must be running to send durable messages; start it first"
            ) from self._entity._why
        if how.lifetime is not None or how.latest is not None:
            raise LocalProtocolError(
                "a durable message is kept until it has arrived, so it has no lifetime= and no latest=: send it over "
                "an entity without durable="
            )
        lane = DEFAULT_LANE if how.lane is None else how.lane
        if not 0 <= lane < LANES:
            raise LocalProtocolError(f"lane={lane}: the lanes are 0 (the most urgent one) to {LANES - 1}")
        for outgoing in self._outgoing_to(peers):
            outgoing.check(message)
        journal.store_for_all(peers, lane, message, self._stored)
        for outgoing in self._outgoing_to(peers):
            self._feed(outgoing)

    def broadcast(self, connections: Sequence[ConnectionBase], message: bytes, how: How) -> None:
        """To all of these; durable for those whose peers have names."""
        named = {name: one for one in connections if (name := getattr(one, "name", ""))}
        if named:
            self.send_all(list(named), message, how)
        for connection in connections:
            if connection not in named.values():
                connection.outbox.send(message, *how)

    def _outgoing_to(self, peers: Sequence[str]) -> list[Outgoing]:
        return [outgoing for outgoing in map(self._outgoing.get, peers) if outgoing is not None]

    def _stored(self, peer: str, messages: list[Stored]) -> None:
        outgoing = self._outgoing.get(peer)
        if outgoing is not None:
            outgoing.stored(messages)

    def _feed(self, outgoing: Outgoing) -> None:
        if interrupted():  # what was interrupted may have the session: another thread gives it the message
            self._entity._flusher.call_later(0.0, partial(self._feed, outgoing))
            return
        try:
            outgoing.feed()
        except JournalError as error:
            if self._journal is not None:  # otherwise the service ends, and it is sent when it runs again
                self._entity._report(error)
        while outgoing.refused:
            message, refusal = outgoing.refused.pop()
            text = f"{outgoing.session} does not take a durable message: {refusal}"
            self._entity._report(DeliveryError(text, [message.payload]))
            if self._journal is not None:
                self._journal.forget([message.seq])

    def _nobody(self, session: SessionConnection, *_: Any, **__: Any) -> None:
        raise LocalProtocolError(
            f"{session} has no name to keep durable messages for: give that side one (name=), which stays its own"
        )

    def joined(self, connection: ConnectionBase) -> None:
        """A conversation has begun: if it is none that carries durable messages, ``on_fail`` is told."""
        if self.kept and not isinstance(connection, SessionConnection):
            self._entity._report(
                CommError(
                    f"{connection} speaks the compact profile, as boards do, which has no durable messages: what is "
                    "stored for it waits. Leave durable out"
                )
            )

    # Sessions --------------------------------------------------------------------------------------------------------

    def session_began(self, stage: Stage) -> None:
        session = _session(stage)
        journal = self._journal
        if journal is None:
            return
        peer = self._peer or session.name
        if not peer:
            session.keeps = partial(self._nobody, session)
            return
        session.keeps = partial(self.send, peer)
        outgoing = Outgoing(journal, peer, session)
        session.owes = outgoing.owes
        with self._lock:
            self._outgoing[peer] = outgoing
        self._feed(outgoing)

    def session_ended(self, stage: Stage) -> None:
        session = _session(stage)
        session.owes = bool
        with self._lock:
            self._outgoing = {peer: one for peer, one in self._outgoing.items() if one.session is not session}

    def settled(self, stage: Stage, lane: int, record: bytes) -> None:
        session, journal = _session(stage), self._journal
        seqs = [durable.seq for durable in _all_settled(session.settled, record)]
        if journal is None:
            return
        with suppress(JournalError):  # then it goes again, and is dropped there
            journal.forget(seqs)
        for outgoing in list(self._outgoing.values()):
            if outgoing.session is session:
                self._feed(outgoing)
        session.pump()

    # Receiving -------------------------------------------------------------------------------------------------------

    def handle(self, stage: Stage, lane: int, record: bytes) -> None:
        first = _read(stage, lane, record)
        with self._turn_of(first.origin[:FAMILY]) as inflow:
            inflow.owed += self._remembered(first) if self._path is None else self._taken_in(stage, first)
            while inflow.owed and not stage.shut:
                came = inflow.owed.popleft()
                with _about(came):
                    stage.dispatch([came.payload])
                self._dealt(came)

    def _remembered(self, record: Record) -> list[Record]:
        with self._lock:
            new = self._duplicates.new([record])
            self._duplicates.note(new)
        return new

    def _taken_in(self, stage: Stage, first: Record) -> list[Record]:
        """Store it, and those that have come behind it, by one sync; acknowledge those."""
        session, journal = _session(stage), self._journal
        if journal is None:
            raise NotNow
        behind = list(_behind(session.records, first))
        try:
            new = journal.take_in(self._peer or session.name, [first, *behind])
        except JournalError as error:
            raise self._not_now(error) from error
        self._full = False
        for came in behind:
            session.records.popleft()
            session.delivered_record(came.lane)
        if behind:
            session.pump()
        return new

    @contextmanager
    def _turn_of(self, family: bytes) -> Iterator[_Inflow]:
        with self._lock:
            inflow = self._inflows.setdefault(family, _Inflow())
            inflow.users += 1
        try:
            with inflow.turn:
                yield inflow
        finally:
            with self._lock:
                inflow.users -= 1
                if not (inflow.users or inflow.owed):
                    del self._inflows[family]

    def _not_now(self, error: JournalError) -> NotNow:
        """``on_fail`` is told once, until something can be taken in again."""
        if not self._full and self._journal is not None:
            self._full = True
            self._entity._report(error)
        return NotNow(str(error))

    def _dealt(self, record: Record) -> None:
        try:
            if self._journal is not None:
                self._journal.dealt([record])
        except JournalError as error:  # it is delivered again after a restart
            if self._journal is not None:
                self._entity._report(error)


@contextmanager
def _about(record: Record, redelivered: bool = False) -> Iterator[None]:
    """What ``service.message_id`` and ``service.redelivered`` say meanwhile."""
    before = here.message_id, here.redelivered
    here.message_id, here.redelivered = record.id, redelivered
    try:
        yield
    finally:
        here.message_id, here.redelivered = before


def _session(stage: Stage) -> SessionConnection:
    assert isinstance(stage.connection, SessionConnection)
    return stage.connection


def _source_of(stage: Stage) -> str:
    """The address of a peer, where that is counted."""
    return (stage.origin if isinstance(stage, SessionStage) else None) or ""


def _read(stage: Stage, lane: int, record: bytes) -> Record:
    durable = read_durable(record)
    if durable is None:
        raise RemoteProtocolError(f"{stage.connection} sent a durable message that is cut off")
    return Record(durable.origin, durable.seq, lane, durable.payload, source=_source_of(stage))


def _behind(records: deque[tuple[int, bytes]], first: Record) -> Iterator[Record]:
    """Durable messages of the same origin that are the next to be dealt with."""
    for lane, record in list(islice(records, TOGETHER)):
        durable = read_durable(record)
        if durable is None or durable.origin != first.origin:
            return
        yield first._replace(seq=durable.seq, lane=lane, payload=durable.payload)


def _all_settled(settled: deque[tuple[int, bytes]], record: bytes) -> Iterator[Durable]:
    """This one, and those behind it."""
    found = read_durable(record)
    while found is not None:
        yield found
        found = read_durable(settled[0][1]) if settled else None
        if found is not None:
            settled.popleft()
