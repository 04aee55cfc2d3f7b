"""Output that goes nowhere: a full disk is named on standard error, a reader that has had enough ends it quietly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import PATIENCE_S, ROOT, Program

FULL = "standard output cannot be written: No space left on device"

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here to write to")


def into(place: str, *arguments: object, stdin: bytes = b"") -> tuple[int, str]:
    """Run the command with its output going there; its exit code, and what it complained."""
    with open(place, "wb") as out:
        done = subprocess.run(
            [sys.executable, "-m", "leadscomm", *map(str, arguments)],
            input=stdin,
            stdout=out,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            timeout=PATIENCE_S,
        )
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve", "tcp://127.0.0.1:0"),
        ("doctor",),
        ("ports", "--json"),
        ("--help",),
        ("doctor", "--help"),
        ("--version",),
    ],
    ids=" ".join,
)
def test_a_full_disk_is_named_in_one_line(arguments):
    assert into("/dev/full", *arguments) == (1, f"leadscomm: {FULL}\n")


def test_a_conversation_ends_when_the_disk_is_full():
    with Program("serve", "tcp://127.0.0.1:0", "--echo") as server:
        endpoint = server.out.see(r"listening on (\S+)")[1]
        assert into("/dev/full", "connect", endpoint, stdin=b"x\ny\n") == (1, f"leadscomm: {FULL}\n")
        server.interrupt()
        server.wait()


def test_a_reader_that_has_gone_ends_a_conversation_without_a_word():
    with Program("serve", "tcp://127.0.0.1:0", "--echo") as server:
        endpoint = server.out.see(r"listening on (\S+)")[1]
        reading, writing = os.pipe()
        command = [sys.executable, "-m", "leadscomm", "connect", endpoint]
        client = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=writing, stderr=subprocess.PIPE, cwd=ROOT, bufsize=0
        )
        os.close(writing)
        with client:
            assert client.stdin is not None
            assert client.stderr is not None
            client.stdin.write(b"x\n")
            assert os.read(reading, 100) == b"x\n"
            os.close(reading)
            client.stdin.write(b"y\n")  # its echo finds nobody; standard input stays open
            assert client.wait(PATIENCE_S) == 1
            assert client.stderr.read() == b""
        server.interrupt()
        server.wait()
