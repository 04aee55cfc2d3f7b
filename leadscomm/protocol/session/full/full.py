"""One session of the full profile with a peer, over one link or several. No I/O, no clock, no randomness.

Frames go in by :meth:`FullSession.receive` and come out of :meth:`FullSession.frames`, of each link apart; ``now`` is
any clock that only goes forward, in seconds. Messages go in by :meth:`FullSession.send` and come out of
:meth:`FullSession.take`. A message that came is acknowledged once :meth:`FullSession.delivered` said that it was dealt
with.

A session ends once. Links come and go meanwhile; without any it waits for the next one, as long as ``patience`` lasts.

What it is made of: who takes part in it (``joining.py``), whether the peer is still there (``liveness.py``), what is to
be sent (``sending.py``) and how it travels (``transmission.py``), what came (``receiving.py``), and its links
(``link.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Final

from leadscomm.errors import LocalProtocolError
from leadscomm.protocol.session import segments as full
from leadscomm.protocol.session import wire
from leadscomm.protocol.session.base import KNOWS_NOTHING, Beginning
from leadscomm.protocol.session.counters import LinkCounters, SessionStats
from leadscomm.protocol.session.full.datagrams import Datagrams
from leadscomm.protocol.session.full.joining import Hint, Joined, Joining, Restarted, TooLong, Trouble
from leadscomm.protocol.session.full.lanes import DEFAULT_LANE
from leadscomm.protocol.session.full.link import Link
from leadscomm.protocol.session.full.liveness import Liveness
from leadscomm.protocol.session.full.prefixed import LONGEST, PREFIX_BYTES
from leadscomm.protocol.session.full.receiving import IncomingLanes
from leadscomm.protocol.session.full.sending import OutgoingLanes
from leadscomm.protocol.session.full.transmission import Transmission
from leadscomm.protocol.session.handshake import MANY
from leadscomm.protocol.session.offer import Offer
from leadscomm.protocol.session.segments import MESSAGES, Ack

SILENCE_S: Final = 5.0
"""A link over which nothing came for so long is dead."""
PATIENCE_S: Final = 30.0
"""A peer that was not heard over any link for so long has left."""
FAREWELL_S: Final = 0.5
"""How long the answer to a farewell is waited for."""


class FullSession(Beginning):
    """Either side.

    :param me: what this side says of itself; its epoch is chosen by the caller, at random.
    :param now: the time.
    :param asks: this side says HELLO; otherwise it waits for one.
    :param longest: bytes of a message that comes, at most; what is longer is dropped, and the peer is told.
    :param silence: seconds of silence after which a link is dead.
    :param patience: seconds of silence on all links after which the peer has left.
    :param former: epochs of peers that are known to be over: what is left of them on the wire means nothing.
    :ivar links: its links, also those that the peer has not agreed to yet.
    :ivar longest: bytes of a message that the peer takes, at most; not known before it has answered.
    :ivar certain: the same, as far as the peer has said so: where it does not tell, it may drop what is longer.
    :ivar datagrams: its messages that may be lost.
    :ivar bad_frames: frames that came damaged.
    """

    def __init__(
        self,
        me: Offer,
        now: float,
        *,
        asks: bool,
        longest: int = 1 << 20,
        silence: float = SILENCE_S,
        patience: float = PATIENCE_S,
        former: Collection[int] = (),
    ) -> None:
        if me.room < longest + PREFIX_BYTES:
            raise LocalProtocolError(f"room={me.room} cannot hold the longest message ({longest} bytes)")
        super().__init__(asks=asks)
        self.me = me
        self.links: list[Link] = []
        self.joining = Joining(me, asks=asks, former=former)
        self.incoming = IncomingLanes(me.room, me.messages, longest)
        self.outgoing = OutgoingLanes(me.room, me.messages)
        self.datagrams = Datagrams()
        self.liveness = Liveness(now, patience, self.links, self.incoming)
        self.transmission = Transmission(
            me, now, self.links, self.liveness, self.incoming, self.outgoing, self.datagrams
        )
        self.longest = self.certain = LONGEST
        self.bad_frames = 0
        self._silence = silence
        self._left_at = now

    @property
    def peer(self) -> Offer | None:
        """What the other side says of itself; None before the handshake has ended."""
        return self.joining.peer

    @property
    def trusted(self) -> bool:
        """Whether the peer has shown, over one of the links, that it hears this side."""
        return self.joining.trusted

    # Links -----------------------------------------------------------------------------------------------------------

    def add(self, link: Link, now: float) -> None:
        """There is one more way to the peer; it is used once the peer has agreed."""
        link.begin(now, epoch=self.me.epoch, silence=self._silence, asks=self._asks)
        self.links.append(link)

    def remove(self, link: Link) -> None:
        """A link is gone: what it had under way goes over another."""
        self.transmission.remove(link)

    def leave(self, now: float) -> None:
        """Say goodbye; nothing is taken any more. The session ends when the peer has answered, or soon in any case."""
        if self.left or self.ended is not None:
            return
        if not any(link.joined for link in self.links):
            self.end("this side left")
        self.left = True
        self._left_at = now
        for link in self.links:
            link.ask_at = now

    def forget(self) -> None:
        """It is over, and nobody asks for what is left of it any more."""
        for link in self.links:
            link.give_up(self.outgoing.under_way(link))
        self.outgoing.forget()
        self.incoming.forget()

    # Sending ---------------------------------------------------------------------------------------------------------

    def check(self, message: bytes) -> None:
        """:raises LocalProtocolError: the peer does not take a message of this size."""
        if len(message) > self.longest:
            raise LocalProtocolError(
                f"the message has {len(message)} bytes, and the peer takes {self.longest} at most (max_message there; "
                f"here it is {self.incoming.longest}): send it in parts, or raise max_message on the other side"
            )

    def takes(self, lane: int = DEFAULT_LANE, channel: int = MESSAGES) -> bool:
        """Whether another message should be given to :meth:`send` now: no more wait in its lane than the peer takes at
        once."""
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
        :param deadline: if it was not begun at this instant, it is not sent: ``outgoing.take_expired`` tells of it.
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
        self.datagrams.put(message, longest)

    def remains(self) -> tuple[list[bytes], list[bytes]]:
        """The application's messages that the peer has not dealt with: those that were sent, if only in part, and those
        that were not."""
        return self.outgoing.remains()

    # Receiving -------------------------------------------------------------------------------------------------------

    def take(self, limit: int | None = None) -> list[bytes]:
        """Take the messages that came, the urgent ones first.

        :param limit: so many at most: those that come later may be more urgent than those that are not taken.
        """
        return self.incoming.take(limit)

    def delivered(self, now: float, count: int = 1) -> None:
        """The oldest ``count`` messages that were taken, and not yet reported here, were dealt with."""
        size = self.incoming.delivered(count)
        self.liveness.listen(now, self.transmission.source)
        self.transmission.tell_delivered(now, size)

    def take_records(self) -> list[tuple[int, bytes]]:
        """Take the records that came, each with its lane, the urgent ones first."""
        return self.incoming.take_records()

    def delivered_records(self, now: float, lane: int, count: int = 1) -> None:
        """The oldest ``count`` records of a lane that were taken, and not yet reported here, were dealt with."""
        self.transmission.tell_delivered(now, self.incoming.delivered_records(lane, count))

    def take_datagrams(self) -> list[bytes]:
        """Take the datagrams that came."""
        return self.datagrams.take()

    def pause(self, now: float) -> None:
        """Nobody reads what comes, as a callback runs: no silence is counted until :meth:`resume`.

        While messages are taken and not reported by :meth:`delivered`, that is so anyway.
        """
        self.liveness.pause(now, self.transmission.source)

    def resume(self, now: float) -> None:
        """Somebody reads again."""
        self.liveness.resume(now, self.transmission.source)

    def damaged(self, now: float, link: Link, count: int = 1) -> None:
        """Frames came damaged: the peer is told at once what is expected."""
        self.bad_frames += count
        if link.joined and count:
            link.schedule_ack(now, frames=0, urgent=True)
            if link.path.lossless:
                self.transmission.distrust(link)

    def receive(self, frame: bytes, now: float, link: Link) -> None:
        """Take a frame that came over a link."""
        if not frame or self.ended is not None:
            return
        link.received_bytes += len(frame)
        if link.allowance is not None:
            link.allowance.received(len(frame))
        kind = frame[0] >> 6
        if kind == wire.CONTROL and wire.HELLO <= frame[0] >> 3 & 7 <= wire.REFUSE:
            self._greeted(frame, now, link)
            return
        if not link.joined:
            self.joining.stranger(frame, link)
            return
        inner = link.seal.open(frame)
        if inner is None:
            self.damaged(now, link)
            return
        if not link.proved:
            if not self.joining.believes(inner, now, link):
                return
            self.liveness.heard(now)
        if kind == wire.DATAGRAM:
            self.liveness.heard_over(link, now)
            self.datagrams.receive(inner)
        elif kind == wire.CONTROL:
            self._control(inner, now, link)
        elif kind == wire.DATA:
            self._data(inner, now, link)

    def _greeted(self, frame: bytes, now: float, link: Link) -> None:
        """A HELLO, WELCOME or REFUSE came."""
        event = self.joining.receive(frame, now, link)
        if isinstance(event, Joined):
            if not self._began:
                self._begin(event.peer, now)
            if event.proved:
                self.liveness.heard(now)
        elif isinstance(event, Restarted):
            self._restarted(event.why, now)
        elif isinstance(event, Trouble):
            self.trouble = event.text
            if event.final:
                self._turned_away(event.text)
        elif isinstance(event, Hint):
            self.hint = event.text
        elif isinstance(event, TooLong) and event.longest < self.longest:
            self.longest = event.longest
            self.certain = min(event.longest, self.certain)
            self.outgoing.limit(event.longest)

    def _begin(self, peer: Offer, now: float) -> None:
        self._began, self.trouble = True, None
        self.liveness.heard(now)
        self.outgoing.allow(peer.room, peer.messages)
        room = max(0, peer.room - PREFIX_BYTES)
        self.longest = room if peer.longest is None else min(room, peer.longest)
        self.certain = min(self.longest, peer.handshake.longest)

    def _restarted(self, why: str, now: float) -> None:
        """The peer has begun anew, it seems. Where there is a key or a link, it may show that it has not."""
        if why == KNOWS_NOTHING and self.left:
            return
        if self.me.key is None and not any(link.proved and not link.dead for link in self.links):
            self.end(why, again=True)
        else:
            self.liveness.doubt(why, now)

    def _data(self, frame: bytes, now: float, link: Link) -> None:
        found = full.read_data(frame)
        if found is None or self.left:
            return
        epoch, number, offset, payload = found
        if epoch != link.peer_epoch:
            self.joining.stranger(frame, link)
            return
        self.liveness.heard_over(link, now)
        self.transmission.source = link
        incoming = self.incoming
        before = incoming.duplicates
        if not incoming.take_segment(number, offset, payload):
            self._break_off("the peer sent more than it may: more than there is room for, or what is no message")
        for size in incoming.take_too_long():
            self.transmission.refuses = True
            self._fault(
                f"a message of {size} bytes came, which was dropped, as max_message={incoming.longest}: send less at a "
                "time there, or raise max_message here"
            )
        link.schedule_ack(now, size=len(payload), urgent=incoming.duplicates > before or incoming.gaps)

    def _control(self, frame: bytes, now: float, link: Link) -> None:
        found = full.read_control(frame)
        if found is None:
            return
        if found.epoch != link.peer_epoch:
            self.joining.stranger(frame, link)
            return
        self.liveness.heard_over(link, now)
        if found.which == wire.ACK:
            ack = Ack.decode(found.body)
            if ack is not None and not self.transmission.acknowledged(ack, now, link):
                self._break_off("the peer acknowledged what was not sent to it")
        elif found.which == wire.PING:
            link.was_pinged(found.body, now)
        elif found.which == full.PONG:
            link.answered(found.body, now)
        elif found.which == wire.BYE:
            if not self.left:  # otherwise it is the answer to one
                link.answers.append(link.seal.seal(full.control(wire.BYE, self.me.epoch)))
            self.end("both sides left" if self.left else "the peer left")

    def _break_off(self, why: str) -> None:
        """The peer broke the rules."""
        self._fault(f"{why}; the session is over")
        self.end(why)

    # What is due -----------------------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """When :meth:`frames` of all links is to be called at the latest. None: nothing is due."""
        if self.ended is not None:
            return None
        if self.left:
            return min([self._left_at + FAREWELL_S, *[link.ask_at for link in self.links if link.joined]])
        busy = self.liveness.busy
        due = [link.deadline(busy=busy) for link in self.links]
        if self._began:
            due += [self.outgoing.deadline(), self.transmission.remind_at()]
            due.append(None if busy else self.liveness.deadline())
            due.append(self.transmission.next_at())
        return min([at for at in due if at is not None], default=None)

    def tick(self, now: float) -> None:
        """Do what is due and needs no link; :meth:`frames` does so, too."""
        if self.ended is not None or not self._began:
            return
        if self.left:
            if now >= self._left_at + FAREWELL_S:
                self.end("this side left")
            return
        alive = self.liveness
        quiet = alive.doubted_at is not None or now >= alive.heard_at + alive.patience
        why = alive.over(now) if quiet and not alive.busy else None
        if why is not None:
            self.end(why, again=True)
        else:
            self.outgoing.expire(now)

    def quiet(self, now: float) -> bool:
        """Whether nothing is due now but what :meth:`deadline` has told of: nothing to send, and nothing to tell that
        cannot wait. It costs little, and says no where that is not certain."""
        if self.left or self.ended is not None or self.liveness.doubted_at is not None or self.datagrams.waiting:
            return False
        for link in self.links:
            if not link.quiet(now):
                return False
        return not self.outgoing.unsent

    def frames(self, now: float, link: Link) -> list[bytes]:
        """The frames that are to be sent over a link now, in order; what is due is done."""
        due = list(link.answers)
        link.answers.clear()
        self.tick(now)
        if self.ended is None:
            if self.left:
                due += self._farewell(now, link) if link.joined else []
            elif not link.joined:
                due += self.joining.hello(now, link)
            elif not link.proved:
                due += link.greeting(now)
            else:
                due += self.transmission.due(now, link)
        if not link.proved:
            due = link.permitted(due)
        if due:
            link.said_at = now
            link.sent_bytes += sum(map(len, due))
        return due

    def _farewell(self, now: float, link: Link) -> list[bytes]:
        if now < link.ask_at:
            return []
        link.ask_at = now + FAREWELL_S / 4
        link.schedule_ack(now, frames=0, urgent=True)  # what was dealt with is told before
        return [*self.transmission.answers(now, link), link.seal.seal(full.control(wire.BYE, self.me.epoch))]

    # How it is -------------------------------------------------------------------------------------------------------

    def counters(self) -> LinkCounters:
        """What happened so far, on all links together; the round trip is that of the one that segments travel over."""
        active, resent = self.transmission.active, self.transmission.resent
        trip = active.recovery.round_trip if active is not None else None
        return LinkCounters(self.bad_frames, self.datagrams.lost, resent, self.incoming.duplicates, trip)

    def stats(self, now: float) -> SessionStats:
        """How it is, and what happened so far; what links that are gone have sent again counts on."""
        out = self.outgoing
        queued, begun = out.waiting_messages, out.begun_messages
        delivered, dropped = sum(lane.settled for lane in out.lanes), sum(lane.dropped for lane in out.lanes)
        return SessionStats(
            links=tuple(link.stats(now, carries=link is self.transmission.active) for link in self.links),
            queued_messages=queued,
            queued_bytes=out.waiting_bytes,
            unacknowledged=begun,
            sent=queued + begun + delivered + dropped,
            delivered=delivered,
            dropped=dropped,
            received=self.incoming.taken,
            duplicates=self.incoming.duplicates,
            bad_frames=self.bad_frames,
            resent=self.transmission.resent,
            lost_datagrams=self.datagrams.lost,
        )
