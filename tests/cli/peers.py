"""Peers that are not ours: they say what a test has them say, and nothing else."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

PATIENCE_S = 60.0


@contextlib.contextmanager
def tcp_peer(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Listens on the port that is given; each connection is handed to ``talk``, in turn, and closed after it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, talk), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes accept
            thread.join(PATIENCE_S)


def _serve(listener: socket.socket, talk: Callable[[socket.socket], None]) -> None:
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        with peer:
            peer.settimeout(PATIENCE_S)
            with contextlib.suppress(OSError):
                talk(peer)


def silent(peer: socket.socket) -> None:
    """Takes everything and says nothing."""
    while peer.recv(65536):
        pass


def saying(data: bytes) -> Callable[[socket.socket], None]:
    """Says something and listens."""

    def talk(peer: socket.socket) -> None:
        peer.sendall(data)
        silent(peer)

    return talk
