"""Streams between two entities: files, whatever ends them, and who may cancel."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from leadscomm.entities.records import streams
from leadscomm.entities.records.streams import WRITERS
from leadscomm.errors import ConnectionLost, RemoteProtocolError, ServiceError, TransferError
from leadscomm.protocol.records.stream_records import BROKEN, Accept, Data, Done, Drop, End, Offer, Refuse
from leadscomm.streams import files as stream_files
from leadscomm.streams.files import PART
from tests.entities.joined import Joined, joined
from tests.entities.recorder import PATIENCE_S, wait_until


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of several chunks."""
    path = tmp_path / "source.bin"
    path.write_bytes(content(700_001))
    return path


def content(size: int) -> bytes:
    return hashlib.shake_128(b"streams").digest(size)


def said(both: Joined, kind: type, end: int = 0) -> list[Any]:
    return [record for record in both.ends[end].connection.said if isinstance(record, kind)]


def parts(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(PART)]


# All of it ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 1024, 1 << 20, 3_000_001])
def test_a_file_arrives(size: int, tmp_path: Path) -> None:
    there, sent, seen = tmp_path / "there.bin", tmp_path / "sent.bin", []
    sent.write_bytes(content(size))
    with joined(lambda stream: stream.save(there)) as both:
        transfer = both.a.streams.send_file(sent, None, progress=lambda t: seen.append((t.moved, t.size)))
        assert there.read_bytes() == content(size)
        (stream,) = both.b.callback.wait("end")
        assert (stream.name, stream.size, stream.moved, stream.path, stream.error) == (
            "sent.bin", size, size, there, None,
        )  # fmt: skip
        assert (transfer.finished, transfer.moved, transfer.error, transfer.wait()) == (True, size, None, True)
        assert seen == sorted(set(seen))
        assert seen[-1:] == ([(size, size)] if size else [])
        assert sorted(os.listdir(tmp_path)) == ["sent.bin", "there.bin"]


@pytest.mark.parametrize("longest", [15, 100, 1 << 30])
def test_pieces_fit_what_the_peer_takes(longest: int, tmp_path: Path) -> None:
    with joined(lambda stream: stream.save(tmp_path / "there"), longest) as both:
        both.a.streams.send_stream(io.BytesIO(content(500)), None)
        assert (tmp_path / "there").read_bytes() == content(500)
        assert max(len(record.record()) for record in said(both, Data)) <= longest


