"""Names from peers, part files, and sources."""

from __future__ import annotations

import errno
import io
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscomm.protocol.records.stream_records import Offer
from leadscomm.streams import files as stream_files
from leadscomm.streams.files import PART, FileSink, FileSource, Source, clean_name


def look() -> None:
    """Goes on."""


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("report.pdf", "report.pdf"),
        ("größe 3.txt", "größe 3.txt"),
        ("/etc/passwd", "passwd"),
        ("../../x", "x"),
        ("..", "stream"),
        ("C:\\Windows\\system.ini", "system.ini"),
        ("C:x", "C_x"),
        ("folder/", "folder"),
        (".bashrc", "bashrc"),
        ("...", "stream"),
        ("", "stream"),
        ("a\0b\nc\x1b[2J", "a_b_c_[2J"),
        ("con", "con_"),
        ("NUL.txt", "NUL.txt_"),
        ("trailing. ", "trailing"),
        ("com¹.txt", "com¹.txt_"),
        ("con .txt", "con .txt_"),
        ("a\u202egnp.exe", "a_gnp.exe"),
        ("x" + PART, "x" + PART + "_"),
        ("\udcff", "_"),
    ],
)
def test_names_are_made_plain(name: str, clean: str) -> None:
    assert clean_name(name) == clean


@given(st.text(st.characters()))
def test_whatever_a_peer_says_it_is_a_file_of_that_folder(name: str) -> None:
    clean = clean_name(name)
    for path in (PurePosixPath("folder"), PureWindowsPath("folder")):
        assert (path / clean).parent == path
        assert (path / clean).name == clean
    assert not clean.startswith(".")
    assert not clean.endswith((".", " ", PART))
    assert clean.isprintable()
    assert 0 < len(os.fsencode(clean + PART)) <= 255


def opened(sink: FileSink, size: int | None = 10, repeatable: bool = True) -> int:
    return sink.open(Offer(1, size, "x", repeatable), look)[0]


def test_an_empty_part_does_not_stay(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "x", False)
    assert opened(sink) == 0
    assert list(tmp_path.iterdir()) == [sink.part]
    sink.close()
    sink.close()
    assert list(tmp_path.iterdir()) == []


def test_a_part_is_not_gone_on_with_if_the_sender_cannot(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "x", False)
    sink.part.write_bytes(b"12345")
    assert opened(sink, repeatable=False) == 0
    sink.close()
    sink.part.write_bytes(b"12345678901")
    assert opened(sink) == 0
    sink.close()


