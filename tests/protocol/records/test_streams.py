"""Streams without a world: their records, what both sides may say, and what comes of it."""

from __future__ import annotations

import hashlib
import json
import random
import runpy
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscomm.errors import RemoteProtocolError
from leadscomm.protocol.records import stream_records as wire
from leadscomm.protocol.records.stream_records import Accept, Data, Done, Drop, End, Got, Offer, Refuse, read
from leadscomm.protocol.records.streams import (
    CHUNKS,
    FIRST_CHUNK,
    LARGEST_CHUNK,
    PIECES,
    SMALLEST_CHUNK,
    Pace,
    ReceivingStream,
    SendingStream,
    new_digest,
)

VECTORS = Path(__file__).parent.parent.parent / "vectors"
STREAMS = json.loads((VECTORS / "streams.json").read_text(encoding="ascii"))
TYPES = {"OFFER": Offer, "DATA": Data, "END": End, "DROP": Drop, "ACCEPT": Accept, "GOT": Got, "DONE": Done,
         "REFUSE": Refuse}  # fmt: skip


def fields_of(case: dict[str, Any]) -> dict[str, Any]:
    """What a record says, as its class has it."""
    said = {key: value for key, value in case.items() if key not in ("name", "record", "what", "called")}
    for key in ("digest", "payload"):
        if key in said:
            said[key] = bytes.fromhex(said[key])
    return {**said, "name": case["called"]} if "called" in case else said


def named(case: dict[str, Any]) -> str:
    return str(case["name"])


# Records --------------------------------------------------------------------------------------------------------------


def test_the_file_is_that_of_the_generator() -> None:
    for name, text in runpy.run_path(str(VECTORS / "generate_streams.py"))["files"]().items():
        assert (VECTORS / name).read_text(encoding="ascii") == text, "run python tests/vectors/generate_streams.py"


@pytest.mark.parametrize("case", STREAMS["records"], ids=named)
def test_a_record_is_as_written(case: dict[str, Any]) -> None:
    said = TYPES[case["what"]](**fields_of(case))
    assert said.record() == bytes.fromhex(case["record"])
    assert read(said.record()) == said


@pytest.mark.parametrize("case", STREAMS["cut_off"], ids=named)
def test_a_record_that_is_cut_off(case: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError, match="cut off"):
        read(bytes.fromhex(case["record"]))


def test_what_a_later_version_says_means_nothing() -> None:
    assert read(bytes([2, 8, 1, 0, 0, 0])) is None


@given(st.binary(max_size=80))
def test_any_bytes_are_a_record_or_none(data: bytes) -> None:
    try:
        said = read(b"\x02" + data)
    except RemoteProtocolError:
        return
    assert said is None or isinstance(said.number, int)


