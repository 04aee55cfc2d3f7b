"""What happened on links and in sessions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LinkCounters:
    """What happened on a link since its session began.

    :ivar bad_frames: frames that came damaged.
    :ivar lost_datagrams: datagrams of the peer that did not come.
    :ivar resent: frames that this side sent again.
    :ivar duplicates: frames that came again, or behind a missing one, and were dropped.
    :ivar round_trip: seconds from a frame to its acknowledgement, smoothed; None as long as there was none.
    """

    bad_frames: int
    lost_datagrams: int
    resent: int
    duplicates: int
    round_trip: float | None


@dataclass(frozen=True)
class LinkStats:
    """How one link of a session is.

    :ivar joined: the peer has agreed to it.
    :ivar well: what is sent over it is answered.
    :ivar dead: nothing came over it for so long that it is to be closed.
    :ivar carries: the session's segments go over it at present.
    :ivar round_trip: seconds from a segment to its acknowledgement, smoothed; None as long as there was none.
    :ivar jitter: by how many seconds a round trip differs from that, smoothed.
    :ivar loss: the share of its segments that had to be sent again, 0 to 1.
    :ivar sent_bytes: of frames, without what the framing adds.
    :ivar received_bytes: the same.
    :ivar rate: bytes a second that arrive at the peer, as measured while there was enough to send; 0 before.
    :ivar clock_offset: seconds by which the peer's clock is ahead; None before the first measurement.
    :ivar clock_uncertainty: by how many seconds that may be wrong.
    :ivar pings_missed: PINGs that nothing came after.
    """

    joined: bool
    well: bool
    dead: bool
    carries: bool
    round_trip: float | None
    jitter: float
    loss: float
    sent_bytes: int
    received_bytes: int
    rate: float
    clock_offset: float | None
    clock_uncertainty: float | None
    pings_missed: int


@dataclass(frozen=True)
class SessionStats:
    """How a session is, and what happened since it began. Records of the toolkit itself count as messages.

    :ivar links: those that it has at present.
    :ivar queued_messages: messages that wait at this side, and were not begun.
    :ivar queued_bytes: their bytes.
    :ivar unacknowledged: messages that were begun, and that the peer has not dealt with.
    :ivar sent: messages that this side was given to send.
    :ivar delivered: of these, those that the peer has dealt with.
    :ivar dropped: of these, those that were not sent: a newer one replaced them, or their time ran out.
    :ivar received: messages of the peer that were taken.
    :ivar duplicates: segments that came again, and were dropped.
    :ivar bad_frames: frames that came damaged.
    :ivar resent: segments that this side sent again.
    :ivar lost_datagrams: datagrams of the peer that did not come.
    """

    links: tuple[LinkStats, ...]
    queued_messages: int
    queued_bytes: int
    unacknowledged: int
    sent: int
    delivered: int
    dropped: int
    received: int
    duplicates: int
    bad_frames: int
    resent: int
    lost_datagrams: int
