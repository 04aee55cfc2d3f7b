"""What an accepted line begins with, before it is known to which session it belongs."""

from __future__ import annotations

import time
from dataclasses import dataclass

from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.opening import HEARD_BYTES, nothing_of_a_session
from leadscomm.connections.terms import Terms
from leadscomm.errors import AuthenticationFailed, CommError, ConnectionLost
from leadscomm.protocol.handshake import COMPACT
from leadscomm.protocol.offer import Offer, answer, no_session, read_hello


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
    """

    def __init__(self, connection: ConnectionBase, terms: Terms) -> None:
        self._connection = connection
        self._terms = terms
        self._me = terms.offer().handshake
        self._unread: list[bytes] = []
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
            while self._unread:
                frames, self._unread = self._unread, self._unread[1:]
                guest = self._heed(frames)
                if guest is not None:
                    self._unread = []
                    return guest
            self._listen(deadline)

    def turn_away(self, epoch: int) -> None:
        """Tell a peer that the session that it speaks of is not known here."""
        self._stale = Stale(f"{self._connection} speaks of a session that is over")
        self._say(no_session(epoch, self._terms.key))

    def _listen(self, deadline: float) -> None:
        connection = self._connection
        now = time.monotonic()
        if now >= deadline:
            raise self._trouble or self._stale or nothing_of_a_session(str(connection), connection.framing, self._heard)
        connection._wait_readable(deadline - now)
        try:
            data = connection._read()
        except BlockingIOError:
            return
        if data is None:
            raise (
                self._trouble or self._stale or ConnectionLost(f"{connection} ended before it had asked for a session")
            )
        self._heard = (self._heard + data)[:HEARD_BYTES]
        self._unread = connection.framing.feed(data)
        connection.framing.count_faults()

    def _heed(self, frames: list[bytes]) -> Guest | None:
        key = self._terms.key
        hello = read_hello(frames[0], key)
        if hello is None:
            said = answer(frames[0], self._me, key)
            if said is not None:
                self._stale = Stale(f"{self._connection} speaks of a session that is over")
                self._say(said)
        elif hello.offer is not None:
            return Guest(hello.offer, frames)
        elif hello.said.profiles == COMPACT and key is None:
            return Guest(None, frames)
        elif hello.keyed or key is not None:
            self._trouble = AuthenticationFailed(
                f"{self._connection} holds another key, or one side has none: give both sides the same key "
                "(key_file= or key_env=), or neither"
            )
        return None

    def _say(self, frame: bytes) -> None:
        framing = self._connection.framing
        self._connection.outbox.put([frame], framing.encode_all([frame]), len(frame))
