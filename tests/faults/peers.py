"""Real programs that talk to each other (``peer.py``), as a test holds them in its hands."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from typing_extensions import Self

from tests.faults.namespaces import Namespace

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE_S: Final = 60.0
"""How long a test waits for what must happen; only a failing test waits so long."""


@dataclass(frozen=True)
class Needs:
    """What a process has of the system: descriptors, threads, bytes of memory, now and at most; processor time (s)."""

    fds: int
    threads: int
    bytes: int
    most_bytes: int
    cpu: float

    @classmethod
    def of(cls, pid: int) -> Needs:
        proc = Path(f"/proc/{pid}")
        status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines() if ":\t" in line)
        times = (proc / "stat").read_text().rpartition(")")[2].split()
        return cls(
            len(os.listdir(proc / "fd")),
            int(status["Threads"]),
            int(status["VmRSS"].split()[0]) * 1024,
            int(status["VmHWM"].split()[0]) * 1024,
            (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK"),
        )


@dataclass(frozen=True)
class Report:
    """What a peer has to say of itself; ``received`` is by the sender's process number and lane."""

    sent: int
    received: dict[tuple[int, int], int]
    doubled: int
    overtaken: int
    missing: int
    reached: int
    damaged: int
    needs: Needs
    stats: list[dict[str, Any]]

    @property
    def faults(self) -> tuple[int, int, int, int]:
        """Left out, doubled, overtaken, damaged."""
        return self.missing, self.doubled, self.overtaken, self.damaged

    def of(self, peer: Peer) -> int:
        """How many messages came from it."""
        return sum(count for (sender, _), count in self.received.items() if sender == peer.pid)


class Peer:
    """A server or a client that runs as a process of its own.

    :param inside: the namespace that it runs in.
    :param before: a command that runs it, such as ``prlimit``.
    :ivar port: of a server, the one it listens on.
    :ivar events: what it told and nobody asked for yet.
    :ivar ordered: how many messages it was told to send.
    """

    def __init__(
        self,
        role: str,
        endpoint: str,
        *options: str,
        inside: Namespace | None = None,
        before: tuple[str, ...] = (),
        ready: bool = True,
    ) -> None:
        command = [*before, sys.executable, "-m", "tests.faults.peer", role, endpoint, *options]
        if inside is not None:
            command = inside.command(*command)
        self._name = f"{role} {endpoint}"
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._rest = b""
        self.events: deque[dict[str, Any]] = deque(maxlen=100_000)
        self.ordered = 0
        self.port: int | None = None
        if ready:
            try:
                self.port = self.wait("ready")["port"]
            except BaseException:
                self.kill()
                raise

    @property
    def pid(self) -> int:
        return self._process.pid

    # Orders ----------------------------------------------------------------------------------------------------------

    def tell(self, do: str, **order: Any) -> None:
        """Tell it to do something."""
        self._in.write(json.dumps({"do": do, **order}).encode() + b"\n")
        self._in.flush()

    def send(self, count: int, **order: Any) -> None:
        """Have it send so many messages, without waiting for it."""
        self.ordered += count
        self.tell("send", count=count, **order)

    def report(self, patience: float = PATIENCE_S) -> Report:
        self.tell("report")
        told = self.wait("report", patience=patience)
        received = {(sender, lane): count for sender, lane, count in told.pop("delivered")}
        facts = {key: told[key] for key in told if key not in ("event", "at")}
        assert not self.told("crash"), self.told("crash")
        return Report(received=received, needs=Needs.of(self.pid), **facts)

    def receive(self, count: int, sender: Peer | None = None, patience: float = PATIENCE_S) -> Report:
        """Wait until so many messages have come, in all or from one sender; what it reports then."""
        order = {} if sender is None else {"sender": sender.pid}
        self.tell("expect", count=count, **order)
        self.wait("complete", patience=patience)
        return self.report()

    def reach(self, number: int) -> Report:
        """Wait until message ``number`` or a later one has come; what it reports then."""
        self.tell("expect", reached=number)
        self.wait("complete")
        return self.report()

    # What happened ---------------------------------------------------------------------------------------------------

    def wait(self, event: str, patience: float = PATIENCE_S, **facts: Any) -> dict[str, Any]:
        """Wait for an event with these facts, and take it; those that it stands behind stay."""
        deadline = time.monotonic() + patience
        seen = 0
        while True:
            for found in list(self.events)[seen:]:
                if found["event"] == event and facts.items() <= found.items():
                    self.events.remove(found)
                    return found
            seen = len(self.events)
            if not self._read(deadline - time.monotonic()):
                told = list(self.events)[-20:]
                raise AssertionError(
                    f"{self._name}: no {event} {facts} in {patience} s, or it has ended; it told {told}"
                )

    def told(self, event: str) -> list[dict[str, Any]]:
        """All the events of a kind that came and were not taken. Works also when it was killed."""
        while not self._out.closed and self._read(0.0):
            pass
        return [found for found in self.events if found["event"] == event]

    def _read(self, timeout: float) -> bool:
        """Read what it tells; False if it tells nothing in time, or nothing any more."""
        if not select.select([self._out], [], [], max(0.0, timeout))[0]:
            return False
        data = os.read(self._out.fileno(), 1 << 16)
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.events.extend(map(json.loads, lines))
        return bool(data)

    # Its end ---------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Freeze it (SIGSTOP), until :meth:`go_on`."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._end()

    def leave(self) -> None:
        """Have it close as it should, without waiting for it; any number of times."""
        if self._process.poll() is None and not self._in.closed:
            self.go_on()
            with contextlib.suppress(BrokenPipeError):
                self.tell("close")

    def close(self) -> None:
        """Have it close as it should, whatever state it is in; any number of times."""
        self.leave()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE_S)
        self.kill()

    def _end(self) -> None:
        self._process.wait()
        self.told("")  # what it said last
        for pipe in (self._in, self._out):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
