"""Programs that end without closing their services: what was accepted is delivered or reported, and soon."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from leadscomm import Server
from tests.entities.recorder import PATIENCE_S, Recorder

PRELUDE = """
import atexit, os, sys, threading, time
from leadscomm import *
from leadscomm.entities import service
service.CLOSE_TIMEOUT_S = 0.3  # the time for sending what is left

class Told(Callback):
    def on_fail(self, service, error):
        print("fail", len(getattr(error, "messages", ())), flush=True)
    def on_disconnect(self, service, connection):
        print("disconnect", flush=True)

def refuse(*_):
    raise RuntimeError("can't create new thread at interpreter shutdown")

if os.environ.get("NO_THREADS"):  # as Python 3.12 does, whichever this one is; registered later, it is called before
    atexit.register(lambda: setattr(threading.Thread, "start", refuse))
"""
ENDS = ("", "sys.exit(3)", "raise ValueError('on purpose')")


def run(program: str, *args: str, threads: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + program, *args],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        env={"NO_THREADS": "" if threads else "1", "PYTHONPATH": str(Path(__file__).parents[2])},
    )


class Deaf:
    """Accepts a connection, and takes nothing."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._accepted: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()
        self.port = self._listener.getsockname()[1]

    def close(self) -> None:
        for sock in (self._listener, *self._accepted):
            sock.close()

    def _accept(self) -> None:
        self._accepted.append(self._listener.accept()[0])


@pytest.mark.parametrize("threads", [True, False])
@pytest.mark.parametrize("callback", ["Told()", "Callback()"])
def test_what_a_peer_did_not_take_is_told(callback: str, threads: bool) -> None:
    program = f"""
client = Client(sys.argv[1], {callback}, send_timeout=0.1).start(parallel=True)
for _ in range(8000):
    client.send(bytes(1000))
"""
    deaf = Deaf()
    done = run(program, f"tcp://127.0.0.1:{deaf.port}?framing=length", threads=threads)
    deaf.close()
    if callback == "Told()":
        told = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("fail")]
        assert sum(told) > 1000, done
        assert done.stderr == ""
    else:
        assert "could not be sent before it was gone" in done.stderr, done
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("threads", [True, False])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    "endpoint",
    ["tcp://127.0.0.1:0", "udp://127.0.0.1:0", "tcp://127.0.0.1:0?reliable=1", "udp://127.0.0.1:0?reliable=1"],
)
def test_conversations_end_in_order(endpoint: str, end: str, threads: bool) -> None:
    heard = Recorder()
    program = f"""
clients = [Client(sys.argv[1], Told()).start(parallel=True) for _ in range(2)]
for client in clients:
    for _ in range(100):
        client.send(b"hello")
{end}
"""
    with Server(endpoint, heard) as server:
        done = run(program, str(server.endpoint), threads=threads)
        heard.wait("receive", 200)
    assert done.stdout.count("disconnect") == 2, done
    assert "thread" not in done.stderr, done.stderr


@pytest.mark.parametrize("threads", [True, False])
def test_what_a_session_did_not_deliver_is_told(threads: bool) -> None:
    """Its peer stops answering; the session waits for it as long as the program lives."""
    program = """
client = Client(sys.argv[1], Told()).start(parallel=True)
client.send(b"first")
while client.connection is None or not client.connection.peer:
    time.sleep(0.001)
sys.stdin.readline()
for number in range(50):
    client.send(b"%d" % number)
"""
    heard = Recorder()
    server = Server("tcp://127.0.0.1:0?reliable=1", heard).start(parallel=True)
    blocked = threading.Event()
    heard.react = lambda service, message: blocked.wait(PATIENCE_S) and None
    child = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + program, str(server.endpoint)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"NO_THREADS": "" if threads else "1", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    heard.wait("receive")
    out, err = child.communicate("go\n", timeout=2 * PATIENCE_S)
    blocked.set()
    server.close()
    assert "fail 5" in out, (out, err)
    assert "Traceback" not in err


def test_durable_messages_stay_stored(tmp_path: Path) -> None:
    program = """
client = Client("tcp://127.0.0.1:9?reliable=1&name=me", Told(), durable=sys.argv[1]).start(parallel=True)
for number in range(3):
    client.send(b"%d" % number)
"""
    path = str(tmp_path / "journal")
    assert "Traceback" not in run(program, path, threads=False).stderr
    again = """
from leadscomm.journal.journal import Journal
with Journal(sys.argv[1]) as journal:
    print(journal.peers()["tcp://127.0.0.1:9"][0])
"""
    assert run(again, path).stdout == "3\n"
