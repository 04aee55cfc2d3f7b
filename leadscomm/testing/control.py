"""The conversation with the board's program: one line to it, one line back. See ``simulator/control.c``."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from leadscomm.errors import CommError, MissingTool, ServiceError
from leadscomm.testing.program import INSTALL

_ENDS_WITHIN_S: Final = 5.0
_CANNOT_LOAD: Final = 127  # the exit code of a program whose libraries are gone


class Control:
    """The program of one board, while it runs. Any thread may ask; one question is answered after the other.

    :ivar name: what it calls its port.
    :raises CommError: it did not start; the text is its own.
    """

    def __init__(self, program: Path, options: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._words = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                [str(program), *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._words,
                encoding="ascii",
                errors="backslashreplace",
                start_new_session=True,  # Ctrl-C is for who started it
            )
        except BaseException:
            self._words.close()
            raise
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        self.name = self._answer("ready")

    def ask(self, command: str) -> str:
        """Send a command, and return what follows the ``ok`` of its answer.

        :raises ServiceError: the board is closed.
        :raises CommError: the program says why not, or has ended.
        """
        with self._lock:
            if self._to.closed:
                raise ServiceError("this board is closed")
            try:
                self._to.write(f"{command}\n")
                self._to.flush()
            except BrokenPipeError:
                pass  # the answer will be missing too, and says more
            return self._answer("ok")

    def _answer(self, expected: str) -> str:
        word, _, rest = self._from.readline().rstrip("\n").partition(" ")
        if word == expected:
            return rest
        if word == "error":
            raise CommError(f"the virtual board: {rest}")
        self._end()
        code, words = self._process.returncode, self._last_words()
        self._words.close()
        if code == _CANNOT_LOAD:
            raise MissingTool(f"the virtual board needs libsimavr ({words}): {INSTALL}")
        raise CommError(f"the virtual board ended (exit code {code}): {words or 'without a word'}")

    def _last_words(self) -> str:
        self._words.seek(0)
        return self._words.read().decode("utf-8", "replace").strip()

    def _end(self) -> None:
        with contextlib.suppress(OSError):  # what could not be written before is lost with the program
            self._to.close()
        try:
            self._process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._from.close()

    def close(self) -> None:
        """End the program; once is enough."""
        with self._lock:
            self._end()
            self._words.close()

    @property
    def pid(self) -> int:
        """Of the program's process."""
        return self._process.pid
