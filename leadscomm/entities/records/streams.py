"""The streams of an entity: which there are, in which session, and which thread runs each.

::

    send_file → SendingTransfer → session (lane 7) → Stream → file
                               ← (lane 6) ←
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.sending.writer import here, weakly
from leadscomm.entities.records.handler import RecordHandler
from leadscomm.entities.running.conversation import SessionStage
from leadscomm.entities.running.owner import Owner
from leadscomm.entities.running.reader import Stage
from leadscomm.errors import ConnectionLost, RemoteProtocolError, ServiceError
from leadscomm.protocol.records.stream_records import AT_ONCE, Data, Drop, End, Offer, read
from leadscomm.sessions.session import SessionConnection
from leadscomm.streams.files import FileSource, Readable, Source
from leadscomm.streams.receiving import Stream
from leadscomm.streams.sending import SendingTransfer
from leadscomm.streams.transfer import Progress, Side, Transfer

TIMEOUT_S: Final = 60.0
"""How long a stream waits while nothing moves."""
WRITERS: Final = 16
"""So many threads write what comes, at most, however many streams there are: a stream has one while it has something to
do, and waits its turn otherwise."""
AGAIN_S: Final = 0.25
"""After this a thread is asked for again where the system had none."""
IDLE_S: Final = 1.0
"""Such a thread ends when there was nothing to do for so long."""
_OPEN: Final = 2 * AT_ONCE
"""So many streams of a peer are open here at most: those of which it has not heard yet that they have ended, too."""


class Streams(RecordHandler):
    """The streams of one run of an entity.

    :param entity: whose callbacks are called.
    :ivar sides: its sessions.
    :ivar closed: no stream begins any more.
    """

    def __init__(self, entity: Owner) -> None:
        self._owner = weakref.ref(entity)  # it holds this, and is to go as soon as nobody uses it
        self._lock = threading.RLock()  # a signal handler may cancel a stream
        self.sides: dict[ConnectionBase, Side] = {}
        self._transfers: set[Transfer] = set()  # all that are under way
        self._threads: set[threading.Thread] = set()
        self._queue: deque[Stream] = deque()  # which are received, and can go on
        self._called = threading.Condition(self._lock)
        self._writers = self._idle = 0  # threads that write what comes, and those of them that wait
        self.closed = False

    @property
    def _entity(self) -> Owner:
        entity = self._owner()
        assert entity is not None
        return entity

    # The session -----------------------------------------------------------------------------------------------------

    def session_began(self, stage: Stage) -> None:
        """A session begins; what waits for its peer goes on."""
        assert isinstance(stage, SessionStage)
        with self._lock:
            self.sides[stage.connection] = Side(stage)
            self._wake()

    def session_ended(self, stage: Stage) -> None:
        """It is over. Does not wait."""
        with self._lock:
            side = self.sides.pop(stage.connection, None)
            if side is not None:
                side.over = True
            self._wake()

    def handle(self, stage: Stage, lane: int, record: bytes) -> None:
        """Take a record of a stream. Does not wait.

        :raises RemoteProtocolError: the peer has broken the rules in a way that cannot be answered.
        """
        side = self.sides.get(stage.connection)
        said = read(record)
        if side is None or said is None:
            return
        if isinstance(said, Offer):
            self._offered(stage, side, said)
            return
        streams = side.receiving if isinstance(said, (Data, End, Drop)) else side.sending
        stream = streams.get(said.number)
        if stream is not None:  # what comes late, of one that has ended, means nothing
            stream.said(said)

    def settled(self, stage: Stage, lane: int, record: bytes) -> None:
        """A record has come to the peer: that means nothing yet; it says itself what it has written."""

    def _offered(self, stage: Stage, side: Side, offer: Offer) -> None:
        if offer.number in side.receiving or len(side.receiving) >= _OPEN:
            raise RemoteProtocolError(f"{side.connection} offers more streams at once than it may")
        stream = Stream(side, offer, self._lock, self._transfers, self._go_on)
        with self._lock:
            side.receiving[offer.number] = stream
            self._transfers.add(stream)
        entity = self._entity
        entity._call(entity.callback.on_stream, entity, stage.connection, stream, stage=stage)
        stream.settle()

    def _wake(self) -> None:
        for transfer in self._transfers:
            transfer.wake()

    # Sending ---------------------------------------------------------------------------------------------------------

    def send_file(
        self,
        path: str | os.PathLike[str],
        to: ConnectionBase | None,
        *,
        name: str | None = None,
        progress: Progress | None = None,
        wait: bool = True,
        timeout: float = TIMEOUT_S,
    ) -> Transfer:
        """Send a file; see ``docs/streams.md``.

        :param to: a connection, or None: to whoever is connected.
        :param name: what the receiver is told that it is called; the file's own name unless given.
        :param progress: is told how far it is, by the thread that sends.
        :param wait: False: return at once; a thread of its own sends it, and :meth:`Transfer.wait` waits for it.
        :param timeout: seconds in which nothing moves, after which it is given up.
        :raises TransferError: it did not arrive whole.
        :raises OSError: it cannot be read.
        :raises ServiceError: inside a callback only ``wait=False`` can be; or there is no thread for that.
        """
        peer = self._peer(to, wait)
        return self._send(FileSource(path), peer, Path(path).name if name is None else name, progress, wait, timeout)

    def send_stream(
        self,
        file: Readable,
        to: ConnectionBase | None,
        *,
        name: str = "",
        size: int | None = None,
        progress: Progress | None = None,
        wait: bool = True,
        timeout: float = TIMEOUT_S,
    ) -> Transfer:
        """Send what a binary file holds, from where it is, as :meth:`send_file` does. It is not closed.

        :param size: how many bytes that are, where it is known: for the receiver's progress.
        """
        peer = self._peer(to, wait)
        return self._send(Source(file, size), peer, name, progress, wait, timeout)

    def _peer(self, to: ConnectionBase | None, wait: bool) -> _Anybody:
        """To whom it goes, if that can be."""
        if wait and here.inside is not None:
            raise ServiceError("a stream waits for the peer, which callbacks must not: give wait=False inside them")
        if not self._entity.running():
            raise ServiceError("the service must be running to send a stream; start it first")
        if to is None:
            return _Anybody(self)
        if not isinstance(to, SessionConnection):
            raise ServiceError(f"{to} has no session, which streams need: give both sides reliable=1")
        return _Somebody(self, to)

    def _send(
        self, source: Source, peer: _Anybody, name: str, progress: Progress | None, wait: bool, timeout: float
    ) -> Transfer:
        transfer = SendingTransfer(name, source, peer, self._lock, progress, timeout)
        with self._lock:
            self._transfers.add(transfer)
        if wait:
            self._run(transfer, transfer.run)
        else:
            try:
                self._run_apart(transfer, transfer.run)
            except ServiceError:
                source.close()
                raise
        return transfer

    # Threads ---------------------------------------------------------------------------------------------------------

    def _run(self, transfer: Transfer, run: Callable[[], None]) -> None:
        try:
            run()
        finally:
            self._forget(transfer)

    def _run_apart(self, transfer: Transfer, run: Callable[[], None]) -> None:
        """Run it in a thread of its own.

        :raises ServiceError: the system has none left.
        """

        def quietly() -> None:
            try:
                self._run(transfer, run)
            except Exception as error:
                self._entity._report(transfer.error or error)

        try:
            self._start(quietly)
        except ServiceError:
            self._forget(transfer)
            raise

    def _start(self, work: Callable[[], None]) -> None:
        """:raises ServiceError: the system has no thread left."""

        def counted() -> None:
            try:
                work()
            finally:
                with self._lock:
                    self._threads.discard(thread)

        thread = threading.Thread(target=counted, name=f"{self._entity._name}-stream", daemon=True)
        with self._lock:
            self._threads.add(thread)
            try:
                thread.start()
            except RuntimeError as error:
                self._threads.discard(thread)
                raise ServiceError("there is no thread left for another stream; try again later") from error

    def _forget(self, transfer: Transfer) -> None:
        with self._lock:
            self._transfers.discard(transfer)
            self._wake()  # there is room for another

    def _go_on(self, stream: Stream) -> None:
        """Have a stream that is received go on: by a thread that is free, or as soon as one is. Under the lock."""
        if not (stream.queued or stream.finished):
            stream.queued = True
            if not stream.at_work:  # otherwise who is at it will see
                self._queue.append(stream)
                self._called.notify()
                self._hire()

    def _hire(self) -> None:
        """Have as many threads write as there is work for; where the system has none left, a little later."""
        with self._lock:
            if len(self._queue) <= self._idle or self._writers >= WRITERS:
                return
            self._writers += 1
            try:
                self._start(self._write)
            except ServiceError:
                self._writers -= 1
                if not self._writers:
                    self._entity._flusher.call_later(AGAIN_S, weakly(self._hire))

    def _write(self) -> None:
        """What a thread does that writes what comes, now of this stream and now of that one."""
        while (stream := self._next()) is not None:
            try:
                stream.run()
            except Exception as error:
                self._forget(stream)
                self._entity._report(stream.error or error)
            with self._lock:
                stream.at_work = False
                if stream.finished:
                    self._forget(stream)
                elif stream.queued:  # since a moment ago
                    self._queue.append(stream)
            del stream  # the next may be long in coming

    def _next(self) -> Stream | None:
        """The stream whose turn it is; None: for a while there was none, and the thread ends."""
        with self._lock:
            self._idle += 1
            self._called.wait_for(lambda: self._queue or self.closed, IDLE_S)
            self._idle -= 1
            if not self._queue:
                self._writers -= 1
                return None
            stream = self._queue.popleft()
            stream.queued, stream.at_work = False, True
            return stream

    def close(self, timeout: float) -> None:
        """Give up what is under way, and wait for its end, at most ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        with self._lock:
            self.closed = True
            for side in self.sides.values():
                side.over = True
            threads = self._threads - {threading.current_thread()}
            self._wake()
            self._called.notify_all()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))


class _Anybody:
    """Whoever is connected: the one peer of a client."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    def side(self) -> Side | None:
        if self._streams.closed:
            raise ConnectionLost("the service was closed")
        return self._find()

    def _find(self) -> Side | None:
        return next((side for side in tuple(self._streams.sides.values()) if not side.over), None)

    def __str__(self) -> str:
        side = self._find()
        return "the peer" if side is None else str(side.connection)


class _Somebody(_Anybody):
    """The peer of a connection; by its name it is known again in a later session."""

    def __init__(self, streams: Streams, connection: SessionConnection) -> None:
        super().__init__(streams)
        self._connection = connection

    def _find(self) -> Side | None:
        sides, name = self._streams.sides, self._connection.name
        side = sides.get(self._connection)
        if side is not None and not side.over:
            return side
        if not name:
            raise ConnectionLost("the session has ended, and its peer has no name (name=...) to be known by again")
        return next(
            (other for other in tuple(sides.values()) if other.connection.name == name and not other.over), None
        )

    def __str__(self) -> str:
        return str(self._connection)