class Pipe:
    """What can be read only once."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, 1000))


@pytest.mark.parametrize("size", [None, 10_000])
def test_what_can_be_read_once_arrives(size: int | None, tmp_path: Path) -> None:
    there = io.BytesIO()
    with joined(lambda stream: stream.accept(there)) as both:
        both.a.streams.send_stream(Pipe(content(10_000)), None, name="pipe", size=size)
        assert there.getvalue() == content(10_000)
        (stream,) = both.b.callback.wait("end")
        assert (stream.name, stream.size, stream.path) == ("pipe", size, None)


def test_a_file_is_read_from_where_it_is(tmp_path: Path) -> None:
    there, file = io.BytesIO(), io.BytesIO(b"head" + content(5000))
    file.seek(4)
    with joined(lambda stream: stream.accept(there)) as both:
        both.a.streams.send_stream(file, None)
        assert there.getvalue() == content(5000)
        assert not file.closed


def test_a_sink_may_take_a_part_at_a_time(tmp_path: Path) -> None:
    class Slow(io.RawIOBase):
        taken = b""

        def write(self, data: Any) -> int:
            self.taken += bytes(data[:7])
            return len(data[:7])

    slow = Slow()
    with joined(lambda stream: stream.accept(slow)) as both:
        both.a.streams.send_stream(io.BytesIO(content(500)), None)
        assert slow.taken == content(500)


def test_several_at_once_and_more_than_may_be_open(tmp_path: Path) -> None:
    sent = {f"{number}.bin": content(20_000 + number) for number in range(40)}
    with joined(lambda stream: stream.save_into(tmp_path)) as both:
        transfers = [
            both.a.streams.send_stream(io.BytesIO(data), None, name=name, wait=False) for name, data in sent.items()
        ]
        for transfer in transfers:
            assert transfer.wait(PATIENCE_S)
        both.b.callback.wait("end", 40)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == sent


class Gated(io.BytesIO):
    """A file that is read no further than its first half, until a gate opens."""

    def __init__(self, data: bytes, gate: threading.Event) -> None:
        super().__init__(data)
        self.half, self.gate = len(data) // 2, gate

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= self.half:
            self.gate.wait(PATIENCE_S)
            return super().read(size)
        return super().read(min(self.half, size or self.half) if size != -1 else self.half)


def test_streams_that_have_nothing_to_do_have_no_thread(tmp_path: Path) -> None:
    """Nor does any number of sessions bring more threads than there may be, and those that wait keep nobody else."""
    gate = threading.Event()
    with joined(lambda stream: stream.save_into(tmp_path)) as both:
        peers = [both.begin(f"peer {number}")[0].connection for number in range(4)]
        sent = {f"{number}.bin": content(2_000 + number) for number in range(16 * len(peers))}
        transfers = [
            both.a.streams.send_stream(Gated(data, gate), peers[number % len(peers)], name=name, wait=False)
            for number, (name, data) in enumerate(sent.items())
        ]
        wait_until(lambda: sum(stream.moved > 0 for stream in both.b.callback.of("stream")) == len(sent))
        assert both.b.streams._writers <= WRITERS
        assert len(both.b.streams._threads) <= WRITERS
        both.a.streams.send_stream(io.BytesIO(b"quick"), both.begin("another")[0].connection, name="quick")
        assert (tmp_path / "quick").read_bytes() == b"quick"
        gate.set()
        for transfer in transfers:
            assert transfer.wait(PATIENCE_S)
        assert {name: (tmp_path / name).read_bytes() for name in sent} == sent


def test_a_stream_that_finds_no_thread_waits_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "WRITERS", 2)
    gate, stuck = threading.Event(), threading.Semaphore(0)

    class Slow(io.BytesIO):
        def write(self, data: Any, /) -> int:
            stuck.release()
            gate.wait(PATIENCE_S)
            return super().write(data)

    def take(stream: Any) -> None:
        stream.accept(Slow()) if stream.name.startswith("slow") else stream.save_into(tmp_path)

    with joined(take) as both:
        slow = [both.a.streams.send_stream(io.BytesIO(b"x"), None, name=f"slow{i}", wait=False) for i in range(2)]
        for _ in slow:
            assert stuck.acquire(timeout=PATIENCE_S)
        late = both.a.streams.send_stream(io.BytesIO(b"late"), None, name="late", wait=False)
        both.b.callback.wait("stream", 3)
        assert not late.finished
        gate.set()
        assert all(transfer.wait(PATIENCE_S) for transfer in [*slow, late])
        assert (tmp_path / "late").read_bytes() == b"late"


def test_both_ways_at_once(source: Path, tmp_path: Path) -> None:
    with joined(lambda stream: stream.save(tmp_path / "forth")) as both:
        both.a.callback.take = lambda stream: stream.save(tmp_path / "back")
        back = both.b.streams.send_file(source, both.ends[1].connection, wait=False)
        both.a.streams.send_file(source, both.ends[0].connection)
        assert back.wait(PATIENCE_S)
    assert (tmp_path / "forth").read_bytes() == (tmp_path / "back").read_bytes() == source.read_bytes()


# On from where it was -------------------------------------------------------------------------------------------------


def cut_at(both: Joined, offset: int) -> None:
    """The session ends once so much of the stream is written."""

    def watch(record: Any) -> None:
        if isinstance(record, Data) and record.offset >= offset:
            both.cut()

    both.ends[0].connection.watch = watch


def test_it_goes_on_in_the_next_session(source: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.bin"
    with joined(lambda stream: stream.save(there)) as both:
        cut_at(both, 300_000)
        transfer = both.a.streams.send_file(source, None, wait=False)
        (first,) = both.b.callback.wait("end")
        assert isinstance(first.error, TransferError)
        assert f"are kept in {there}{PART}" in str(first.error)
        assert parts(tmp_path) == [there.name + PART]
        both.begin()
        assert transfer.wait(PATIENCE_S)
        assert 0 < transfer.resumed_at <= first.moved + 16 * 256 * 1024
        assert said(both, Data)[0].offset == transfer.resumed_at
        assert there.read_bytes() == source.read_bytes()
        second = both.b.callback.wait("end", 2)[1]
        assert (second.error, second.resumed_at) == (None, transfer.resumed_at)
        assert parts(tmp_path) == []


def test_it_goes_on_when_it_is_sent_again(source: Path, tmp_path: Path) -> None:
    """As after a restart: nothing is left but the part file."""
    there = tmp_path / "there.bin"
    (tmp_path / ("there.bin" + PART)).write_bytes(source.read_bytes()[:500_000])
    with joined(lambda stream: stream.save(there)) as both:
        transfer = both.a.streams.send_file(source, None)
        assert (transfer.resumed_at, said(both, Data)[0].offset) == (500_000, 500_000)
        assert there.read_bytes() == source.read_bytes()


def test_a_whole_part_only_needs_its_name(source: Path, tmp_path: Path) -> None:
    (tmp_path / ("there" + PART)).write_bytes(source.read_bytes())
    with joined(lambda stream: stream.save(tmp_path / "there")) as both:
        both.a.streams.send_file(source, None)
        assert said(both, Data) == []
        assert (tmp_path / "there").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("part", [b"something else" * 1000, b"longer" * 200_000])
def test_a_part_of_something_else_is_replaced(part: bytes, source: Path, tmp_path: Path) -> None:
    (tmp_path / ("there" + PART)).write_bytes(part)
    with joined(lambda stream: stream.save(tmp_path / "there")) as both:
        transfer = both.a.streams.send_file(source, None)
        assert (transfer.resumed_at, said(both, Data)[0].offset) == (0, 0)
        assert (tmp_path / "there").read_bytes() == source.read_bytes()


def test_an_empty_file_replaces_a_part_too(tmp_path: Path) -> None:
    (tmp_path / ("there" + PART)).write_bytes(b"something else")
    with joined(lambda stream: stream.save(tmp_path / "there")) as both:
        both.a.streams.send_stream(io.BytesIO(b""), None)  # its size is not known beforehand
        assert (tmp_path / "there").read_bytes() == b""


def test_what_was_there_already_is_not_sent_again(source: Path, tmp_path: Path) -> None:
    """The last word was lost: the sender asks again for what has all arrived."""
    there = tmp_path / "there"
    with joined(lambda stream: stream.save(there)) as both:

        def watch(record: Any) -> None:
            if isinstance(record, Done):
                both.cut()

        both.ends[1].connection.watch = watch
        transfer = both.a.streams.send_file(source, None, wait=False)
        (stream,) = both.b.callback.wait("end")
        assert stream.error is None
        both.begin()
        assert transfer.wait(PATIENCE_S)
        assert said(both, Data) == []
        assert both.b.callback.wait("end", 2)[1].error is None


def test_a_pipe_does_not_go_on(tmp_path: Path) -> None:
    with joined(lambda stream: stream.save(tmp_path / "there")) as both:
        cut_at(both, 5000)
        with pytest.raises(TransferError, match="cannot be read a second time"):
            both.a.streams.send_stream(Pipe(content(50_000)), None)
        both.b.callback.wait("end")


def test_a_peer_is_known_again_by_its_name(source: Path, tmp_path: Path) -> None:
    with joined(lambda stream: stream.save(tmp_path / "there")) as both:
        a, _ = both.ends
        cut_at(both, 300_000)
        transfer = both.a.streams.send_file(source, a.connection, wait=False)
        both.b.callback.wait("end")
        both.begin("another")
        both.begin("peer")
        assert transfer.wait(PATIENCE_S)
        assert said(both, Offer)


def test_a_peer_without_a_name_is_not_known_again(source: Path, tmp_path: Path) -> None:
    with joined(lambda stream: stream.save(tmp_path / "there")) as both:
        a, _ = both.begin("")
        cut_at(both, 300_000)
        with pytest.raises(TransferError, match="no name") as caught:
            both.a.streams.send_file(source, a.connection)
        assert "sending it again goes on from there" in str(caught.value)
        assert 0 < caught.value.moved < caught.value.size == 700_001
        both.b.callback.wait("end")


def test_a_peer_that_does_not_come_back(source: Path, tmp_path: Path) -> None:
    with joined(lambda stream: stream.save(tmp_path / "there")) as both:
        cut_at(both, 300_000)
        with pytest.raises(TransferError, match=r"no session with it for 1 s"):
            both.a.streams.send_file(source, None, timeout=1.0)  # long enough to begin with, on a busy machine too
        both.b.callback.wait("end")


def test_a_peer_that_does_not_answer(source: Path) -> None:
    held = threading.Event()
    with joined(lambda stream: held.wait(PATIENCE_S)) as both:
        with pytest.raises(TransferError, match=r"nothing was heard of it for 0\.05 s"):
            both.a.streams.send_file(source, None, timeout=0.05)
        held.set()


# What is not taken ----------------------------------------------------------------------------------------------------


def test_what_nobody_takes_is_refused(source: Path) -> None:
    with joined() as both:
        with pytest.raises(TransferError, match=r"the peer does not take it \(nobody wants it\); 0 of 700,001 bytes"):
            both.a.streams.send_file(source, None)
        both.b.callback.take = lambda stream: stream.refuse("not on Sundays")
        with pytest.raises(TransferError, match="not on Sundays"):
            both.a.streams.send_file(source, None)
        assert both.b.callback.of("end") == []


def test_it_is_taken_once_and_in_time(source: Path, tmp_path: Path) -> None:
    with joined() as both:
        both.b.callback.take = lambda stream: [stream.save(tmp_path / "a"), stream.save(tmp_path / "b")]
        both.a.streams.send_file(source, None)
        (error,) = both.b.callback.wait("fail")
        assert isinstance(error, ServiceError)
        (stream,) = both.b.callback.wait("end")
        with pytest.raises(ServiceError, match="too late"):
            stream.accept(io.BytesIO())
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "source.bin"]


def test_another_file_of_that_name_stays(source: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    for other in (b"mine", b"x" * 700_001):
        there.write_bytes(other)
        with joined(lambda stream: stream.save(there)) as both:
            with pytest.raises(TransferError, match="another file of that name"):
                both.a.streams.send_file(source, None)
            (stream,) = both.b.callback.wait("end")
            assert isinstance(stream.error.__cause__, FileExistsError)
        assert there.read_bytes() == other
        assert parts(tmp_path) == []


@pytest.mark.parametrize("other", [b"mine", b"x" * 700_001])
def test_unless_it_may_be_replaced(other: bytes, source: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_bytes(other)
    with joined(lambda stream: stream.save(there, overwrite=True)) as both:
        both.a.streams.send_file(source, None)
    assert there.read_bytes() == source.read_bytes()


def test_two_streams_do_not_write_one_file(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that comes while another is being written to the same path."""
    monkeypatch.setattr(stream_files, "_LET_GO_S", 0.05)
    held, begun = threading.Event(), threading.Event()

    def slowly(transfer: Any) -> None:
        begun.set()
        held.wait(PATIENCE_S)

    with joined(lambda stream: stream.save(tmp_path / "there", progress=slowly)) as both:
        first = both.a.streams.send_file(source, None, wait=False)
        assert begun.wait(PATIENCE_S)
        with pytest.raises(TransferError, match="another stream is being written there"):
            both.a.streams.send_file(source, None)
        held.set()
        assert first.wait(PATIENCE_S)
    assert (tmp_path / "there").read_bytes() == source.read_bytes()


