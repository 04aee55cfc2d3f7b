"""Streams: a sender and a receiver at any pace, with a part there already or not, and either of them with a forger."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from leadscomm.errors import RemoteProtocolError
from leadscomm.protocol.records.stream_records import (
    Accept,
    Answer,
    Data,
    Done,
    Drop,
    End,
    Got,
    Offer,
    Refuse,
    Said,
    read,
)
from leadscomm.protocol.records.streams import Digest, Pace, ReceivingStream, SendingStream, new_digest

from .source import Source, held

LONGEST = (20, 1000, 1 << 14)
MEMORY = 64 << 10


class Transfer:
    """A stream, and its records on their way, which a session keeps in order."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.data = source.chunk(32) * source.below(64)
        sized, again = bool(source.below(2)), bool(source.below(2))
        offer = Offer(1, len(self.data) if sized else None, "name", again)
        self.sender = SendingStream(offer, Pace(source.pick(LONGEST)))
        self.receiver = ReceivingStream(offer)
        self.file = self._there() if again else b""
        self.to_receiver: deque[bytes] = deque()
        self.to_sender: deque[bytes] = deque()
        self.unwritten: deque[Said] = deque()
        self.next = 0
        self.ended = False
        self.now = 0.0

    def _there(self) -> bytes:
        """What the receiver has of it: a part, or something else of such a size."""
        there = self.data[: self.source.below(len(self.data) + 1)]
        return there if self.source.below(2) else bytes(len(there))

    def begin(self) -> None:
        self._answer(self.receiver.accept(digest_of(self.file), len(self.file), self.source.pick((4096, 100, 1))))
        self.hears_answer()
        offset = len(self.file)
        if self.sender.begin(digest_of(self.data[:offset])):
            self.next = offset

    def run(self) -> None:
        self.begin()
        while self.source:
            self.source.pick(STEPS)(self)
        while not self.sender.done:
            for step in STEPS:
                step(self)
        assert self.file == self.data
        assert held((self.sender, self.receiver)) <= MEMORY

    def says(self) -> None:
        """The sender says what it may: the next piece, or that it was all."""
        self.now += self.source.pick((0.001, 0.3, 2.0))
        if self.next < len(self.data):
            piece = self.data[self.next : self.next + self.sender.room()]
            if piece:
                self.to_receiver.append(self.sender.data(piece, self.now))
                self.next += len(piece)
        elif not self.ended:
            self.ended = True
            self.to_receiver.append(self.sender.end())

    def hears(self) -> None:
        if self.to_receiver:
            said = read(self.to_receiver.popleft())
            assert isinstance(said, (Data, End))
            self.receiver.receive(said)
            self.unwritten.append(said)

    def writes(self) -> None:
        if self.unwritten:
            said = self.unwritten.popleft()
            if isinstance(said, Data):
                self.file = self.file[: said.offset] + said.payload
                self._answer(self.receiver.wrote(said))
            elif isinstance(said, End):
                self.file = self.file[: said.size]
                assert self.receiver.is_whole(said)
                self._answer(self.receiver.done())

    def _answer(self, record: bytes) -> None:
        self.to_sender.append(record)

    def hears_answer(self) -> None:
        if self.to_sender:
            answer = read(self.to_sender.popleft())
            assert isinstance(answer, (Accept, Got, Done))
            self.sender.receive(answer, self.now)


STEPS: Sequence[Callable[[Transfer], None]] = (Transfer.says, Transfer.hears, Transfer.writes, Transfer.hears_answer)


def digest_of(data: bytes) -> Digest:
    digest = new_digest()
    digest.update(data)
    return digest


def forged(source: Source) -> Said | Answer | None:
    """Anything that a peer may say."""
    kind, number, offset = source.below(9), source.below(3), source.pick((0, 1, 40, source.extreme(1 << 64)))
    if kind == 8:
        return read(b"\2" + source.chunk(60))
    some: Sequence[Said | Answer] = (
        Offer(number, offset, "other", True),
        Data(number, offset, source.chunk(40)),
        End(number, offset, digest_of(b"").digest()),
        Drop(number, source.below(8), "reason"),
        Accept(number, offset, source.extreme(1 << 32), digest_of(b"").digest()),
        Got(number, offset),
        Done(number),
        Refuse(number, source.below(8), "reason"),
    )
    said = some[kind]
    assert read(said.record()) == said or offset == (1 << 64) - 1  # which stands for an unknown size
    return said


def beside_a_forger(source: Source) -> None:
    """A sender and a receiver whose peers say what they like: all of it makes sense, or is an error of theirs."""
    transfer = Transfer(source)
    transfer.receiver.accept(credit=source.pick((0, 100, 1 << 20)))
    while source:
        said = forged(source)
        if isinstance(said, (Offer, Data, End, Drop)):
            transfer.receiver.receive(said)
            if isinstance(said, Data):
                transfer.receiver.wrote(said)
            elif isinstance(said, End):
                transfer.receiver.is_whole(said)
        elif said is not None:
            transfer.sender.receive(said, transfer.now)
            if isinstance(said, Accept):
                transfer.sender.begin(digest_of(transfer.data))
            room = transfer.sender.room() if transfer.sender.accepted is not None else 0
            if room:
                transfer.sender.data(bytes(room), transfer.now)
        assert held((transfer.sender, transfer.receiver)) <= MEMORY


def one_input(data: bytes) -> None:
    source = Source(data)
    if source.below(2):
        Transfer(source).run()
        return
    try:
        beside_a_forger(source)
    except RemoteProtocolError:
        pass
