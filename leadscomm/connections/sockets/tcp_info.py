"""What the system itself knows of a TCP connection: its round-trip time, and whether the peer's host is alive."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import time
from typing import Final, NamedTuple

# Where ``struct tcp_info`` of Linux has what is read here.
_RETRANSMITS_AT: Final = 2  # tcpi_retransmits and tcpi_probes: 8 bits each
_ACK_AT: Final = 56  # tcpi_last_ack_recv: 32 bits, in milliseconds
_RTT_AT: Final = 68  # tcpi_rtt and tcpi_rttvar: 32 bits each, in microseconds
_INFO_BYTES: Final = 104
_RTO_MAX_MS: Final = 44
"""TCP_RTO_MAX_MS, of Linux 6.15 and later, which Python does not name: what lies between two attempts at most."""
_RTO_MAX_LEAST_MS: Final = 1000
UNANSWERED: Final = 3
"""So many questions to a host must be unanswered: of fewer each may have got lost."""


class RoundTrip(NamedTuple):
    """Both in seconds: the smoothed time, and how far it varies."""

    time: float
    variation: float


def round_trip(fd: int) -> RoundTrip | None:
    """What the kernel has measured on the connected TCP socket ``fd``; None where it does not tell (all but Linux).

    Before anything was sent it is the time that the connecting itself took.

    :raises OSError: ``fd`` is no TCP socket.
    """
    if sys.platform != "linux":
        return None
    sock = socket.socket(fileno=os.dup(fd))
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    finally:
        sock.close()
    if len(info) < _RTT_AT + 8:
        return None
    time, variation = struct.unpack_from("II", info, _RTT_AT)
    return RoundTrip(time / 1e6, variation / 1e6)


class HostWatch:
    """Tells a host that is gone from one whose program does not read. Linux.

    The system's own TCP_USER_TIMEOUT does not: it runs while the peer's window is closed as well, however faithfully
    the peer's host answers. So the system is not given it. It goes on sending what was not acknowledged, and asks a
    peer whose window is closed for room; what counts here is whether anything of that is answered.

    Looked at every fifth of ``patience``. A host that dies is so noticed ``patience`` to 1.2 times ``patience`` after
    the first question that it did not answer. Linux before 6.15 asks a peer that has not read for minutes every two
    minutes only, and there it can take six minutes.

    :param sock: connected.
    :param patience: seconds without an answer after which the host is gone.
    """

    def __init__(self, sock: socket.socket, patience: float) -> None:
        self._sock = sock
        self._patience = patience
        self._before: int | None = None  # what lay between two attempts before
        self._silent_since: float | None = None
        self._look_at = time.monotonic()
        with contextlib.suppress(OSError):
            self._before = sock.getsockopt(socket.IPPROTO_TCP, _RTO_MAX_MS)
            self._ask_every(max(_RTO_MAX_LEAST_MS, round(patience * 1000 / UNANSWERED)))

    def rest(self) -> float:
        """Look, if it is time; return the seconds until it is time again.

        :raises TimeoutError: the host is gone.
        :raises OSError: the socket is closed.
        """
        now = time.monotonic()
        if now >= self._look_at:
            self._look(now)
            self._look_at = now + self._patience / 5
        return self._look_at - now

    def _look(self, now: float) -> None:
        if sys.platform != "linux":
            return
        info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
        unanswered = max(info[_RETRANSMITS_AT : _RETRANSMITS_AT + 2])
        (quiet_ms,) = struct.unpack_from("I", info, _ACK_AT)
        if not unanswered:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = now
        else:
            self._silent_since = max(self._silent_since, now - quiet_ms / 1000)
            if unanswered >= UNANSWERED and now - self._silent_since >= self._patience:
                raise TimeoutError("its host does not answer any more")

    def end(self) -> None:
        """The socket is about to be closed: what the system still has of it is given all its time."""
        if self._before is not None:
            with contextlib.suppress(OSError):
                self._ask_every(self._before)

    def _ask_every(self, milliseconds: int) -> None:
        self._sock.setsockopt(socket.IPPROTO_TCP, _RTO_MAX_MS, milliseconds)
