"""Who is there? Every port is asked at once, from the caller's thread, each in the language of its board.

In text a board is asked ``ic`` and says its tag, as in LEADS; where frames are spoken (``framing=board``,
``reliable=1``) it is asked by a HELLO that wants no session, and answers with a WELCOME.
"""

from __future__ import annotations

import contextlib
import select
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Final

from leadscomm.connections.address import Address
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.opening import HEARD_BYTES, Plan, new_epoch, what_it_says
from leadscomm.protocol.framing.board import BOARD_CRC
from leadscomm.protocol.framing.cobs import CobsFraming
from leadscomm.protocol.session.handshake import (
    ASKING,
    OTHER_VERSION,
    VERSION,
    Handshake,
    Refusal,
    refusal_of,
    welcome_of,
)
from leadscomm.protocol.session.wire import parse
from leadscomm.protocol.words import words

ASK: Final = b"ic"
"""What a LEADS board is asked; it answers with its tag."""
GRACE_S: Final = 0.05
"""How long the others may still answer after the first has: two boards with one tag are told apart by nobody."""
_TURN_S: Final = 0.02
"""How often ports are looked at that cannot be waited for together."""
_LONGEST_ANSWER: Final = 1024


class Inquiry(ABC):
    """One open port, and what came of asking there.

    :param line: the port; the inquiry's own until it is chosen.
    :param tag: how the right answer begins, in any case of letters; "" takes any.
    :param plan: when to ask.
    :ivar tag: the answer, once it came.
    :ivar over: nothing that may come now would be an answer.
    """

    def __init__(self, line: ConnectionBase, tag: str, plan: Plan) -> None:
        self.line = line
        self.plan = plan
        self.tag: str | None = None
        self.over = False
        self._wanted = tag.lower()
        self._other: str | None = None  # an answer that is not the wanted one
        self._heard = b""
        self._count = 0
        self._began = time.monotonic()
        line.set_blocking(False)

    @property
    def due(self) -> float:
        """When to ask next."""
        return self._began + self.plan.asking_time(self._count)

    def ask(self) -> None:
        """Put the question; where the line takes nothing at the moment it is put again later."""
        words = self._question(self._count)
        self._count += 1
        try:
            self.line._write(words)
        except BlockingIOError:
            pass
        except OSError:
            self.over = True

    def listen(self) -> bool:
        """Read what has come; whether it was the answer."""
        try:
            data = self.line._read()
        except BlockingIOError:
            return False
        except OSError:
            data = None
        if data is None:
            self.over = True
            return False
        self._heard = (self._heard + data)[:HEARD_BYTES]
        self._read(data)
        return self.tag is not None

    @abstractmethod
    def _question(self, count: int) -> bytes: ...

    @abstractmethod
    def _read(self, data: bytes) -> None: ...

    def _is_it(self, answer: str) -> bool:
        """Take an answer; whether it is the right one."""
        right = answer.lower().startswith(self._wanted)
        if right:
            self.tag = answer
        else:
            self._other = answer
        return right

    def said(self) -> str:
        """What came instead of the right answer, for people."""
        if self._other is not None:
            return f"said {self._other[:32]!r}"
        if self._heard and self._heard.find(self._question(0).strip(b"\0")) >= 0:
            return "repeats what it is told, as a modem does"
        if self.over:
            return "sends noise, or is gone; is its baud rate another?"
        return self._impression() if self._heard else "said nothing"

    def _impression(self) -> str:
        return f"said {self._heard[:32]!r}"

    def close(self) -> None:
        """Let go of a port that is not the right one; without a goodbye."""
        self.line.abort()
        self.line._close()


class TextInquiry(Inquiry):
    """``ic`` in the framing of the endpoint."""

    def _question(self, count: int) -> bytes:
        # An empty message ends what the board may have taken for the beginning of one; it answers none.
        return self.line.framing.encode_all([b"", ASK] if count else [ASK])

    def _read(self, data: bytes) -> None:
        messages = self.line.framing.feed(data)
        self.line.framing.count_faults()
        self.over = self.line.framing.broken
        for index, message in enumerate(messages):
            if message not in (b"", ASK) and self._is_it(words(message[:_LONGEST_ANSWER])):
                self.line.hold(messages[index + 1 :])
                return