def test_a_stream_whose_session_waits_for_a_line_makes_way(source: Path, tmp_path: Path) -> None:
    """Its sender was killed and comes again, in a new session, while the old one is still waited for."""
    with joined(lambda stream: stream.save(tmp_path / "there")) as both:
        a, b = both.ends

        def freeze(record: Any) -> None:
            if isinstance(record, Data) and record.offset > 300_000:
                b.connection.lines = ()
                raise ConnectionLost("killed")

        a.connection.watch = freeze
        with pytest.raises(TransferError, match="no session"):
            both.a.streams.send_file(source, a.connection, timeout=1.0)
        assert both.b.callback.of("end") == []
        c, _ = both.begin("again")
        assert both.a.streams.send_file(source, c.connection).resumed_at > 0
        first = both.b.callback.wait("end", 2)[0]
        assert "offered again" in str(first.error)
    assert (tmp_path / "there").read_bytes() == source.read_bytes()


def test_a_folder_that_is_not_there(source: Path, tmp_path: Path) -> None:
    with joined(lambda stream: stream.save(tmp_path / "no" / "there")) as both:
        with pytest.raises(TransferError, match="No such file or directory") as caught:
            both.a.streams.send_file(source, None)
        assert str(tmp_path) not in str(caught.value)
        (stream,) = both.b.callback.wait("end")
        assert isinstance(stream.error.__cause__, FileNotFoundError)


