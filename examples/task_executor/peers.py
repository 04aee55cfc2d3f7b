"""Which peers have a session with this program, by the names that they give themselves."""

from __future__ import annotations

import logging
import threading
from typing import Any

from leadscomm import CommError, ConnectionBase

log = logging.getLogger("task_executor")


class Peers:
    """Any thread. The connections are those of sessions (``reliable=1``), which have a name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[str, ConnectionBase] = {}

    def came(self, connection: Any) -> None:
        """A session has begun; it takes the place of a former one of that name.

        :raises ValueError: the peer has no name.
        """
        if not connection.name:
            connection.close()
            raise ValueError(f"{connection} has no name, and so cannot be told from others: give it one (name=arm)")
        with self._lock:
            self._sessions[connection.name] = connection

    def left(self, connection: Any) -> bool:
        """A session is over; whether its peer is gone with it, and has not begun another one meanwhile."""
        name = connection.name
        with self._lock:
            gone = self._sessions.get(name) is connection
            if gone:
                del self._sessions[name]
        return gone

    def has(self, connection: Any) -> bool:
        """Whether this is its peer's present session."""
        with self._lock:
            return self._sessions.get(connection.name) is connection

    def send(self, name: str, message: bytes, **how: Any) -> None:
        """Send, if the peer is there. A message that is lost with a session is none that is missed: what matters is
        said again in the next one."""
        with self._lock:
            connection = self._sessions.get(name)
        try:
            if connection is not None:
                connection.send(message, **how)
        except CommError as error:
            log.info("not sent to %s: %s", name, error)
