"""Messages of a session that may be lost: they are counted, so that the receiver knows how many were."""

from __future__ import annotations

from collections import deque
from typing import Final

from leadscomm.errors import LocalProtocolError
from leadscomm.protocol.session.wire import COUNTS, counts_missed, datagram, next_count

MAX_DATAGRAMS: Final = 64
"""How many wait for the line, or to be taken; of more the oldest are lost, as datagrams may be."""


class Datagrams:
    """:ivar lost: how many of the peer did not come. One that was overtaken counts until it comes."""

    def __init__(self) -> None:
        self.lost = 0
        self.waiting: deque[bytes] = deque(maxlen=MAX_DATAGRAMS)
        self.received: deque[bytes] = deque(maxlen=MAX_DATAGRAMS)
        self._sent = 0  # the count of the last one
        self._seen = 0

    def put(self, message: bytes, longest: int) -> None:
        """Let one wait for the line.

        :param longest: bytes that the links take, at most.
        :raises LocalProtocolError: it has more.
        """
        if len(message) > longest:
            raise LocalProtocolError(
                f"the datagram has {len(message)} bytes, and the links take {longest} at most: a datagram is not cut "
                "in pieces; send it by send()"
            )
        self._sent = next_count(self._sent)
        self.waiting.append(datagram(message, self._sent))

    def due(self) -> list[bytes]:
        """Take the frames that wait."""
        due = list(self.waiting)
        self.waiting.clear()
        return due

    def receive(self, frame: bytes) -> None:
        """Take a frame that came."""
        count = frame[0]
        if count:
            missed = counts_missed(self._seen, count)
            if missed <= COUNTS // 2:
                self.lost += missed
                self._seen = count
            elif missed < COUNTS - 1:  # overtaken by others; the last one once more is no news
                self.lost -= 1
        self.received.append(frame[1:])

    def take(self) -> list[bytes]:
        """Take the messages that came."""
        came = list(self.received)
        self.received.clear()
        return came
