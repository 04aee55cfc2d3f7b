"""What an accepted line begins with, before it is known to which session it belongs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.opening import HEARD_BYTES, nothing_of_a_session
from leadscomm.connections.terms import Terms
from leadscomm.errors import AuthenticationFailed, CommError, ConnectionLost
from leadscomm.protocol.handshake import COMPACT
from leadscomm.protocol.offer import Hello, Offer, answer, epoch_in, no_session, read_hello

MOST_FRAMES: Final = 64
"""So many frames that are no HELLO are looked at."""


class Stale(ConnectionLost):
    """What came over a line spoke of nothing but a session that is over."""


@dataclass(frozen=True)
class Guest:
    """Who has asked for a session over an accepted line.

    :ivar offer: what it says of itself; None for one that speaks the compact profile alone.
    :ivar frames: what it said, from its HELLO on.
    """

    offer: Offer | None
    frames: list[bytes]


class Meeting:
    """The first words over an accepted line. In the thread that is to read it.

    :param connection: open.
    :param terms: what this side wants.
    :param knows: whether there is a session with the peer of an epoch. Such a one is not turned away, though it has not
        said HELLO on this line: it will find out that nobody hears it.
    """

    def __init__(
        self, connection: ConnectionBase, terms: Terms, knows: Callable[[int], bool] = lambda epoch: False
    ) -> None:
        self._connection = connection
        self._terms = terms
        self._knows = knows
        self._me = terms.offer().handshake
        self._unread: list[bytes] = []
        self._next = 0  # of these
        self._patience = MOST_FRAMES
        self._heard = b""
        self._stale: Stale | None = None
        self._trouble: CommError | None = None
        connection.set_blocking(False)

    def guest(self, deadline: float) -> Guest:
        """Wait until somebody asks for a session. May be called again if that one was turned away.

        :param deadline: as ``time.monotonic()`` counts.
        :raises ConnectFailed: what comes is nothing of a session; the text says what it looks like.
        :raises AuthenticationFailed: it has another key, or none.
        :raises CommTimeout: nothing came.
        :raises ConnectionLost: the line ended.
        """
        while True:
            hello = self._heed(self._next_frame(deadline))
            if hello is not None:
                return self._guest(hello)

    def _next_frame(self, deadline: float) -> bytes:
        """The next frame that came.

        :raises CommError: as :meth:`guest`.
        """
        while self._next >= len(self._unread):
            self._listen(deadline)
        if not self._patience:
            raise self._why_not()
        self._patience -= 1
        self._next += 1
        return self._unread[self._next - 1]

    def _guest(self, hello: Hello) -> Guest:
        """Whoever the last frame has introduced."""
        frames, self._unread, self._next = self._unread[self._next - 1 :], [], 0
        return Guest(hello.offer, frames)

    def turn_away(self, epoch: int) -> None:
        """Tell a peer that the session that it speaks of is not known here."""
        self._stale = Stale(f"{self._connection} speaks of a session that is over")
        self._say(no_session(epoch, self._terms.key))

    def _listen(self, deadline: float) -> None:
        if time.monotonic() >= deadline:
            raise self._why_not()
        self._hear(deadline)

    def _why_not(self) -> CommError:
        connection = self._connection
        return self._trouble or self._stale or nothing_of_a_session(str(connection), connection.framing, self._heard)

    def _hear(self, until: float) -> None:
        """Read what comes, if anything does before ``until``."""
        connection = self._connection
        connection._wait_readable(max(0.0, until - time.monotonic()))
        try:
            data = connection._read()
        except BlockingIOError:
            return
        if data is None:
            raise (
                self._trouble or self._stale or ConnectionLost(f"{connection} ended before it had asked for a session")
            )
        self._heard = (self._heard + data)[:HEARD_BYTES]
        self._unread, self._next = connection.framing.feed(data), 0
        connection.framing.count_faults()

    def _heed(self, frame: bytes) -> Hello | None:
        key = self._terms.key
        hello = read_hello(frame, key)
        if hello is None:
            said = answer(frame, self._me, key)
            if self._knows(epoch_in(frame) or 0):
                self._patience += 1  # on a cable there may be many of them
            elif said is not None:
                self._stale = Stale(f"{self._connection} speaks of a session that is over")
                self._say(said)
        elif hello.offer is not None or (hello.said.profiles == COMPACT and key is None):
            return hello
        elif hello.keyed or key is not None:
            self._trouble = AuthenticationFailed(
                f"{self._connection} holds another key, or one side has none: give both sides the same key "
                "(key_file= or key_env=), or neither"
            )
        return None

    def _say(self, frame: bytes, before: bytes = b"") -> None:
        framing = self._connection.framing
        self._connection.outbox.put([frame], before + framing.encode_all([frame]))
