"""Programs that are frozen: what tools find by following imports is all that a program needs."""

from __future__ import annotations

import subprocess
import sys
from itertools import accumulate
from pathlib import Path

import pytest

import leadscomm
from leadscomm.freezing.folder import hook_dirs
from tests.layers import Sources

PACKAGE = Path(leadscomm.__file__).parent
ROOT = PACKAGE.parent
FOR_PROGRAMS = ("leadscomm.hardware.firmware.board_port", "leadscomm.protocol.base")
"""What programs import themselves, and nothing here does."""
PROGRAM = """
import queue
import sys
from leadscomm import Callback, Client, Server, connect
from leadscomm.hardware.firmware.places import arduino_folder
from leadscomm.testing.program import _SOURCES

class Echo(Callback):
    def on_receive(self, service, msg): service.sender.send(msg)

class Inbox(Callback):
    def __init__(self): super().__init__(); self.messages = queue.Queue()
    def on_receive(self, service, msg): self.messages.put(msg)

keys, folder = sys.argv[1:]
TCP, TLS = "tcp://127.0.0.1:0", f"tls://127.0.0.1:0?cert={keys}/server.pem&cert_key={keys}/server.key"
for place in (TCP, "udp://127.0.0.1:0", "loop://x", f"unix://{folder}/x", f"fault://dup=0/{TCP}", TLS):
    for session in (False, True):
        try:
            more = {"ca": f"{keys}/ca.pem", "server_name": "localhost"} if place == TLS else {}
            if place == TCP and session:
                more["durable"] = f"{folder}/journal"
            inbox, server = Inbox(), Server(place, Echo(), reliable=session)
            with server, Client(server.endpoint, inbox, reconnect=False, **more) as client:
                client.send(b"x")
                inbox.messages.get(timeout=10)
        except Exception as error:
            print(place, session, repr(error))
line = connect("serial://loop://")
line.send(b"x")
assert line.receive(10) == b"x"
line.close()
assert (arduino_folder() / "LeadsComm" / "library.properties").is_file()
assert (_SOURCES / "main.c").is_file()
print("done")
"""


def test_import_statements_lead_everywhere() -> None:
    """PyInstaller, py2exe, cx_Freeze and Nuitka follow them; names in texts they do not read."""
    sources = Sources.read(ROOT, "leadscomm/**/*.py")
    leads: dict[str, set[str]] = {}
    for found in sources.imports():
        folders = accumulate(found.target.split("."), "{}.{}".format)  # they are imported on the way
        leads.setdefault(found.importer, set()).update(folders)
    reached, new = set(), {"leadscomm", *FOR_PROGRAMS}
    while new:
        reached |= new
        new = set().union(*(leads.get(module, set()) for module in new)) - reached
    rooms = ("leadscomm.protocol.", "leadscomm.connections.", "leadscomm.entities.")
    assert {module for module in sources.trees if module.startswith(rooms)} - reached == set()


def test_the_hook_is_where_pyinstaller_looks_for_it() -> None:
    (folder,) = hook_dirs()
    assert (Path(folder) / "hook-leadscomm.py").is_file()
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.entry-points.pyinstaller40]\nhook-dirs = "leadscomm.freezing.folder:hook_dirs"\n' in project


@pytest.mark.slow
@pytest.mark.needs("python:PyInstaller", "pip install pyinstaller")
@pytest.mark.needs("objdump", "apt-get install binutils")
@pytest.mark.skipif(sys.platform == "win32", reason="Unix sockets")
def test_a_frozen_program_has_every_transport(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    options = ["--log-level", "ERROR", "--onedir", "-y", "--additional-hooks-dir", *hook_dirs()]
    command = [sys.executable, "-m", "PyInstaller", *options, "--paths", str(ROOT), str(program)]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stderr
    frozen = [tmp_path / "dist" / "program" / "program", ROOT / "tests" / "data" / "tls", tmp_path]
    done = subprocess.run(frozen, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
