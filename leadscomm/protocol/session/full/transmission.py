"""How the segments of a session of the full profile travel: over which of its links, and what becomes of them.

One link carries the segments, the others stand by.
"""

from __future__ import annotations

from typing import Final

from leadscomm.protocol.session import segments as full
from leadscomm.protocol.session import wire
from leadscomm.protocol.session.full.datagrams import Datagrams
from leadscomm.protocol.session.full.lanes import Lane, Route, Sent
from leadscomm.protocol.session.full.link import Link
from leadscomm.protocol.session.full.liveness import Liveness
from leadscomm.protocol.session.full.receiving import IncomingLanes
from leadscomm.protocol.session.full.sending import OutgoingLanes
from leadscomm.protocol.session.offer import Offer, too_long
from leadscomm.protocol.session.segments import Ack

REMIND_EVERY_S: Final = 1.0
"""A peer that has dealt with nothing is asked so often at least."""
MIXED_S: Final = 5.0
"""For so long after an urgent message there may be another one."""
_MOST_DOUBLINGS: Final = 16
_ACK_SPACE: Final = 1024
"""Bytes of an acknowledgement, at most."""


class Transmission:
    """:param me: what this side says of itself.

    :param links: those of the session, also those that the peer has not agreed to yet.
    :ivar active: the one that segments travel over.
    :ivar source: the one that the peer's came from last: over it the peer is told of them.
    :ivar refuses: the peer is to be told that something was too long.
    """

    def __init__(
        self,
        me: Offer,
        now: float,
        links: list[Link],
        liveness: Liveness,
        incoming: IncomingLanes,
        outgoing: OutgoingLanes,
        datagrams: Datagrams,
    ) -> None:
        self.active: Link | None = None
        self.source: Link | None = None
        self.refuses = False
        self._me = me
        self._epoch = me.epoch
        self._links = links
        self._liveness = liveness
        self._incoming = incoming
        self._outgoing = outgoing
        self._datagrams = datagrams
        self._untold = 0  # bytes that were dealt with, and that the peer was not told of
        self._lane: Lane | None = None  # what a segment was sent of last
        self._mixed_until = now  # there are urgent messages beside others
        self._reminders = 0  # how often in a row the peer was asked what it has dealt with
        self._progress_at = now
        self._resent_before = 0  # over links that are gone

    # Links -----------------------------------------------------------------------------------------------------------

    def remove(self, link: Link) -> None:
        """A link is gone: what it had under way goes over another."""
        if link in self._links:
            self._links.remove(link)
            self.abandon(link)
            self._resent_before += link.recovery.resent

    def abandon(self, link: Link) -> None:
        """A link is of no use: what it had under way goes over another."""
        under_way = self._outgoing.under_way(link)
        link.give_up(under_way)
        _lose(under_way)
        if self.active is link:
            self.active = None
        if self.source is link:
            self.source = None
            self.tell_delivered(self._liveness.heard_at)

    def distrust(self, link: Link) -> None:
        """A link loses something, though it was taken for one that does not: what it had under way goes again."""
        under_way = self._outgoing.under_way(link)
        link.distrust(under_way)
        _lose(under_way)

    def choose(self) -> Link | None:
        """The link for segments; when it is not well, and another one is, what it had under way goes over that."""
        present = self.active
        if present is not None and len(self._links) == 1 and not present.dead:
            return present
        best = None
        for link in self._links:
            if link.proved and not link.dead and (best is None or link.rank < best.rank):
                best = link
        if present is not None and best is not present and not present.well:
            self.abandon(present)
        self.active = best
        return best

    @property
    def resent(self) -> int:
        """Segments that were sent again, also over links that are gone."""
        return self._resent_before + sum(link.recovery.resent for link in self._links)

    # What is sent ----------------------------------------------------------------------------------------------------

    def due(self, now: float, link: Link) -> list[bytes]:
        """The frames that are to be sent over a link that the peer has shown to hear, in order."""
        if now >= link.heard_at + link.silence and not link.dead and not self._liveness.busy:
            link.dead = True
            self.abandon(link)
        for sent in link.path.lost(now):
            sent.lane.lose(sent)
        due = self.answers(now, link) if link.unacked or link.urgent or link.pings else []
        if link.ping_is_due(now):
            link.pinged(now, expected=not self._liveness.busy)
            due.append(link.ping(now))
        if link is self.choose():
            if self._datagrams.waiting:
                due += map(link.seal.seal, self._datagrams.due())
            if due:
                link.spend(due, now)
            segments = self.segments(now, link)
            due += segments
            if segments and link.rides(now):
                due += self._acknowledgement(link)
            remind_at = self.remind_at()
            if remind_at is not None and now >= remind_at:
                due.append(self._reminder(now, link))
        return due

    def next_at(self) -> float | None:
        """When something may be sent; None: not before something came."""
        link = self.choose()
        if link is None:
            return None
        first = self._outgoing.first
        return link.next_at(urgent=self._overtakes(first)) if first is not None or self._datagrams.waiting else None

    def segments(self, now: float, link: Link) -> list[bytes]:
        """The frames with segments that may be sent now."""
        due: list[bytes] = []
        if not self._outgoing.unsent:
            link.path.starved()
            return due
        epoch, seal, data = self._epoch, link.seal.seal, full.data
        urgent = not link.path.lossless and self._overtakes(self._outgoing.first)
        budget = link.path.budget(now, urgent=urgent)
        size, around = link.cut(mixed=now < self._mixed_until)
        for sent in self._outgoing.segments(size, budget, around):
            if sent.lane is not self._lane:
                if self._lane is not None:
                    self._mixed_until = now + MIXED_S
                self._lane = sent.lane
            link.sent(sent, now)
            budget -= sent.weight
            due.append(seal(data(sent.lane.number, epoch, sent.start, sent.payload())))
        if due:
            self._reminders, self._progress_at = 0, now
        if budget > 0 and not link.path.lossless:
            link.path.starved()
        return due

    def _overtakes(self, lane: Lane | None) -> bool:
        """Whether a lane is more urgent than the one of which something was sent last."""
        return lane is not None and self._lane is not None and lane.urgency < self._lane.urgency

    def acknowledged(self, ack: Ack, now: float, link: Link) -> bool:
        """The peer has told, over a link, what came; False if it cannot be: nothing of the sort was sent."""
        out = self._outgoing
        out.allow(ack.room, ack.messages)
        begun = out.begun_messages
        came: dict[Route, list[Sent]] = {}
        gaps = False
        for lane in ack.lanes:
            segments = out.acknowledge(lane)
            if segments is None:
                return False
            gaps = gaps or bool(lane.ranges)
            for sent in segments:
                assert sent.via is not None
                came.setdefault(sent.via, []).append(sent)
        for route, arrived in came.items():
            route.acknowledged(arrived, now)
        if came or out.begun_messages != begun:
            self._reminders, self._progress_at = 0, now
        self._look_for_losses(came, gaps, link)
        return True

    def _look_for_losses(self, came: dict[Route, list[Sent]], gaps: bool, told_over: Link) -> None:
        """A link that was thought to lose nothing may be seen to do so."""
        for link in self._links:
            behind = came.get(link, []) if gaps else []
            if behind or link is told_over:
                known = link.path.known_to_have_come(behind)
                if known and any(sent.order <= known for sent in self._outgoing.under_way(link)):
                    self.distrust(link)

    # Acknowledgements ------------------------------------------------------------------------------------------------

    def tell_delivered(self, now: float, size: int = 0) -> None:
        """Have the peer told of what was dealt with.

        :param size: bytes in the lanes, more than before.
        """
        self._untold += size
        link = self.source or self.choose()
        if link is not None:
            link.schedule_ack(now, frames=0 if link.unacked else 1, urgent=4 * self._untold > self._me.room)

    def answers(self, now: float, link: Link) -> list[bytes]:
        """What the peer is to be told of what came from it."""
        due = link.pongs(now) if link.pings else []
        ack_at = link.ack_at()
        if ack_at is not None and now >= ack_at:
            due += self._acknowledgement(link)
        return due

    def _acknowledgement(self, link: Link) -> list[bytes]:
        """What came and was dealt with."""
        due = []
        link.ack_sent()
        if self.refuses or self._incoming.passes_over:
            self.refuses = False  # it is told again until it has come whole: on some links frames are lost
            due.append(too_long(link.peer_epoch, self._incoming.longest, self._me.key))
        self._untold = 0
        space = min(link.longest_ack, _ACK_SPACE) - full.ACK_BYTES
        ack = Ack(self._me.room, self._me.messages, tuple(self._incoming.acks(space)))
        due.append(link.seal.seal(full.control(wire.ACK, self._me.epoch, ack.body())))
        return due

    def remind_at(self) -> float | None:
        """When to ask what the peer has dealt with: it may have said so, and that was lost."""
        link = self.active
        if link is None or not self._outgoing.begun_messages or link.path.told_by_itself:
            return None
        wait = link.path.wait(alone=len(self._links) == 1)
        return self._progress_at + min(REMIND_EVERY_S, wait * (1 << self._reminders))

    def _reminder(self, now: float, link: Link) -> bytes:
        """The question."""
        self._reminders = min(self._reminders + 1, _MOST_DOUBLINGS)
        self._progress_at = now
        link.reminded()
        return link.ping(now)


def _lose(under_way: list[Sent]) -> None:
    for sent in under_way:
        sent.lane.lose(sent)