def test_one_at_a_time_writes_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_files, "_LET_GO_S", 0.0)
    first, second = FileSink(tmp_path / "x", False), FileSink(tmp_path / "x", False)
    opened(first)
    with pytest.raises(FileExistsError, match="another stream"):
        opened(second)
    first.write(0, b"1234567890")
    first.finish()
    assert opened(second) == 10  # it is there
    second.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_part_that_becomes_the_file_meanwhile_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening it and locking it."""
    path, lock = tmp_path / "x", stream_files._lock

    def renamed(file: io.FileIO) -> None:
        if not path.exists():
            os.rename(tmp_path / ("x" + PART), path)
        lock(file)

    monkeypatch.setattr(stream_files, "_lock", renamed)
    sink = FileSink(path, True)
    assert opened(sink) == 0
    sink.write(0, b"1234567890")
    assert path.read_bytes() == b""
    sink.finish()
    assert path.read_bytes() == b"1234567890"


# Links ---------------------------------------------------------------------------------------------------------------

NO_LINKS = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes need rights there")


def link(place: Path, precious: Path) -> None:
    os.symlink(precious, place)


def dangling_link(place: Path, precious: Path) -> None:
    os.symlink(precious.with_name("new"), place)


def hard_link(place: Path, precious: Path) -> None:
    os.link(precious, place)


def pipe(place: Path, precious: Path) -> None:
    os.mkfifo(place)


def listening(place: Path, precious: Path) -> None:
    with socket.socket(socket.AF_UNIX) as there:
        there.bind(str(place))


@NO_LINKS
@pytest.mark.parametrize("put", [link, dangling_link, hard_link, pipe, listening])
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_plain_file_is_not_written_as_a_part(
    tmp_path: Path, put: Callable[[Path, Path], None], overwrite: bool
) -> None:
    precious, box = tmp_path / "precious", tmp_path / "box"
    precious.write_bytes(b"precious")
    box.mkdir()
    sink = FileSink(box / "x", overwrite)
    put(sink.part, precious)
    with pytest.raises(OSError, match=r"is a link, or no plain file, and is not written to; remove it: .*x\.leads"):
        opened(sink)
    sink.close()
    assert precious.read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["box", "precious"]


@NO_LINKS
@pytest.mark.parametrize("put", [link, dangling_link, pipe, listening])
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_plain_file_is_replaced_if_at_all(
    tmp_path: Path, put: Callable[[Path, Path], None], overwrite: bool
) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious!!")  # of the size that is offered
    sink = FileSink(tmp_path / "x", overwrite)
    put(sink.path, precious)
    if overwrite:
        assert opened(sink) == 0
        sink.write(0, b"1234567890")
        sink.finish()
        assert not sink.path.is_symlink()
        assert sink.path.read_bytes() == b"1234567890"
    else:
        with pytest.raises(FileExistsError, match="another file of that name"):
            opened(sink)
    assert precious.read_bytes() == b"precious!!"
    assert not (tmp_path / "new").exists()


@NO_LINKS
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_part_that_is_replaced_meanwhile_gets_no_name(tmp_path: Path, overwrite: bool) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    sink = FileSink(tmp_path / "x", overwrite)
    opened(sink)
    sink.write(0, b"1234567890")
    sink.part.unlink()
    os.symlink(precious, sink.part)
    with pytest.raises(FileNotFoundError, match="another file in its place"):
        sink.finish()
    sink.close()
    assert not sink.path.exists()
    assert precious.read_bytes() == b"precious"


@NO_LINKS
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_was_killed_while_it_gave_the_name_is_finished(tmp_path: Path, overwrite: bool) -> None:
    sink = FileSink(tmp_path / "x", overwrite)
    sink.path.write_bytes(b"old")
    os.link(sink.path, sink.part)
    if overwrite:
        assert opened(sink) == 0
        sink.write(0, b"1234567890")
        sink.finish()
        assert sink.path.read_bytes() == b"1234567890"
        assert not sink.part.exists()
    else:
        with pytest.raises(FileExistsError):
            opened(sink)
        assert sink.path.read_bytes() == b"old"


def test_a_file_that_comes_meanwhile_stays(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "x", False)
    opened(sink)
    sink.write(0, b"1234567890")
    sink.path.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        sink.finish()
    sink.close()
    assert sink.path.read_bytes() == b"mine"


@pytest.mark.parametrize("there", [False, True])
def test_where_there_are_no_links_it_is_renamed(there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*names: object, **how: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    sink = FileSink(tmp_path / "x", False)
    opened(sink)
    sink.write(0, b"1234567890")
    if there:
        sink.path.write_bytes(b"mine")
        with pytest.raises(FileExistsError):
            sink.finish()
        sink.close()
    else:
        sink.finish()
    assert sink.path.read_bytes() == (b"mine" if there else b"1234567890")


def test_much_is_synced_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(stream_files, "_SYNC_EVERY", 100)
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_size))
    sink = FileSink(tmp_path / "x", False)
    opened(sink, None)
    for number in range(5):
        sink.write(60 * number, bytes(60))
    assert synced == [120, 240]
    sink.finish()
    assert synced[2] == 300


def test_a_source_is_read_again_from_where_it_was(tmp_path: Path) -> None:
    file = io.BytesIO(b"head and tail")
    file.seek(5)
    source = Source(file, None)
    assert source.read(100) == b"and tail"
    digest = source.known(3, look)
    assert digest is not None
    assert digest.digest() == stream_files._digest_of(io.BytesIO(b"and"), look)[1].digest()  # type: ignore[arg-type]
    assert source.read(100) == b" tail"
    assert source.known(9, look) is None


def test_a_file_that_grows_is_sent_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"12345")
    source = FileSource(path)
    path.write_bytes(b"1234567")
    assert (source.size, source.read(100), source.read(100)) == (5, b"12345", b"")
    with pytest.raises(ValueError, match="changed"):
        source.check()
    source.close()


@pytest.mark.needs("mkfifo", "a system with named pipes")
def test_a_named_pipe_has_no_size(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    end = os.open(path, os.O_RDWR)
    os.write(end, b"hello")
    source = FileSource(path)
    os.close(end)
    assert (source.size, source.repeatable, source.read(100), source.read(100)) == (None, False, b"hello", b"")
    source.check()
    source.close()
