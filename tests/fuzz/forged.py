"""Frames of a session as somebody makes them who is no part of it: each field is chosen by the input."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from leadscomm.protocol.session import segments as full
from leadscomm.protocol.session import wire
from leadscomm.protocol.session.handshake import Handshake, Refusal
from leadscomm.protocol.session.offer import Offer, no_session
from leadscomm.protocol.session.seals import Checked, NoSeal, Proof, Seal
from leadscomm.protocol.session.segments import Ack, LaneAck

from .source import Source

EPOCHS = (1, 2, 3, 0)
"""Those of both sides, and others."""
LANES = (32, 33, 0, 1, 56, 57, 34, 63)
"""Of both channels, and none."""
WRONG_KEY = b"not the key, but as long"


def handshake(source: Source) -> Handshake:
    """What a peer might say of itself."""
    epoch, echo, profiles = source.pick(EPOCHS), source.pick(EPOCHS), source.below(4)
    segment, longest, resend = source.extreme(1 << 16), source.extreme(1 << 16), source.extreme(1 << 16)
    window, credit, version = source.extreme(256), source.extreme(256), source.pick((1, 1, 1, 2))
    return Handshake(epoch, echo, profiles, "", segment, longest, resend, window, credit, version)


def compact_greeting(source: Source) -> bytes:
    """HELLO or WELCOME of the compact profile."""
    said = handshake(source)
    return said.hello() if source.below(2) else said.welcome(Handshake(said.echo), said.profiles)


def greeting(source: Source) -> bytes:
    """HELLO or WELCOME of the full profile."""
    said = handshake(source)
    room, messages, segment = source.extreme(1 << 32), source.extreme(1 << 32), source.extreme(1 << 32)
    offer = Offer(said, segment, room, messages, source.pick((None, None, WRONG_KEY)))
    return offer.hello(said.echo) if source.below(2) else offer.welcome(Offer(Handshake(said.echo)))


def refusal(source: Source) -> bytes:
    if source.below(2):
        return no_session(source.pick(EPOCHS), source.pick((None, None, WRONG_KEY)))
    return Refusal(source.below(8), source.below(1 << 16)).frame()


def datagram(source: Source) -> bytes:
    return wire.datagram(source.chunk(), source.below(64))


def segment(source: Source) -> bytes:
    offset = source.pick((0, 1, source.below(1 << 15), source.below(1 << 64)))
    return full.data(source.pick(LANES), source.pick(EPOCHS), offset, source.chunk())


def ack(source: Source) -> bytes:
    lanes = []
    for _ in range(source.below(4)):
        received, delivered, first = source.below(1 << 14), source.below(1 << 14), source.below(1 << 14)
        ranges = ((received + first, received + first + source.below(1 << 14)),) * source.below(3)
        lanes.append(LaneAck(source.pick(LANES), delivered, received, ranges))
    room, messages = source.extreme(1 << 32), source.extreme(1 << 32)
    return full.control(wire.ACK, source.pick(EPOCHS), Ack(room, messages, tuple(lanes)).body())


def clocks(source: Source) -> bytes:
    epoch, clock = source.pick(EPOCHS), source.extreme(1 << 64)
    if source.below(2):
        return full.ping(epoch, clock)
    return full.pong(epoch, clock, source.extreme(1 << 64), source.extreme(1 << 64))


def any_control(source: Source) -> bytes:
    return full.control(source.below(8), source.pick(EPOCHS), source.chunk(40))


def noise(source: Source) -> bytes:
    return source.chunk() or b"\0"


KINDS: Sequence[Callable[[Source], bytes]] = (
    greeting,
    refusal,
    datagram,
    segment,
    segment,
    ack,
    ack,
    clocks,
    any_control,
    noise,
)


def frame(source: Source) -> bytes:
    """A frame of the full profile, with one of the seals that whoever has no key can make."""
    made = source.pick(KINDS)(source)
    seals: Sequence[Seal] = (Checked(), NoSeal(), Proof(WRONG_KEY, *source.pick(((1, 2), (2, 1)))))
    seal = source.pick(seals)
    return made if made[0] >> 3 in (0o31, 0o32, 0o33) else seal.seal(made)
