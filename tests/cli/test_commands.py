"""What all commands have in common, and the small parts that they are made of."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import threading
from importlib import import_module

import pytest

from leadscomm import CommError, create_server
from leadscomm.cli import main
from leadscomm.cli.commands import Command, _streams, execute
from leadscomm.cli.diagnosis import installation as installation_module
from leadscomm.cli.terminal import lines as lines_module
from leadscomm.cli.terminal.lines import Lines
from leadscomm.cli.terminal.output import Output
from leadscomm.cli.terminal.payload import as_hex, as_text, from_hex
from leadscomm.cli.terminal.waiting import wait_until
from leadscomm.cli.terminal.wording import cause_and_mend, counted, duration, one_line, wrapped
from leadscomm.connections.sockets import tcp_info
from leadscomm.errors import EndpointError, LocalProtocolError
from leadscomm.version import __version__
from tests.cli.program import PATIENCE_S, ROOT, run
from tests.cli.test_doctor import Report


def test_version_and_help():
    assert run("--version")[:2] == (0, f"leadscomm {__version__}\n")
    code, out, _ = run("--help")
    assert code == 0
    for name in ("serve", "connect", "ports", "doctor", "bench", "demo"):
        assert name in out
        assert run(name, "--help")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["conect"], "; did you mean connect?"),
        (["flash", "--board", "leonrado"], "; did you mean leonardo?"),
        (["connect", "1", "--hx"], "leadscomm connect: error: unrecognized arguments: --hx; did you mean --hex?"),
        (
            ["connect", "localhost:16900"],
            "argument ENDPOINT: 'localhost:16900' is no endpoint: did you mean tcp://local",
        ),
        (["serve"], "the following arguments are required: ENDPOINT"),
        (["log", "1", "--json"], "leadscomm log: error: unrecognized arguments: --json\n"),
        (
            ["connect", "tpc://x"],
            "argument ENDPOINT: tpc:// is not known; did you mean tcp://? there are fault://, loop://,",
        ),
        (["connect", "1", "--wait", "-1"], "argument --wait: write seconds, 0 or more"),
        (["connect", "1", "--wait", "soon"], "argument --wait: write seconds, 0 or more"),
        (["demo", "--seconds", "soon"], "argument --seconds: write seconds, 0.1 or more"),
        (["demo", "--seconds", "0"], "argument --seconds: write seconds, 0.1 or more"),
        (["log", "1", "--count", "1.5"], "argument --count: write a whole number, 1 or more"),
    ],
)
def test_a_wrong_command_line(arguments, said, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (CommError("a\nb"), 1, "leadscomm: a b\n"),
        (OSError(28, "No space left on device"), 1, "leadscomm: No space left on device\n"),
        (FileNotFoundError(2, "No such file", "x"), 1, "leadscomm: No such file: x\n"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 1, ""),
    ],
)
def test_errors_become_one_line_and_an_exit_code(error, code, said):
    def fail(args, out, err):
        raise error

    err = io.StringIO()
    command = Command("fail", lambda parser: None, fail)
    assert execute(command, None, io.StringIO(), err) == code
    assert err.getvalue() == said


def test_commands_work_outside_of_the_main_thread(capsys):
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main(["ports", "--json"])))
    thread.start()
    thread.join(PATIENCE_S)
    assert codes == [0]


def test_streams_may_be_closed():
    command = f"{sys.executable} -m leadscomm doctor tcp://127.0.0.1:1 <&- >&- 2>&-"
    assert subprocess.run(["bash", "-c", command], cwd=ROOT, timeout=PATIENCE_S).returncode == 1


# Words


def test_messages_cannot_harm_a_terminal():
    assert as_text("Grüße".encode()) == "Grüße"
    assert as_text(b"a\nb\tc\r\x1b[2J\x00\xff") == r"a\nb\tc\r\x1b[2J\x00\xff"
    assert as_text("\u202eabc\x85".encode()) == r"\xe2\x80\xaeabc\xc2\x85"


def test_hexadecimal_there_and_back():
    message = bytes(range(256))
    assert from_hex(as_hex(message).encode()) == message
    assert from_hex(b"0x0A,0x0b:0C 0d") == b"\n\x0b\x0c\r"
    assert from_hex(b"") == b""
    for wrong in (b"abc", b"xy", b"\xff"):
        with pytest.raises(LocalProtocolError, match="is not hexadecimal"):
            from_hex(wrong)


def test_wording():
    assert [duration(value) for value in (0.0, 1.234e-6, 99.96e-6, 0.0123456, 0.9996, 61)] == [
        "0.00 us",
        "1.23 us",
        "100 us",
        "12.3 ms",
        "1.00 s",
        "61.00 s",
    ]
    assert (counted(1, "line"), counted(1200, "line")) == ("1 line", "1,200 lines")
    assert one_line(ValueError()) == "ValueError"
    assert cause_and_mend(CommError("it broke; mend it; so")) == ("it broke", "mend it; so")
    assert cause_and_mend(EndpointError("unknown; there are a, b")) == ("unknown; there are a, b", "")
    assert wrapped("") == [""]
    assert wrapped("see " + "x" * 100 + " there", "  ") == ["see", "  " + "x" * 100, "  there"]  # a path can be copied


# Input and output


@pytest.fixture
def typed(monkeypatch):
    """Standard input is a pipe; write into it."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin, os.fdopen(writing, "wb", 0) as pipe:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield pipe


