"""How two peers of the full profile begin a session, and how links join it. ``docs/wire-protocol.md``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from dataclasses import replace
from math import inf
from typing import Final

from leadscomm.protocol.session import segments as full
from leadscomm.protocol.session import wire
from leadscomm.protocol.session.base import BEGUN_ANEW, GIVES_BACK, KNOWS_NOTHING, Beginning
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

DOUBT_S: Final = 0.5
"""How long a peer has to show that it was not restarted; four round trips, if that is more."""


class Joining(Beginning):
    """The part of a session that knows who takes part in it.

    :ivar me: what this side says of itself.
    :ivar peer: what the other side says of itself; None before the handshake has ended.
    :ivar compact_peer: what a peer says of itself that speaks the compact profile alone, and was offered it.
    :ivar doubted_at: since when there are signs that the peer was restarted, which anybody may have made who saw a few
        frames; None as long as there are none.
    :ivar trusted: the peer has shown, over one of the links, that it hears this side: a HELLO alone may be a copy.
    :ivar links: the links of the session, also those that the peer has not agreed to yet.
    :ivar heard_at: when the peer was heard last, over whichever link.
    """

    def __init__(self, me: Offer, now: float, *, asks: bool, former: Collection[int]) -> None:
        super().__init__(asks=asks)
        self.me = me
        self.epoch = me.epoch
        self.peer: Offer | None = None
        self.peer_epoch = 0  # its epoch, which each frame is looked at for; 0: it has not answered
        self.compact_peer: Handshake | None = None
        self.links: list[Link] = []
        self.heard_at = now
        self.doubted_at: float | None = None
        self.trusted = False
        self._doubt = ""
        self._suspicion = ""  # the trouble that the last frame told of
        self._former = former
        self._proof: Proof | None = None

    def add(self, link: Link, now: float) -> None:
        """There is one more way to the peer; it is used once the peer has agreed."""
        link.begin(now)
        self.links.append(link)

    def greets_at(self, link: Link) -> float:
        """When the peer is to be asked next over a link over which it has not shown that it hears this side."""
        return link.greets_at if link.joined or self._asks else inf

    def _hello(self, now: float, link: Link) -> list[bytes]:
        """Ask over a link, if it is time."""
        if not self._asks or self.left or now < link.ask_at:
            return []
        link.asked_now(now)
        if link.shortly and self._offers_compact:
            return [replace(self.me.handshake, profiles=COMPACT).hello()]
        return [self.me.hello(self.peer.epoch if self.peer else 0)]

    @property
    def _offers_compact(self) -> bool:
        return self.peer is None and bool(self.me.handshake.profiles & COMPACT)

    def _handshake(self, frame: bytes, now: float, link: Link) -> None:
        """Take a HELLO, WELCOME or REFUSE."""
        which = frame[0] >> 3 & 7
        if which == wire.REFUSE:
            self._refused(frame, now, link)
            return
        said = Handshake.decode(frame[1:])
        if said is not None and said.version != VERSION:
            link.answers.append(self._other_version(said.version))
            return
        offer = Offer.decode(frame, self.me.key)
        if offer is None:
            self._not_full(frame, said, link)
        elif offer.epoch == self.me.epoch:
            self._turned_away(GIVES_BACK)
        elif offer.epoch not in self._former:
            if which == wire.HELLO:
                self._asked(offer, now, link)
            else:
                self._welcomed(offer, now, link)

    def _not_full(self, frame: bytes, said: Handshake | None, link: Link) -> None:
        """Name what does not fit."""
        me = self.me.handshake
        if said is not None and not link.proved:  # anybody may have asked: this side's epoch is not told
            theirs = 0 if self.peer is None else self.peer.epoch
            me = replace(me, epoch=shown(said, me.epoch, theirs) or said.epoch)
        reply = answer(frame, me, self.me.key)
        if reply is not None:
            link.answers.append(reply)
        elif said is not None and said.profiles and not said.profiles & (FULL | COMPACT):
            link.answers.append(Refusal(OTHER_PROFILE, self.me.handshake.profiles).frame())
        elif self.peer is not None or said is None or said.profiles == ASKING:
            return
        elif said.profiles == COMPACT:
            if said.echo == self.me.epoch and self._offers_compact:
                self.compact_peer = said
            self._suspect("the peer does not speak the full profile of the session protocol")
        elif keyed(frame) != (self.me.key is not None):
            self._suspect("one side has a key and the other has none: give both the same key_file")
        elif self.me.key is not None:
            self._suspect("the peer holds another key: give both sides the same key_file")

    def _suspect(self, trouble: str) -> bool:
        """Believe a frame that nothing protects, and that tells of trouble, once another one tells of the same."""
        if trouble == self._suspicion:
            self.trouble = trouble
        self._suspicion = trouble
        return self.trouble == trouble

    def _turned_away(self, trouble: str) -> None:
        """The peer does not want a session of this kind, it seems. Where there is a key, anybody may have said so."""
        if not self._began and self._suspect(trouble) and self._asks and self.me.key is None:
            self.end(trouble)

    def _restarted(self, why: str, now: float) -> None:
        """The peer has begun anew, it seems. It has time to show that it has not: anybody may have said so."""
        if self.me.key is None and not any(link.proved and not link.dead for link in self.links):
            self.end(why, again=True)
        elif self.doubted_at is None:
            self.doubted_at, self._doubt = now, why
            for link in self.links:
                link.ping_now()

    def doubt_ends(self) -> float | None:
        """When a peer that had a link, and did not show that it was not restarted, is believed to have been."""
        if self.doubted_at is None or not self.links:
            return None
        since = max(self.doubted_at, min(link.ready_at for link in self.links))
        return since + max([DOUBT_S, *[4 * (link.recovery.round_trip or 0.0) for link in self.links]])

    def is_copy(self, offer: Offer) -> bool:
        """Whether a HELLO over a new link is a late or a recorded one: who is in the session shows that it is."""
        return self.trusted and not offer.handshake.echo and self.peer is not None and self.peer.epoch == offer.epoch

    def _asked(self, offer: Offer, now: float, link: Link) -> None:
        echo = offer.handshake.echo
        if echo not in (0, self.me.epoch):  # it speaks of a session that this side does not know
            link.answers.append(no_session(offer.epoch, self.me.key))
        elif self.peer is not None and offer.epoch != self.peer.epoch:
            self._restarted(BEGUN_ANEW, now)
        elif link.joined or not self.is_copy(offer):
            self._join(offer, now, link)
            link.answers.append(self.me.welcome(offer))
            if echo and self.me.key is None:
                self._prove(now, link)
            link.owe(now, frames=0, urgent=True)

    def _welcomed(self, offer: Offer, now: float, link: Link) -> None:
        if offer.handshake.echo != self.me.epoch or offer.handshake.profiles != FULL:
            return
        if self.peer is not None and offer.epoch != self.peer.epoch:
            self._restarted(BEGUN_ANEW, now)
            return
        if link.asked == 1 and not link.joined:
            link.recovery.measure(now - link.said_at)
        self._join(offer, now, link)
        if self.me.key is None:  # otherwise it may be a copy of an answer over another link: the next frame tells
            if not link.proved:
                link.answers.append(self.me.hello(offer.epoch))  # shows the peer that it was heard
            self._prove(now, link)
        link.owe(now, frames=0, urgent=True)  # and now it learns the same of this side

    def _join(self, offer: Offer, now: float, link: Link) -> None:
        if self.peer is None:
            self.peer, self.trouble = offer, None
            self.peer_epoch = offer.epoch
            self._began = True
            if self.me.key is not None:
                self._proof = Proof(self.me.key, self.me.epoch, offer.epoch)
            self._begun(offer)
            self.heard_at = now
        link.join(offer, self.me, self._proof, now)

    def _prove(self, now: float, link: Link) -> None:
        """The peer has shown over a link that it hears this side."""
        if not link.proved:
            link.proved = self.trusted = True
            link.owe(now, frames=0, urgent=True)
        self._alive(now)

    def _alive(self, now: float) -> None:
        """The peer is there, and has not begun anew."""
        self.heard_at = now
        self.doubted_at = None

    def _believes(self, frame: bytes, now: float, link: Link) -> bool:
        """Whether a frame counts that came over a link over which the peer has not shown that it hears this side.

        One with a proof shows it, as the proof is of both epochs; without a key the answer to a PING does. What comes
        before is dropped, and comes again, so that nothing is held of who may not be there; a PING is answered later.
        """
        found = full.read_control(frame) if frame[0] >> 6 == wire.CONTROL else None
        if self.me.key is not None or (found is not None and self._answers_ping(found, now, link)):
            self._prove(now, link)
        elif found is not None and found.which == wire.PING:
            self._pinged(found, now, link)
        elif found is not None and found.which == wire.BYE:
            link.dead = True  # whoever it is: he goes on with nothing over it
        return link.proved

    def _answers_ping(self, found: full.Control, now: float, link: Link) -> bool:
        clocks = full.read_pong(found.body) if found.which == full.PONG else None
        if clocks is None or self.peer is None or found.epoch != self.peer.epoch:
            return False
        return full.clock(link.ready_at) <= full.veiled(clocks[0], self.me.epoch) <= full.clock(now)

    def _pinged(self, found: full.Control, now: float, link: Link) -> None:
        clock = full.read_ping(found.body)
        if clock is not None:
            link.pings.append((clock, now))
            link.owe(now, frames=0, urgent=True)

    def _ponged(self, clocks: tuple[int, int, int] | None, now: float, link: Link) -> None:
        link.answered(clocks and (full.veiled(clocks[0], self.me.epoch), *clocks[1:]), now)

    @abstractmethod
    def _begun(self, peer: Offer) -> None:
        """The handshake has ended."""

    @abstractmethod
    def _drops(self, longest: int) -> None:
        """The peer has dropped a message, or is about to, as it had more bytes than this."""

    def _refused(self, frame: bytes, now: float, link: Link) -> None:
        if read_no_session(frame, self.me.key) == self.me.epoch:
            if self.open:
                self._restarted(KNOWS_NOTHING, now)
            return
        longest = read_too_long(frame, self.me.epoch, self.me.key)
        if longest is not None:
            self._drops(longest)
        refusal = Refusal.decode(frame[1:])
        if refusal is not None and refusal.reason == NO_SESSION and not self._began:
            self.hint = self._meaning(refusal.value) or self.hint
        if refusal is None or refusal.reason in (NO_SESSION, MESSAGE_TOO_LONG) or not self._asks:
            return
        if refusal.reason == FRAME_TOO_LONG and self._offers_compact:
            link.shortly = True
        else:
            self._turned_away(refusal.text(self.me.handshake.profiles))

    def _meaning(self, value: int) -> str | None:
        """What a peer that has no session says of the reason."""
        if value == OTHER_KEY and self.me.key is None:
            return "the peer has a key, and this side has none: give both the same key_file"
        if value == OTHER_KEY:
            return "the peer holds another key: give both sides the same key_file"
        if value == NO_KEY and self.me.key is not None:
            return "this side has a key, and the peer has none: give both the same key_file"
        return "the peer understands nothing: give both the same framing (crc=)" if value == NOT_UNDERSTOOD else None

    def _stranger(self, frame: bytes, link: Link) -> None:
        """A frame of a session came that is not this one."""
        if self.peer.epoch == epoch_in(frame) if self.peer is not None else self._asks:
            return  # it has come too early, or may be an answer to come
        reply = answer(frame, self.me.handshake, self.me.key)
        if reply is not None:
            link.answers.append(reply)
