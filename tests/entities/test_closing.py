"""Closing: what was sent still goes out, it is bounded in time, and Ctrl-C and the interpreter's end do it too."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from leadscomm import DeliveryError, create_client, create_server
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until


@contextlib.contextmanager
def program(text: str, *args: object) -> Iterator[subprocess.Popen]:
    """A Python program in a process of its own, which does not outlive the test."""
    command = [sys.executable, "-u", "-c", text, *map(str, args)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("closer", ["client", "server", "connection"])
def test_everything_sent_before_close_arrives(closer):
    heard, told = Recorder(), Recorder()
    count = 20_000
    with create_server(0, heard) as server:
        client = create_client(server.port(), told).start(parallel=True)
        wait_until(lambda: server.num_connections() == 1)
        if closer == "server":
            for i in range(count):
                server.broadcast(b"%d" % i)
            server.close()
            got = told.wait("receive", count)
        else:
            for i in range(count):
                client.send(b"%d" % i)
            (client if closer == "client" else client.connection).close()
            got = heard.wait("receive", count)
        assert got == [b"%d" % i for i in range(count)]
        client.close()
        assert client.join(PATIENCE_S)
    assert [*heard.of("fail"), *told.of("fail")] == []


def test_close_gives_up_on_a_peer_that_does_not_read_and_tells_what_was_lost():
    heard = Recorder()
    server = create_server(0, heard).start(parallel=True)
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(("127.0.0.1", server.port()))
        (connection,) = heard.wait("connect")
        for i in range(100):
            connection.send(b"%08d" % i + b"x" * 50_000)
        server.close(timeout=0.1)
        assert server.join(PATIENCE_S)
    lost = [error for error in heard.of("fail") if isinstance(error, DeliveryError)]
    assert len(lost) == 1
    assert lost[0].messages[-1].startswith(b"00000099")
    sent, unsent = lost[0].unanswered, lost[0].unsent
    assert sent + unsent == lost[0].messages
    assert len(sent) == 1  # of all others nothing or all was taken by the system
    assert f"1 sent in part, {len(unsent)} never sent" in str(lost[0])
    assert len(heard.of("disconnect")) == 1


def test_close_is_bounded_when_a_callback_does_not_return(caplog):
    release = threading.Event()
    heard = Recorder(lambda service, msg: release.wait(PATIENCE_S))
    server = create_server(0, heard).start(parallel=True)
    with create_client(server.port()) as client:
        client.send(b"stick")
        heard.wait("receive")
        server.close(timeout=0.1)
        assert server.join(PATIENCE_S)
        assert "have not returned" in caplog.text
        release.set()
        heard.wait("disconnect")


def test_closing_from_many_threads_and_many_times():
    heard = Recorder()
    server = create_server(0, heard).start(parallel=True)
    client = create_client(server.port()).start(parallel=True)
    heard.wait("connect")
    threads = [threading.Thread(target=service.close) for service in (server, client) * 5]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not server.running()
    assert not client.running()
    assert len(heard.of("disconnect")) == 1
    server.close()
    client.close()


def test_close_before_the_start_and_while_connecting_harms_nothing():
    server, client = create_server(0), create_client(1)
    server.close()
    client.close()
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        with create_client(full.getsockname()[1], Recorder(), reconnect=True):
            pass


def test_the_server_tells_leads_clients_goodbye():
    with create_server(0) as server:
        peer = socket.create_connection(("127.0.0.1", server.port()))
        peer.settimeout(PATIENCE_S)
        wait_until(lambda: server.num_connections() == 1)
        server.broadcast(b"last")
    with peer:
        data = b""
        while chunk := peer.recv(100):
            data += chunk
    assert data == b"last;disconnect;"


def test_ctrl_c_ends_a_blocking_server_and_client():
    text = """
from leadscomm import *
class C(Callback):
    def on_initialize(self, service): print(service.port())
    def on_connect(self, service, connection): print("connected")
    def on_disconnect(self, service, connection): print("disconnected")
try:
    {start}
except KeyboardInterrupt:
    print("interrupted")
"""
    with program(text.format(start="start_server(create_server(0, C()))")) as server:
        port = int(server.stdout.readline())
        with program(text.format(start=f"start_client('127.0.0.1', create_client({port}, C()))")) as client:
            assert [client.stdout.readline(), client.stdout.readline()] == [f"{port}\n", "connected\n"]
            client.send_signal(signal.SIGINT)
            assert client.stdout.read().split() == ["disconnected", "interrupted"]
            assert client.wait(PATIENCE_S) == 0
        server.send_signal(signal.SIGINT)
        assert server.stdout.read().split() == ["connected", "disconnected", "interrupted"]
        assert server.wait(PATIENCE_S) == 0


NEVER_WOKEN = """
import signal, threading
from leadscomm import *
class C(Callback):
    def on_initialize(self, service):
        if isinstance(service, Server): self.waits(service.port())
    def on_connect(self, service, connection):
        if isinstance(service, Client): self.waits(0)
    def waits(self, port):
        assert threading.current_thread() is threading.main_thread()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # another thread takes it: no wait ends
        print(port)
try:
    {start}
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals to threads are POSIX's")
@pytest.mark.parametrize("options", ["", "?reliable=1"])
@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_ctrl_c_is_seen_though_it_comes_just_before_a_wait_begins(scheme, options):
    """Then it is noted, but wakes nobody: as if it had come to another thread."""
    listens = f"{scheme}://127.0.0.1:0{options}"
    with program(NEVER_WOKEN.format(start=f"create_server({listens!r}, C()).start()")) as server:
        dials = f"{scheme}://127.0.0.1:{int(server.stdout.readline())}{options}"
        with program(NEVER_WOKEN.format(start=f"create_client({dials!r}, C()).start()")) as client:
            assert client.stdout.readline() == "0\n"
            client.send_signal(signal.SIGINT)
            assert client.stdout.read().split() == ["interrupted"]
        server.send_signal(signal.SIGINT)
        assert server.stdout.read().split()[-1] == "interrupted"


def test_the_end_of_the_interpreter_delivers_what_was_sent():
    heard = Recorder()
    text = """
import sys
from leadscomm import *
client = start_client("127.0.0.1", create_client(int(sys.argv[1])), parallel=True)
for i in range(20000):
    client.send(b"%d" % i)
"""
    with create_server(0, heard) as server:
        subprocess.run([sys.executable, "-c", text, str(server.port())], check=True, timeout=PATIENCE_S)
        assert heard.wait("receive", 20_000) == [b"%d" % i for i in range(20_000)]
        heard.wait("disconnect")
    assert heard.of("fail") == []


def test_a_killed_peer_is_a_disconnect():
    heard = Recorder()
    text = """
import sys, signal
from leadscomm import *
client = start_client("127.0.0.1", create_client(int(sys.argv[1])), parallel=True)
client.send(b"here")
print("sent")
signal.pause()
"""
    with create_server(0, heard) as server:
        with program(text, server.port()) as peer:
            assert peer.stdout.readline() == "sent\n"
            heard.wait("receive")
            os.kill(peer.pid, signal.SIGKILL)
            heard.wait("disconnect")
        wait_until(lambda: server.num_connections() == 0)
