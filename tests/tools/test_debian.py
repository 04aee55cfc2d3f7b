"""./dev installs the system's packages: asked of programs that stand in for Debian's, since tests change no system."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tools import debian

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Debian")


class Machine:
    """A machine with these packages, and programs that write down how they were called."""

    def __init__(self, folder: Path, installed: tuple[str, ...]) -> None:
        self.folder = folder
        self.calls = folder / "calls"
        self.program("env", 'shift; exec "$@"')
        self.program("dpkg-query", "".join(f"echo '{name} installed'; " for name in installed) + "exit 1")
        self.works()

    def program(self, name: str, script: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def works(self, code: int = 0) -> None:
        self.program("apt-get", f'echo "apt-get $*" >> {self.calls}; echo its complaint; exit {code}')

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


ALL = debian.BOARD_TOOLS
SETTINGS = "apt-get -qq -o DPkg::Lock::Timeout=300"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return Machine(tmp_path, ALL[:-2])


def test_nothing_is_done_where_all_is_there(tmp_path: Path, machine: Machine, capfd: pytest.CaptureFixture) -> None:
    Machine(tmp_path, ALL)
    debian.install_board_tools()
    assert machine.called() == []
    assert capfd.readouterr() == ("", "")


def test_what_is_missing_is_installed(machine: Machine, capfd: pytest.CaptureFixture) -> None:
    debian.install_board_tools()
    assert machine.called() == [f"{SETTINGS} update", f"{SETTINGS} install --no-install-recommends gcc g++"]
    assert capfd.readouterr().err == "dev: installing Debian's packages: gcc g++\n"


def test_for_networks_too(machine: Machine) -> None:
    debian.install_network_tools()
    packages = " ".join(debian.NETWORK_TOOLS)
    assert machine.called() == [f"{SETTINGS} update", f"{SETTINGS} install --no-install-recommends {packages}"]


def test_with_sudo(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    machine.program("true", "")
    machine.program("sudo", f'echo "sudo $*" >> {machine.calls}; shift; exec "$@"')
    debian.install_board_tools()
    assert [call for call in machine.called() if call.startswith("apt-get")] == [
        f"{SETTINGS} update",
        f"{SETTINGS} install --no-install-recommends gcc g++",
    ]
    assert all(call.startswith("sudo -n ") for call in machine.called() if call.startswith("sudo"))


def test_where_it_may_not_be_installed(machine: Machine, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    debian.install_board_tools()
    assert machine.called() == []
    assert "for them run: sudo apt-get install --no-install-recommends gcc g++\n" in capfd.readouterr().err


def test_where_it_does_not_work(machine: Machine, capfd: pytest.CaptureFixture) -> None:
    machine.works(100)
    debian.install_board_tools()
    said = capfd.readouterr().err
    assert "its complaint" in said
    assert "that did not work; tests that need a compiler or an emulator for boards are left out." in said


def test_another_system(machine: Machine, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    (tmp_path / "apt-get").unlink()
    debian.install_board_tools()
    assert capfd.readouterr() == ("", "")
