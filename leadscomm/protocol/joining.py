"""How two peers of the full profile begin a session, and how links join it. ``docs/wire-protocol.md``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from dataclasses import replace

from leadscomm.protocol import frames as wire
from leadscomm.protocol.beginning import BEGUN_ANEW, KNOWS_NOTHING, Beginning
from leadscomm.protocol.handshake import (
    ASKING,
    COMPACT,
    FRAME_TOO_LONG,
    FULL,
    MESSAGE_TOO_LONG,
    NO_SESSION,
    VERSION,
    Handshake,
    Refusal,
)
from leadscomm.protocol.link import Link
from leadscomm.protocol.offer import Offer, answer, epoch_in, keyed, no_session, read_no_session, read_too_long
from leadscomm.protocol.seals import Proof


class Joining(Beginning):
    """The part of a session that knows who takes part in it.

    :ivar me: what this side says of itself.
    :ivar peer: what the other side says of itself; None before the handshake has ended.
    :ivar compact_peer: what a peer says of itself that speaks the compact profile alone, and was offered it.
    :ivar doubted_at: since when there are signs that the peer was restarted, which anybody may have made who saw a few
        frames; None as long as there are none.
    :ivar trusted: the peer has shown that it holds the key, if there is one: a HELLO alone may be a copy.
    :ivar links: the links of the session, also those that the peer has not agreed to yet.
    :ivar heard_at: when the peer was heard last, over whichever link.
    """

    def __init__(self, me: Offer, now: float, *, asks: bool, former: Collection[int]) -> None:
        super().__init__(asks=asks)
        self.me = me
        self.peer: Offer | None = None
        self.compact_peer: Handshake | None = None
        self.links: list[Link] = []
        self.heard_at = now
        self.doubted_at: float | None = None
        self.trusted = me.key is None
        self._doubt = ""
        self._suspicion = ""  # the trouble that the last frame told of
        self._former = former
        self._proof: Proof | None = None

    def add(self, link: Link, now: float) -> None:
        """There is one more way to the peer; it is used once the peer has agreed."""
        link.begin(now)
        self.links.append(link)

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
        elif offer.epoch != self.me.epoch and offer.epoch not in self._former:
            if which == wire.HELLO:
                self._asked(offer, now, link)
            else:
                self._welcomed(offer, now, link)

    def _not_full(self, frame: bytes, said: Handshake | None, link: Link) -> None:
        """Name what does not fit."""
        reply = answer(frame, self.me.handshake, self.me.key)
        if reply is not None:
            link.answers.append(reply)
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
        """The peer has begun anew, it seems. With a key it has time to show that it has not: a frame may be copied."""
        if self.me.key is None:
            self.end(why, again=True)
        elif self.doubted_at is None:
            self.doubted_at, self._doubt = now, why
            for link in self.links:
                link.ping_now()

    def _asked(self, offer: Offer, now: float, link: Link) -> None:
        if offer.handshake.echo not in (0, self.me.epoch):  # it speaks of a session that this side does not know
            link.answers.append(no_session(offer.epoch, self.me.key))
        elif self.peer is not None and offer.epoch != self.peer.epoch:
            self._restarted(BEGUN_ANEW, now)
        else:
            self._join(offer, now, link)
            link.answers.append(self.me.welcome(offer))
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
        self.trusted = True  # it has answered what was said a moment ago
        link.owe(now, frames=0, urgent=True)  # and now it learns the same of this side

    def _join(self, offer: Offer, now: float, link: Link) -> None:
        if self.peer is None:
            self.peer, self.trouble = offer, None
            self._began = True
            if self.me.key is not None:
                self._proof = Proof(self.me.key, self.me.epoch, offer.epoch)
            self._begun(offer)
        self.heard_at = now
        link.join(offer, self._proof, now)

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
        if refusal is None or refusal.reason in (NO_SESSION, MESSAGE_TOO_LONG) or not self._asks:
            return
        if refusal.reason == FRAME_TOO_LONG and self._offers_compact:
            link.shortly = True
        else:
            self._turned_away(str(refusal))

    def _stranger(self, frame: bytes, link: Link) -> None:
        """A frame of a session came that is not this one."""
        if self.peer.epoch == epoch_in(frame) if self.peer is not None else self._asks:
            return  # it has come too early, or may be an answer to come
        reply = answer(frame, self.me.handshake, self.me.key)
        if reply is not None:
            link.answers.append(reply)
