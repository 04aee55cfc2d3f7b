"""`leadscomm doctor` and `leadscomm ports` on serial lines, which are pseudo-terminals here."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from leadscomm import create_server
from leadscomm.cli import main, ports
from leadscomm.cli.demonstration.pty_cable import PtyCable
from leadscomm.cli.diagnosis import devices, installation
from leadscomm.connections.serial import port_state
from leadscomm.connections.serial.ports import Port
from leadscomm.holders import Holder, holders
from tests.cli.program import run
from tests.cli.test_doctor import Echo, Report
from tests.connections.wire_board import WireBoard

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")


@pytest.fixture
def cable():
    with PtyCable() as plugged:
        yield plugged


def serial(path: str, more: str = "") -> str:
    return f"serial://{path}?baud=115200{more}"


def test_an_echoing_board(cable: PtyCable):
    here, there = cable.ends
    with create_server(serial(there), Echo()):
        report = Report(serial(here), "--echo", "--listen", 0.01)
    assert report.code == 0, report.text
    assert report["device"] == f"ok {here}"
    assert report["in use"] == "ok no, as far as can be seen"
    assert report["open"].startswith(f"ok {here} at 115200 baud in ")
    assert report["echo"].startswith("ok 10 probes came back in ")
    assert "round trip" not in report.steps


@contextlib.contextmanager
def sending(path: str, data: bytes) -> Iterator[None]:
    """Writes ``data`` again and again, as a device does that nobody asked."""
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    stopped = threading.Event()

    def send() -> None:
        while not stopped.wait(0.01):
            with contextlib.suppress(BlockingIOError):
                os.write(fd, data)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
        os.close(fd)


def test_noise_is_called_noise(cable: PtyCable):
    here, there = cable.ends
    with sending(there, random.Random(2).randbytes(300)):
        report = Report(serial(here), "--listen", 0.3)
    assert report.code == 1
    assert report["framing"].startswith("FAIL looks like noise, as another baud rate gives it: ")
    assert report["framing"].endswith("mend: baud=115200 is set; try the device's own")


def test_a_device_that_is_not_there(monkeypatch):
    report = Report("serial:///dev/no-such-port")
    assert report.code == 1
    assert report["device"].startswith("FAIL there is no /dev/no-such-port mend: plug the device in")
    monkeypatch.setattr(devices, "available_ports", list)
    assert "no serial port is there at the moment" in Report("serial:///dev/no-such-port")["device"]
    monkeypatch.setattr(devices, "available_ports", lambda: [Port("/dev/ttyUSB3")])
    assert "or use one of /dev/ttyUSB3" in Report("serial:///dev/no-such-port")["device"]


def test_a_device_that_another_program_uses(cable: PtyCable):
    here, _ = cable.ends
    code = f"import os; fd = os.open({here!r}, os.O_RDWR | os.O_NOCTTY); print('open', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        other.stdout.readline()
        found = holders(here)
        report = Report(serial(here))
        other.stdin.close()
    assert [holder.pid for holder in found] == [other.pid]
    assert report.code == 1
    assert report["in use"].startswith(f"FAIL {here} is in use by python")
    assert f"(process {other.pid})" in report["in use"]


def test_a_lock_tells_of_a_program_whose_files_are_hidden(cable: PtyCable, tmp_path, monkeypatch):
    here, _ = cable.ends
    found = os.stat(here)
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    table = tmp_path / "locks"
    table.write_text(f"1: FLOCK  ADVISORY  WRITE 0 {device} 0 EOF\n2: POSIX  ADVISORY  READ 7 00:01:1 0 EOF\n")
    monkeypatch.setattr("leadscomm.holders.LOCKS", str(table))
    assert list(map(str, holders(here))) == ["another program"]
    assert str(Holder(12, "")) == "process 12"
    assert holders("/dev/no-such-port") == []


def test_a_device_that_this_user_may_not_open(cable: PtyCable, monkeypatch):
    here, _ = cable.ends
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    report = Report(serial(here))
    assert report.code == 1
    assert report["permission"].startswith(f"FAIL this user may not read and write {here} mend: run `sudo ")


def test_the_mend_of_a_missing_permission_names_the_group(monkeypatch, tmp_path):
    import grp
    import pwd

    device = tmp_path / "tty"
    device.touch(mode=0o660)
    user = pwd.getpwuid(os.getuid()).pw_name

    def group_with(*members: str) -> None:
        group = grp.struct_group(("dialout", "x", 20, list(members)))
        monkeypatch.setattr(grp, "getgrgid", lambda gid: group)
        monkeypatch.setattr(grp, "getgrnam", lambda name: group)

    group_with()
    device.chmod(0o660)
    mend = port_state.permission_mend(str(device))
    assert mend == f"run `sudo usermod -aG dialout {user}`, then log out and in again"
    group_with(user)
    assert "log out and in again, so that it counts" in port_state.permission_mend(str(device))
    device.chmod(0o600)
    assert "chmod a+rw" in port_state.permission_mend(str(device))
    assert "still there" in port_state.permission_mend(str(tmp_path / "none"))


def test_a_port_that_cannot_be_opened():
    report = Report("serial://socket://127.0.0.1:1")
    assert report.code == 1
    assert report["open"].startswith("FAIL serial://socket://127.0.0.1:1 cannot be opened")


# ports

PORTS = [
    Port("/dev/ttyACM0", "Uno R3", 0x2341, 0x43, "85035313036351F0D1C1", "Arduino", "1-1.2"),
    Port("/dev/ttyUSB0", "a description that is so long that it goes far beyond the width of any terminal there is"),
    Port("/dev/ttyS0", "n/a"),
]


@pytest.fixture
def some_ports(monkeypatch):
    states = {
        "/dev/ttyACM0": (port_state.IN_USE, (Holder(42, "screen"),)),
        "/dev/ttyUSB0": (port_state.NO_PERMISSION, ()),
        "/dev/ttyS0": (port_state.FREE, ()),
    }
    for module in (ports, installation):
        monkeypatch.setattr(module, "available_ports", lambda: PORTS)
        monkeypatch.setattr(module, "is_fitted", lambda device: True)
        monkeypatch.setattr(module, "state_of", states.__getitem__)


def listed(capsys, *arguments: str) -> str:
    from leadscomm.cli import main

    assert main(["ports", *arguments]) == 0
    return capsys.readouterr().out


def test_ports_are_listed(some_ports, capsys):
    text = listed(capsys)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "/dev/ttyACM0         in use by screen (process 42)\n" in text
    assert "    Arduino Uno R3, USB 2341:0043, serial number 85035313036351F0D1C1\n" in text
    assert "/dev/ttyUSB0         no permission\n" in text
    assert "check that the device is still there" in text
    assert text.endswith("/dev/ttyS0           free\n    no description\n")


def test_ports_are_listed_for_programs(some_ports, capsys):
    first, second, _ = json.loads(listed(capsys, "--json"))
    assert first["usb_id"] == "2341:0043"
    assert first["users"] == [{"pid": 42, "name": "screen"}]
    assert (second["usb_id"], second["state"]) == (None, "no permission")


def test_no_port_is_no_failure(monkeypatch, capsys):
    monkeypatch.setattr(ports, "available_ports", list)
    assert listed(capsys) == ""
    assert listed(capsys, "--json") == "[]\n"


def test_ports_of_this_machine():
    assert run("ports")[0] == 0


def test_the_installation_tells_of_ports_that_cannot_be_opened(some_ports):
    report = Report()
    assert report["serial"].startswith(
        "ok 3 ports, 1 in use; `leadscomm ports` lists them | warn /dev/ttyUSB0: no perm"
    )


def test_a_port_without_hardware_is_not_shown(monkeypatch, tmp_path):
    assert port_state.is_fitted("/dev/no-such-port")
    real = open

    def opened(path, *rest, **more):
        if str(path).startswith("/sys/class/tty/ttyS"):
            file = tmp_path / "type"
            file.write_text("0\n")
            return real(file, *rest, **more)
        return real(path, *rest, **more)

    monkeypatch.setattr("builtins.open", opened)
    assert not port_state.is_fitted("/dev/ttyS7")


def test_a_session_with_a_board():
    with WireBoard(patience_ms=20_000) as board:  # nothing is lost here: whoever sends again is only impatient
        report = Report(serial(board.port, "&reliable=1"), "--echo", "--listen", 0.01)
    assert report.code == 0, report.text
    assert report["session"] == "ok with 'wsc', which takes messages of 58 bytes, and 1 frame under way"
    assert report["echo"].startswith("ok 10 probes came back in ")
    assert report["link"].startswith(
        "ok 0 damaged frames, 0 sent again, 0 dropped, 0 datagrams lost; acknowledged within"
    )


def test_a_session_on_a_line_that_damages():
    with WireBoard() as board:
        noise = threading.Timer(0.1, board.say_bytes, [b"\x05noise\0"])
        noise.start()
        report = Report(serial(board.port, "&reliable=1"), "--echo")
        noise.join()
    assert report["session"].startswith("ok")
    assert report["link"].startswith(("ok", "warn"))


def test_a_line_is_not_asked_for_a_session_and_it_is_said_how(cable: PtyCable):
    here, _ = cable.ends
    report = Report(serial(here), "--listen", 0.01)
    assert report.code == 0, report.text
    assert report["session"] == (
        "- not asked: an instrument might take the question for an order mend: `leadscomm ports --identify` asks it "
        f"who it is; if its sketch has a session, write {serial(here)}&reliable=1"
    )


def test_a_board_without_a_session_is_heard_in_its_frames():
    with WireBoard() as board:
        report = Report(serial(board.port, "&framing=board"), "--echo", "--listen", 0.1)
    assert report.code == 0, report.text
    assert report["echo"].startswith("ok 10 probes came back in ")


def test_who_is_at_which_port(monkeypatch, capsys):
    with WireBoard(b"arm") as arm, WireBoard(speaks="nothing") as silent:
        monkeypatch.setenv("LEADSCOMM_PORTS", os.pathsep.join([arm.port, silent.port]))
        monkeypatch.setattr(ports, "ANSWER_S", 1.0)
        assert main(["ports", "--identify"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert f"{arm.port} free named by LEADSCOMM_PORTS answers as arm, in frames" in said
        assert "nobody answers: it said nothing" in said
        assert main(["ports", "--identify", "--json"]) == 0
        found = {port["device"]: port for port in json.loads(capsys.readouterr().out)}
    assert (found[arm.port]["tag"], found[arm.port]["language"]) == ("arm", "frames")
    assert (found[silent.port]["tag"], found[silent.port]["language"]) == (None, None)


def test_any_port_without_saying_who_is_meant(monkeypatch):
    with WireBoard(b"arm") as arm:
        monkeypatch.setenv("LEADSCOMM_PORTS", arm.port)
        report = Report("serial://auto")
        assert report.code == 0, report.text
        assert report["who"].startswith(f"ok {arm.port} answers as arm, in frames")
        assert report["who"].endswith("serial://auto?identity=arm&framing=board")
        monkeypatch.setenv("LEADSCOMM_PORTS", "")
        report = Report("serial://auto")
    assert report.code == 1
    assert report["device"].startswith("FAIL no serial port is there mend: plug the device in")


def test_findings_for_programs(capsys):
    assert main(["doctor", "serial:///dev/none", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["endpoint"], told["failures"], told["warnings"]) == ("serial:///dev/none", 1, 0)
    assert [(finding["result"], finding["step"]) for finding in told["findings"]] == [
        ("ok", "endpoint"),
        ("fail", "device"),
    ]
    assert told["findings"][1]["mend"].startswith("plug the device in")
