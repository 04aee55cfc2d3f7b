"""The conversation with the board's program: one line to it, one line back. See ``simulator/control.c``."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from leadscomm.errors import CommError, MissingTool, ServiceError
from leadscomm.testing.program import INSTALL

_ENDS_WITHIN_S: Final = 5.0
_READ_BYTES: Final = 65536
_CANNOT_LOAD: Final = 127  # the exit code of a program whose libraries are gone


class Control:
    """The program of one board, while it runs. Any thread may ask; one question is answered after the other.

    :ivar name: what it calls its port.
    :ivar pid: its process.
    :raises CommError: it did not start; the text is its own.
    """

    def __init__(self, program: Path, options: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._unread = b""
        self._words = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                [str(program), *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._words,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is for who started it
            )
        except BaseException:
            self._words.close()
            raise
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        self.pid = self._process.pid
        self.name = self._answer(0)

    def ask(self, command: str) -> str:
        """Send a command, and return what follows the ``ok`` of its answer. Whoever is interrupted may ask again.

        :raises ServiceError: the board is closed.
        :raises CommError: the program says why not, or has ended.
        """
        with self._lock:
            if self._to.closed:
                raise ServiceError("this board is closed")
            number = next(self._numbers)
            with contextlib.suppress(BrokenPipeError):  # the answer will be missing too, and says more
                self._to.write(f"{number} {command}\n".encode())
            return self._answer(number)

    def _answer(self, number: int) -> str:
        """The answer of this number; those to questions that were given up are dropped."""
        line = self._line()
        while line and int(line.partition(" ")[0]) != number:
            line = self._line()
        if not line:
            self._fail()
        _, word, rest = f"{line} ".split(" ", 2)
        if word == "error":
            raise CommError(f"the virtual board: {rest.strip()}")
        return rest.strip()

    def _line(self) -> str:
        """The next line, without its end; "" if there is no more."""
        while b"\n" not in self._unread:
            data = self._from.read(_READ_BYTES)
            if not data:
                return ""
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode("ascii", "backslashreplace")

    def _fail(self) -> NoReturn:
        """
        :raises CommError: what the program said before it ended.
        """
        self._end()
        code = self._process.returncode
        self._words.seek(0)
        words = self._words.read().decode("utf-8", "replace").strip()
        self._words.close()
        if code == _CANNOT_LOAD:
            raise MissingTool(f"the virtual board needs libsimavr ({words}): {INSTALL}")
        raise CommError(f"the virtual board ended (exit code {code}): {words or 'without a word'}")

    def _end(self) -> None:
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
