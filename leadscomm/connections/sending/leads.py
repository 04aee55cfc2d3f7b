"""The outbox of the LEADS wire: a separator of one byte, which is the path of most messages."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from leadscomm.connections.sending.bound import BLOCK_BYTES
from leadscomm.connections.sending.outbox import Outbox
from leadscomm.connections.sending.writer import Writer
from leadscomm.protocol.framing import FAREWELL, Framing, SeparatorFraming, plain

_SHORT: Final = len(FAREWELL)
"""A message may be the farewell, or empty: looked at closely."""


class LeadsOutbox(Outbox):
    """:class:`Outbox` with the framing's check and encoding written out in ``send``.

    A method call costs as much as all the rest of ``send`` in a burst. What is refused, and why, is still the
    framing's matter.
    """

    __slots__ = ("_limit", "_mark", "_separator")

    def __init__(self, writer: Writer, framing: SeparatorFraming) -> None:
        super().__init__(writer, framing)
        self._mark = framing.separator
        self._separator = framing.separator[0]
        self._limit = framing.max_message

    def send(
        self,
        message: bytes,
        lane: int | None = None,
        lifetime: float | None = None,
        latest: Hashable | None = None,
        timeout: float | None = None,
    ) -> None:
        if lane is not None or lifetime is not None or latest is not None or timeout is not None:
            self._send_as(message, timeout, lane=lane, lifetime=lifetime, latest=latest)
            return
        if type(message) is not bytes:
            message = plain(message)
        size = len(message)
        if self._separator in message or not _SHORT < size <= self._limit:
            self._framing.check(message)
            size += 1  # empty messages count as well
        if self._upstream:
            self._upstream_flush()
        if not self.waiting and not self._queue and size < BLOCK_BYTES and self._alone(message, message + self._mark):
            return
        pending = self._pending + size
        if pending > self._room:
            self._look(message)
            return
        self._queue.append(message)
        self._pending = pending
        if not self.waiting:
            self._push(message)

    def _frame(self, message: bytes) -> bytes:
        return message + self._mark


def outbox_for(writer: Writer, framing: Framing) -> Outbox:
    """The outbox that suits ``framing`` best."""
    if isinstance(framing, SeparatorFraming) and len(framing.separator) == 1 and not framing.lost:
        return LeadsOutbox(writer, framing)
    return Outbox(writer, framing)
