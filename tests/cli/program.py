"""The ``leadscomm`` command in a process of its own, as a person or a shell uses it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

PATIENCE_S = 60.0
ROOT = Path(__file__).resolve().parents[2]


class Text:
    """What arrives at one of our ends of a pipe or terminal, collected by a thread until its end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._data = b""
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._fd, 65536)
            except OSError:  # the last program at the other end of a terminal has gone
                data = b""
            with self._changed:
                self._data += data
                self._ended = not data
                self._changed.notify_all()
            if not data:
                return

    def __str__(self) -> str:
        return self._data.decode("utf-8", "backslashreplace")

    def see(self, pattern: str) -> re.Match[str]:
        """Wait until it holds the pattern."""
        deadline = time.monotonic() + PATIENCE_S
        with self._changed:
            while not (found := re.search(pattern, str(self), re.MULTILINE)):
                left = deadline - time.monotonic()
                assert left > 0, f"{pattern!r} did not come within {PATIENCE_S:g} s; there is:\n{self}"
                assert not self._ended, f"the output ended without {pattern!r}:\n{self}"
                self._changed.wait(left)
            return found

    def join(self) -> None:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), f"somebody still holds this output open:\n{self}"


class Program:
    """``leadscomm ARGUMENTS``, with pipes.

    :param terminal: its three streams are one terminal instead; ``out`` is what that shows.
    :param background: on a terminal: as a job that a shell runs in the background, and the shell waits.
    """

    def __init__(
        self, *arguments: object, terminal: bool = False, background: bool = False, **environment: str
    ) -> None:
        self._command = [sys.executable, "-m", "leadscomm", *map(str, arguments)]
        self._fds: list[int] = []
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            "PYTHONIOENCODING": "utf-8",
            **environment,
        }
        if terminal:
            self._start_in_terminal(env, _BACKGROUND if background else _FOREGROUND)
            return
        self.process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            bufsize=0,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.out = Text(self.process.stdout.fileno())
        self.err = Text(self.process.stderr.fileno())

    def _start_in_terminal(self, env: dict[str, str], setup: str) -> None:
        import fcntl
        import struct
        import termios

        master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", setup, *self._command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={"TERM": "xterm", **env},
            start_new_session=True,
        )
        os.close(slave)
        self._fds.append(master)
        self.out = self.err = Text(master)

    def write(self, data: bytes) -> None:
        """Type, or write into the pipe."""
        if self._fds:
            os.write(self._fds[0], data)
        else:
            assert self.process.stdin is not None
            self.process.stdin.write(data)

    def end_input(self) -> None:
        """Close the pipe, or type Ctrl-D."""
        if self._fds:
            os.write(self._fds[0], b"\x04")
        else:
            assert self.process.stdin is not None
            self.process.stdin.close()

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def wait(self) -> int:
        """Wait for its end; return its exit code."""
        code = self.process.wait(PATIENCE_S)
        self.out.join()
        self.err.join()
        assert "Traceback" not in str(self.err), f"{self._command} complained:\n{self.err}"
        return code

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for text in (self.out, self.err):
            text._thread.join(PATIENCE_S)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        for fd in self._fds:
            os.close(fd)


_FOREGROUND = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
_BACKGROUND = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
job = os.fork()
if not job:
    os.setpgid(0, 0)
    os.execv(sys.argv[1], sys.argv[1:])
signal.signal(signal.SIGTERM, lambda number, frame: os.kill(job, number))
pid, status = os.waitpid(job, os.WUNTRACED)
if os.WIFSTOPPED(status):
    os.kill(job, signal.SIGKILL)
    sys.exit(99)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def run(*arguments: object, stdin: bytes = b"", **environment: str) -> tuple[int, str, str]:
    """Run the command to its end; its exit code, output and complaints."""
    with Program(*arguments, **environment) as program:
        program.write(stdin)
        program.end_input()
        return program.wait(), str(program.out), str(program.err)


def without_controls(text: str) -> str:
    """``text`` without the control sequences of terminals."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", text)
