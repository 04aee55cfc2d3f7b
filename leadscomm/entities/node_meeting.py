"""Who is at the other end of a line: a node has to know, before it can tell which session the line is to carry."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final, Protocol

from leadscomm.connections.address import Address
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.opening import new_epoch
from leadscomm.protocol.session.compact.compact import ASK_EVERY_S, ask_steadily
from leadscomm.protocol.session.handshake import ASKING, Handshake, welcome_of
from leadscomm.protocol.session.offer import Hello, shown
from leadscomm.protocol.session.wire import CONTROL, HELLO, parse
from leadscomm.sessions.line import plan_of
from leadscomm.sessions.meeting import Guest, Meeting
from leadscomm.sessions.terms import Terms

SHOW_S: Final = 0.25
"""So long a peer is shown that this side is in a session with it, before it is taken for another one."""


class Acquaintances(Protocol):
    """Whom this side knows."""

    def epochs_with(self, name: str) -> tuple[int, int]:
        """The epochs of the session with a peer, this side's and its; 0 if there is none, or is not known yet."""

    def knows(self, epoch: int) -> bool:
        """Whether there is a session with the peer of this epoch."""


class Introduction(Meeting):
    """The first words over a line of a node. In the thread that is to read it.

    Anybody may ask who is there, under any name. So the epochs of a session are not told; who shows that it knows them
    is shown the same, and so sees that it is the one that it knows.

    :param connection: open.
    :param address: where it leads.
    :param terms: what this side wants.
    :param asks: whether to ask who is there; otherwise the peer is to speak first.
    :param known: whom this side knows.
    """

    def __init__(
        self,
        connection: ConnectionBase,
        address: Address,
        terms: Terms,
        *,
        asks: bool,
        known: Acquaintances,
    ) -> None:
        super().__init__(connection, address, terms, known.knows)
        self._question = replace(self._me, profiles=ASKING) if asks else None
        self._stranger = self._me
        self._known = known
        self._plan = plan_of(address)
        self._asked = 0
        self._shown_at = 0.0
        self._began = time.monotonic()

    @property
    def unread(self) -> list[bytes]:
        """The frames that came behind what :meth:`who` has returned."""
        return self._unread[self._next :]

    def who(self, deadline: float) -> Guest | Handshake:
        """Wait until the peer asks for a session, or has answered who it is. May be called again.

        :raises CommError: as :meth:`Meeting.guest`.
        """
        while True:
            frame = self._next_frame(deadline)
            said = self._answer_in(frame)
            if said is not None:
                return said
            hello = self._heed(frame)
            if hello is not None:
                return self._guest(hello)

    def ask_again(self, echo: int = 0) -> bool:
        """Ask who is there once more: an answer to what was asked before does not count.

        :param echo: shows the peer that this side is in a session with it.
        :return: False: that was shown for a while, and this side does not ask again.
        """
        now = time.monotonic()
        if self._question is None:
            return False
        again = echo != 0 and echo == self._question.echo
        if not again:
            self._shown_at = now
        elif now > self._shown_at + SHOW_S:  # the peer may not have heard of the session at first
            return False
        self._question = replace(self._question, epoch=new_epoch(), echo=echo)
        self._asked, self._began = 0, now + ASK_EVERY_S * again
        return True

    def _answer_in(self, frame: bytes) -> Handshake | None:
        said = welcome_of(parse(frame)) if self._question is not None else None
        return said if said is not None and self._question is not None and said.echo == self._question.epoch else None

    def _heed(self, frame: bytes) -> Hello | None:
        parsed = parse(frame)
        if parsed is not None and parsed.kind == CONTROL and parsed.number == HELLO:
            said = Handshake.decode(parsed.payload)
            mine, theirs = self._known.epochs_with(said.tag) if said is not None and said.echo else (0, 0)
            epoch = shown(said, mine, theirs) if said is not None else None
            self._me = self._stranger if epoch is None else replace(self._stranger, epoch=epoch)
        return super()._heed(frame)

    def _hear(self, until: float) -> None:
        super()._hear(min(until, self._ask()))

    def _ask(self) -> float:
        """Put the question, if it is time; return when it is time again."""
        if self._question is None:
            return float("inf")
        plan, now = self._plan, time.monotonic()
        asking_time = ask_steadily if plan is None else plan.asking_time
        if now >= self._began + asking_time(self._asked):
            before = b"" if plan is None else plan.before_asking(self._asked)
            self._asked += 1
            self._say(self._question.hello(), before)
        return self._began + asking_time(self._asked)