def test_damage_never_becomes_a_file(source: Path, tmp_path: Path) -> None:
    """A piece that is changed on its way, as no session lets through."""
    with joined(lambda stream: stream.save(tmp_path / "there")) as both:
        _, b = both.ends
        put = b.came.put

        def damaged(came: Any) -> None:
            put(came[:-1] + b"\0" if isinstance(came, bytes) and came[1] == 1 else came)

        b.came.put = damaged  # type: ignore[method-assign, assignment]
        with pytest.raises(TransferError, match="its digest is another one"):
            both.a.streams.send_file(source, None)
        (stream,) = both.b.callback.wait("end")
        assert "its digest" in str(stream.error)
        assert [path.name for path in tmp_path.iterdir()] == ["source.bin"]
        b.came.put = put  # type: ignore[method-assign]
        both.a.streams.send_file(source, None)


# Cancelling -----------------------------------------------------------------------------------------------------------


def test_the_sender_cancels(source: Path, tmp_path: Path) -> None:
    with joined(lambda stream: stream.save(tmp_path / "there")) as both:
        with pytest.raises(TransferError, match="enough"):
            both.a.streams.send_file(source, None, progress=lambda t: t.cancel("enough"))
        (stream,) = both.b.callback.wait("end")
        assert "the sender has given it up (enough)" in str(stream.error)
        assert parts(tmp_path) == ["there" + PART]  # it may be sent again
        assert both.a.streams.send_file(source, None).resumed_at > 0


