"""The round-trip time that the operating system itself measures on a TCP connection."""

from __future__ import annotations

import os
import socket
import struct
import sys
from typing import Final, NamedTuple

_RTT_AT: Final = 68
"""Where ``struct tcp_info`` of Linux has tcpi_rtt and tcpi_rttvar: 32 bits each, in microseconds."""


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
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    finally:
        sock.close()
    if len(info) < _RTT_AT + 8:
        return None
    time, variation = struct.unpack_from("II", info, _RTT_AT)
    return RoundTrip(time / 1e6, variation / 1e6)
