"""``fault://`` where it listens, and what can have faults."""

from __future__ import annotations

from leadscomm.connections.address import Address
from leadscomm.connections.base import ConnectionBase, leads_shaped
from leadscomm.connections.faults.connection import FaultyConnection
from leadscomm.connections.listener import ListenerBase
from leadscomm.errors import EndpointError


class FaultyListener(ListenerBase):
    """A listener whose connections have faults."""

    def __init__(self, listener: ListenerBase, address: Address) -> None:
        self._listener = listener
        self._address = address

    def accept(self) -> ConnectionBase | None:
        connection = self._listener.accept()
        return None if connection is None else with_faults(connection, self._address)

    def close(self) -> None:
        self._listener.close()

    def port(self) -> int:
        return self._listener.port()

    def handles(self) -> list[int]:
        return self._listener.handles()

    def local(self) -> bool:
        return self._listener.local()

    def release(self) -> None:
        self._listener.release()


def with_faults(connection: ConnectionBase, address: Address) -> ConnectionBase:
    """Put the faults of an endpoint on a connection.

    :raises EndpointError: it receives in a way of its own, so that nothing can be put below.
    """
    if leads_shaped(connection):
        connection.close()
        raise EndpointError(
            f"a connection of {address.scheme}:// has receive() of its own, and no faults can be put below that: leave "
            "fault:// out, or write _read() and _write() instead"
        )
    return FaultyConnection(connection, address)
