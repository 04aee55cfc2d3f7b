"""What an accepted line begins with, before it is known to which session it belongs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from leadscomm.connections.address import Address
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.opening import HEARD_BYTES, nothing_of_a_session
from leadscomm.errors import AuthenticationFailed, CommError, ConnectFailed, ConnectionLost
from leadscomm.protocol.session.full.link import Allowance
from leadscomm.protocol.session.handshake import (
    COMPACT,
    FULL,
    NAME_TAKEN,
    NO_KEY,
    NO_SESSION,
    NOT_UNDERSTOOD,
    OTHER_KEY,
    OTHER_PROFILE,
    OTHER_VERSION,
    Refusal,
    refusal_of,
)
from leadscomm.protocol.session.offer import Hello, Offer, answer, epoch_in, no_session, read_hello
from leadscomm.protocol.session.segments import DATA_OVERHEAD
from leadscomm.protocol.session.wire import CONTROL, parse
from leadscomm.sessions.terms import Terms

HINT_EVERY_S: Final = 0.25
"""How often a peer is told at most why it gets no session: nobody knows yet who it is."""
MOST_FRAMES: Final = 64
"""So many frames that are no HELLO are looked at."""


_KEYS: Final = {
    (True, True): "holds another key",
    (True, False): "has a key, and this side has none",
    (False, True): "has no key, and this side has one",
}
"""Whether the peer, and whether this side, has a key."""


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

    Where the sender of what comes may be forged, an answer is said only as long as all together are less than three
    times what came.

    :param connection: open.
    :param address: where it was accepted.
    :param terms: what this side wants.
    :param knows: whether there is a session with the peer of an epoch. Such a one is not turned away, though it has not
        said HELLO on this line: it will find out that nobody hears it.
    """

    def __init__(
        self,
        connection: ConnectionBase,
        address: Address,
        terms: Terms,
        knows: Callable[[int], bool] = lambda epoch: False,
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
        self._hint_at = 0.0
        self._forgeable = address.scheme == "udp"
        self._allowance = Allowance() if self._forgeable and connection.accepted else None
        connection.set_blocking(False)
        if connection.accepted:
            connection.be_wary()

    def guest(self, deadline: float) -> Guest:
        """Wait until somebody asks for a session. May be called again if that one was turned away.

        :param deadline: as ``time.monotonic()`` counts.
        :raises ConnectFailed: what comes is nothing of a session; the text says what it looks like.
        :raises AuthenticationFailed: it has another key, or none.
        :raises CommTimeout: nothing came.
        :raises ConnectionLost: the line ended.
        """
        try:
            while True:
                hello = self._heed(self._next_frame(deadline))
                if hello is not None:
                    return self._guest(hello)
        except CommError:
            self._stale = self._trouble = None  # what is raised knows this frame, and so this meeting
            raise

    def refuse_profile(self) -> None:
        """Tell the peer that its profile is not spoken here."""
        spoken = FULL if self._forgeable else self._me.profiles  # the compact one is for lines that keep the order
        self._say(Refusal(OTHER_PROFILE, spoken).frame())

    def refuse_name(self) -> None:
        """Tell the peer that another one has its name; twice, since once might be a damaged frame."""
        for _ in range(2):
            self._say(Refusal(NAME_TAKEN).frame())

    def repeated(self) -> None:
        """The last guest is a copy: if nobody else comes, that is what is told."""
        self._trouble = ConnectFailed(
            f"{self._connection} repeats the HELLO of a peer that has a session with this side: the network brought it "
            "again, or somebody has recorded it. The session is not touched"
        )

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
        frame = self._unread[self._next - 1]
        if self._allowance is not None:
            self._allowance.received(len(frame))
        return frame

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
        if self._heard and self._patience == MOST_FRAMES and self._connection.accepted:
            self._hint(Refusal(NO_SESSION, NOT_UNDERSTOOD))  # what the peer sees of it tells it why
            deadline = min(deadline, self._hint_at)
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
            if self._heard:
                raise self._why_not()
            raise ConnectionLost(f"{connection} ended before it had asked for a session")
        if not self._heard:
            self._hint_at = time.monotonic() + HINT_EVERY_S
        self._heard = (self._heard + data)[:HEARD_BYTES]
        self._unread, self._next = connection.framing.feed(data), 0
        if connection.framing.count_faults() and self._allowance is not None:
            self._allowance.received(len(data))

    def _heed(self, frame: bytes) -> Hello | None:
        key = self._terms.key
        hello = read_hello(frame, key)
        if hello is None:
            said = answer(frame, self._me, key)
            if self._knows(epoch_in(frame) or 0):
                self._patience += 1  # on a cable there may be many of them
            elif said is not None:
                other = refusal_of(parse(said))
                if other is not None and other.reason == OTHER_VERSION:
                    self._trouble = ConnectFailed(f"{self._connection}: {Refusal(OTHER_VERSION, frame[1])}")
                elif frame[0] >> 6 == CONTROL or len(frame) >= DATA_OVERHEAD:
                    self._stale = Stale(f"{self._connection} speaks of a session that is over")
                self._say(said)
        elif hello.offer is not None or (hello.said.profiles == COMPACT and key is None):
            return hello
        else:
            self._turn_off(hello)
        return None

    def _turn_off(self, hello: Hello) -> None:
        """Somebody asks for a session that cannot be; say why, to both sides."""
        key, said = self._terms.key, hello.said
        if not said.profiles & self._me.profiles:
            self.refuse_profile()
        if hello.keyed or key is not None:
            if said.profiles & FULL:
                self._hint(Refusal(NO_SESSION, NO_KEY if key is None else OTHER_KEY))
            self._trouble = AuthenticationFailed(
                f"{self._connection} {_KEYS[hello.keyed, key is not None]}: give both sides the same key (key_file= or "
                "key_env=), or neither"
            )
        elif not said.profiles & self._me.profiles:
            self._trouble = ConnectFailed(
                f"{self._connection} speaks other profiles of the session protocol ({said.profiles}) than this side "
                f"({self._me.profiles}): give both sides the same version of leadscomm"
            )

    def _hint(self, refusal: Refusal) -> None:
        """Say what nothing protects, now and then."""
        now = time.monotonic()
        if now >= self._hint_at:
            self._hint_at = now + HINT_EVERY_S
            self._say(refusal.frame())

    def _say(self, frame: bytes, before: bytes = b"") -> None:
        if self._allowance is not None and not self._allowance.spend(len(frame)):
            return
        framing = self._connection.framing
        self._connection.outbox.put([frame], before + framing.encode_all([frame]))
