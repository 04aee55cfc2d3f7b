"""What a receiver of the full profile makes of segments: cut anyhow, in any order, overlapping, more than once."""

from __future__ import annotations

from leadscomm.protocol.session import segments as full
from leadscomm.protocol.session import wire
from leadscomm.protocol.session.full.full import FullSession
from leadscomm.protocol.session.full.link import Link
from leadscomm.protocol.session.handshake import Handshake
from leadscomm.protocol.session.offer import Offer
from leadscomm.protocol.session.segments import Ack

from .source import Source, held

ROOM = 1 << 13
LONGEST = 1 << 10
PEER = Offer(Handshake(1), room=ROOM)
MEMORY = 64 << 10


class Receiver:
    """A session, and the lanes that its peer has. Each message begins with the number of its lane."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.session = FullSession(Offer(Handshake(2), room=ROOM), 0.0, asks=False, longest=LONGEST, silence=1e9)
        self.link = Link(1200)
        self.session.add(self.link, 0.0)
        self.lanes = source.pick(((4,), (0, 4), (0, 3, 7)))
        self.messages = {lane: [bytes([lane]) + source.chunk(60) for _ in range(12)] for lane in self.lanes}
        self.streams = streams_of(self.messages, self.session, self.link)
        self.came: dict[int, set[int]] = {lane: set() for lane in self.lanes}
        self.got: dict[int, list[bytes]] = {lane: [] for lane in self.lanes}
        self.kept = 0
        self.now = 0.0

    def segment(self, lane: int, first: int, size: int) -> None:
        """One comes."""
        piece = self.streams[lane][first : first + size]
        self.session.receive(full.data(full.lane_number(lane), PEER.epoch, first, piece), self.now, self.link)
        assert self.session.ended is None, self.session.ended
        self.came[lane].update(range(first, first + len(piece)))
        for message in self.session.take():
            self.got[message[0]].append(message)
            self.kept += 1
        assert self.got[lane] == self.messages[lane][: len(self.got[lane])]

    def deliver(self, count: int) -> None:
        """Deal with what came, and look at what the peer is told."""
        if count:
            self.session.delivered(self.now, count)
            self.kept -= count
        self.now += 0.01
        for frame in self.session.frames(self.now, self.link):
            if frame[0] >> 3 == wire.CONTROL << 3 | wire.ACK:
                found = full.read_control(frame)
                assert found is not None
                self.judge(Ack.decode(found.body))

    def judge(self, ack: Ack | None) -> None:
        """An acknowledgement tells nothing that did not come."""
        assert ack is not None
        for told in ack.lanes:
            came = self.came[told.number >> 3]
            assert told.received == next(at for at in range(len(came) + 1) if at not in came)
            assert told.delivered <= told.received
            assert all(came.issuperset(range(first, last)) for first, last in told.ranges)

    def run(self) -> None:
        source = self.source
        while source:
            if source.below(4):
                lane = source.pick(self.lanes)
                self.segment(lane, source.below(len(self.streams[lane])), source.pick((0, 1, 2, 5, 20, 64, 500)))
            else:
                self.deliver(source.below(self.kept + 1))
        assert held(self.session) <= MEMORY, held(self.session)
        for lane, stream in self.streams.items():
            self.segment(lane, 0, len(stream))
            assert self.got[lane] == self.messages[lane]
        self.deliver(self.kept)
        assert not self.session.liveness.busy


def streams_of(messages: dict[int, list[bytes]], to: FullSession, link: Link) -> dict[int, bytes]:
    """The lanes of a peer that has such messages, which begins a session with ``to``."""
    peer, line = FullSession(PEER, 0.0, asks=True, longest=LONGEST), Link(1200)
    peer.add(line, 0.0)
    for frame in peer.frames(0.0, line):
        to.receive(frame, 0.0, link)
    for frame in to.frames(0.0, link):
        peer.receive(frame, 0.0, line)
    for lane, some in messages.items():
        peer.send_all(some, lane)
    said = peer.frames(0.0, line)
    for frame in said:
        if frame[0] >> 6 == wire.CONTROL:  # it shows that it hears
            to.receive(frame, 0.0, link)
    found = [full.read_data(frame) for frame in said if frame[0] >> 6 == wire.DATA]
    pieces = [segment for segment in found if segment is not None]
    return {lane: b"".join(piece.payload for piece in pieces if piece.number >> 3 == lane) for lane in messages}


def one_input(data: bytes) -> None:
    Receiver(Source(data)).run()
