"""Programs that fork: what the parent runs is the parent's alone, however the child ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.entities.recorder import PATIENCE_S

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
PRELUDE = """
import gc, multiprocessing, os, pty, queue, socket, subprocess, sys, time, tty
from leadscomm import *

class Inbox(Callback):
    def __init__(self):
        super().__init__()
        self.messages, self.ended = queue.Queue(), 0
    def on_receive(self, service, msg):
        self.messages.put(msg)
    def on_disconnect(self, service, connection):
        self.ended += 1
    def next(self):
        return self.messages.get(timeout=15)

class Echo(Callback):
    def on_receive(self, service, msg):
        service.sender.send(msg)

def stays():
    "A child that lives until this process ends."
    reading, writing = os.pipe()
    ready, go = os.pipe()
    if not os.fork():
        os.close(writing)
        os.write(go, b"1")
        os.read(reading, 1)
        os._exit(0)
    os.read(ready, 1)
    return writing

def wait_for(child):
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)
"""
SERVERS = {
    "tcp": "tcp://127.0.0.1:0?framing=cobs",
    "udp": "udp://127.0.0.1:0",
    "session": "tcp://127.0.0.1:0?reliable=1",
    "session-udp": "udp://127.0.0.1:0?reliable=1",
    "loop": "loop://parent",
}
ENDS = (
    "sys.exit(7)",
    "sys.stderr = open(os.devnull, 'w'); raise ValueError",
    "os._exit(7)",
    "client.close(), server.close(), sys.exit(7)",
    "del client, server, inbox; gc.collect(), sys.exit(7)",
)


def run(program: str, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + program, *args], capture_output=True, text=True, timeout=2 * PATIENCE_S
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", SERVERS)
def test_a_child_says_no_goodbye(kind: str) -> None:
    program = """
inbox = Inbox()
server = Server(sys.argv[1], Echo()).start(parallel=True)
client = Client(server.endpoint, inbox, reconnect=False).start(parallel=True)
client.send(b"0")
assert inbox.next() == b"0"
for end in sys.argv[2:]:
    child = os.fork()
    if not child:
        exec(end)
    assert wait_for(child) in (1, 7)
    client.send(b"on")
    assert inbox.next() == b"on"
assert not inbox.ended
client.close()
server.close()
assert inbox.ended == 1
print("went on")
"""
    assert run(program, SERVERS[kind], *ENDS) == "went on\n"


def test_a_child_on_a_serial_line_says_no_goodbye_and_frees_the_port() -> None:
    program = """
controller, device = pty.openpty()
tty.setraw(device)
place = os.ttyname(device)
inbox = Inbox()
client = Client("serial://" + place, inbox).start(parallel=True)
os.write(controller, b"1;")
assert inbox.next() == b"1"
child = os.fork()
if not child:
    sys.exit(7)
assert wait_for(child) == 7
client.send(b"2")
assert os.read(controller, 100) == b"2;"
other = stays()
client.close()
with Client("serial://" + place, inbox, reconnect=False) as again:  # no lock of the child's keeps it
    again.send(b"3")
    got = b""
    while not got.endswith(b"3;"):
        got += os.read(controller, 100)
print("went on")
"""
    assert run(program) == "went on\n"


@pytest.mark.parametrize("kind", ["tcp", "udp", "session"])
def test_a_child_keeps_no_port_and_closing_takes_no_longer(kind: str) -> None:
    program = """
inbox = Inbox()
server = Server(sys.argv[1], Echo()).start(parallel=True)
client = Client(server.endpoint, inbox, reconnect=False).start(parallel=True)
client.send(b"1")
assert inbox.next() == b"1"
kept = stays()
began = time.monotonic()
server.close()
assert time.monotonic() - began < 3, time.monotonic() - began
assert not server.running()
client.close()
with Server(server.endpoint, Echo()) as again:  # the same port
    with Client(again.endpoint, inbox) as client:
        client.send(b"2")
        assert inbox.next() == b"2"
print("went on")
"""
    assert run(program, SERVERS[kind]) == "went on\n"


def test_a_child_has_services_of_its_own_and_is_told_whose_the_others_are() -> None:
    program = """
