"""Sessions that no entity runs: each has one line, and lives as long as that."""

from __future__ import annotations

from leadscomm.connections.address import Address
from leadscomm.connections.base import ConnectionBase, ListenerBase
from leadscomm.connections.meeting import Meeting
from leadscomm.connections.session import SessionConnection, Terms
from leadscomm.connections.session_line import Line
from leadscomm.errors import ConnectFailed


def connect_session(address: Address, line: ConnectionBase) -> SessionConnection:
    """A session over a line that was dialled; its ``open`` does the rest."""
    session = SessionConnection(Terms.of(address, address.key()), asks=True)
    session.outbox.timeout = address.options["send_timeout"]
    session.opens_by(lambda deadline: session.add(_open(line, deadline), address))
    return session


def _open(line: ConnectionBase, deadline: float) -> ConnectionBase:
    try:
        line.open(deadline)
    except BaseException:
        line.abort()
        line._close()
        raise
    return line


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
                raise ConnectFailed(f"{line} speaks the compact profile alone: it is a server that can talk to it")
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
