"""Sessions that no entity runs: each has one line, and lives as long as that."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from leadscomm.connections.address import Address
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.listener import ListenerBase
from leadscomm.sessions.agreeing import agree
from leadscomm.sessions.line import Line
from leadscomm.sessions.meeting import Meeting
from leadscomm.sessions.session import SessionConnection
from leadscomm.sessions.terms import SpeaksCompact, Terms, compact_session


class BareSession(SessionConnection):
    """A session that lives only as long as ``receive`` or ``send`` are called; a message is acknowledged once it was
    read.

    :param open_line: finds the line, before the deadline that it is told; for :meth:`open`.
    """

    __slots__ = ("_open_line",)

    def __init__(
        self, terms: Terms, *, asks: bool, open_line: Callable[[BareSession, float], Line] | None = None
    ) -> None:
        self._open_line = open_line
        super().__init__(terms, asks=asks)

    def open(self, deadline: float) -> None:
        """Open the line and agree with the peer; returns at once if that is done."""
        if self._open_line is not None and not self.lines:
            agree(self, self._open_line(self, deadline), deadline)

    def more(self) -> bool:
        return self.over or any(line.connection.more() for line in self.lines) or self._ended

    def read_batch(self) -> list[bytes] | None:
        with self._reading:
            frames = None if self.over or not self.lines else self._read_line(self.lines[0])
            if frames is None:
                self._ended = True
                return None
            line = self.lines[0]
            self.took(line, frames)
            messages = self.next_messages()
            self._inbox = self._inbox or deque()
            self._inbox += self.next_datagrams()
            self._inbox += messages  # here, so that a sender who reads ahead keeps their order
            if messages:
                self.delivered(len(messages))
                with self._turn:
                    line.link.schedule_ack(time.monotonic(), frames=0, urgent=True)  # nobody turns a timer for it
        self.pump()
        return []

    def _read_line(self, line: Line) -> list[bytes] | None:
        """Read; None at the end, which is the session's too."""
        try:
            frames = line.connection.read_batch()
        except BlockingIOError:
            line.connection._more = False
            raise
        except Exception:  # whatever a transport raises
            frames = None
        if frames is None:
            self.supersede(f"{line} ended")
        return frames


def connect_session(address: Address, line: ConnectionBase, deadline: float) -> ConnectionBase:
    """A session over a line that was dialled: of the compact profile, if the peer speaks no other.

    :raises CommError: none; the line is closed then.
    """
    session = BareSession(Terms.of(address, address.key()), asks=True)
    session.outbox.timeout = address.options["send_timeout"]
    try:
        line.open(deadline)
        agree(session, session.add(line, address), deadline)
    except SpeaksCompact:
        compact = compact_session(line, address)
        compact.outbox.timeout = address.options["send_timeout"]
        _open(compact, deadline)
        return compact
    except BaseException:
        _let_go(line)
        raise
    return session


def _open(line: ConnectionBase, deadline: float) -> ConnectionBase:
    try:
        line.open(deadline)
    except BaseException:
        _let_go(line)
        raise
    return line


def _let_go(line: ConnectionBase) -> None:
    line.abort()
    line._close()


class SessionListener(ListenerBase):
    """Accepts sessions; to be opened by who accepts them.

    :param listener: accepts their lines.
    """

    __slots__ = ("_address", "_listener")

    def __init__(self, listener: ListenerBase, address: Address) -> None:
        self._listener = listener
        self._address = address

    def accept(self) -> ConnectionBase | None:
        line = self._listener.accept()
        if line is None:
            return None
        line.accepted = True
        address = self._address

        def begin(session: BareSession, deadline: float) -> Line:
            guest = Meeting(_open(line, deadline), address, session.terms).guest(deadline)
            if guest.offer is None:
                raise SpeaksCompact(f"{line} speaks the compact profile alone; a Server can talk to it")
            added = session.add(line, address)
            session.took(added, guest.frames)
            return added

        session = BareSession(Terms.of(address, address.key()), asks=False, open_line=begin)
        session.accepted = True
        session.outbox.timeout = address.options["send_timeout"]
        return session

    def close(self) -> None:
        self._listener.close()

    def release(self) -> None:
        self._listener.release()

    def port(self) -> int:
        return self._listener.port()

    def handles(self) -> list[int]:
        return self._listener.handles()
