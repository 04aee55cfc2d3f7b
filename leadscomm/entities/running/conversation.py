"""Runs a session: its messages and what becomes of its lines go to the callbacks, whichever thread brought them."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from operator import length_hint
from time import perf_counter
from typing import Final

from leadscomm.connections.sending.how import PLAINLY, How
from leadscomm.connections.sending.writer import weakly
from leadscomm.connections.waiting import Flag
from leadscomm.entities.records.handler import NotNow
from leadscomm.entities.running.owner import Owner
from leadscomm.entities.running.reader import DRAIN_TIMEOUT_S, Stage
from leadscomm.errors import RemoteProtocolError
from leadscomm.protocol.records.durable import kind_of
from leadscomm.sessions.session import SessionConnection

_log = logging.getLogger("leadscomm")
_SHORT_S: Final = 0.001
_LONG_S: Final = 0.004
_MOST: Final = 4096
_AGAIN_S: Final = 0.25
AGAIN_S: Final = 1.0
"""After this a record is handled again that could not be dealt with."""


class SessionStage(Stage):
    """A session from its beginning to its end, as a stage is a connection.

    One line's reader calls back by itself. As soon as there are two lines, a thread of the session's own does, so
    that a callback that blocks keeps none of them from being read.
    """

    __slots__ = (
        "_dealt",
        "_held",
        "_hired",
        "_leaving",
        "_news",
        "_opened_once",
        "_session",
        "_slice",
        "_wakes",
        "_worker",
        "_working",
        "done",
        "former",
        "on_over",
        "origin",
    )

    def __init__(self, entity: Owner, connection: SessionConnection) -> None:
        self._session = connection
        self._news: deque[Callable[[], None]] = deque()
        self._opened_once = False
        self._slice = 1  # so many messages are acknowledged together; so that it takes a millisecond or so
        self._dealt: int | None = None  # messages of the slice at work that were handed out when it was closed
        self._working = threading.Lock()  # held by the thread that calls back
        self._held = False  # the next record cannot be dealt with at the moment
        self._leaving = False  # the goodbye is to be said
        self._worker: threading.Thread | None = None
        self._hired = threading.Lock()  # taken, and kept, by who employs it: lines may come at the same time
        self._wakes = Flag()
        self.done = Flag()
        self.former: SessionStage | None = None
        """A session of the same peer, which ends as soon as it is certain that this one is its too."""
        self.origin: str | None = None
        """What ``max_per_address`` counts it under, whether it has a line or not; None: it is not counted."""
        self.on_over: Callable[[], None] = _nothing
        """Called once its ``on_disconnect`` has returned, and all is let go of: whoever has a list of sessions looks it
        through."""
        super().__init__(entity, connection)
        connection.on_end = self.wake

    @property
    def session(self) -> SessionConnection:
        """What it runs."""
        return self._session

    @property
    def _plain(self) -> bool:
        return False

    @property
    def in_blocks(self) -> bool:
        return False  # the session numbers each message by itself

    @property
    def writes_apart(self) -> bool:
        return False  # its lines write

    def fileno(self) -> int | None:
        return None

    # Lines -----------------------------------------------------------------------------------------------------------

    def line_came(self, name: str) -> None:
        """A line carries it from now on. The thread that reads that line."""
        if self._worker is None and len(self._session.lines) > 1 and not self._session.over:
            self._employ()  # before it is told that there are two: then no callback keeps either from being read
        self._news.append(partial(self._tell_link, name, True))
        self._deliver_news()

    def _employ(self) -> None:
        """Have a thread of the session's own call back; one, whoever else asks for it."""
        if not self._hired.acquire(blocking=False):
            return
        worker = threading.Thread(target=self._work_on, name=f"{self.entity._name}-{self._session}", daemon=True)
        try:
            worker.start()
        except RuntimeError:  # there is none left: the readers go on with it
            self._hired.release()
            _log.warning("%s: no thread can be started; a callback that blocks holds up its lines", self._session)
        else:
            self._worker = worker

    def line_went(self, name: str) -> None:
        """A line has ended. The thread that read it."""
        self._news.append(partial(self._tell_link, name, False))
        self._deliver_news()

    def _deliver_news(self) -> None:
        if self.ended:
            self._tell_news()
        else:
            self.deliver()

    def _tell_link(self, name: str, up: bool) -> None:
        _log.info("%s: %s %s", self._session, name, "is up" if up else "is down")
        if not self.ended:
            self.entity._call(self.entity.callback.on_link, self.entity, self._session, name, up, stage=self)

    # Calling back ----------------------------------------------------------------------------------------------------

    def deliver(self) -> bool:
        """Something came: call back, or have it done. The thread of a line.

        :return: what the session has to say afterwards was said.
        """
        if self._worker is None:
            return self._work()
        if self._due:
            self._wakes.set()
        return False

    def wake(self) -> None:
        """Something is to be told. Any thread; does not block."""
        if self._worker is not None:
            self._wakes.set()
        elif self._due:
            name = f"{self.entity._name}-{self._session}"
            try:
                threading.Thread(target=self._work, name=name, daemon=True).start()
            except RuntimeError:  # there is no thread left; at the end there may be none any more
                ends = self.entity._stopping.is_set()
                self.entity._flusher.call_later(_AGAIN_S, weakly(self._work if ends else self.wake))

    @property
    def _due(self) -> bool:
        if self.ended or not self._session.session.trusted:
            return False
        return self._waits or self._leaving or (self._session.over and self._session.peer is not None)

    @property
    def _waits(self) -> bool:
        """Whether something is to be told."""
        session = self._session
        came = session.session.incoming.ready or session.session.datagrams.received
        if not self._shut and (came or (session.records and not self._held)):
            return True
        return bool(self._news or session.settled or session.framing.faults)

    def _work_on(self) -> None:
        """The session's own thread."""
        while not self.ended:
            self._wakes.wait()
            self._wakes.clear()
            due = True
            while due:
                with self._working:
                    self._did(self._call_back)
                due = self._due  # a reader who knew nothing of this thread yet may have found it at work, and left

    def _work(self) -> bool:
        """Call back what there is. Whoever finds another at it leaves it to him; whether none was."""
        worked = False
        while self._due and self._working.acquire(blocking=False):
            try:
                self._did(self._call_back)
                worked = True
            finally:
                self._working.release()
        return worked

    def _call_back(self) -> None:
        session = self._session
        if self.ended or not session.session.trusted:
            return
        if not self._opened_once:
            self._opened_once = True
            self._replace_former()
            for handler in self.entity._handlers.values():
                handler.session_began(self)
            self.entity._announce(self)
        while self._waits:
            if self._news:
                self._tell_news()
            if session.framing.faults:
                self._tell_faults()
            while session.settled:
                self._settle(*session.settled.popleft())
            if session.records and not (self._shut or self._held):
                self._handle(*session.records.popleft())
            if not self._shut and session.session.datagrams.received:
                self.dispatch(session.next_datagrams())
            if not self._shut and session.session.incoming.ready:
                self._hand_out()
        if self._leaving:
            self._leave()
        if session.over:
            session.pump()  # the answer to a farewell
            self._finish()

    def _tell_faults(self) -> None:
        for fault in self._session.next_faults():
            self.entity._fail(type(fault)(f"{self._session}: {fault}"), self)

    def _replace_former(self) -> None:
        """The peer was restarted: ``on_disconnect`` of its former session comes before ``on_connect`` of this one."""
        former, self.former = self.former, None
        if former is not None:
            former.session.supersede(f"{self._session.name} began anew; it was restarted")
            former.done.wait(DRAIN_TIMEOUT_S)

    def _handle(self, lane: int, record: bytes) -> None:
        """Deal with a record of the toolkit itself; one of an unknown kind means nothing."""
        session = self._session
        handler = self.entity._handlers.get(kind_of(record))
        if handler is not None:
            session.pause()
            try:
                handler.handle(self, lane, record)
            except RemoteProtocolError as error:
                self.entity._fail(error, self)
                session.supersede(str(error))
            except NotNow:
                session.records.appendleft((lane, record))
                self._held = True
                self.entity._flusher.call_later(AGAIN_S, weakly(self._go_on))
                return
            finally:
                session.resume()
        session.delivered_record(lane)
        if not self._waits:
            session.pump()

    def _go_on(self) -> None:
        self._held = False
        self.wake()

    def _settle(self, lane: int, record: bytes) -> None:
        handler = self.entity._handlers.get(kind_of(record))
        if handler is not None:
            handler.settled(self, lane, record)

    def in_turn(self, call: Callable[[], None]) -> None:
        """Have ``call`` called in turn with the callbacks; if the session is over, at once. Any thread."""
        self._news.append(call)
        if self.ended:
            self._tell_news()
        else:
            self.wake()

    def _tell_news(self) -> None:
        while self._news:
            try:
                call = self._news.popleft()
            except IndexError:  # another was quicker
                return
            call()

    def _hand_out(self) -> None:
        """Deliver the next messages, and acknowledge them together; so many that it takes a millisecond or so."""
        session = self._session
        part = session.next_messages(self._slice)
        count, began = len(part), perf_counter()
        self.dispatch(part)
        took = perf_counter() - began
        cut, self._dealt = self._dealt, None
        session.delivered(count if cut is None else cut)
        if took < _SHORT_S:
            self._slice = min(_MOST, 2 * self._slice)
        elif took > _LONG_S:
            self._slice = max(1, self._slice // 2)
        if took > _LONG_S or not session.session.incoming.ready:
            session.look()

    def send(self, message: bytes, how: How = PLAINLY) -> None:
        lane, lifetime, latest, timeout = how
        self._session.send(message, lane, lifetime=lifetime, latest=latest, timeout=timeout)

    def closing(self) -> None:
        if self.batch:
            self._dealt = len(self.batch) - length_hint(self._rest)
        super().closing()

    def _sent(self) -> None:
        """Say goodbye, but not before the callback that is at work has returned, and what it dealt with is told."""
        self._leaving = True
        if self._worker is not None:
            self._wakes.set()
        elif self._working.acquire(blocking=False):
            try:
                self._leave()
            finally:
                self._working.release()
            self.wake()  # somebody may have found it taken

    def _leave(self) -> None:
        if self._leaving:
            self._leaving = False
            super()._sent()

    # The end ---------------------------------------------------------------------------------------------------------

    def discard(self) -> None:
        """It came to nothing, and nobody was told of it: let go of everything."""
        self.ended = True
        self._session.abort()
        self._let_go()

    def _finish(self) -> None:
        for handler in self.entity._handlers.values():
            handler.session_ended(self)
        super()._finish()
        self._tell_news()
        self.on_over()

    def _let_go(self) -> list[bytes]:
        self._wakes.set()  # its own thread may wait, if it was another who ended it
        return super()._let_go()

    def _release(self) -> list[bytes]:
        left = super()._release()
        session = self._session
        for line in session.lines:
            line.connection.abort()
        self.done.set()
        if left:
            self.entity._fail(session.undelivered(left), self)
        return []


def _nothing() -> None: ...
