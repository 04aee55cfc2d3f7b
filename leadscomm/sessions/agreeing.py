"""How a line comes to carry a session: the peer is asked over it, and answers."""

from __future__ import annotations

import time

from leadscomm.connections.opening import HEARD_BYTES
from leadscomm.sessions.line import Line
from leadscomm.sessions.session import SessionConnection
from leadscomm.sessions.terms import SpeaksCompact


def agree(connection: SessionConnection, line: Line, deadline: float) -> None:
    """Ask the peer over a new line, if this side asks, and wait until it has shown that it hears this side. In the
    thread that is to read the line.

    :raises SpeaksCompact: the peer is a board, say.
    :raises ConnectFailed: the peer speaks something else; the text says what.
    :raises CommTimeout: nothing answered before ``deadline`` (as ``time.monotonic()`` counts).
    :raises ConnectionLost: the line, or the session, ended meanwhile.
    """
    lower, session, heard = line.connection, connection.session, b""
    lower.set_blocking(False)
    while True:
        line.emit()
        now = time.monotonic()
        if line.link.proved:
            lower.at_ease()
            return
        if session.joining.compact_peer is not None:
            raise SpeaksCompact(f"{lower} speaks the compact profile alone")
        # Where there is a key, anybody may have said that the peer does not want it.
        hopeless = session.trouble is not None and connection.terms.key is None
        if connection.over or session.left or hopeless or line.link.dead or now >= deadline:
            connection.pump()  # it may be over since a moment ago
            raise line.why_not(session, heard)
        lower._wait_readable(max(0.0, min(deadline, line.link.greets_at) - now))
        try:
            data = lower._read()
        except BlockingIOError:
            continue
        except OSError as error:
            raise line.ended_early(session, heard) from error
        if data is None:
            raise line.ended_early(session, heard)
        heard = (heard + data)[:HEARD_BYTES]
        connection.took(line, lower.framing.feed(data))
        del data  # the next may be long in coming
