"""Which of its links carries a session, and what becomes of the segments that were under way on the others."""

from __future__ import annotations

from collections.abc import Collection

from leadscomm.protocol.session.full.exchange import Exchange
from leadscomm.protocol.session.full.lanes import Carrier, Sent
from leadscomm.protocol.session.full.link import Link
from leadscomm.protocol.session.offer import Offer


class Carrying(Exchange):
    """The part of a session that knows which way its segments go."""

    def __init__(self, me: Offer, now: float, *, asks: bool, longest: int, former: Collection[int]) -> None:
        super().__init__(me, now, asks=asks, longest=longest, former=former)
        self._resent_before = 0  # over links that are gone
        self._carrier: Link | None = None  # the link that segments travel over
        self._data_link: Link | None = None  # where the peer's came from last
        self._dealt_bytes = 0  # that the peer was not told of

    def remove(self, link: Link) -> None:
        """A link is gone: what it had under way goes over another."""
        if link in self.links:
            self.links.remove(link)
            self._abandon(link)
            self._resent_before += link.recovery.resent

    def _abandon(self, link: Link) -> None:
        under_way = self.outgoing.under_way(link)
        link.give_up(under_way)
        for sent in under_way:
            sent.lane.lose(sent)
        if self._carrier is link:
            self._carrier = None
        if self._data_link is link:
            self._data_link = None
            self._owe_dealt(self.heard_at)

    def _distrust(self, link: Link) -> None:
        """A link loses something, though it was taken for one that does not: what it had under way goes again."""
        under_way = self.outgoing.under_way(link)
        link.distrust(under_way)
        for sent in under_way:
            sent.lane.lose(sent)

    def _choose_carrier(self) -> Link | None:
        """The link for segments; when it is not well, and another one is, what it had under way goes over that."""
        present = self._carrier
        if present is not None and len(self.links) == 1 and not present.dead:
            return present
        best = None
        for link in self.links:
            if link.proved and not link.dead and (best is None or link.rank < best.rank):
                best = link
        if present is not None and best is not present and not present.well:
            self._abandon(present)
        self._carrier = best
        return best

    def _look_for_losses(self, came: dict[Carrier, list[Sent]], gaps: bool, told_over: Link) -> None:
        """An acknowledgement came: a link that was thought to lose nothing may be seen to do so."""
        for link in self.links:
            behind = came.get(link, []) if gaps else []
            if behind or link is told_over:
                known = link.path.known_to_have_come(behind)
                if known and any(sent.order <= known for sent in self.outgoing.under_way(link)):
                    self._distrust(link)

    def _owe_dealt(self, now: float) -> None:
        link = self._data_link or self._choose_carrier()
        if link is not None:
            link.owe(now, frames=0 if link.owed else 1, urgent=4 * self._dealt_bytes > self.me.room)

    @property
    def _resent(self) -> int:
        return self._resent_before + sum(link.recovery.resent for link in self.links)
