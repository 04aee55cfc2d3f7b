"""The fixture that guards all other tests sees what it should, and nothing else."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading

import pytest

from tests.leaks import Snapshot, left_since

needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="this system does not list what is open")


def test_nothing_left() -> None:
    assert left_since(Snapshot()) == []


def test_a_thread_is_named_with_its_place() -> None:
    before, go = Snapshot(), threading.Event()
    thread = threading.Thread(target=go.wait, name="left-over", daemon=True)
    thread.start()
    (left,) = left_since(before, grace=0.0)
    go.set()
    assert "'left-over'" in left
    assert "in wait" in left
    assert left_since(before) == []


def test_a_thread_that_is_ending_is_waited_for() -> None:
    before, go = Snapshot(), threading.Event()
    thread = threading.Thread(target=go.wait)
    thread.start()
    threading.Timer(0.02, go.set).start()
    assert left_since(before) == []
    assert not thread.is_alive()


@needs_proc
def test_a_socket_is_left_until_it_is_closed() -> None:
    before = Snapshot()
    with socket.socket():
        (left,) = left_since(before, grace=0.0)
    assert "socket:" in left
    assert left_since(before) == []


@needs_proc
def test_a_file_opened_under_a_known_number_is_seen(tmp_path: object) -> None:
    first = os.open(f"{tmp_path}/a", os.O_CREAT)
    before = Snapshot()
    os.close(first)
    second = os.open(f"{tmp_path}/b", os.O_CREAT)
    assert first == second
    assert left_since(before, grace=0.0) == [f"file descriptor {second} ({tmp_path}/b)"]
    os.close(second)


class Holder:
    """Closes its descriptor when it goes, and keeps itself until the garbage collector comes."""

    def __init__(self) -> None:
        self.itself = self
        self.fd, other = os.pipe()
        os.close(other)

    def __del__(self) -> None:
        os.close(self.fd)


def test_what_only_a_cycle_holds_is_not_left() -> None:
    before = Snapshot()
    Holder()
    assert left_since(before) == []


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="this system does not list children")
def test_a_child_is_left_until_it_is_waited_for() -> None:
    before = Snapshot()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    left = left_since(before, grace=0.0)
    assert any(f"child process {child.pid}" in line for line in left)
    child.communicate(b"\n")
    assert left_since(before) == []
