"""A serial cable between two pseudo-terminals, and a board that is one."""

from __future__ import annotations

import contextlib
import os
import select
import tempfile
import threading
import tty
from collections.abc import Callable
from pathlib import Path

from typing_extensions import Self

CHUNK = 4096


class Names:
    """Names for pseudo-terminals that no other ever has. The system gives the number of one that is gone to the next
    that is made, perhaps by another test: who still looks for the old device would find that."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tty-")

    def name(self, slave: int) -> str:
        link = Path(self._folder.name, f"tty{slave}")
        link.symlink_to(os.ttyname(slave))
        return str(link)

    def forget(self) -> None:
        """They are nobody's any more. Before the devices are closed."""
        self._folder.cleanup()


class Cable:
    """What is written to ``a`` can be read from ``b``, and the reverse. With its plug pulled both ends are dead.

    The ends are held open here too, so that a side may close its own and open it again, as on a real cable.

    :param wear: what becomes of the bytes on their way.
    """

    def __init__(self, wear: Callable[[bytes], bytes] = bytes) -> None:
        self._wear = wear
        self._masters: list[int] = []
        self._slaves: list[int] = []
        for _ in range(2):
            master, slave = os.openpty()
            tty.setraw(slave)
            os.set_blocking(master, False)
            self._masters.append(master)
            self._slaves.append(slave)
        self._names = Names()
        self.a, self.b = map(self._names.name, self._slaves)
        self._woken, self._wake = os.pipe()
        self._pump = threading.Thread(target=self._run, name="cable")
        self._pump.start()

    def __enter__(self) -> Cable:
        return self

    def __exit__(self, *_: object) -> None:
        self.pull()

    def pull(self) -> None:
        """Pull the plug. Any number of times."""
        if not self._masters:
            return
        self._names.forget()
        os.write(self._wake, b"\0")
        self._pump.join()
        for fd in (*self._masters, *self._slaves, self._woken, self._wake):
            os.close(fd)
        self._masters.clear()

    def noise(self, data: bytes) -> None:
        """Something that ``a`` reads and nobody sent."""
        os.write(self._masters[0], data)

    def _run(self) -> None:
        """Read from one end only what the other takes, so that a reader who sleeps is felt by the writer."""
        first, second = self._masters
        held = {first: b"", second: b""}  # read from the other, not yet written to this one
        while True:
            poller = select.poll()
            poller.register(self._woken, select.POLLIN)
            for fd, other in ((first, second), (second, first)):
                poller.register(fd, (0 if held[other] else select.POLLIN) | (select.POLLOUT if held[fd] else 0))
            for fd, events in poller.poll():
                if fd == self._woken:
                    return
                other = second if fd == first else first
                with contextlib.suppress(BlockingIOError):
                    if events & select.POLLIN:
                        held[other] = self._wear(os.read(fd, CHUNK))
                    if events & select.POLLOUT:
                        held[fd] = held[fd][os.write(fd, held[fd]) :]


class Plugged:
    """Whatever is on a pseudo-terminal, from the constructor's return until it is unplugged: it hears and answers.

    :param name: of its thread.
    :param patience_ms: after so long a silence :meth:`wait_no_longer` is called; None: never.
    :ivar port: where it is plugged in.
    """

    def __init__(self, name: str, patience_ms: int | None = None) -> None:
        self._patience_ms = patience_ms
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self._names = Names()
        self.port = self._names.name(self._slave)
        self._woken, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()

    def say_bytes(self, data: bytes) -> None:
        os.write(self._master, data)

    def hear(self, data: bytes) -> None:
        """Bytes came; called by its thread."""

    def wait_no_longer(self) -> None:
        """Nothing came; called by its thread."""

    def unplug(self) -> None:
        """The cable is pulled. Any number of times."""
        if self._wake < 0:
            return
        self._names.forget()
        os.write(self._wake, b"\0")
        self._thread.join()
        for fd in (self._master, self._slave, self._woken, self._wake):
            os.close(fd)
        self._wake = -1

    def _run(self) -> None:
        poller = select.poll()
        poller.register(self._woken, select.POLLIN)
        poller.register(self._master, select.POLLIN)
        while True:
            found = dict(poller.poll(self._patience_ms))
            if self._woken in found:
                return
            if found:
                self.hear(os.read(self._master, CHUNK))
            else:
                self.wait_no_longer()


class Board(Plugged):
    """Answers as a LEADS board does, which tells its tag when it is asked for it.

    :param deaf_to: so many questions it does not hear.
    :ivar heard: every message that came.
    """

    def __init__(self, tag: bytes = b"wsc", *, deaf_to: int = 0) -> None:
        self.tag = tag
        self.heard: list[bytes] = []
        self._deaf_to = deaf_to
        self._rest = b""
        super().__init__("board")

    def hear(self, data: bytes) -> None:
        *messages, self._rest = (self._rest + data).split(b";")
        for message in messages:
            self.heard.append(message)
            if message == b"ic":
                if self._deaf_to:
                    self._deaf_to -= 1
                else:
                    self.say_bytes(self.tag + b";")
