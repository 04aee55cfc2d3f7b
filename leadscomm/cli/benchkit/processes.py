"""The parent's end of one measuring process: started, talked to with a deadline, and always ended."""

from __future__ import annotations

import json
import queue
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Any

ANSWER_WITHIN_S = 30.0
"""No step of a workload takes longer than this; one that does has failed."""

ENDS_WITHIN_S = 2.0
"""A process that has not ended so long after its parent hung up is killed."""


class ChildFailed(RuntimeError):
    """A measuring process ended or fell silent too early; the text ends with its last words."""


class Child:
    """A measuring process. A context manager: leaving it ends the process, whatever happened.

    The process is in a session of its own, so that Ctrl-C reaches the parent alone, which then ends its children.
    """

    def __init__(self, command: Sequence[str], timeout: float = ANSWER_WITHIN_S) -> None:
        self._command = list(command)
        self._timeout = timeout
        self._words: IO[bytes] = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._words,
                text=True,
                encoding="utf-8",
                start_new_session=True,
            )
        except OSError as error:
            self._words.close()
            raise ChildFailed(f"{self._command[0]} could not be started: {error}") from error
        self._heard: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="bench-child", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._heard.put(json.loads(line))
        self._heard.put(None)

    def say(self, **facts: Any) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(facts) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise ChildFailed(self._last_words("ended")) from error

    def hear(self) -> dict[str, Any]:
        try:
            said = self._heard.get(timeout=self._timeout)
        except queue.Empty:
            raise ChildFailed(self._last_words(f"said nothing for {self._timeout:g} s")) from None
        if said is None:
            raise ChildFailed(self._last_words("ended"))
        return said

    def _last_words(self, what: str) -> str:
        self._words.seek(0)
        lines = self._words.read().decode("utf-8", "replace").strip().splitlines()
        return f"{' '.join(self._command[1:5])} {what}" + (f": {lines[-1]}" if lines else "")

    def close(self) -> None:
        """Lets the process end by itself (it does when its stdin closes), and kills it if it does not."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError:
            pass
        try:
            self._process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            if self._process.poll() is None:  # a second Ctrl-C while waiting
                self._process.kill()
                self._process.wait()
            self._reader.join(2)
            self._words.close()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
