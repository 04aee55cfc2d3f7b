"""What one side of a session wants, and what becomes of a peer that speaks the compact profile alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from leadscomm.connections.address import Address
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.opening import new_epoch
from leadscomm.errors import ConnectFailed
from leadscomm.protocol.session.full.prefixed import PREFIX_BYTES
from leadscomm.protocol.session.handshake import COMPACT, FULL, MANY, Handshake
from leadscomm.protocol.session.offer import Offer
from leadscomm.protocol.session.segments import STREAM_SEGMENT_BYTES
from leadscomm.sessions.board import ReliableConnection
from leadscomm.sessions.line import plan_of

ROOM_BYTES: Final = 4 << 20
"""How much may be under way to this side and not dealt with; more only where a single message needs it."""
ROOM_MESSAGES: Final = 1 << 17


class SpeaksCompact(ConnectFailed):
    """The peer has a session of the compact profile alone; :func:`compact_session` talks to it."""


def compact_session(line: ConnectionBase, address: Address, early: Sequence[bytes] | None = None) -> ReliableConnection:
    """The session with a peer that speaks the compact profile alone, over an open line.

    :param early: what it asked with; None: this side asks.
    """
    if address.scheme == "udp":
        raise ConnectFailed(
            f"{line} speaks the compact profile alone, which is for lines that keep the order, and UDP does not: use "
            "TCP or a serial line"
        )
    line.at_ease()
    return ReliableConnection(
        line,
        asks=early is None,
        longest=address.options["max_message"],
        plan=plan_of(address),
        early=early or (),
    )


@dataclass(frozen=True)
class Terms:
    """What one side of a session wants.

    :ivar name: what this side calls itself; may be empty.
    :ivar key: what both sides share; then each frame carries a proof.
    :ivar longest: bytes of a message that comes, at most.
    :ivar patience: seconds that a session waits without any line.
    :ivar dead_after: seconds of silence after which a line is given up.
    """

    name: str = ""
    key: bytes | None = None
    longest: int = 1 << 20
    patience: float = 30.0
    dead_after: float = 5.0

    @classmethod
    def of(cls, address: Address, key: bytes | None) -> Terms:
        options = address.options
        return cls(options["name"], key, options["max_message"], options["patience"], options["dead_after"])

    def offer(self) -> Offer:
        """What this side says of itself in a new session."""
        profiles = FULL if self.key is not None else FULL | COMPACT
        me = Handshake(epoch=new_epoch(), profiles=profiles, tag=self.name, longest=self.longest, segment=MANY)
        room = max(ROOM_BYTES, 2 * (self.longest + PREFIX_BYTES))
        return Offer(me, STREAM_SEGMENT_BYTES, room, ROOM_MESSAGES, self.key, self.longest, rides=True)
