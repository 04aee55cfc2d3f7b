"""The example's programs as processes of their own, as a reader starts them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from types import TracebackType

from typing_extensions import Self

from tests.conftest import ROOT
from tests.entities.recorder import PATIENCE_S, wait_until

EXAMPLE = "examples.task_executor."


class Program:
    """``python -m MODULE``; killed at the end, if it has not ended."""

    def __init__(self, module: str, *args: str) -> None:
        self._said = tempfile.TemporaryFile("w+b")
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *args],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=self._said,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.kill()
        self._said.close()

    def said(self) -> str:
        size = os.fstat(self._said.fileno()).st_size
        return os.pread(self._said.fileno(), size, 0).decode()

    def wait_for(self, text: str, count: int = 1) -> None:
        """Wait until it has said `text` so many times."""
        try:
            wait_until(lambda: self.said().count(text) >= count or self.process.poll() is not None)
            assert self.said().count(text) >= count
        except AssertionError:
            raise AssertionError(f"it has not said {text!r} {count} time(s), but:\n{self.said()}") from None

    def port(self) -> int:
        """Where it listens."""
        self.wait_for(" listens")
        found = re.search(r":(\d+)\S* listens", self.said())
        assert found is not None
        return int(found[1])

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
