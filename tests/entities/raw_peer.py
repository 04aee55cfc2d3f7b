"""A peer of a TCP server without leadscomm."""

from __future__ import annotations

import socket

from tests.entities.recorder import PATIENCE_S


def raw(port: int) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", port))
    peer.settimeout(PATIENCE_S)
    return peer


def read_until_end(peer: socket.socket) -> bytes:
    data = b""
    while chunk := peer.recv(65536):
        data += chunk
    return data
