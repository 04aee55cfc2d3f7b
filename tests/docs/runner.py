"""Programs that a page shows, run as a reader would run them: each in a process of its own, with a deadline."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEADLINE_S = 60.0
UP_AFTER_S = 5.0
POLL_S = 0.02
LISTEN, ESTABLISHED = "0A", "01"


class Program:
    """A running program; `stop` interrupts it as Ctrl-C does, and nothing of it survives `close`."""

    def __init__(self, command: list[str], folder: Path, place: str) -> None:
        self.place = place
        self.deadline = time.monotonic() + DEADLINE_S
        self.output = tempfile.TemporaryFile("w+b")
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def said(self) -> str:
        self.output.seek(0)
        return self.output.read().decode(errors="replace")

    def wait(self) -> int:
        """Its exit code; a program that does not end in time fails the test with what it said."""
        try:
            return self.process.wait(max(0.0, self.deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.place} has not ended within {DEADLINE_S:g} s (mark it 'blocks' if it serves):\n{self.said()}"
            ) from None

    def wait_until_up(self) -> None:
        """Until it listens or is connected; where the system does not tell, until it has run for a while."""
        enough = time.monotonic() + UP_AFTER_S
        while time.monotonic() < enough and not is_up(self.process.pid):
            assert self.process.poll() is None, f"{self.place} was to serve, and ended at once:\n{self.said()}"
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Interrupt it, and see that it ends as an interrupted program does."""
        self.signal(signal.SIGINT)
        code = self.wait()
        said = self.said().strip()
        interrupted = code in (-signal.SIGINT, 128 + signal.SIGINT) or said.endswith("KeyboardInterrupt")
        assert code == 0 or interrupted, f"{self.place} was interrupted and ended with {code}:\n{said}"
        assert said.count("Traceback") <= 1, f"{self.place} complained:\n{said}"

    def signal(self, number: int) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def close(self) -> None:
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.output.close()


@contextmanager
def started(command: list[str], folder: Path, place: str) -> Iterator[Program]:
    program = Program(command, folder, place)
    try:
        yield program
    finally:
        program.close()


def is_up(leader: int) -> bool:
    """Does this process, or one that it started, listen or hold a connection?"""
    family = [pid for pid in process_ids() if session_of(pid) == leader]
    held = {link for pid in family for link in links_of(pid)}
    return any(f"socket:[{inode}]" in held for inode in live_inodes()) or any("/dev/pts/" in link for link in held)


def process_ids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()] if os.path.isdir("/proc") else []


def session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def links_of(pid: int) -> list[str]:
    found = []
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    except OSError:  # it has just closed one, or ended: the next look sees it
        pass
    return found


def live_inodes() -> Iterator[str]:
    """The sockets of this machine that listen, are connected, or are bound for datagrams."""
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for row in rows_of(table):
            if table.startswith("udp") or row[3] in (LISTEN, ESTABLISHED):
                yield row[9]
    for row in rows_of("unix"):
        if len(row) > 7:  # it has a path: a pair within one process has none
            yield row[6]


def rows_of(table: str) -> list[list[str]]:
    try:
        with open(f"/proc/net/{table}") as rows:
            return [row.split() for row in rows][1:]
    except OSError:
        return []