def test_long_texts_end_with_a_whole_character() -> None:
    name = "ü" * 200
    offer = read(Offer(1, 5, name, True).record())
    assert offer == Offer(1, 5, name[: wire.TEXT_BYTES // 2], True)
    assert read(Refuse(1, 1, "\udcff").record()) == Refuse(1, 1, "?")
    assert read(Drop(1, 1, "x").record() + b"\xff") == Drop(1, 1, "x\ufffd")


def test_a_reason_does_nothing_to_a_terminal() -> None:
    assert read(Refuse(1, 1, "a\x1b[2Jb\nc").record()) == Refuse(1, 1, "a�[2Jb�c")
    assert read(Drop(1, 1, "a\x1b").record()) == Drop(1, 1, "a�")


def test_a_data_record_is_as_much_longer_as_is_said() -> None:
    assert len(Data(1, 0, b"abc").record()) == wire.DATA_OVERHEAD + 3


# A stream from one side to the other ----------------------------------------------------------------------------------


class Link:
    """A sender and a receiver, joined by two lists. What arrives is what the receiver has written.

    :param content: what is sent.
    :param there: what the receiver has already.
    """

    def __init__(
        self, content: bytes, there: bytes = b"", *, size: int | None = None, pace: Pace | None = None
    ) -> None:
        self.content = content
        self.file = bytearray(there)
        self.sender = SendingStream(Offer(1, size, "x", True), pace or Pace(1 << 20))
        self.receiver = ReceivingStream(Offer(1, size, "x", True))
        self.forth: deque[bytes] = deque()
        self.back: deque[bytes] = deque()
        self.said: list[tuple[str, bytes]] = []
        self.at = 0
        self.ended = False
        self.now = 0.0

    def sends(self, record: bytes) -> None:
        self.forth.append(record)
        self.said.append(("sender", record))

    def answers(self, record: bytes) -> None:
        self.back.append(record)
        self.said.append(("receiver", record))

    def offered(self, credit: int) -> None:
        """The first words of both."""
        self.said.append(("sender", self.sender.offer.record()))
        known = new_digest()
        known.update(bytes(self.file))
        self.answers(self.receiver.accept(known, len(self.file), credit))
        self.hear()
        assert self.sender.accepted is not None
        offset = self.sender.accepted.offset
        mine = new_digest()
        mine.update(self.content[:offset])
        self.at = offset if len(self.content) >= offset and self.sender.begin(mine) else 0
        if not self.at:
            assert self.sender.begin() is False or offset == 0

    def send(self, most: int = 1 << 30) -> bool:
        """One more word of the sender, if there is room for it."""
        size = min(most, self.sender.room())
        piece = self.content[self.at : self.at + size]
        if piece:
            self.at += len(piece)
            self.sends(self.sender.data(piece, self.now))
        elif size and not self.ended:
            self.ended = True
            self.sends(self.sender.end())
        else:
            return False
        return True

    def arrive(self) -> bool:
        """The receiver takes one word."""
        if not self.forth:
            return False
        said = read(self.forth.popleft())
        assert isinstance(said, (Data, End))
        self.receiver.receive(said)
        if isinstance(said, Data):
            if said.offset == 0:
                self.file.clear()
            assert said.offset == len(self.file)
            self.file += said.payload
            self.answers(self.receiver.wrote(said))
        elif self.receiver.is_whole(said):
            del self.file[said.size :]
            self.answers(self.receiver.done())
        else:
            self.answers(Refuse(1, wire.DAMAGED, "").record())
        return True

    def hear(self) -> bool:
        """The sender takes one answer."""
        if not self.back:
            return False
        answer = read(self.back.popleft())
        assert isinstance(answer, (Accept, Got, Done, Refuse))
        self.sender.receive(answer, self.now)
        return True

    def run(self) -> None:
        while self.send() or self.arrive() or self.hear():
            pass


@pytest.mark.parametrize("case", STREAMS["conversations"], ids=named)
def test_a_conversation_is_as_written(case: dict[str, Any]) -> None:
    records = [(who, bytes.fromhex(record)) for who, record in case["records"]]
    end = read(records[-2][1])
    assert isinstance(end, End)
    content = next(text for text in (b"hello, wide world",) if hashlib.sha256(text).digest() == end.digest)
    accepted = read(records[1][1])
    assert isinstance(accepted, Accept)
    there = next(t for t in (b"", content[:7], b"howdy", content) if hashlib.sha256(t).digest() == accepted.digest)
    link = Link(content, there, size=len(content))
    link.offered(accepted.credit)
    while link.send(6):
        link.arrive()
        link.hear()
    assert link.said == records
    assert (bytes(link.file), link.sender.done) == (content, True)


@given(
    content=st.binary(max_size=300),
    there=st.binary(max_size=300) | st.integers(0, 300),
    credit=st.integers(1, 200),
    longest=st.integers(1, 100),
    known=st.booleans(),
    seed=st.integers(0, 1 << 32),
)
def test_whatever_is_there_all_of_it_arrives(
    content: bytes, there: bytes | int, credit: int, longest: int, known: bool, seed: int
) -> None:
    before = content[:there] if isinstance(there, int) else there
    size = len(content) if known else None
    link = Link(content, before[: len(content)] if known else before, size=size, pace=Pace(longest))
    link.offered(credit)
    order = random.Random(seed)
    moves = [link.send, link.arrive, link.hear]
    while not link.sender.done:
        assert link.sender.refused is None
        order.choice(moves)()
        link.now += order.random()
        under_way = sum(len(record) - wire.DATA_OVERHEAD for record in link.forth if record[1] == 1)
        assert under_way <= credit
    assert bytes(link.file) == content
    assert link.sender.got == link.sender.sent == len(content)


@given(content=st.binary(min_size=1, max_size=100), place=st.integers(0, 99), cut=st.integers(0, 100))
def test_damage_is_found_at_the_end(content: bytes, place: int, cut: int) -> None:
    """What changes after it was accepted, or on its way: the digest tells."""
    link = Link(content, content[:cut])
    link.offered(1000)
    while link.send():
        pass
    damaged = bytearray(content)
    damaged[place % len(content)] ^= 1
    link.receiver = ReceivingStream(link.sender.offer)
    wrong = new_digest()
    wrong.update(bytes(damaged[:cut]))
    link.receiver.accept(wrong, len(content[:cut]), 1000)
    link.forth = deque(
        Data(1, said.offset, bytes(damaged[said.offset : said.offset + len(said.payload)])).record()
        if isinstance(said := read(record), Data)
        else record
        for record in link.forth
    )
    link.run()
    assert link.sender.refused == Refuse(1, wire.DAMAGED, "")
    assert not link.sender.done


# What may not be said -------------------------------------------------------------------------------------------------


def accepted_stream(size: int | None = 10, offset: int = 0, credit: int = 6) -> ReceivingStream:
    stream = ReceivingStream(Offer(1, size, "x", True))
    stream.accept(new_digest(), offset, credit)
    return stream


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([Data(1, 1, b"a")], "belongs at 1"),
        ([Data(1, 0, b"ab"), Data(1, 0, b"ab")], "belongs at 0, and not at 2"),
        ([Data(1, 0, b"ab"), Data(1, 3, b"ab")], "belongs at 3, and not at 2"),
        ([Data(1, 0, b"1234567")], "more at once than it may"),
        ([Data(1, 0, b"1234"), Data(1, 4, b"123")], "more at once than it may"),
        ([Data(1, 0, b"")], "cannot be"),
        ([End(1, 0, bytes(32))], "ends it at 0"),
        ([Data(1, 0, b"1234"), End(1, 4, bytes(32))], "ends it at 4"),
        ([Data(1, 0, b"1234"), End(1, 0, bytes(32))], "belongs at 0, and not at 4"),
        ([Data(1, 0, b"1234"), End(1, 10, bytes(32))], "ends it at 10 after 4 bytes"),
        ([Offer(1, 5, "x", True)], "may not say"),
    ],
)
def test_a_sender_that_breaks_the_rules(said: list[Any], why: str) -> None:
    stream = accepted_stream()
    for word in said[:-1]:
        stream.receive(word)
    with pytest.raises(RemoteProtocolError, match=why):
        stream.receive(said[-1])


