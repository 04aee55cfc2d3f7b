"""How a connection is at the moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from leadscomm.protocol.session.counters import LinkStats, SessionStats


@dataclass(frozen=True)
class ConnectionStats:
    """What is known of a connection.

    :ivar queued_messages: messages that wait at this side.
    :ivar queued_bytes: their bytes, with what the interpreter needs for each.
    :ivar round_trip: seconds to the peer and back, smoothed, as the session or the system measures it; None: unknown.
    :ivar session: what its session has counted; None where there is none, and with a board.
    :ivar links: how each line of the session is, by its name.
    """

    queued_messages: int
    queued_bytes: int
    round_trip: float | None = None
    session: SessionStats | None = None
    links: Mapping[str, LinkStats] = field(default_factory=dict)
