"""Connections without an entity: any endpoint opened or listened on, with or without a session."""

from __future__ import annotations

import time
from typing import Any

from leadscomm.connections.base import ConnectionBase, leads_shaped
from leadscomm.connections.endpoint import Endpoint, dial, listen_for_lines, opened
from leadscomm.connections.fitting import check_alone
from leadscomm.connections.listener import ListenerBase
from leadscomm.connections.shortage import or_failed
from leadscomm.errors import EndpointError


def connect(endpoint: str | int | Endpoint, timeout: float | None = None, **options: Any) -> ConnectionBase:
    """Open a connection, with everything that precedes the first message. It is then used by ``send`` and ``receive``.

    With ``reliable=1`` it is a session, which lives as long as its line.

    :param timeout: seconds; the option ``connect_timeout`` unless given.
    :raises EndpointError: the endpoint or an option is wrong.
    :raises ConnectFailed: it could not be opened; the text says why and what to do.
    :raises CommTimeout: it was opened, and then the peer did not finish TLS or the key challenge in time.
    """
    parsed = Endpoint.parse(endpoint, **options)
    check_alone(parsed.options)
    deadline = time.monotonic() + (parsed.options["connect_timeout"] if timeout is None else timeout)
    with or_failed(f"{parsed} cannot be reached"):
        if parsed.has_session:
            from leadscomm.sessions.bare import connect_session  # sessions are loaded where one is wanted

            return connect_session(parsed, dial(parsed, deadline), deadline)
        connection = dial(parsed, deadline)
        key = parsed.key()
        if leads_shaped(connection):
            if key is not None:
                connection.close()
                raise EndpointError(f"{parsed.scheme}:// cannot ask for a key: leave it out")
            return connection
        connection.key = key
        with parsed.caller.waking(connection.abort):
            return opened(connection, deadline)


def listen(endpoint: str | int | Endpoint, **options: Any) -> ListenerBase:
    """Listen on an endpoint.

    Accepted connections have not said anything yet: who accepts them sets ``key`` and calls ``open``.

    :raises EndpointError: the endpoint or an option is wrong, or nobody can be waited for there.
    :raises ConnectFailed: it cannot be listened on; the text says why and what to do.
    """
    parsed = Endpoint.parse(endpoint, **options)
    check_alone(parsed.options)
    listener = listen_for_lines(parsed)
    if not parsed.has_session:
        return listener
    from leadscomm.sessions.bare import SessionListener

    return SessionListener(listener, parsed)