def test_the_receiver_cancels(source: Path, tmp_path: Path) -> None:
    with joined(lambda stream: stream.save(tmp_path / "there", progress=lambda t: t.cancel("too large"))) as both:
        with pytest.raises(TransferError, match=r"the peer has given it up \(too large\)"):
            both.a.streams.send_file(source, None)
        (stream,) = both.b.callback.wait("end")
        assert "too large" in str(stream.error)
        assert [path.name for path in tmp_path.iterdir()] == ["source.bin"]


def test_an_interrupted_sender_tells_the_peer(source: Path, tmp_path: Path) -> None:
    def interrupt(transfer: Any) -> None:
        raise KeyboardInterrupt

    with joined(lambda stream: stream.save(tmp_path / "there")) as both:
        with pytest.raises(KeyboardInterrupt):
            both.a.streams.send_file(source, None, progress=interrupt)
        (stream,) = both.b.callback.wait("end")
        assert "given it up" in str(stream.error)


def test_a_progress_that_raises_ends_it(source: Path, tmp_path: Path) -> None:
    def fail(transfer: Any) -> None:
        raise ValueError("progress")

    with joined(lambda stream: stream.save(tmp_path / "there")) as both:
        with pytest.raises(ValueError, match="progress"):
            both.a.streams.send_file(source, None, progress=fail)
        transfer = both.a.streams.send_file(source, None, progress=fail, wait=False)
        with pytest.raises(TransferError, match="ValueError: progress"):
            transfer.wait(PATIENCE_S)
        assert both.a.callback.wait("fail") == [transfer.error]
        both.b.callback.take = lambda stream: stream.save(tmp_path / "other", progress=fail)
        with pytest.raises(TransferError, match="ValueError: progress"):
            both.a.streams.send_file(source, None)


def test_a_file_that_changes_is_not_sent(source: Path, tmp_path: Path) -> None:
    def change(transfer: Any) -> None:
        os.utime(source, ns=(1, transfer.moved))

    with joined(lambda stream: stream.save(tmp_path / "there")) as both:
        with pytest.raises(TransferError, match="changed while it was sent"):
            both.a.streams.send_file(source, None, progress=change)
        (stream,) = both.b.callback.wait("end")
        assert "changed while it was sent" in str(stream.error)
        assert not (tmp_path / "there").exists()


@pytest.mark.parametrize(
    ("file", "size", "why"),
    [
        (io.BytesIO(b"short"), 10, "was to have 10 bytes, and ended after 5"),
        (io.StringIO("text"), None, "blocking binary file"),
        (None, None, "blocking binary file"),
    ],
)
def test_what_cannot_be_read_is_told(file: Any, size: int | None, why: str, tmp_path: Path) -> None:
    class Nothing:
        def read(self, size: int) -> None:
            return None

    with joined(lambda stream: stream.save(tmp_path / "there")) as both:
        with pytest.raises(TransferError, match=why):
            both.a.streams.send_stream(file or Nothing(), None, size=size)
        assert isinstance(both.b.callback.wait("end")[0].error, TransferError)


