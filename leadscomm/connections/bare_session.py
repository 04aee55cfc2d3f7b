"""Sessions that no entity runs: each has one line, and lives as long as that."""

from __future__ import annotations

from leadscomm.connections.address import Address
from leadscomm.connections.base import ConnectionBase, ListenerBase
from leadscomm.connections.meeting import Meeting
from leadscomm.connections.session import SessionConnection
from leadscomm.connections.session_line import Line
from leadscomm.connections.terms import SpeaksCompact, Terms, compact_session


def connect_session(address: Address, line: ConnectionBase, deadline: float) -> ConnectionBase:
    """A session over a line that was dialled: of the compact profile, if the peer speaks no other.

    :raises CommError: none; the line is closed then.
    """
    session = SessionConnection(Terms.of(address, address.key()), asks=True)
    session.outbox.timeout = address.options["send_timeout"]
    try:
        line.open(deadline)
        session.agree(session.add(line, address), deadline)
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
        session = SessionConnection(Terms.of(address, address.key()), asks=False)
        session.accepted = True
        session.outbox.timeout = address.options["send_timeout"]

        def begin(deadline: float) -> Line:
            guest = Meeting(_open(line, deadline), session.terms).guest(deadline)
            if guest.offer is None:
                raise SpeaksCompact(f"{line} speaks the compact profile alone; a Server can talk to it")
            added = session.add(line, address)
            session.took(added, guest.frames)
            return added

        session.opens_by(begin)
        return session

    def close(self) -> None:
        self._listener.close()

    def release(self) -> None:
        self._listener.release()

    def port(self) -> int:
        return self._listener.port()
