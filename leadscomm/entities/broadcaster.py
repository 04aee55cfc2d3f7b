"""What a server and a node have in common: many peers, and messages to all of them."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from leadscomm.connections.sending.fanout import FanOut
from leadscomm.connections.sending.how import How
from leadscomm.connections.sending.outbox import Outbox
from leadscomm.connections.sending.writer import Flusher, weakly
from leadscomm.entities.callback import Callback
from leadscomm.entities.entity import Entity
from leadscomm.entities.running.reader import Stage
from leadscomm.errors import CommError, DeliveryError
from leadscomm.protocol.framing import Framing


class Broadcaster(Entity):
    """An entity whose broadcasts are gathered, and given to all peers' outboxes at a time.

    :param port: what :meth:`port` answers.
    :param callback: what is told.
    :param framing: checks what is broadcast, and encodes it once for those who take it in blocks.
    """

    def __init__(self, port: Any, callback: Callback | None, framing: Framing) -> None:
        super().__init__(port, callback)
        self._framing = framing
        self._everybody = self._fan_out()

    def _fan_out(self) -> FanOut:
        """One for each run, as each has a flusher of its own."""
        broadcaster = weakref.ref(self)  # it is to go as soon as nobody uses it

        def outboxes() -> Iterable[tuple[Outbox, bool]]:
            there = broadcaster()
            return () if there is None else there._outboxes()

        everybody = FanOut(self._framing, outboxes)
        everybody.configure(
            flusher=self._flusher, outbox=1 << 62, send_timeout=0.0, overflow="block", report=weakly(self._report)
        )
        return everybody

    def _outboxes(self) -> Iterator[tuple[Outbox, bool]]:
        for stage in self._stages:
            yield stage.outbox, stage.in_blocks

    def _equip(self, outbox: Outbox, flusher: Flusher | None) -> None:
        super()._equip(outbox, flusher)
        outbox.follow(self._everybody.queue, self._everybody.catch_up)

    def _send_each(self, stages: Iterable[Stage], msg: bytes, how: How) -> None:
        """Send a message to some, one by one; wait for none, and tell what one does not take."""
        for stage in stages:
            try:
                stage.send(msg, how.at_once())
            except CommError as error:
                failure = DeliveryError(f"a message to all was not sent to {stage.connection}: {error}", [msg])
                failure.__cause__ = error
                self._report(failure)

    def _disown(self) -> None:
        super()._disown()
        self._everybody = self._fan_out()

    def _wind_up(self) -> None:
        self._everybody.catch_up()
        super()._wind_up()