inbox = Inbox()
server = Server("tcp://127.0.0.1:0", Echo()).start(parallel=True)
local = Server("loop://name", Echo()).start(parallel=True)
client = Client(server.endpoint, inbox).start(parallel=True)
session = Client(Server("tcp://127.0.0.1:0?reliable=1", Echo()).start(parallel=True).endpoint, Inbox())
session.start(parallel=True)
connection = session.connection
child = os.fork()
if not child:
    assert not server.running() and not client.running() and server.num_connections() == 0
    for send in (client.send, session.send, connection.send):
        try:
            send(b"x")
            os._exit(1)
        except ConnectionLost:
            pass
    server.broadcast(b"nobody")
    server.close(), client.close(), connection.close()
    for place in ("tcp://127.0.0.1:0", "udp://127.0.0.1:0?reliable=1", "loop://name"):
        mine = Inbox()
        with Server(place, Echo()) as own, Client(own.endpoint, mine) as other:
            other.send(b"own")
            assert mine.next() == b"own"
    with client:  # it may also be started anew
        client.send(b"again")
        assert inbox.next() == b"again"
    sys.exit(7)
assert wait_for(child) == 7
client.send(b"2")
assert inbox.next() == b"2"
client.close(), session.close(), server.close(), local.close()
print("went on")
"""
    assert run(program) == "went on\n"


def test_a_child_that_is_forked_in_a_callback() -> None:
    program = """
class Forks(Inbox):
    def on_receive(self, service, msg):
        child = os.fork()
        if not child:
            mine = Inbox()
            with Server("tcp://127.0.0.1:0", Echo()) as own, Client(own.endpoint, mine) as other:
                other.send(b"own")
                assert mine.next() == b"own"
            os._exit(7)
        service.sender.send(b"%d" % wait_for(child))

inbox = Inbox()
with Server("tcp://127.0.0.1:0", Forks()) as server, Client(server.endpoint, inbox) as client:
    for _ in range(2):
        client.send(b"fork")
        assert inbox.next() == b"7"
print("went on")
"""
    assert run(program) == "went on\n"


def test_multiprocessing_and_subprocess() -> None:
    program = """
def work():
    sys.exit(0)

inbox = Inbox()
server = Server("tcp://127.0.0.1:0?reliable=1", Echo()).start(parallel=True)
client = Client(server.endpoint, inbox).start(parallel=True)
client.send(b"1")
assert inbox.next() == b"1"
context = multiprocessing.get_context("fork")
process = context.Process(target=work)
process.start()
process.join()
with context.Pool(2) as pool:
    assert pool.map(abs, [-1, 2]) == [1, 2]
subprocess.run([sys.executable, "-c", ""], close_fds=False, preexec_fn=lambda: None, check=True)
client.send(b"2")
assert inbox.next() == b"2"
assert not inbox.ended
client.close(), server.close()
print("went on")
"""
    assert run(program) == "went on\n"


def test_a_child_leaves_the_journal_alone(tmp_path: Path) -> None:
    program = """
path = sys.argv[1]
client = Client("tcp://127.0.0.1:9?reliable=1&name=me", Callback(), durable=path, connect_timeout=0.1)
class Quiet(Callback):
    def on_fail(self, service, error): pass
client.set_callback(Quiet())
client.start(parallel=True)
for number in range(3):
    client.send(b"%d" % number)
log = os.stat(path + "-wal")
for end in ("sys.exit(7)", "client.close(); sys.exit(7)", "del client; gc.collect(); sys.exit(7)"):
    child = os.fork()
    if not child:
        exec(end)
    assert wait_for(child) == 7
    assert os.stat(path + "-wal").st_ino == log.st_ino
client.send(b"3")
os.kill(os.getpid(), 9) if len(sys.argv) > 2 else client.close()
from leadscomm.journal.journal import Journal
with Journal(path) as journal:
    print([(peer, waiting[0]) for peer, waiting in journal.peers().items()])
"""
    assert run(program, str(tmp_path / "journal")) == "[('tcp://127.0.0.1:9', 4)]\n"