def test_no_more_than_was_offered() -> None:
    stream = accepted_stream(credit=100)
    with pytest.raises(RemoteProtocolError, match="cannot be"):
        stream.receive(Data(1, 0, b"12345678901"))


def test_not_too_many_pieces_at_once() -> None:
    stream = accepted_stream(size=None, credit=1 << 20)
    pieces = [Data(1, offset, b"x") for offset in range(PIECES + 2)]
    for piece in pieces[:PIECES]:
        stream.receive(piece)
    stream.wrote(pieces[0])
    stream.receive(pieces[PIECES])
    with pytest.raises(RemoteProtocolError, match="more at once"):
        stream.receive(pieces[PIECES + 1])


def test_nothing_before_it_was_accepted_and_nothing_after_its_end() -> None:
    stream = ReceivingStream(Offer(1, None, "x", True))
    with pytest.raises(RemoteProtocolError, match="at this point"):
        stream.receive(Data(1, 0, b""))
    stream.accept()
    stream.receive(End(1, 0, bytes(32)))
    with pytest.raises(RemoteProtocolError, match="at this point"):
        stream.receive(Data(1, 0, b""))
    stream.receive(Drop(1, 1, ""))
    with pytest.raises(RemoteProtocolError, match="at this point"):
        stream.receive(Drop(1, 1, ""))


def test_a_stream_that_begins_anew_has_its_whole_credit() -> None:
    stream = accepted_stream(offset=5, credit=4)
    stream.receive(Data(1, 0, b"1234"))
    assert stream.wrote(Data(1, 0, b"1234")) == Got(1, 4).record()
    assert stream.alive() == Got(1, 4).record()


def offered_stream(size: int | None = 10, repeatable: bool = True) -> SendingStream:
    return SendingStream(Offer(1, size, "x", repeatable), Pace(1 << 20))


