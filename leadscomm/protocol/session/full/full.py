"""One session of the full profile with a peer, over one link or several. No I/O, no clock, no randomness.

Frames go in by :meth:`FullSession.receive` and come out of :meth:`FullSession.frames`, of each link apart; ``now`` is
any clock that only goes forward, in seconds. Messages go in by :meth:`FullSession.send` and come out of
:meth:`FullSession.take`. A message that came is acknowledged once :meth:`FullSession.delivered` said that it was dealt
with.

A session ends once. Links come and go meanwhile; without any it waits for the next one, as long as ``patience`` lasts.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from leadscomm.protocol.session import segments as full
from leadscomm.protocol.session import wire
from leadscomm.protocol.session.counters import LinkCounters, SessionStats
from leadscomm.protocol.session.full.carrying import Carrying
from leadscomm.protocol.session.full.lanes import Carrier, Lane, Sent
from leadscomm.protocol.session.full.link import Link
from leadscomm.protocol.session.offer import Offer, too_long
from leadscomm.protocol.session.segments import Ack

SILENCE_S: Final = 5.0
"""A link over which nothing came for so long is dead."""
PATIENCE_S: Final = 30.0
"""A peer that was not heard over any link for so long has left."""
PINGS: Final = 5
"""How many signs of life may be missed."""
FAREWELL_S: Final = 0.5
"""How long the answer to a farewell is waited for."""
REMIND_EVERY_S: Final = 1.0
"""A peer that has dealt with nothing is asked so often at least."""
_ACK_SPACE: Final = 1024
"""Bytes of an acknowledgement, at most."""
MIXED_S: Final = 5.0
"""For so long after an urgent message there may be another one."""


class FullSession(Carrying):
    """Either side.

    :param me: what this side says of itself; its epoch is chosen by the caller, at random.
    :param now: the time.
    :param asks: this side says HELLO; otherwise it waits for one.
    :param longest: bytes of a message that comes, at most; what is longer is dropped, and the peer is told.
    :param silence: seconds of silence after which a link is dead.
    :param patience: seconds of silence on all links after which the peer has left.
    :param former: epochs of peers that are known to be over: what is left of them on the wire means nothing.
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
        super().__init__(me, now, asks=asks, longest=longest, former=former)
        self.bad_frames = 0
        self._silence = silence
        self._patience = patience
        self._lane: Lane | None = None  # what a segment was sent of last
        self._mixed_until = now  # there are urgent messages beside others
        self._refuses = False  # the peer is to be told that something was too long
        self._reminders = 0  # how often in a row it was asked what it has dealt with
        self._progress_at = now
        self._left_at = now
        self._hushed = False
        self._hushed_at = now

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

    @property
    def busy(self) -> bool:
        """Whether messages that were taken are not dealt with yet, or :meth:`hush` said that nobody listens."""
        return self._hushed or self.incoming.handed

    # Receiving -------------------------------------------------------------------------------------------------------

    def delivered(self, now: float, count: int = 1) -> None:
        """The oldest ``count`` messages that were taken, and not yet reported here, were dealt with."""
        self._dealt_bytes += self.incoming.delivered(count)
        self._listen(now)
        self._owe_dealt(now)

    def delivered_records(self, now: float, lane: int, count: int = 1) -> None:
        """The oldest ``count`` records of a lane that were taken, and not yet reported here, were dealt with."""
        self._dealt_bytes += self.incoming.delivered_records(lane, count)
        self._owe_dealt(now)

    def hush(self, now: float, hushed: bool) -> None:
        """Nobody reads what comes, as a callback runs, or somebody does again; no silence is counted meanwhile.

        While messages are taken and not reported by :meth:`delivered`, that is so anyway.
        """
        if self._hushed:
            self._listen(now)
        self._hushed = hushed
        self._hushed_at = now

    def _listen(self, now: float) -> None:
        """Nobody may have listened since something came last, or since it was said so."""
        away = now - max(self.heard_at, self._hushed_at)
        for link in self.links:
            link.heard_at = min(now, link.heard_at + away)
        if self._data_link is not None:
            self._data_link.heard_at = now  # who read it dealt with the messages, perhaps
        self.heard_at = now

    def damaged(self, now: float, link: Link, count: int = 1) -> None:
        """Frames came damaged: the peer is told at once what is expected."""
        self.bad_frames += count
        if link.joined and count:
            link.owe(now, frames=0, urgent=True)
            if link.path.lossless:
                self._distrust(link)

    def counters(self) -> LinkCounters:
        """What happened so far, on all links together; the round trip is that of the one that segments travel over."""
        trip = self._carrier.recovery.round_trip if self._carrier is not None else None
        return LinkCounters(self.bad_frames, self.datagrams.lost, self._resent, self.incoming.duplicates, trip)

    def stats(self, now: float) -> SessionStats:
        """How it is, and what happened so far; what links that are gone have sent again counts on."""
        links = tuple(link.stats(now, carries=link is self._carrier) for link in self.links)
        return self._counted(links, self.bad_frames, self._resent)

    def receive(self, frame: bytes, now: float, link: Link) -> None:
        """Take a frame that came over a link."""
        if not frame or self.ended is not None:
            return
        link.received_bytes += len(frame)
        if link.allowance is not None:
            link.allowance.came(len(frame))
        kind = frame[0] >> 6
        if kind == wire.CONTROL and wire.HELLO <= frame[0] >> 3 & 7 <= wire.REFUSE:
            self._handshake(frame, now, link)
        elif not link.joined:
            self._stranger(frame, link)
        else:
            inner = link.seal.open(frame)
            if inner is None:
                self.damaged(now, link)
            elif not link.proved and not self._believes(inner, now, link):
                return
            elif kind == wire.DATAGRAM:
                self._heard(now, link)
                self.datagrams.receive(inner)
            elif kind == wire.CONTROL:
                self._control(inner, now, link)
            elif kind == wire.DATA:
                self._data(inner, now, link)

    def _heard(self, now: float, link: Link) -> None:
        """Something intact came: peer and link are alive."""
        self.heard_at = link.heard_at = now
        self.doubted_at = None
        link.dead = False
        link.unanswered = 0

    def _data(self, frame: bytes, now: float, link: Link) -> None:
        found = full.read_data(frame)
        if found is None or self.left:
            return
        epoch, number, offset, payload = found
        if epoch != self.peer_epoch:
            self._stranger(frame, link)
            return
        self._heard(now, link)
        self._data_link = link
        incoming = self.incoming
        before = incoming.duplicates
        if not incoming.take_segment(number, offset, payload):
            self._break_off("the peer sent more than it may: more than there is room for, or what is no message")
        for size in incoming.take_too_long():
            self._refuses = True
            self._fault(
                f"a message of {size} bytes came, which was dropped, as max_message={self._takes}: send less at a time "
                "there, or raise max_message here"
            )
        link.owe(now, size=len(payload), urgent=incoming.duplicates > before or incoming.gaps)

    def _control(self, frame: bytes, now: float, link: Link) -> None:
        found = full.read_control(frame)
        if found is None:
            return
        if found.epoch != self.peer_epoch:
            self._stranger(frame, link)
            return
        self._heard(now, link)
        if found.which == wire.ACK:
            self._acknowledged(Ack.decode(found.body), now, link)
        elif found.which == wire.PING:
            self._pinged(found, now, link)
        elif found.which == full.PONG:
            self._ponged(full.read_pong(found.body), now, link)
        elif found.which == wire.BYE:
            if not self.left:  # otherwise it is the answer to one
                link.answers.append(link.seal.seal(full.control(wire.BYE, self.me.epoch)))
            self.end("both sides left" if self.left else "the peer left")

    def _acknowledged(self, ack: Ack | None, now: float, link: Link) -> None:
        if ack is None:
            return
        out = self.outgoing
        out.allow(ack.room, ack.messages)
        begun = out.begun_messages
        came: dict[Carrier, list[Sent]] = {}
        for lane in ack.lanes:
            segments = out.acknowledge(lane)
            if segments is None:
                self._break_off("the peer acknowledged what was not sent to it")
                return
            for sent in segments:
                assert sent.via is not None
                came.setdefault(sent.via, []).append(sent)
        for carrier, arrived in came.items():
            carrier.came(arrived, now)
        if came or out.begun_messages != begun:
            self._reminders, self._progress_at = 0, now
        self._look_for_losses(came, any(lane.ranges for lane in ack.lanes), link)

    # What is due -----------------------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """When :meth:`frames` of all links is to be called at the latest. None: nothing is due."""
        if self.ended is not None:
            return None
        due: list[float | None] = []
        if self.left:
            due += [link.ask_at for link in self.links if link.joined]
            due.append(self._left_at + FAREWELL_S)
        else:
            for link in self.links:
                due += self._link_deadlines(link)
            if self.peer is not None:
                due += [self.outgoing.deadline(), self._patience_ends(), self._reminder_at()]
                due.append(None if self.busy else self.doubt_ends())
                carrier = self._choose_carrier()
                if carrier is not None:
                    first = self.outgoing.first
                    if first is not None or self.datagrams.waiting:
                        due.append(carrier.next_at(urgent=self._overtakes(first)))
        return min([at for at in due if at is not None], default=None)

    def _link_deadlines(self, link: Link) -> list[float | None]:
        if not link.proved:
            return [link.greets_at] if (link.joined and not link.dead) or (self._asks and not link.joined) else []
        due = [link.path.deadline(), link.ack_at(), self._ping_at(link)]
        if not link.dead and not self.busy:
            due.append(link.heard_at + self._silence)
        return due

    def _patience_ends(self) -> float | None:
        return None if self.busy else self.heard_at + self._patience

    def _ping_at(self, link: Link) -> float:
        often = link.dead or not link.well  # so that its return is noticed soon
        return link.ping_at(self._silence / (4 * PINGS if often else PINGS))

    def _reminder_at(self) -> float | None:
        """When to ask what the peer has dealt with: it may have said so, and that was lost."""
        carrier = self._carrier
        if carrier is None or not self.outgoing.begun_messages or carrier.path.told_by_itself:
            return None
        wait = carrier.path.wait(alone=len(self.links) == 1)
        return self._progress_at + min(REMIND_EVERY_S, wait * (1 << self._reminders))

    def tick(self, now: float) -> None:
        """Do what is due and needs no link; :meth:`frames` does so, too."""
        if self.ended is not None or self.peer is None:
            return
        if self.left:
            if now >= self._left_at + FAREWELL_S:
                self.end("this side left")
            return
        doubt_ends = None if self.doubted_at is None or self.busy else self.doubt_ends()
        if doubt_ends is not None and now >= doubt_ends:
            self.end(self._doubt, again=True)
        elif now >= self.heard_at + self._patience and not self.busy:
            self.end(f"nothing came from the peer for {self._patience:g} s", again=True)
        else:
            self.outgoing.expire(now)

    def quiet(self, now: float) -> bool:
        """Whether nothing is due now but what :meth:`deadline` has told of: nothing to send, and nothing to tell that
        cannot wait. It costs little, and says no where that is not certain."""
        if self.left or self.ended is not None or self.doubted_at is not None or self.datagrams.waiting:
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
            if not link.joined:
                due += self._hello(now, link)
            elif not link.proved and not self.left:
                due += self._greeting(now, link)
            elif self.left:
                due += self._farewell(now, link)
            else:
                due += self._due(now, link)
        if not link.proved:
            due = link.permitted(due)
        if due:
            link.said_at = now
            link.sent_bytes += sum(map(len, due))
        return due

    def _greeting(self, now: float, link: Link) -> list[bytes]:
        """Ask the peer to show that it hears this side."""
        link.dead |= now >= link.ready_at + self._silence
        if link.dead or now < link.greets_at:
            return []
        link.pinged_at = now
        return [self._ping(now, link)]

    def _farewell(self, now: float, link: Link) -> list[bytes]:
        if now < link.ask_at:
            return []
        link.ask_at = now + FAREWELL_S / 4
        link.owe(now, frames=0, urgent=True)  # what was dealt with is told before
        return [*self._answers(now, link), link.seal.seal(full.control(wire.BYE, self.me.epoch))]

    def _due(self, now: float, link: Link) -> list[bytes]:
        if now >= link.heard_at + self._silence and not link.dead and not self.busy:
            link.dead = True
            self._abandon(link)
        for sent in link.path.lost(now):
            sent.lane.lose(sent)
        due = self._answers(now, link) if link.owed or link.urgent or link.pings else []
        if self._pings(now, link):
            link.pinged(now, expected=not self.busy)
            due.append(self._ping(now, link))
        if link is self._choose_carrier():
            if self.datagrams.waiting:
                due += map(link.seal.seal, self.datagrams.due())
            if due:
                link.spend(due, now)
            segments = self._segments(now, link)
            due += segments
            if segments and link.rides(now):
                due += self._acknowledgement(now, link)
            remind_at = self._reminder_at()
            if remind_at is not None and now >= remind_at:
                self._reminders = min(self._reminders + 1, 16)
                self._progress_at = now
                if link.path.lossless:
                    link.recovery.tries += 1  # who loses something asks by its segments
                    link.no_ping_before = 0.0
                due.append(self._ping(now, link))
        return due

    def _pings(self, now: float, link: Link) -> bool:
        """Whether a PING is due. As a rule it is not, which is known from the last time."""
        if now < link.no_ping_before and link.path.lossless:
            return False
        link.no_ping_before = self._ping_at(link)
        return now >= link.no_ping_before

    def _ping(self, now: float, link: Link) -> bytes:
        clock = full.clock(now)
        link.path.asks(clock)
        return link.seal.seal(full.ping(self.me.epoch, full.veiled(clock, self.me.epoch)))

    def _answers(self, now: float, link: Link) -> list[bytes]:
        """What the peer is to be told of what came from it."""
        due: list[bytes] = []
        epoch = self.epoch
        for clock, came in link.pings:
            due.append(link.seal.seal(full.pong(epoch, clock, full.clock(came), full.clock(now))))
        link.pings.clear()
        ack_at = link.ack_at()
        if ack_at is not None and now >= ack_at:
            due += self._acknowledgement(now, link)
        return due

    def _acknowledgement(self, now: float, link: Link) -> list[bytes]:
        """What came and was dealt with."""
        due = []
        link.acknowledged()
        if self.peer is not None and (self._refuses or self.incoming.passes_over):
            self._refuses = False  # it is told again until it has come whole: on some links frames are lost
            due.append(too_long(self.peer.epoch, self._takes, self.me.key))
        self._dealt_bytes = 0
        space = min(link.longest_ack, _ACK_SPACE) - full.ACK_BYTES
        ack = Ack(self.me.room, self.me.messages, tuple(self.incoming.acks(space)))
        due.append(link.seal.seal(full.control(wire.ACK, self.me.epoch, ack.body())))
        return due

    def _overtakes(self, lane: Lane | None) -> bool:
        """Whether a lane is more urgent than the one of which something was sent last."""
        return lane is not None and self._lane is not None and lane.urgency < self._lane.urgency

    def _segments(self, now: float, link: Link) -> list[bytes]:
        due: list[bytes] = []
        epoch, seal, data = self.epoch, link.seal.seal, full.data
        if not self.outgoing.unsent:
            link.path.starved()
            return due
        urgent = not link.path.lossless and self._overtakes(self.outgoing.first)
        budget = link.path.budget(now, urgent=urgent)
        size, around = link.cut(mixed=now < self._mixed_until)
        for sent in self.outgoing.segments(size, budget, around):
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
