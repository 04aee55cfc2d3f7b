"""Datagrams beside the messages of a compact session: they leave at the pace of the line, heed the peer's credit, and
take turns with messages. No clock: ``now`` is that of the session.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from leadscomm.errors import LocalProtocolError
from leadscomm.protocol.session import wire
from leadscomm.protocol.session.compact.go_back_n import CompactSender, Wire
from leadscomm.protocol.session.wire import next_count

PING_BYTES: Final = 5
QUEUED_BYTES: Final = 64
"""A datagram does not leave while more than this waits at the line: messages that are acknowledged would wait, too."""
MAX_DATAGRAMS: Final = 64
"""How many datagrams wait for the line; of more the oldest are lost, as datagrams may be."""


class CompactDatagrams:
    """Those that wait.

    :param line: what is known of the line.
    :ivar passed_over: messages left, and a datagram waited: it is the datagrams' turn.
    """

    def __init__(self, line: Wire) -> None:
        self.passed_over = False
        self._line = line
        self._waiting: deque[bytes] = deque(maxlen=MAX_DATAGRAMS)
        self._count = 0
        self._held_up = False  # a message was held up by datagrams: it is the messages' turn
        self._forgotten_at: float | None = None  # when a datagram counts no more, though nothing was heard of it

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: bytes, segment: int | None) -> None:
        """Let one wait.

        :param segment: bytes that the peer takes at most; None: it is not known.
        :raises LocalProtocolError: it has more.
        """
        if segment is not None and len(message) > segment:
            raise LocalProtocolError(
                f"the datagram has {len(message)} bytes, and the peer takes {segment} at most: a datagram is not "
                "cut in pieces; send it by send()"
            )
        self._count = next_count(self._count)
        self._waiting.append(wire.datagram(message, self._count))

    def answered(self, sender: CompactSender) -> None:
        """The peer has said how far it is: no datagram counts for its credit any more."""
        sender.beside, self._forgotten_at = 0, None

    def deadlines(self, sender: CompactSender, said_at: float) -> list[float]:
        """When something is to be done."""
        return [when for when in (self._next_at(sender, said_at), self._forgotten_at) if when is not None]

    def due(self, sender: CompactSender, now: float, said_at: float, ack: int) -> list[bytes]:
        """The frames that may leave now: as many as keep the line busy, and one whenever messages have left before it.
        Where the peer told a credit they count as well, until the PING behind each is answered.

        :param said_at: when this side said something last.
        :param ack: which message is expected next.
        """
        if self._forgotten_at is not None and now >= self._forgotten_at:
            self.answered(sender)  # the answer got lost
        due: list[bytes] = []
        while (when := self._next_at(sender, said_at)) is not None and now >= when:
            size = self._size(sender)
            self.passed_over = False
            due.append(self._waiting.popleft())
            sender.occupy(size, now)
            if sender.credit:
                sender.beside, self._forgotten_at = size, now + sender.trip.patience
                due.append(wire.control(wire.PING, ack=ack))
        return due

    def take_turns(self, *, messages_left: bool, held_up: bool) -> None:
        """Messages had their turn.

        :param messages_left: some have left.
        :param held_up: one had to wait.
        """
        if messages_left:
            self.passed_over, self._held_up = True, False
        else:
            self._held_up = self._held_up or (held_up and not self.passed_over)
        self.passed_over &= bool(self._waiting)

    def _next_at(self, sender: CompactSender, said_at: float) -> float | None:
        """When the next one may leave; None: not before something comes."""
        if not self._waiting or self._held_up or sender.beside or not sender.affords(self._size(sender)):
            return None
        return said_at if self.passed_over else sender.free_at - self._line.seconds(QUEUED_BYTES)

    def _size(self, sender: CompactSender) -> int:
        """What the next one takes of the line, and of the peer's credit where there is one."""
        return self._line.size(len(self._waiting[0])) + sender.lead + (PING_BYTES if sender.credit else 0)