@pytest.mark.parametrize(
    ("stream", "answer"),
    [
        (offered_stream(), Accept(1, 11, 100, bytes(32))),
        (offered_stream(), Accept(1, 0, 0, bytes(32))),
        (offered_stream(repeatable=False), Accept(1, 1, 100, bytes(32))),
    ],
)
def test_it_cannot_be_accepted_like_that(stream: SendingStream, answer: Accept) -> None:
    with pytest.raises(RemoteProtocolError, match="makes no sense"):
        stream.receive(answer, 0.0)


def test_a_stream_of_unknown_size_may_be_there_to_any_offset() -> None:
    stream = offered_stream(size=None)
    stream.receive(Accept(1, 1 << 40, 100, bytes(32)), 0.0)
    with pytest.raises(RemoteProtocolError, match="makes no sense"):
        stream.receive(Accept(1, 0, 100, bytes(32)), 0.0)
    assert stream.begin(new_digest()) is False


def test_small_pieces_are_not_too_many_at_once() -> None:
    """A pipe gives a byte at a time."""
    stream = offered_stream(size=None)
    stream.receive(Accept(1, 0, 1 << 30, new_digest().digest()), 0.0)
    stream.begin(new_digest())
    while stream.room():
        stream.data(b"x", 0.0)
    assert stream.sent == PIECES
    stream.receive(Got(1, 10), 1.0)
    assert stream.room() > 0


def test_a_receiver_that_breaks_the_rules() -> None:
    stream = offered_stream()
    with pytest.raises(RemoteProtocolError, match="it cannot"):
        stream.receive(Done(1), 0.0)
    stream.receive(Got(1, 77), 0.0)  # a sign of life
    stream.receive(Accept(1, 0, 100, new_digest().digest()), 0.0)
    assert stream.begin(new_digest()) is True
    stream.data(b"1234", 0.0)
    stream.receive(Got(1, 4), 1.0)
    for offset in (3, 5):
        with pytest.raises(RemoteProtocolError, match="what was not sent"):
            stream.receive(Got(1, offset), 1.0)
    assert stream.refused is None
    stream.receive(Refuse(1, wire.FAILED, "full"), 1.0)
    assert stream.refused == Refuse(1, wire.FAILED, "full")


# The pace -------------------------------------------------------------------------------------------------------------


def test_chunks_grow_on_a_quick_link_up_to_what_the_peer_takes() -> None:
    pace = Pace(1 << 20)
    assert pace.chunk == FIRST_CHUNK
    for _ in range(20):
        pace.took(0.001)
    assert pace.chunk == LARGEST_CHUNK
    pace = Pace(5000)
    for _ in range(20):
        pace.took(0.001)
    assert pace.chunk == 5000 - wire.DATA_OVERHEAD
    assert Pace(3).chunk == 1


@pytest.mark.parametrize("rate", [960, 11520, 1_000_000])
def test_less_than_three_seconds_are_under_way_at_any_rate(rate: int) -> None:
    """A line of so many bytes a second, and a sender who always has more."""
    stream = SendingStream(Offer(1, None, "x", True), pace := Pace(1 << 20))
    stream.receive(Accept(1, 0, 1 << 30, new_digest().digest()), 0.0)
    stream.begin(new_digest())
    now, offset, line = 0.0, 0, deque[int]()
    for _ in range(3000):
        while size := stream.room():
            stream.data(bytes(size), now)
            line.append(size)
        piece = line.popleft()
        now, offset = now + piece / rate, offset + piece
        stream.receive(Got(1, offset), now)
    assert stream.sent - stream.got <= CHUNKS * pace.chunk < 3 * rate
    assert CHUNKS * pace.chunk > rate / 8


def test_a_short_wait_changes_nothing() -> None:
    pace = Pace(1 << 20)
    pace.took(0.1)
    chunk = pace.chunk
    pace.took(0.7)
    assert pace.chunk == chunk
    pace.took(1.5)
    assert pace.chunk == chunk // 2
    for _ in range(20):
        pace.took(2.0)
    assert pace.chunk == SMALLEST_CHUNK


# The page -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [Offer(1, 11, "hello.txt", True), Data(1, 6, b"world"), Got(1, 11), Done(1), Refuse(1, wire.NOT_WANTED, "no")],
)
def test_the_records_on_the_page_are_true(said: Any) -> None:
    page = (VECTORS.parents[1] / "docs" / "wire-protocol.md").read_text(encoding="utf-8")
    assert f"`{said.record().hex(' ')}`" in page
