"""`leadscomm demo`: what it shows, what it counts, and that it leaves nothing behind."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from leadscomm.cli.commands import COMMANDS, execute, make_parser
from leadscomm.cli.demonstration import display, pty_cable
from leadscomm.cli.demonstration.board_link import companion
from leadscomm.cli.demonstration.device_link import NodeDevice
from leadscomm.cli.demonstration.display import NOT_SHOWN
from leadscomm.cli.demonstration.histogram import Histogram
from leadscomm.cli.demonstration.link import Link
from leadscomm.cli.demonstration.report import Report
from leadscomm.cli.demonstration.tcp_cable import TcpCable
from leadscomm.errors import CommError, MissingTool
from tests.cli.program import PATIENCE_S, ROOT, Program, run, without_controls


def board_is_there() -> bool:
    """Whether the demo's virtual board can run here."""
    try:
        return companion().exists()
    except CommError:
        return False


LINKS = ["tcp", "udp", "serial"] if hasattr(os, "openpty") else ["tcp", "udp"]
BOARD = board_is_there()
NEEDS_PROC = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux lists processes in /proc")
DEVICE = "leadscomm.cli.demonstration.device"
CLIENT = "leadscomm.cli.demonstration.client"


def children(parent: int, program: str = CLIENT) -> list[int]:
    """The client processes of a demo."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat, command = (folder / "stat").read_text(), (folder / "cmdline").read_text()
        except OSError:
            continue
        if int(stat.rpartition(")")[2].split()[1]) == parent and program in command:
            found.append(int(folder.name))
    return found


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, f"{pids} are still there"
        time.sleep(0.01)


def row(text: str, link: str) -> list[str]:
    """The last line of the table about a link."""
    return re.findall(rf"^{link} +([\d,]+ .*)$", text, re.MULTILINE)[-1].split()


def test_it_works_when_piped():
    code, out, err = run("demo", "--seconds", 1)
    assert (code, err) == (0, ""), out
    assert "\x1b" not in out
    assert all(len(line) <= 80 for line in out.splitlines())
    for link in LINKS:
        sent, answered, lost, *_ = row(out, link)
        assert int(sent.replace(",", "")) > 0
        assert (answered, lost) == (sent, "0")
        assert re.search(rf"^ +[\d.]+ s  {link} +\S+ connected$", out, re.MULTILINE)
        assert re.search(rf"^ +[\d.]+ s  {link} +#(\d+) speed=[\d.]+  →  ok #\1 speed=[\d.]+$", out, re.MULTILINE)
    text = " ".join(out.split())
    count = len(LINKS) + BOARD
    assert re.search(
        rf"[\d,]+ messages over {count} links between {count + 1} processes: every one arrived and was answered, "
        r"none was lost\.",
        text,
    )
    assert re.search(
        rf"[\d,]+ messages between 3 hosts and {2 + BOARD} devices, [\d,]+ cuts: every one was delivered, "
        r"none was lost, none came twice\.$",
        text,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize("arguments", [(), ("--plain",)])
def test_it_fits_a_terminal_of_80_columns(arguments):
    with Program("demo", "--seconds", 1, *arguments, terminal=True) as demo:
        assert demo.wait() == 0
        text = str(demo.out)
    assert ("\x1b[" in text) == (not arguments)
    assert all(len(line) <= 80 for line in without_controls(text).splitlines())
    assert "none was lost" in " ".join(text.split())
    if not arguments:
        assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 2  # the cursor comes back, after both parts
        heights = set(re.findall(r"\x1b\[(\d+)A", text))
        assert heights == {"18", "17"}  # of 24 lines


@NEEDS_PROC
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_it_ends_its_clients_end_too(number):
    with Program("demo", "--seconds", 60) as demo:
        demo.out.see("->  ok|→  ok")
        clients = children(demo.process.pid)
        assert len(clients) == len(LINKS)
        demo.process.send_signal(number)
        code = demo.wait()
    assert code == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
    assert str(demo.err) == ""
    wait_until_gone(clients)


@NEEDS_PROC
def test_a_client_that_dies_is_a_failure():
    with Program("demo", "--seconds", 2) as demo:
        demo.out.see("udp .*ok")
        (client,) = [
            pid for pid in children(demo.process.pid) if b"udp://" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        os.kill(client, signal.SIGKILL)
        assert demo.wait() == 1
        assert "udp: the client ended without a last word" in str(demo.out)


def shown(*arguments: str) -> tuple[int, str]:
    """A run inside this process."""
    out, err = io.StringIO(), io.StringIO()
    code = execute(COMMANDS["demo"], make_parser().parse_args(["demo", *arguments]), out, err)
    assert err.getvalue() == ""
    return code, out.getvalue()


def test_what_is_missing_is_said_and_the_rest_is_shown(monkeypatch):
    monkeypatch.setattr("leadscomm.cli.demo.can_make", lambda: False)
    code, out = shown("--seconds", "0.3")
    assert code == 0
    assert f"serial  {NOT_SHOWN}" in out
    assert "serial: not shown: this system has no pseudo terminals" in out
    assert f"messages over {2 + BOARD} links between {3 + BOARD} processes" in out


@pytest.mark.skipif(not BOARD, reason="needs the tools of the virtual board")
def test_a_board_is_shown_too():
    code, out, err = run("demo", "--seconds", 1)
    assert (code, err) == (0, ""), out
    sent, answered, lost, *_ = row(out, "board")
    assert int(sent) > 0
    assert (answered, lost) == (sent, "0")
    assert re.search(r"^ +[\d.]+ s  board +/dev/pts/\d+ connected$", out, re.MULTILINE)
    assert re.search(r"^ +[\d.]+ s  board +#(\d+) speed=[\d.]+  →  #\1 speed=[\d.]+$", out, re.MULTILINE)


def test_tools_that_are_missing_are_named_in_a_line(monkeypatch):
    def nothing_there() -> None:
        raise MissingTool("the virtual board needs libsimavr: sudo apt-get install libsimavr-dev")

    monkeypatch.setattr("leadscomm.cli.demonstration.board_link.board_program", nothing_there)
    code, out = shown("--seconds", "0.3")
    assert code == 0
    text = " ".join(out.split())
    assert f"board {NOT_SHOWN}" in text
    assert "board: not shown: the virtual board needs libsimavr: sudo apt-get install libsimavr-dev" in text


@NEEDS_PROC
@pytest.mark.skipif(not BOARD, reason="needs the tools of the virtual board")
def test_a_board_that_dies_is_a_failure():
    with Program("demo", "--seconds", 60) as demo:
        demo.out.see("board .*→")
        (board,) = children(demo.process.pid, "leadscomm/virtual-board-")
        os.kill(board, signal.SIGKILL)
        demo.out.see(r"^board +\d")
        demo.process.send_signal(signal.SIGINT)
        assert demo.wait() == 130
    wait_until_gone([board])


def test_whoever_has_read_enough_ends_it_without_a_word():
    demo = subprocess.Popen(
        [sys.executable, "-m", "leadscomm", "demo", "--plain"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        cwd=ROOT,
    )
    assert demo.stdout is not None
    assert demo.stderr is not None
    for line in demo.stdout:
        if "PULLED" in line:
            break
    demo.stdout.close()
    assert demo.stderr.read() == ""
    demo.stderr.close()
    assert demo.wait(PATIENCE_S) == 1


def test_a_device_whose_demo_has_gone_ends_without_a_word():
    device = subprocess.Popen(
        [sys.executable, "-m", DEVICE, "arm", "tcp://127.0.0.1:0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    assert device.stdout is not None
    device.stdout.close()
    device.stdout = None
    assert device.communicate(timeout=PATIENCE_S)[1] == b""


def test_no_pseudo_terminal_left(monkeypatch):
    def none_left() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pty_cable.os, "openpty", none_left, raising=False)
    code, out = shown("--seconds", "0.2")
    assert code == 0
    assert "this system gives no pseudo terminal (No space left on device)" in " ".join(out.split())


def test_a_client_that_cannot_start(monkeypatch):
    monkeypatch.setattr("leadscomm.cli.demonstration.link._CLIENT", "leadscomm.no_such_module")
    code, out = shown("--seconds", "5")
    assert code == 1
    assert "No module named leadscomm.no_such_module" in " ".join(out.split())


# The pulled cables ---------------------------------------------------------------------------------------------------


@NEEDS_PROC
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_the_second_part_ends_its_devices_end_too(number):
    with Program("demo", "--seconds", 3) as demo:
        demo.out.see("is PULLED")
        devices = children(demo.process.pid, DEVICE) + children(demo.process.pid, "leadscomm/virtual-board-")
        assert len(devices) == 2 + BOARD
        demo.process.send_signal(number)
        code = demo.wait()
    assert code == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
    assert str(demo.err) == ""
    wait_until_gone(devices)


@NEEDS_PROC
def test_a_device_that_dies_is_a_failure():
    with Program("demo", "--seconds", 1) as demo:
        demo.out.see("is PULLED")
        for device in children(demo.process.pid, DEVICE):
            os.kill(device, signal.SIGKILL)
        assert demo.wait() == 1
        assert re.search(r"arm: [\d,]+ sent, [\d,]+ delivered, 0 duplicated", str(demo.out))


def test_messages_are_counted():
    device = NodeDevice("arm")
    assert device.fault() == "nothing was delivered"
    for host in ("base", "desk"):
        for number in range(3):
            device.sent += 1
            device.answered(host, b"ok " + device.message(number))
    assert (device.fault(), device.delivered) == ("", 6)
    device.answered("base", b"ok #1")
    device.sent += 1
    assert device.fault() == "7 sent, 6 delivered, 1 duplicated"
    assert device.lost() == 1


def test_a_pulled_cable_carries_nothing_and_tells_nobody():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        TcpCable(server.getsockname()[1]) as cable,
        socket.create_connection(("127.0.0.1", cable.port)) as client,
    ):
        client.settimeout(PATIENCE_S)
        other, _ = server.accept()
        with other:
            client.sendall(b"before")
            assert other.recv(100) == b"before"
            cable.set_pulled(True)
            client.sendall(b"meanwhile")
            other.settimeout(0.05)
            with pytest.raises(TimeoutError):
                other.recv(100)
            cable.set_pulled(False)
            other.settimeout(PATIENCE_S)
            assert other.recv(100) == b"meanwhile"
        assert client.recv(100) == b""  # the end is passed on


def link_with(report: Report, arrived: int) -> Link:
    link = Link("tcp", "tcp://127.0.0.1:0", 1, lambda name, text: None)
    link._report, link.arrived = report, arrived
    return link


@pytest.mark.parametrize(
    ("report", "arrived", "fault"),
    [
        (Report(sent=5, answered=5), 5, ""),
        (Report(), 0, "nothing was delivered"),
        (Report(sent=5, answered=4), 5, "5 sent, 5 arrived, 4 answered, 0 unexpected"),
        (Report(sent=5, answered=5), 4, "5 sent, 4 arrived, 5 answered, 0 unexpected"),
        (Report(sent=5, answered=5, strange=1), 5, "5 sent, 5 arrived, 5 answered, 1 unexpected"),
    ],
)
def test_every_message_counts(report, arrived, fault):
    assert link_with(report, arrived).fault() == fault


def test_a_report_survives_its_line():
    report = Report(at=1.5, sent=3, answered=2, p50=1e-5, error="x\ny")
    assert Report.read(report.line()) == report
    for line in ("[]", "{}", "nonsense"):
        with pytest.raises(ValueError):
            Report.read(line)


def test_quantiles_are_right_within_a_percent():
    histogram = Histogram()
    assert histogram.quantile(0.5) == 0
    for i in range(1, 1001):
        histogram.add(i * 1e-6)
    assert histogram.count() == 1000
    for share in (0.5, 0.99, 1.0):
        assert histogram.quantile(share) == pytest.approx(share * 1e-3, rel=0.01)
    histogram.add(0.0)
    assert histogram.quantile(0.0001) == pytest.approx(1e-12, rel=0.01)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_small_or_simple_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setattr(sys, "platform", "linux")
    assert display.is_capable(Terminal())
    assert not display.is_capable(io.StringIO())
    monkeypatch.setenv("LINES", "12")
    assert not display.is_capable(Terminal())
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("TERM", "dumb")
    assert not display.is_capable(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delenv("WT_SESSION", raising=False)
    assert not display.is_capable(Terminal())


def test_letters_that_the_output_cannot_write_are_left_out():
    code, out, _ = run("demo", "--seconds", "0.2", PYTHONIOENCODING="ascii")
    assert code == 0
    assert out.isascii()
    assert "->  ok #" in out
    assert "\\" not in out


@pytest.mark.parametrize("number", [0, 1])
def test_what_goes_wrong_at_the_start_is_said(number):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        if number:
            link = Link("tcp", f"tcp://127.0.0.1:{port}", 1, lambda name, text: None)
        else:
            busy.close()
            link = Link("tcp", "tcp://127.0.0.1:0", 1, lambda name, text: None, dials=f"tcp://127.0.0.1:{port}")
        with link:
            link.start()
            link.finish()
    assert link.begun.is_set()
    assert re.match(["client: nobody listens on", "server: .* is in use"][number], link.fault())
