"""Another package of the same name, or a file beside the program, is named, wherever it is met."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import leadscomm

ROOT = Path(leadscomm.__file__).parent.parent
PROGRAM = """
import queue, sys
from leadscomm import Callback, Client, CommError, Node, Server, connect, create_client, listen
from leadscomm.connections.serial.ports import available_ports
from leadscomm.hardware import Board

told = queue.Queue()

class Told(Callback):
    def on_fail(self, service, error): told.put(error)

def started(service):
    with service: raise told.get(timeout=10)

for what in (
    lambda: connect("serial:///dev/ttyUSB0"),
    lambda: connect("serial://auto?identity=x"),
    lambda: connect("serial:///dev/ttyUSB0?reliable=1"),
    lambda: listen("serial:///dev/ttyUSB0").accept(),
    lambda: started(Board("serial:///dev/ttyUSB0", Told())),
    lambda: started(Board(callback=Told(), identity="x")),
    lambda: started(Server("serial:///dev/ttyUSB0", Told())),
    lambda: started(Client("serial:///dev/ttyUSB0", Told())),
    lambda: started(Client("serial:///dev/ttyUSB0?reliable=1", Told())),
    lambda: started(Node("arm", callback=Told(), connect=["serial:///dev/ttyUSB0"])),
    lambda: started(Node("arm", callback=Told(), listen=["serial:///dev/ttyUSB0"])),
    lambda: available_ports(),
):
    try: what()
    except CommError as error: print(type(error).__name__, error)
    else: print("nothing was raised")
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python, with a folder before all others, as that of a program is."""
    path = os.pathsep.join((str(folder), str(ROOT)))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=60, cwd=folder
    )


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("serial/__init__.py", "class Model: pass\n"),
        ("serial.py", "print('a file of the user')\n"),
        ("serial.py", "raise ZeroDivisionError('whatever')\n"),
        ("serial.py", "import a_package_that_is_not_there\n"),
    ],
)
def test_another_serial_is_named_at_every_entry(tmp_path: Path, file: str, content: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(content)
    said = [line for line in run(tmp_path, "-c", PROGRAM).stdout.splitlines() if "file of the user" not in line]
    assert len(said) == 12
    for line in said:
        assert line.startswith(f"MissingExtra `import serial` finds {tmp_path / file}, and that is not pyserial")
        assert line.endswith("`python -m pip install --force-reinstall pyserial`")


def test_a_missing_pyserial_is_named(tmp_path: Path) -> None:
    said = run(tmp_path, "-c", f"import sys; sys.modules['serial'] = None\n{PROGRAM}").stdout.splitlines()
    assert said == ["MissingExtra pyserial is missing: run `python -m pip install pyserial`"] * 12


@pytest.mark.parametrize("command", [("ports",), ("doctor", "serial:///dev/ttyUSB0"), ("connect", "serial:///dev/x")])
def test_commands_say_it_in_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "serial.py").write_text("")
    done = run(tmp_path, "-m", "leadscomm", *command)
    assert done.returncode != 0
    assert "pyserial" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("name", "package"), [("crcmod", "crcmod"), ("typing_extensions", "typing-extensions")])
def test_what_is_needed_from_the_beginning_is_named_too(tmp_path: Path, name: str, package: str) -> None:
    (tmp_path / f"{name}.py").write_text("")
    done = run(tmp_path, "-c", "from leadscomm import connect")
    last = done.stderr.splitlines()[-1]
    assert last.startswith("leadscomm.errors.MissingExtra: ")
    assert f"finds {tmp_path / name}.py, and that is not {package}" in last
    assert f"pip install --force-reinstall {package}`" in last