# The service ----------------------------------------------------------------------------------------------------------


def test_callbacks_must_not_wait_for_a_stream(source: Path, tmp_path: Path) -> None:
    with joined(lambda stream: stream.save(tmp_path / "there")) as both:
        done = threading.Event()

        def inside() -> None:
            with pytest.raises(ServiceError, match="wait=False"):
                both.a.streams.send_file(source, None)
            both.a.streams.send_file(source, None, wait=False)
            done.set()

        both.ends[0].in_turn(lambda: both.a._call(inside))
        assert done.wait(PATIENCE_S)
        both.b.callback.wait("end")


def test_a_service_that_does_not_run_sends_nothing(source: Path) -> None:
    with joined() as both:
        both.a.up = False
        with pytest.raises(ServiceError, match="start it"):
            both.a.streams.send_file(source, None)


def test_a_file_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with joined() as both, pytest.raises(FileNotFoundError):
        both.a.streams.send_file(tmp_path / "nothing", None)


def test_closing_ends_what_is_under_way(source: Path, tmp_path: Path) -> None:
    with joined(lambda stream: stream.save(tmp_path / "there")) as both:
        both.cut()
        transfer = both.a.streams.send_file(source, None, wait=False)
        both.a.streams.close(PATIENCE_S)
        with pytest.raises(TransferError, match="the service was closed"):
            transfer.wait()
        with pytest.raises(TransferError, match="the service was closed"):
            both.a.streams.send_file(source, None)


def test_waiting_may_end_before_the_stream(source: Path) -> None:
    held = threading.Event()
    with joined(lambda stream: held.wait(PATIENCE_S)) as both:
        transfer = both.a.streams.send_file(source, None, wait=False)
        assert transfer.wait(0.01) is False
        transfer.cancel()
        with pytest.raises(TransferError, match="cancelled"):
            transfer.wait()
        held.set()


# Peers that break the rules -------------------------------------------------------------------------------------------


def test_a_sender_that_breaks_the_rules_is_refused(tmp_path: Path) -> None:
    with joined(lambda stream: stream.save(tmp_path / "there")) as both:
        a, _ = both.ends
        a.connection.send_record(Offer(9, 10, "x", True).record(), 7)
        wait_until(lambda: bool(said(both, Accept, 1)), "it is accepted")
        a.connection.send_record(Data(9, 5, b"12345").record(), 7)
        (stream,) = both.b.callback.wait("end")
        assert "belongs at 5" in str(stream.error)
        assert said(both, Refuse, 1)[0].code == BROKEN
        a.connection.send_record(End(9, 10, bytes(32)).record(), 7)  # late: it means nothing
        a.connection.send_record(bytes([2, 99]) + bytes(4), 7)  # of a later version
        a.connection.put(b"\x02\x01")
        (error,) = both.b.callback.wait("fail")
        assert isinstance(error, RemoteProtocolError)
        assert "cut off" in str(error)


def test_a_receiver_that_breaks_the_rules_is_told(source: Path) -> None:
    with joined(lambda stream: None) as both:
        a, b = both.ends

        def answer(record: Any) -> None:
            if isinstance(record, Offer):
                b.connection.send_record(Done(record.number).record(), 6)

        a.connection.watch = answer
        with pytest.raises(TransferError, match="it cannot"):
            both.a.streams.send_file(source, None)


def test_more_offers_than_may_be_are_an_error() -> None:
    with joined(lambda stream: stream.accept(io.BytesIO())) as both:
        a, _ = both.ends
        for number in range(33):
            a.connection.send_record(Offer(number, 10, "x", True).record(), 7)
        (error,) = both.b.callback.wait("fail")
        assert "more streams at once" in str(error)
        a.connection.send_record(Offer(0, 10, "x", True).record(), 7)
        both.b.callback.wait("fail", 2)
        for number in range(32):
            a.connection.send_record(Drop(number, 1, "").record(), 7)
        both.b.callback.wait("end", 32)


def test_what_belongs_to_no_session_means_nothing() -> None:
    with joined() as both:
        a, _ = both.ends
        both.a.streams.session_ended(a.peer)
        both.a.streams.handle(a.peer, 7, Done(1).record())
        with pytest.raises(ConnectionLost):
            both.cut()
            a.connection.send_record(Done(1).record(), 6)
