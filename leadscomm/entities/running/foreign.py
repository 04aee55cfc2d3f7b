"""Connections in LEADS's shape, with ``receive``, ``send``, ``closed`` and ``close`` of their own.

Nothing else of them is called: what else they have by the names of ours is their own matter.
"""

from __future__ import annotations

import threading

from leadscomm.connections.base import ConnectionBase, Incomplete, leads_shaped
from leadscomm.connections.sending.outbox import Outbox
from leadscomm.connections.sending.writer import Writer
from leadscomm.entities.running.board import ReliableStage
from leadscomm.entities.running.owner import Owner
from leadscomm.entities.running.reader import Stage
from leadscomm.protocol.framing import FAREWELL, WholeFraming
from leadscomm.sessions.board import ReliableConnection


def staged(entity: Owner, connection: ConnectionBase) -> Stage:
    """What runs ``connection`` for ``entity``."""
    if isinstance(connection, ReliableConnection):
        return ReliableStage(entity, connection)
    return ForeignStage(entity, connection) if leads_shaped(connection) else Stage(entity, connection)


class ForeignStage(Stage):
    """Runs a connection that receives and sends in its own way, in threads of its own."""

    __slots__ = ("_closed",)

    def _take_over(self, connection: ConnectionBase) -> None:
        self._closed = threading.Lock()  # taken by who closes it
        self._framing = WholeFraming()
        self._receive = self._received
        self.outbox = Outbox(_Foreign(connection), self._framing)

    @property
    def in_blocks(self) -> bool:
        return False

    def fileno(self) -> int | None:
        return None

    def _prepare(self, deadline: float) -> None:
        """It is open as it comes."""

    def _begin(self) -> None:
        """Nothing of it was read by us, and it has no timer."""

    def not_run(self) -> None:
        self.ended = True
        self._release()

    def _received(self) -> list[bytes] | None:
        try:
            message = self.connection.receive()
        except Incomplete:
            return []
        return None if message is None or message == FAREWELL else [message]

    def _let_go(self) -> list[bytes]:
        left = self.outbox.abandon()
        self._close_once()
        return left

    def close(self) -> None:
        self._shut = True
        self.outbox.send_last(b"")
        self.outbox.when_drained(self._close_once)

    def abort(self) -> None:
        self._close_once()

    def disown(self) -> None:
        self.ended = self._shut = True
        self.outbox.disown()
        self._closed.acquire(blocking=False)  # nobody closes it here

    def _close_once(self) -> None:
        """In LEADS's shape each close says goodbye."""
        if self._closed.acquire(blocking=False) and not self.connection.closed():
            self.entity._call(self.connection.close, stage=self)


class _Foreign(Writer):
    """The outbox of a connection that sends in its own way, one message at a time."""

    __slots__ = ("_connection",)

    def __init__(self, connection: ConnectionBase) -> None:
        self._connection = connection

    def __str__(self) -> str:
        return str(self._connection)

    def _write(self, data: bytes | memoryview) -> int:
        self._connection.send(bytes(data))
        return len(data)

    def _wait_writable(self, timeout: float) -> bool:
        return True

    def abort(self) -> None:
        self._connection.close()
