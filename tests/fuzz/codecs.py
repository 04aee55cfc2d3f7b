"""Everything that takes bytes apart: any bytes give something or nothing, and what was put together comes out again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from leadscomm.entities.records import groups as node_groups
from leadscomm.errors import RemoteProtocolError
from leadscomm.hardware import companion
from leadscomm.hardware.board.layout import Layout
from leadscomm.protocol import FramingSpec, challenge
from leadscomm.protocol.framing import guess
from leadscomm.protocol.records import durable as records
from leadscomm.protocol.records.durable import Durable
from leadscomm.protocol.session import offer
from leadscomm.protocol.session import segments as full
from leadscomm.protocol.session import wire as frames
from leadscomm.protocol.session.compact import bootloader
from leadscomm.protocol.session.handshake import FULL, Handshake, Refusal, refusal_of, welcome_of
from leadscomm.protocol.session.offer import Offer
from leadscomm.protocol.session.segments import Ack, LaneAck

from .source import Source

KEY = b"sixteen bytes or more"
LAYOUTS: Sequence[type[Layout]] = [
    kind for kind in vars(companion).values() if isinstance(kind, type) and issubclass(kind, Layout)
]
READERS: Sequence[Callable[[bytes], object]] = (
    full.read_data,
    full.read_control,
    full.read_ping,
    full.read_pong,
    offer.keyed,
    offer.epoch_in,
    challenge.nonce_of,
    records.read_durable,
    records.kind_of,
)
EXPECTED = [FramingSpec(name) for name in ("separator", "line", "length", "cobs", "board")]


def one_input(data: bytes) -> None:
    source = Source(data)
    source.pick(PARTS)(source)


def header(source: Source) -> None:
    """The headers of both profiles."""
    number, ack, flag, payload = source.below(8), source.below(8), bool(source.below(2)), source.chunk()
    found = frames.parse(frames.data(payload, number, ack, more=flag))
    assert found == (frames.MORE if flag else frames.DATA, number, ack, payload)
    assert frames.parse(frames.control(number, payload, ack)) == (frames.CONTROL, number, ack, payload)
    assert frames.parse(frames.datagram(payload, 8 * number + ack)) == (frames.DATAGRAM, 8 * number + ack, 0, payload)
    epoch, offset, lane = source.below(1 << 32), source.below(1 << 64), full.lane_number(number, source.below(2))
    assert full.read_data(full.data(lane, epoch, offset, payload)) == (epoch, lane, offset, payload)
    assert full.read_control(full.control(number, epoch, payload)) == (epoch, number, payload)
    durable = Durable(payload[:8].ljust(8), offset, payload)
    assert records.read_durable(durable.record()) == durable


def any_frame(source: Source) -> None:
    """Whatever comes."""
    data = source.rest()
    found = frames.parse(data)
    assert (found is None) == (not data)
    for read in READERS:
        read(data)
    welcome_of(found)
    str(refusal_of(found))
    for key in (None, KEY):
        Offer.decode(data, key)
        offer.read_no_session(data, key)
        offer.read_hello(data, key)
        offer.answer(data, Handshake(1), key)
    said = Handshake.decode(data)
    if said is not None and "\ufffd" not in said.tag and said.version == 1:
        assert Handshake.decode(said.hello()[1:]) == said
    refusal = Refusal.decode(data)
    assert refusal is None or Refusal.decode(refusal.frame()[1:]) == refusal
    ack = Ack.decode(data)
    assert ack is None or Ack.decode(ack.body()) == ack


def offers(source: Source) -> None:
    """A handshake comes out as it went in, unless it was damaged or closed with another key."""
    said = Handshake(
        1 + source.below(0xFFFFFFFF), source.below(1 << 32), tag=source.pick(["", "arm", "ä" * 127]), segment=9
    )
    made = Offer(said, source.below(1 << 32), source.below(1 << 32), source.below(1 << 32), source.pick([None, KEY]))
    frame = made.hello(said.echo)
    found = Offer.decode(frame, made.key)
    assert found is not None
    assert replace(found, handshake=said) == made
    assert found.handshake.profiles & FULL
    assert offer.keyed(frame) == (made.key is not None)
    assert Offer.decode(frame, b"another one of 16 bytes") is None
    worn = bytearray(frame)
    worn[source.below(len(worn))] ^= 1 << source.below(8)
    if worn[0] == frame[0]:  # the header is judged by others
        assert Offer.decode(bytes(worn), made.key) is None
    no = offer.no_session(said.epoch, made.key)
    assert offer.read_no_session(no, made.key) == said.epoch
    assert offer.read_no_session(no[:-1], made.key) is None


def acks(source: Source) -> None:
    """Acknowledgements."""
    lanes: list[LaneAck] = []
    while source and len(lanes) < 8:
        received, at, ranges = source.below(1 << 62), 0, []
        for _ in range(source.below(4)):
            first = at + source.below(1 << 16)
            at = first + source.below(1 << 16)
            ranges.append((received + first, received + at))
        lanes.append(
            LaneAck(full.lane_number(source.below(8), source.below(2)), source.below(1 << 62), received, tuple(ranges))
        )
    ack = Ack(source.below(1 << 32), source.below(1 << 32), tuple(lanes))
    assert Ack.decode(ack.body()) == ack
    assert Ack.decode(ack.body()[:-1]) is None


def impression(source: Source) -> None:
    """What bytes look like."""
    expected, data = source.pick(EXPECTED), source.rest() or b"\0"
    seen = guess.look(data, expected)
    assert 0 <= seen.printable <= 1
    assert min(seen.messages, seen.faults) >= 0


def asking(source: Source) -> None:
    """When a board is asked: each question later than the one before, at any baud rate."""
    baud, ends, count = 1 + source.below(4_000_000), bool(source.below(2)), source.below(200)
    times = [bootloader.asking_time(count + later, baud, ends=ends) for later in range(3)]
    assert 0 <= times[0] < times[1] < times[2]
    assert bootloader.before_asking(count, baud) in (b"", bootloader.LEAVE)


def layout(source: Source) -> None:
    """Messages with a declared layout."""
    kind, data = source.pick(LAYOUTS), source.rest()
    try:
        found = kind.unpack(data)
    except RemoteProtocolError:
        return
    assert found.pack() == data
    assert len(data) <= kind.longest


def groups(source: Source) -> None:
    """The groups of a node."""
    names = frozenset(source.chunk(20).hex() for _ in range(source.below(4))) - {""}
    assert node_groups.decode(node_groups.encode(names)) == names
    with suppress(RemoteProtocolError):
        node_groups.decode(source.rest())


def proofs(source: Source) -> None:
    """The key challenge: a proof is right for its nonces, its side and its key alone."""
    mine, theirs = source.take(32).ljust(32, b"\0"), source.take(32).ljust(32, b"\1")
    assert challenge.nonce_of(challenge.greeting(mine)) == mine
    proof = challenge.server_proof(KEY, mine, theirs)
    assert challenge.same(proof, challenge.server_proof(KEY, mine, theirs))
    others = [challenge.client_proof(KEY, mine, theirs), challenge.server_proof(KEY + b"!", mine, theirs), mine]
    if mine != theirs:
        others += [challenge.server_proof(KEY, theirs, mine), challenge.client_proof(KEY, theirs, mine)]
    assert not any(challenge.same(proof, other) for other in others)


PARTS: Sequence[Callable[[Source], None]] = (
    header,
    any_frame,
    offers,
    acks,
    impression,
    asking,
    layout,
    groups,
    proofs,
)
