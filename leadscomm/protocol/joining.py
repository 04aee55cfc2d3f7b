"""How two peers of the full profile begin a session, and how links join it. ``docs/wire-protocol.md``."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Collection

from leadscomm.protocol import frames as wire
from leadscomm.protocol import segments as full
from leadscomm.protocol.handshake import ASKING, COMPACT, FULL, NO_SESSION, OTHER_VERSION, VERSION, Handshake, Refusal
from leadscomm.protocol.link import Link
from leadscomm.protocol.segments import Offer, Proof

_EPOCH = struct.Struct("<I")


class Joining(ABC):
    """The part of a session that knows who takes part in it.

    :ivar me: what this side says of itself.
    :ivar peer: what the other side says of itself; None before the handshake has ended.
    :ivar ended: why the session is over; None as long as it is not.
    :ivar again: it is over, and the peer is there: a new one may follow.
    :ivar trouble: what was wrong with a handshake that came to nothing.
    :ivar left: this side has said goodbye, or is about to.
    :ivar links: the links of the session, also those that the peer has not agreed to yet.
    :ivar heard_at: when the peer was heard last, over whichever link.
    """

    def __init__(self, me: Offer, now: float, *, asks: bool, former: Collection[int]) -> None:
        self.me = me
        self.peer: Offer | None = None
        self.ended: str | None = None
        self.again = False
        self.trouble: str | None = None
        self.left = False
        self.links: list[Link] = []
        self.heard_at = now
        self._asks = asks
        self._former = former
        self._proof: Proof | None = None

    @property
    def open(self) -> bool:
        """Whether the handshake has ended well, and neither side has left."""
        return self.peer is not None and self.ended is None and not self.left

    def add(self, link: Link, now: float) -> None:
        """There is one more way to the peer; it is used once the peer has agreed."""
        link.begin(now)
        self.links.append(link)

    def _hello(self, now: float, link: Link) -> list[bytes]:
        """Ask over a link, if it is time."""
        if not self._asks or self.left or now < link.ask_at:
            return []
        link.asked_now(now)
        return [self.me.hello(self.peer.epoch if self.peer else 0)]

    def _handshake(self, frame: bytes, now: float, link: Link) -> None:
        """Take a HELLO, WELCOME or REFUSE."""
        which = frame[0] >> 3 & 7
        if which == wire.REFUSE:
            self._refused(frame)
            return
        said = Handshake.decode(frame[1:])
        if said is not None and said.version != VERSION:
            self._other_version(said.version, link)
            return
        offer = Offer.decode(frame, self.me.key)
        if offer is None:
            self._not_understood(frame, said)
        elif offer.epoch != self.me.epoch and offer.epoch not in self._former:
            if which == wire.HELLO:
                self._asked(offer, now, link)
            else:
                self._welcomed(offer, now, link)

    def _not_understood(self, frame: bytes, said: Handshake | None) -> None:
        """Name what does not fit; a damaged frame may do so too, until a good one comes."""
        if self.peer is not None or said is None:
            return
        if said.profiles in (ASKING, COMPACT):
            self.trouble = "the peer does not speak the full profile of the session protocol"
        elif full.keyed(frame) != (self.me.key is not None):
            self.trouble = "one side has a key and the other has none: give both the same key_file"

    def _asked(self, offer: Offer, now: float, link: Link) -> None:
        if offer.handshake.echo not in (0, self.me.epoch):  # it speaks of a session that this side does not know
            link.answers.append(full.no_session(offer.epoch, self.me.key))
        elif self.peer is not None and offer.epoch != self.peer.epoch:
            self._end("the peer began anew; it was restarted", again=True)
        else:
            self._join(offer, now, link)
            link.answers.append(self.me.welcome(offer))
            link.owe(now, frames=0, urgent=True)

    def _welcomed(self, offer: Offer, now: float, link: Link) -> None:
        if offer.handshake.echo != self.me.epoch or offer.handshake.profiles != FULL:
            return
        if self.peer is not None and offer.epoch != self.peer.epoch:
            self._end("the peer began anew; it was restarted", again=True)
            return
        if link.asked == 1 and not link.joined:
            link.recovery.measure(now - link.said_at)
        self._join(offer, now, link)

    def _join(self, offer: Offer, now: float, link: Link) -> None:
        if self.peer is None:
            self.peer, self.trouble = offer, None
            if self.me.key is not None:
                self._proof = Proof(self.me.key, self.me.epoch, offer.epoch)
            self._begun(offer)
        self.heard_at = now
        link.join(offer, self._proof, now)

    @abstractmethod
    def _begun(self, peer: Offer) -> None:
        """The handshake has ended."""

    def _refused(self, frame: bytes) -> None:
        if full.read_no_session(frame, self.me.key) == self.me.epoch:
            if self.open:
                self._end("the peer knows nothing of the session; it was restarted", again=True)
            return
        refusal = Refusal.decode(frame[1:])
        if refusal is not None and refusal.reason != NO_SESSION and self.peer is None and self._asks:
            self.trouble = str(refusal)
            self._end(self.trouble)

    def _other_version(self, version: int, link: Link) -> None:
        link.answers.append(Refusal(OTHER_VERSION, VERSION).frame())
        if self.peer is None:
            self.trouble = str(Refusal(OTHER_VERSION, version))
            if self._asks:
                self._end(self.trouble)

    def _stranger(self, frame: bytes, link: Link) -> None:
        """A frame of a session came that is not this one."""
        if frame[0] >> 6 == wire.DATAGRAM or len(frame) < 1 + _EPOCH.size or (self._asks and self.peer is None):
            return
        (epoch,) = _EPOCH.unpack_from(frame, 1)
        if self.peer is None or epoch != self.peer.epoch:
            link.answers.append(full.no_session(epoch, self.me.key))

    def _end(self, why: str, *, again: bool = False) -> None:
        self.ended = why
        self.again = again
