"""How two peers of the full profile begin a session, and how links join it. ``docs/wire-protocol.md``.

Greetings go in; what the session has to know of one comes out as an event. What a link has to know it is told here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

from leadscomm.protocol.session import segments as full
from leadscomm.protocol.session import wire
from leadscomm.protocol.session.base import BEGUN_ANEW, GIVES_BACK, KNOWS_NOTHING
from leadscomm.protocol.session.full.link import Link
from leadscomm.protocol.session.handshake import (
    ASKING,
    COMPACT,
    FRAME_TOO_LONG,
    FULL,
    MESSAGE_TOO_LONG,
    NO_KEY,
    NO_SESSION,
    NOT_UNDERSTOOD,
    OTHER_KEY,
    OTHER_PROFILE,
    OTHER_VERSION,
    VERSION,
    Handshake,
    Refusal,
)
from leadscomm.protocol.session.offer import (
    Offer,
    answer,
    epoch_in,
    keyed,
    no_session,
    read_no_session,
    read_too_long,
    shown,
)
from leadscomm.protocol.session.seals import Proof


class Joined(NamedTuple):
    """The peer has agreed to a link.

    :ivar proved: it has shown that it hears this side.
    """

    peer: Offer
    proved: bool


class Restarted(NamedTuple):
    """The peer has begun anew, it seems."""

    why: str


class Trouble(NamedTuple):
    """There will be no session, it seems.

    :ivar final: it will not get better.
    """

    text: str
    final: bool = False


class Hint(NamedTuple):
    """What the peer says is wrong with it, or with this side; anybody may have said so."""

    text: str


class TooLong(NamedTuple):
    """The peer drops messages with more bytes than this."""

    longest: int


Event = Joined | Restarted | Trouble | Hint | TooLong


class Joining:
    """Who takes part in a session.

    :param me: what this side says of itself.
    :param asks: this side says HELLO; otherwise it waits for one.
    :param former: epochs of peers that are known to be over.
    :ivar peer: what the other side says of itself; None before it has agreed.
    :ivar compact_peer: what a peer says of itself that speaks the compact profile alone, and was offered it.
    :ivar trusted: the peer has shown, over one of the links, that it hears this side: a HELLO alone may be a copy.
    """

    def __init__(self, me: Offer, *, asks: bool, former: Collection[int]) -> None:
        self.peer: Offer | None = None
        self.compact_peer: Handshake | None = None
        self.trusted = False
        self._me = me
        self._asks = asks
        self._former = former
        self._suspicion = ""  # the trouble that the last frame told of
        self._proof: Proof | None = None

    def hello(self, now: float, link: Link) -> list[bytes]:
        """Ask over a link, if it is time."""
        if now < link.greets_at:
            return []
        link.asked_now(now)
        if link.shortly and self._offers_compact:
            return [replace(self._me.handshake, profiles=COMPACT).hello()]
        return [self._me.hello(self.peer.epoch if self.peer else 0)]

    @property
    def _offers_compact(self) -> bool:
        return self.peer is None and bool(self._me.handshake.profiles & COMPACT)

    def receive(self, frame: bytes, now: float, link: Link) -> Event | None:
        """Take a HELLO, WELCOME or REFUSE."""
        which = frame[0] >> 3 & 7
        if which == wire.REFUSE:
            return self._refused(frame, link)
        said = Handshake.decode(frame[1:])
        if said is not None and said.version != VERSION:
            link.answers.append(Refusal(OTHER_VERSION, VERSION).frame())
            return self._turned_away(str(Refusal(OTHER_VERSION, said.version)))
        offer = Offer.decode(frame, self._me.key)
        if offer is None:
            return self._not_full(frame, said, link)
        if offer.epoch == self._me.epoch:
            return self._turned_away(GIVES_BACK)
        if offer.epoch in self._former:
            return None
        return self._asked(offer, now, link) if which == wire.HELLO else self._welcomed(offer, now, link)

    # Greetings that fit

    def _asked(self, offer: Offer, now: float, link: Link) -> Event | None:
        echo = offer.handshake.echo
        if echo not in (0, self._me.epoch):  # it speaks of a session that this side does not know
            link.answers.append(no_session(offer.epoch, self._me.key))
            return None
        if self.peer is not None and offer.epoch != self.peer.epoch:
            return Restarted(BEGUN_ANEW)
        if not link.joined and self.is_copy(offer):
            return None
        self._join(offer, now, link)
        link.answers.append(self._me.welcome(offer))
        proved = bool(echo) and self._me.key is None
        if proved:
            self.prove(now, link)
        link.schedule_ack(now, frames=0, urgent=True)
        return Joined(offer, proved)

    def _welcomed(self, offer: Offer, now: float, link: Link) -> Event | None:
        if offer.handshake.echo != self._me.epoch or offer.handshake.profiles != FULL:
            return None
        if self.peer is not None and offer.epoch != self.peer.epoch:
            return Restarted(BEGUN_ANEW)
        if link.asked == 1 and not link.joined:
            link.recovery.measure(now - link.said_at)
        self._join(offer, now, link)
        proved = self._me.key is None  # otherwise it may be a copy of an answer over another link: the next frame tells
        if proved:
            if not link.proved:
                link.answers.append(self._me.hello(offer.epoch))  # shows the peer that it was heard
            self.prove(now, link)
        link.schedule_ack(now, frames=0, urgent=True)  # and now it learns the same of this side
        return Joined(offer, proved)

    def is_copy(self, offer: Offer) -> bool:
        """Whether a HELLO over a new link is a late or a recorded one: who is in the session shows that it is."""
        return self.trusted and not offer.handshake.echo and self.peer is not None and self.peer.epoch == offer.epoch

    def _join(self, offer: Offer, now: float, link: Link) -> None:
        if self.peer is None:
            self.peer = offer
            if self._me.key is not None:
                self._proof = Proof(self._me.key, self._me.epoch, offer.epoch)
        link.join(offer, self._me, self._proof, now)

    def prove(self, now: float, link: Link) -> None:
        """The peer has shown over a link that it hears this side."""
        if not link.proved:
            link.proved = self.trusted = True
            link.schedule_ack(now, frames=0, urgent=True)

    def believes(self, frame: bytes, now: float, link: Link) -> bool:
        """Whether a frame counts that came over a link over which the peer has not shown that it hears this side.

        One with a proof shows it, as the proof is of both epochs; without a key the answer to a PING does. What comes
        before is dropped, and comes again, so that nothing is held of who may not be there; a PING is answered later.
        """
        found = full.read_control(frame) if frame[0] >> 6 == wire.CONTROL else None
        if self._me.key is not None or (found is not None and self._is_answer(found, now, link)):
            self.prove(now, link)
        elif found is not None and found.which == wire.PING:
            link.was_pinged(found.body, now)
        elif found is not None and found.which == wire.BYE:
            link.dead = True  # whoever it is: he goes on with nothing over it
        return link.proved

    def _is_answer(self, found: full.Control, now: float, link: Link) -> bool:
        return self.peer is not None and found.epoch == self.peer.epoch and link.answers_ping(found, now)

    # What does not fit

    def _not_full(self, frame: bytes, said: Handshake | None, link: Link) -> Trouble | None:
        """Name what is wrong."""
        me = self._me.handshake
        if said is not None and not link.proved:  # anybody may have asked: this side's epoch is not told
            theirs = 0 if self.peer is None else self.peer.epoch
            me = replace(me, epoch=shown(said, me.epoch, theirs) or said.epoch)
        reply = answer(frame, me, self._me.key)
        if reply is not None:
            link.answers.append(reply)
        elif said is not None and said.profiles and not said.profiles & (FULL | COMPACT):
            link.answers.append(Refusal(OTHER_PROFILE, self._me.handshake.profiles).frame())
        elif self.peer is not None or said is None or said.profiles == ASKING:
            return None
        elif said.profiles == COMPACT:
            if said.echo == self._me.epoch and self._offers_compact:
                self.compact_peer = said
            return self._suspect("the peer does not speak the full profile of the session protocol")
        elif keyed(frame) != (self._me.key is not None):
            return self._suspect("one side has a key and the other has none: give both the same key_file")
        elif self._me.key is not None:
            return self._suspect("the peer holds another key: give both sides the same key_file")
        return None

    def _suspect(self, trouble: str, *, final: bool = False) -> Trouble | None:
        """Believe a frame that nothing protects, and that tells of trouble, once another one tells of the same."""
        believed = trouble == self._suspicion
        self._suspicion = trouble
        return Trouble(trouble, final) if believed else None

    def _turned_away(self, trouble: str) -> Trouble | None:
        """The peer does not want a session of this kind, it seems. Where there is a key, anybody may have said so."""
        return self._suspect(trouble, final=self._me.key is None) if self.peer is None else None

    def _refused(self, frame: bytes, link: Link) -> Event | None:
        if read_no_session(frame, self._me.key) == self._me.epoch:
            return Restarted(KNOWS_NOTHING) if self.peer is not None else None
        longest = read_too_long(frame, self._me.epoch, self._me.key)
        if longest is not None:
            return TooLong(longest)
        refusal = Refusal.decode(frame[1:])
        if refusal is None or refusal.reason == MESSAGE_TOO_LONG:
            return None
        if refusal.reason == NO_SESSION:
            return self._meaning(refusal.value) if self.peer is None else None
        if refusal.reason == FRAME_TOO_LONG and self._asks and self._offers_compact:
            link.shortly = True
            return None
        return self._turned_away(refusal.text(self._me.handshake.profiles)) if self._asks else None

    def _meaning(self, value: int) -> Hint | None:
        """What a peer that has no session says of the reason."""
        if value == OTHER_KEY and self._me.key is None:
            return Hint("the peer has a key, and this side has none: give both the same key_file")
        if value == OTHER_KEY:
            return Hint("the peer holds another key: give both sides the same key_file")
        if value == NO_KEY and self._me.key is not None:
            return Hint("this side has a key, and the peer has none: give both the same key_file")
        if value == NOT_UNDERSTOOD:
            return Hint("the peer understands nothing: give both the same framing (crc=)")
        return None

    def stranger(self, frame: bytes, link: Link) -> None:
        """A frame of a session came that is not this one."""
        if self.peer.epoch == epoch_in(frame) if self.peer is not None else self._asks:
            return  # it has come too early, or may be an answer to come
        reply = answer(frame, self._me.handshake, self._me.key)
        if reply is not None:
            link.answers.append(reply)
