"""How a session of either profile begins and ends, and what it tells of its peer."""

from __future__ import annotations

from typing import Final

from leadscomm.errors import RemoteProtocolError
from leadscomm.protocol.framing.base import MAX_FAULTS_KEPT

BEGUN_ANEW: Final = "the peer began anew; it was restarted or reset"
KNOWS_NOTHING: Final = "the peer knows nothing of the session; it was restarted or reset"
GIVES_BACK: Final = (
    "it gives back what is sent: what this side says comes back to it. Are TX and RX joined, is there a console or a "
    "service that echoes, or an RS-485 adapter that hears itself? Turn the echo off there, or take another endpoint"
)


class Beginning:
    """What sessions of both profiles have in common: they begin at most once, and end once.

    :param asks: this side says HELLO; otherwise it waits for one.
    :ivar ended: why the session is over; None as long as it is not.
    :ivar again: it is over, and the peer is there: a new one may follow.
    :ivar trouble: what was wrong with a handshake that came to nothing.
    :ivar hint: what the peer says is wrong with it. Anybody could have said so, so it is for people alone.
    :ivar left: this side has said goodbye, or is about to.
    :ivar faults: what the peer did that it may not do, for people; :meth:`take_faults` takes them.
    """

    def __init__(self, *, asks: bool) -> None:
        self.ended: str | None = None
        self.again = False
        self.trouble: str | None = None
        self.hint: str | None = None
        self.left = False
        self.faults: list[RemoteProtocolError] = []
        self._asks = asks
        self._began = False

    @property
    def open(self) -> bool:
        """Whether the handshake has ended well, and neither side has left."""
        return self._began and self.ended is None and not self.left

    def end(self, why: str, *, again: bool = False) -> None:
        """The session is over.

        :param again: the peer is there: a new one may follow.
        """
        self.ended = why
        self.again = again

    def take_faults(self) -> list[RemoteProtocolError]:
        """Take what the peer did that it may not do, at most :data:`MAX_FAULTS_KEPT` at a time."""
        faults, self.faults = self.faults, []
        return faults

    def _fault(self, text: str) -> None:
        if len(self.faults) < MAX_FAULTS_KEPT:
            self.faults.append(RemoteProtocolError(text))

    def _turned_away(self, trouble: str) -> None:
        """The peer does not want a session of this kind."""
        if not self._began:
            self.trouble = trouble
            if self._asks:
                self.end(trouble)
