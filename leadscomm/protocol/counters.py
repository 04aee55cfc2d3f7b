"""What happened on a link."""

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
