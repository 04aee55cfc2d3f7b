"""Whether the peer of a session of the full profile is still there: how long it was silent, on all links together, and
whether it was restarted. What becomes of a single link is told by that link.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from leadscomm.protocol.session.full.link import Link
from leadscomm.protocol.session.full.receiving import IncomingLanes

DOUBT_S: Final = 0.5
"""How long a peer has to show that it was not restarted; four round trips, if that is more."""


class Liveness:
    """:param patience: seconds of silence on all links after which the peer has left.

    :param links: those of the session.
    :param incoming: while messages of it are dealt with, nobody may read what comes.

    :ivar heard_at: when the peer was heard last, over whichever link.
    :ivar doubted_at: since when there are signs that the peer was restarted, which anybody may have made who saw a few
        frames; None as long as there are none.
    :ivar paused: nobody reads what comes, so that silence means nothing.
    """

    def __init__(self, now: float, patience: float, links: Sequence[Link], incoming: IncomingLanes) -> None:
        self.patience = patience
        self.heard_at = now
        self.doubted_at: float | None = None
        self.paused = False
        self._links, self._incoming = links, incoming
        self._paused_at = now
        self._doubt = ""

    def heard(self, now: float) -> None:
        """The peer is there, and has not begun anew."""
        self.heard_at = now
        self.doubted_at = None

    def heard_over(self, link: Link, now: float) -> None:
        """Something intact came: peer and link are alive."""
        self.heard_at = link.heard_at = now
        self.doubted_at = None
        link.dead = False
        link.unanswered = 0

    @property
    def busy(self) -> bool:
        """Whether silence means nothing: nobody may read what comes."""
        return self.paused or self._incoming.handed

    def pause(self, now: float, source: Link | None) -> None:
        """Nobody reads what comes until :meth:`resume`.

        :param source: as for :meth:`listen`.
        """
        self.resume(now, source)
        self.paused = True

    def resume(self, now: float, source: Link | None) -> None:
        """Somebody reads again."""
        if self.paused:
            self.listen(now, source)
        self.paused = False
        self._paused_at = now

    def listen(self, now: float, source: Link | None) -> None:
        """Nobody may have read since something came last, or since it was said so: that was no silence.

        :param source: who read this link dealt with the messages, perhaps.
        """
        away = now - max(self.heard_at, self._paused_at)
        for link in self._links:
            link.heard_at = min(now, link.heard_at + away)
        if source is not None:
            source.heard_at = now
        self.heard_at = now

    def doubt(self, why: str, now: float) -> None:
        """The peer was restarted, it seems. It has time to show that it was not: anybody may have said so."""
        if self.doubted_at is None:
            self.doubted_at, self._doubt = now, why
            for link in self._links:
                link.ping_now()

    def _doubt_ends(self) -> float | None:
        """When a peer that had a link, and did not show that it was not restarted, is believed to have been."""
        if self.doubted_at is None or not self._links:
            return None
        since = max(self.doubted_at, min([link.ready_at for link in self._links]))
        return since + max([DOUBT_S, *[4 * (link.recovery.round_trip or 0.0) for link in self._links]])

    def deadline(self) -> float:
        """When :meth:`over` is to be looked at."""
        ends = self._doubt_ends()
        patience_ends = self.heard_at + self.patience
        return patience_ends if ends is None else min(ends, patience_ends)

    def over(self, now: float) -> str | None:
        """Why the peer is believed to be gone, or to have begun anew; None if it is not."""
        ends = self._doubt_ends()
        if ends is not None and now >= ends:
            return self._doubt
        return f"nothing came from the peer for {self.patience:g} s" if now >= self.heard_at + self.patience else None
