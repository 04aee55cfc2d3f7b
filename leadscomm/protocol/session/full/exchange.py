"""What the application gives to a session of the full profile, and what it takes out of it."""

from __future__ import annotations

from collections.abc import Collection, Hashable

from leadscomm.errors import LocalProtocolError, RemoteProtocolError
from leadscomm.protocol.framing.base import MAX_FAULTS_KEPT
from leadscomm.protocol.session.counters import LinkStats, SessionStats
from leadscomm.protocol.session.full.datagrams import Datagrams
from leadscomm.protocol.session.full.joining import Joining
from leadscomm.protocol.session.full.lanes import DEFAULT_LANE
from leadscomm.protocol.session.full.prefixed import LONGEST, PREFIX_BYTES
from leadscomm.protocol.session.full.receiving import Incoming
from leadscomm.protocol.session.full.sending import Outgoing
from leadscomm.protocol.session.handshake import MANY
from leadscomm.protocol.session.offer import Offer
from leadscomm.protocol.session.segments import MESSAGES


class Exchange(Joining):
    """The part of a session that knows what is said.

    :param longest: bytes of a message that comes, at most; what is longer is dropped, and the peer is told.
    :ivar longest: bytes of a message that the peer takes, at most; not known before it has answered.
    :ivar certain: the same, as far as the peer has said so: where it does not tell, it may drop what is longer.
    :ivar datagrams: its messages that may be lost.
    """

    def __init__(self, me: Offer, now: float, *, asks: bool, longest: int, former: Collection[int]) -> None:
        if me.room < longest + PREFIX_BYTES:
            raise LocalProtocolError(f"room={me.room} cannot hold the longest message ({longest} bytes)")
        super().__init__(me, now, asks=asks, former=former)
        self._takes = longest
        self.longest = self.certain = LONGEST
        self.incoming = Incoming(me.room, me.messages, longest)
        self.outgoing = Outgoing(me.room, me.messages)
        self.datagrams = Datagrams()
        self.faults: list[RemoteProtocolError] = []

    def _begun(self, peer: Offer) -> None:
        self.outgoing.allow(peer.room, peer.messages)
        room = max(0, peer.room - PREFIX_BYTES)
        self.longest = room if peer.longest is None else min(room, peer.longest)
        self.certain = min(self.longest, peer.handshake.longest)

    def _drops(self, longest: int) -> None:
        if longest < self.longest:
            self.longest = longest
            self.certain = min(longest, self.certain)
            self.outgoing.limit(longest)

    # Sending ---------------------------------------------------------------------------------------------------------

    def check(self, message: bytes) -> None:
        """:raises LocalProtocolError: the peer does not take a message of this size."""
        if len(message) > self.longest:
            raise LocalProtocolError(
                f"the message has {len(message)} bytes, and the peer takes {self.longest} at most (max_message there; "
                f"here it is {self._takes}): send it in parts, or raise max_message on the other side"
            )

    @property
    def wants(self) -> bool:
        """Whether another message should be given to :meth:`send` now: no more wait than the peer takes at once."""
        return self.open and self.outgoing.wants

    def takes(self, lane: int = DEFAULT_LANE, channel: int = MESSAGES) -> bool:
        """The same of one lane alone, so that none waits for room in another."""
        return self._began and self.ended is None and not self.left and self.outgoing.takes(lane << 3 | channel)

    @property
    def idle(self) -> bool:
        """Whether the peer has dealt with every message."""
        return self.outgoing.idle

    def send(
        self,
        message: bytes,
        lane: int = DEFAULT_LANE,
        *,
        channel: int = MESSAGES,
        deadline: float | None = None,
        key: Hashable | None = None,
    ) -> None:
        """Send a message reliably; it has passed :meth:`check`, and the session is open.

        :param lane: 0 is the most urgent one, 7 the least.
        :param channel: :data:`MESSAGES` or :data:`RECORDS`.
        :param deadline: if it was not begun at this instant, it is not sent, and told by :meth:`expired`.
        :param key: it replaces a message of the same lane and key that was not begun.
        """
        self.outgoing.put(message, lane << 3 | channel, deadline, key)

    def send_all(self, messages: list[bytes], lane: int = DEFAULT_LANE, channel: int = MESSAGES) -> None:
        """Send many messages; quicker than one by one."""
        self.outgoing.put_all(messages, lane << 3 | channel)

    def send_datagram(self, message: bytes) -> None:
        """Send a message once; it may be lost.

        :raises LocalProtocolError: there is a link that takes no frame of this size.
        """
        longest = min([link.longest_datagram for link in self.links if link.joined], default=MANY)
        if len(message) > longest:
            raise LocalProtocolError(
                f"the datagram has {len(message)} bytes, and the links take {longest} at most: a datagram is not cut "
                "in pieces; send it by send()"
            )
        self.datagrams.put(message)

    def unacknowledged(self, channel: int = MESSAGES) -> list[bytes]:
        """The messages that the peer is not known to have dealt with; those of a lane in order."""
        return self.outgoing.unacknowledged(channel)

    def remains(self) -> tuple[list[bytes], list[bytes]]:
        """The application's messages among them: those that were sent, if only in part, and those that were not."""
        return self.outgoing.remains()

    def expired(self, channel: int = MESSAGES) -> list[bytes]:
        """Take the messages that were not sent since their time had run out."""
        late, self.outgoing.expired[channel] = self.outgoing.expired[channel], []
        return late

    def refused(self, channel: int = MESSAGES) -> list[bytes]:
        """Take the messages that the peer has dropped, or would have, as they were too long for it."""
        refused, self.outgoing.refused[channel] = self.outgoing.refused[channel], []
        return refused

    def settled(self) -> list[tuple[int, bytes]]:
        """Take the records that the peer has dealt with, each with its lane; those of a lane in order."""
        settled, self.outgoing.settled = self.outgoing.settled, []
        return settled

    def forget(self) -> None:
        """It is over, and nobody asks for what is left of it any more."""
        for link in self.links:
            link.give_up(self.outgoing.under_way(link))
        self.outgoing.forget()
        self.incoming.forget()

    # Receiving -------------------------------------------------------------------------------------------------------

    @property
    def has_messages(self) -> bool:
        """Whether :meth:`take` would find something."""
        return self.incoming.ready > 0

    def take(self, limit: int | None = None) -> list[bytes]:
        """Take the messages that came, the urgent ones first.

        :param limit: so many at most: those that come later may be more urgent than those that are not taken.
        """
        return self.incoming.take(limit)

    def take_records(self) -> list[tuple[int, bytes]]:
        """Take the records that came, each with its lane, the urgent ones first."""
        return self.incoming.take_records()

    def _counted(self, links: tuple[LinkStats, ...], bad_frames: int, resent: int) -> SessionStats:
        """How it is, and what happened so far.

        :param links: how its links are.
        """
        out = self.outgoing
        queued, begun = out.waiting_messages, out.begun_messages
        delivered, dropped = sum(lane.settled for lane in out.lanes), sum(lane.dropped for lane in out.lanes)
        return SessionStats(
            links=links,
            queued_messages=queued,
            queued_bytes=out.waiting_bytes,
            unacknowledged=begun,
            sent=queued + begun + delivered + dropped,
            delivered=delivered,
            dropped=dropped,
            received=self.incoming.taken,
            duplicates=self.incoming.duplicates,
            bad_frames=bad_frames,
            resent=resent,
            lost_datagrams=self.datagrams.lost,
        )

    def _break_off(self, why: str) -> None:
        """The peer broke the rules."""
        self._fault(f"{why}; the session is over")
        self.end(why)

    def _fault(self, text: str) -> None:
        if len(self.faults) < MAX_FAULTS_KEPT:
            self.faults.append(RemoteProtocolError(text))

    def take_faults(self) -> list[RemoteProtocolError]:
        """Take what the peer did that it may not do, for people."""
        faults, self.faults = self.faults, []
        return faults

    def take_datagrams(self) -> list[bytes]:
        """Take the datagrams that came."""
        return self.datagrams.take()
