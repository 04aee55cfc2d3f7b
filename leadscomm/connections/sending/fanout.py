"""Broadcasts: encoded once, joined once, the same block handed to every peer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter

from leadscomm.connections.sending.how import PLAINLY, How
from leadscomm.connections.sending.outbox import Outbox
from leadscomm.connections.sending.writer import Writer
from leadscomm.connections.sending.writing import TURN_S
from leadscomm.connections.waiting import enter
from leadscomm.protocol.framing import Framing


class FanOut(Outbox):
    """An outbox whose peer is everybody: what leaves it goes into the outboxes of all peers, and never waits for one.

    :param framing: the one that the peers have in common.
    :param peers: the outboxes to hand to, and whether each takes blocks of that framing.
    """

    __slots__ = ("_peers",)

    def __init__(self, framing: Framing, peers: Callable[[], Iterable[tuple[Outbox, bool]]]) -> None:
        super().__init__(_Everybody(), framing)
        self._peers = peers
        self.timeout = 0.0

    @property
    def queue(self) -> list[bytes]:
        """What waits to be handed out; not empty means that ``flush`` is due before anything newer is sent to a
        peer."""
        return self._queue

    def _alone(self, message: bytes, frame: bytes) -> bool:
        return False

    def check(self, message: bytes, how: How = PLAINLY) -> None:
        """Refuse what the framing cannot carry, and what is for sessions, as :meth:`send` does."""
        self._framing.check(message)
        self._check_lacking({"lane": how.lane, "lifetime": how.lifetime, "latest": how.latest})

    def catch_up(self) -> None:
        """Hand out what waits, and wait for whoever is at it: then all of it is in every outbox. What was interrupted
        in the middle of this cannot be waited for."""
        if enter(self._writing):
            self._write_and_let_go()
            self._look_again()

    def _write_out(self, patient: bool = False) -> bool:
        over = perf_counter() + TURN_S
        while count := len(self._queue):
            batch = self._queue[:count]
            block: bytes | None = None
            for outbox, in_blocks in self._peers():
                if in_blocks and block is None:  # sessions take messages, and need none
                    block = self._encoded(batch)
                outbox.put(batch, (block or None) if in_blocks else None)
            with self._front:  # not before: as long as it is not empty, senders to one peer know to catch up
                self._cut(count)
            if perf_counter() > over:  # what has come meanwhile, if others go on broadcasting
                return False
        return True

    def _encoded(self, batch: list[bytes]) -> bytes:
        """A batch as the peers take it; nothing, if each is to encode it for itself."""
        if not self._framing.joins:
            return b""
        try:
            return self._framing.encode_all(batch)
        except Exception:  # somebody's own framing fails: each peer's outbox finds that out, and ends
            return b""


class _Everybody(Writer):
    """Stands where an outbox has its connection."""

    __slots__ = ()

    def __str__(self) -> str:
        return "everybody"

    def _write(self, data: bytes | memoryview) -> int:
        raise AssertionError("a fan-out writes to outboxes, not to a connection")

    def _wait_writable(self, timeout: float) -> bool:
        return True

    def abort(self) -> None:
        """Everybody cannot be disconnected at once."""