class FrameInquiry(Inquiry):
    """HELLO and WELCOME, in COBS."""

    def __init__(self, line: ConnectionBase, tag: str, plan: Plan, crc: str = BOARD_CRC) -> None:
        super().__init__(line, tag, plan)
        self._framing = CobsFraming(crc, _LONGEST_ANSWER)
        self._epoch = new_epoch()
        self._trouble = ""

    def _question(self, count: int) -> bytes:
        return self.plan.before_asking(count) + self._framing.encode(_who(self._epoch))

    def _read(self, data: bytes) -> None:
        for frame in map(parse, self._framing.feed(data)):
            welcome, refusal = welcome_of(frame), refusal_of(frame)
            if welcome is not None and welcome.version != VERSION:
                refusal = Refusal(OTHER_VERSION, welcome.version)
            if refusal is not None:
                self._trouble = f"does not understand the question: {refusal}"
            elif welcome is not None and welcome.echo == self._epoch and self._is_it(welcome.tag):
                self.line.framing.feed(self._framing.remainder)
        self._framing.count_faults()

    def _impression(self) -> str:
        return self._trouble or f"gives no answer: {what_it_says(self._heard)}"


class AnyInquiry(FrameInquiry):
    """In both languages in turn, for whoever only wants to know who is there.

    :ivar in_text: the answer came in text.
    """

    in_text = False

    def _question(self, count: int) -> bytes:
        return super()._question(count) if count % 2 == 0 else self.plan.before_asking(count) + b";" + ASK + b";"

    def _read(self, data: bytes) -> None:
        super()._read(data)
        for word in self._heard.split(b";")[:-1]:
            if self.tag is None and word.isalnum() and word != ASK:
                self.in_text = self._is_it(word.decode())


def question(address: Address) -> bytes:
    """What a board is asked in frames, as it goes on the wire."""
    return CobsFraming(_crc(address), _LONGEST_ANSWER).encode(_who(new_epoch()))


def _who(epoch: int) -> bytes:
    return Handshake(epoch=epoch, profiles=ASKING).hello()


def _crc(address: Address) -> str:
    return str(dict(address.framing.options).get("crc", BOARD_CRC))


def inquiry(line: ConnectionBase, address: Address, tag: str) -> Inquiry:
    """The question who is there, in the language of an endpoint."""
    baud = address.options["baud"]
    framing = address.framing
    if framing.name == "board" or address.options["reliable"]:
        return FrameInquiry(line, tag, Plan(baud), _crc(address))
    return TextInquiry(line, tag, Plan(baud, ends_bootloaders=False))


def find(inquiries: Mapping[str, Inquiry], deadline: float, grace: float = GRACE_S) -> list[str]:
    """Ask everywhere at once, until all have answered or ``deadline`` (as ``time.monotonic()`` counts) has come. In
    this thread.

    :param grace: seconds that the others are still listened to once one has answered.
    :return: the names of those that answered, the first one first.
    """
    found: list[str] = []
    waiting = dict(inquiries)
    while waiting and (now := time.monotonic()) < deadline:
        for asked in waiting.values():
            if now >= asked.due:
                asked.ask()
        wait_for_any(
            [asked.line for asked in waiting.values()], min(deadline, *(a.due for a in waiting.values())) - now
        )
        for name, asked in list(waiting.items()):
            if asked.listen():
                found.append(name)
                deadline = min(deadline, time.monotonic() + grace)
            if asked.over or asked.tag is not None:
                del waiting[name]
    return found


def wait_for_any(lines: Collection[ConnectionBase], timeout: float) -> None:
    """Wait until one of the lines can be read, at most ``timeout`` seconds, and for a turn at most if one of them is
    none that can be waited for."""
    fds = [fd for fd in (line.fileno() for line in lines) if fd is not None]
    timeout = max(0.0, timeout if len(fds) == len(lines) else min(timeout, _TURN_S))
    with contextlib.suppress(OSError, ValueError):  # one of them is gone: reading it will tell
        if sys.platform == "linux":
            poller = select.poll()
            for fd in fds:
                poller.register(fd, select.POLLIN)
            poller.poll(timeout * 1000)
        elif fds:
            select.select(fds, [], [], timeout)  # macOS cannot poll terminals
        else:
            time.sleep(timeout)