@pytest.fixture(params=["polled", "by a thread"])
def lines(request, typed, monkeypatch):
    if request.param == "by a thread":
        monkeypatch.setattr(lines_module, "_PolledChunks", lines_module._ThreadChunks)
    with Lines() as reading:
        yield reading
        if not typed.closed:
            typed.close()


def test_lines_come_one_by_one(lines, typed):
    typed.write(b"one\n\ntwo")
    reader = iter(lines)
    assert [next(reader), next(reader)] == [b"one", b""]
    typed.write(b" and more\nlast")
    typed.close()
    assert list(reader) == [b"two and more", b"last"]
    assert lines.ended
    assert not lines.interactive


def test_lines_are_stopped_from_another_thread(lines, typed):
    threading.Timer(0.0, lines.stop).start()
    assert list(lines) == []
    assert not lines.ended
    typed.write(b"x")


def test_the_end_of_the_input_is_seen_though_it_was_stopped(typed):
    with Lines() as reading:
        typed.close()
        reading.stop()
        assert list(reading) == []
        assert reading.ended
    reading.stop()


def test_a_line_without_end_is_refused(lines, typed, monkeypatch):
    monkeypatch.setattr(lines_module, "MAX_LINE", 10)
    typed.write(b"x" * 11)
    with pytest.raises(CommError, match="standard input has a line of more than"):
        list(lines)


def test_no_standard_input_is_an_empty_one(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with Lines() as reading:
        assert list(reading) == []
        assert reading.ended


class Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_reader_that_has_gone_is_noticed_once():
    output = Output(Closed(), Closed())
    noticed: list[str] = []
    output.on_lost = lambda: noticed.append("gone")
    output.check()
    for _ in range(2):
        output.say("x")
        output.note("y")
    assert noticed == ["gone"]
    with pytest.raises(BrokenPipeError):
        output.check()


def test_waits_are_looked_after_where_nothing_interrupts_them(monkeypatch):
    monkeypatch.setattr("leadscomm.cli.terminal.waiting.LOOK_S", 0.01)
    condition = threading.Condition()
    for platform in ("win32", "linux"):
        monkeypatch.setattr(sys, "platform", platform)
        assert wait_until(condition, lambda: True)
        assert wait_until(condition, lambda: True, float("inf"))
        assert not wait_until(condition, lambda: False, 0.02)


def test_serve_ends_when_its_reader_has_gone():
    with subprocess.Popen(
        [sys.executable, "-m", "leadscomm", "serve", "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as serve:
        assert serve.stdout is not None
        assert serve.stderr is not None
        port = int(serve.stdout.readline().rpartition(b":")[2])
        serve.stdout.close()
        with socket.create_connection(("127.0.0.1", port)):
            assert serve.wait(PATIENCE_S) == 1
        assert serve.stderr.read() == b""


# What the installation lacks


def test_an_installation_that_lacks_everything(monkeypatch):
    monkeypatch.setattr("ssl.HAS_TLSv1_3", False)

    def missing(name: str):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(installation_module, "import_module", missing)
    monkeypatch.setitem(sys.modules, "serial", None)
    monkeypatch.setattr(installation_module, "available_ports", list)
    report = Report()
    assert report.code == 1
    assert report["crcmod"] == "FAIL cannot be imported: No module named 'crcmod.crcmod' mend: run `pip install crcmod`"
    assert report["pyserial"] == "FAIL pyserial is missing mend: run `python -m pip install pyserial`"
    assert report["TLS"].startswith("warn ")
    assert report["serial"] == "- no serial port found"
    assert report.closing == "2 failures, 1 warning"


def test_an_installation_with_another_serial_and_a_slow_crcmod(monkeypatch):
    def other(name: str):
        return import_module("types")

    def no_ports():
        raise ImportError("no module serial.tools")

    monkeypatch.setattr(installation_module, "import_module", other)
    monkeypatch.setitem(sys.modules, "serial", import_module("types"))
    monkeypatch.setattr(installation_module, "available_ports", no_ports)
    report = Report()
    assert report["crcmod"].startswith("warn without its C extension")
    assert report["pyserial"].startswith("FAIL `import serial` finds")
    assert report["serial"].startswith("warn the ports cannot be listed")


def test_the_kernel_does_not_tell_everywhere(monkeypatch):
    with create_server(0) as server, socket.create_connection(("127.0.0.1", server.port())) as sock:
        if sys.platform == "linux":
            measured = tcp_info.round_trip(sock.fileno())
            assert measured is not None
            assert 0 < measured.time < 10
            with pytest.raises(OSError), socket.socket(socket.AF_UNIX) as other:
                tcp_info.round_trip(other.fileno())
        monkeypatch.setattr(sys, "platform", "darwin")
        assert tcp_info.round_trip(sock.fileno()) is None
        report = Report(server.port(), "--listen", 0.01)
        assert report["round trip"] == "- this system does not tell"


def test_signals_are_as_before_afterwards(capsys):
    before = signal.getsignal(signal.SIGTERM)
    assert main(["ports", "--json"]) == 0
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_line_is_written_whole_also_where_nothing_is_buffered(monkeypatch):
    class Pieces(io.RawIOBase):
        def __init__(self):
            self.written = []

        def writable(self):
            return True

        def write(self, data):
            self.written.append(bytes(data))
            return len(data)

    pieces = Pieces()
    with io.TextIOWrapper(pieces, encoding="utf-8", write_through=True) as unbuffered:  # as with PYTHONUNBUFFERED=1
        monkeypatch.setattr(sys, "stdout", unbuffered)
        with _streams() as (out, _):
            print("a line", file=out)
            print("and another", file=out)
    assert pieces.written == [b"a line\n", b"and another\n"]
