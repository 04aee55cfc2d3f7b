"""``leadscomm send`` and ``leadscomm receive``, as processes: what they say, and what cuts and kills do to a file."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import sys
from pathlib import Path

import pytest

from leadscomm.cli.terminal.progress import Pace, Progress
from leadscomm.cli.terminal.wording import data_size, rough_time
from leadscomm.streams.files import PART
from tests.cli.program import Program, run, without_controls
from tests.cli.relay import Relay
from tests.entities.recorder import wait_until

MEGABYTE = 1_000_000
NEEDS_TERMINAL = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo terminals")
LISTENING = r"listening on tcp://127\.0\.0\.1:(\d+)"


def receiver(folder: Path, *options: str, port: int = 0, terminal: bool = False) -> Program:
    return Program("receive", f"tcp://127.0.0.1:{port}", folder, *options, terminal=terminal)


def port_of(program: Program) -> int:
    return int(program.err.see(LISTENING)[1])


def written(path: Path, size: int) -> Path:
    """A file in which no two blocks are alike."""
    block = hashlib.shake_128(b"block").digest(MEGABYTE - 8)
    with open(path, "wb") as file:
        for number in range(size // MEGABYTE):
            file.write(number.to_bytes(8, "big") + block)
        file.write(block[: size % MEGABYTE])
    return path


def digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "incoming").mkdir()
    return tmp_path / "incoming"


# What they say --------------------------------------------------------------------------------------------------------


def test_a_file_and_what_is_said(tmp_path: Path, folder: Path) -> None:
    source = written(tmp_path / "scan.bin", 3 * MEGABYTE + 5)
    with receiver(folder) as program:
        port = port_of(program)
        code, out, err = run("send", source, port)
        assert (code, out) == (0, "")
        assert "scan.bin: 3.00 MB in " in err
        program.out.see(rf"^{folder}/scan\.bin$")
        assert digest(folder / "scan.bin") == digest(source)
        code, _, err = run("send", source, port)  # it is there
        assert code == 0
        assert "; 3.00 MB of it were there already" in err
        source.write_bytes(b"another")
        code, _, err = run("send", source, port)
        assert code == 1
        assert "leadscomm: 'scan.bin' to" in err
        assert "another file of that name" in err
        program.interrupt()
        assert program.wait() == 130
        assert str(program.out).splitlines() == [f"{folder}/scan.bin"] * 2
        assert "another file of that name" in str(program.err)
    assert os.listdir(folder) == ["scan.bin"]


def test_once_and_from_a_pipe(folder: Path) -> None:
    with receiver(folder, "--once", "--overwrite") as program:
        (folder / "x.txt").write_bytes(b"old")
        code, _, err = run("send", "-", port_of(program), "--name", "../x.txt", stdin=b"new")
        assert (code, "x.txt: 3 B in" in err) == (0, True)
        assert program.wait() == 0
    assert (folder / "x.txt").read_bytes() == b"new"


@NEEDS_TERMINAL
def test_a_bar_on_a_terminal(tmp_path: Path, folder: Path) -> None:
    source = written(tmp_path / "scan.bin", 20 * MEGABYTE)
    with receiver(folder, "--once", terminal=True) as program:
        port = int(program.out.see(LISTENING)[1])
        with Program("send", source, port, terminal=True) as sender:
            assert sender.wait() == 0
        assert program.wait() == 0
        for text in (str(program.out), str(sender.out)):
            assert "scan.bin: 20.0 MB in " in without_controls(text)
            assert "\x1b[K" in text


def test_what_cannot_be(tmp_path: Path, folder: Path) -> None:
    code, _, err = run("send", tmp_path / "nothing", 1)
    assert (code, err) == (1, f"leadscomm: No such file or directory: {tmp_path}/nothing\n")
    code, _, err = run("receive", 0, tmp_path / "nothing")
    assert (code, err) == (1, f"leadscomm: there is no such folder: {tmp_path}/nothing\n")
    with receiver(folder) as program:
        port = port_of(program)
        code, _, err = run("receive", port, folder)
        assert code == 1
        assert "in use" in err
    code, _, err = run("send", __file__, port)
    assert code == 1
    assert "nobody listens on" in err


def test_ctrl_c_at_the_sender_keeps_the_part(tmp_path: Path, folder: Path) -> None:
    source = written(tmp_path / "scan.bin", 500 * MEGABYTE)
    part = folder / ("scan.bin" + PART)
    with receiver(folder) as program:
        with Program("send", source, port_of(program)) as sender:
            wait_until(lambda: part.exists() and part.stat().st_size > MEGABYTE, "a part of the file")
            sender.interrupt()
            assert sender.wait() == 130
        program.err.see(r"(given it up \(.*\)|is over|has ended); .* of 500,000,000 bytes are kept in")
        assert part.stat().st_size > MEGABYTE


# Cuts and kills -------------------------------------------------------------------------------------------------------


QUARTER = (50 if os.environ.get("LEADSCOMM_LONG") == "1" else 8) * MEGABYTE


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """200 MB may take minutes on a machine that has much else to do."""
    monkeypatch.setattr("tests.cli.program.PATIENCE_S", 300.0)
    monkeypatch.setattr("tests.entities.recorder.PATIENCE_S", 300.0)


def wait_for_size(part: Path, size: int) -> None:
    wait_until(lambda: part.exists() and part.stat().st_size >= size, f"{size} bytes of {part.name}")


@pytest.mark.slow
@pytest.mark.usefixtures("patience")
def test_a_line_that_is_cut(tmp_path: Path, folder: Path) -> None:
    source, part = written(tmp_path / "scan.bin", 4 * QUARTER), folder / ("scan.bin" + PART)
    with receiver(folder, "--once") as program, Relay(port_of(program)) as relay:
        with Program("send", source, relay.port) as sender:
            for quarter in (1, 2, 3):
                wait_for_size(part, quarter * QUARTER)
                relay.cut()
            assert sender.wait() == 0
        assert program.wait() == 0
    assert digest(folder / "scan.bin") == digest(source)


@pytest.mark.slow
@pytest.mark.usefixtures("patience")
def test_a_sender_that_is_killed(tmp_path: Path, folder: Path) -> None:
    source, part = written(tmp_path / "scan.bin", 4 * QUARTER), folder / ("scan.bin" + PART)
    with receiver(folder, "--once") as program:
        port = port_of(program)
        with Program("send", source, port) as sender:
            wait_for_size(part, QUARTER)
            os.killpg(sender.process.pid, signal.SIGKILL)
            sender.process.wait()
        with Program("send", source, port) as sender:
            assert sender.wait() == 0
            assert "of it were there already" in str(sender.err)
        assert program.wait() == 0
    assert digest(folder / "scan.bin") == digest(source)


@pytest.mark.slow
@pytest.mark.usefixtures("patience")
def test_a_receiver_that_is_killed(tmp_path: Path, folder: Path) -> None:
    source, part = written(tmp_path / "scan.bin", 4 * QUARTER), folder / ("scan.bin" + PART)
    with receiver(folder, "--once") as program:
        port = port_of(program)
        with Program("send", source, port) as sender:
            wait_for_size(part, QUARTER)
            os.killpg(program.process.pid, signal.SIGKILL)
            program.process.wait()
            assert part.stat().st_size >= QUARTER
            with receiver(folder, "--once", port=port) as second:
                assert sender.wait() == 0
                assert second.wait() == 0
                assert "of it were there already" in str(second.err)
    assert digest(folder / "scan.bin") == digest(source)


# Words and bars -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (12_345, "12.3 kB"), (999_600, "1.00 MB"), (2e8, "200 MB"),
     (5e9, "5.00 GB"), (1234e12, "1,234.00 TB")],
)  # fmt: skip
def test_amounts(count: float, text: str) -> None:
    assert data_size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (130, "2 min 10 s"), (11_100, "3 h 5 min")]
)
def test_times(seconds: float, text: str) -> None:
    assert rough_time(seconds) == text


class Moving:
    """What a bar sees of a stream."""

    def __init__(self, name: str, size: int | None, resumed_at: int = 0) -> None:
        self.name, self.size, self.moved, self.resumed_at = name, size, resumed_at, resumed_at
        self.error = None


def test_figures() -> None:
    stream = Moving("x", 100 * MEGABYTE, 10 * MEGABYTE)
    pace = Pace(stream, 0.0)  # type: ignore[arg-type]
    assert pace.figures() == [" 10 %", "10.0 MB of 100 MB", "0 B/s"]
    for now in range(1, 11):
        stream.moved += 5 * MEGABYTE
        pace.moved(now)
    assert pace.figures() == [" 60 %", "60.0 MB of 100 MB", "5.00 MB/s", "8.0 s left"]
    assert pace.bar() == "[############........] "
    assert pace.summary(10.0) == "60.0 MB in 10 s, 5.00 MB/s; 10.0 MB of it were there already"
    stream = Moving("x", None)
    pace = Pace(stream, 0.0)  # type: ignore[arg-type]
    assert (pace.figures(), pace.bar(), pace.summary(0.0)) == (["0 B", "0 B/s"], "", "0 B in 0.0 s")


def test_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    err = io.StringIO()
    progress = Progress(err)
    one, other = Moving("a" * 40, 100), Moving("x\x1b[2J", None)
    progress(one)  # type: ignore[arg-type]
    assert err.getvalue() == ""
    progress._every = 0.0
    progress(other)  # type: ignore[arg-type]
    progress(one)  # type: ignore[arg-type]
    progress.clear()
    assert err.getvalue().splitlines() == [
        "x_[2J: 0 B, 0 B/s (and 1 more)",
        "a" * 21 + "...:   0 %, 0 B of 100 B, 0 B/s (and 1 more)",
    ]
