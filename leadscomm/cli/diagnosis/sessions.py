"""Whether the peer of an endpoint without ``reliable=1`` speaks sessions all the same."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Final

from leadscomm.connections.endpoint import Endpoint, dial, opened
from leadscomm.connections.opening import new_epoch
from leadscomm.connections.options import TLS
from leadscomm.errors import CommError, CommTimeout, RemoteProtocolError
from leadscomm.protocol.framing.guess import ASKS_FOR_KEY
from leadscomm.protocol.session.handshake import ASKING, Handshake, welcome_of
from leadscomm.protocol.session.wire import parse

_ANSWER_S: Final = 0.5
_NETWORKS: Final = ("tcp", "tls", "unix", "udp")


def with_session(endpoint: Endpoint) -> Endpoint:
    """The same endpoint with ``reliable=1``, for a person to write."""
    given = {name: endpoint.options[name] for name in endpoint.given if name in TLS}
    return Endpoint.parse(endpoint.place(), reliable=True, **given)


def asked(endpoint: Endpoint) -> tuple[Endpoint | None, bool]:
    """Ask the peer of an endpoint without a session whether it speaks sessions all the same.

    It is asked over a connection of its own. That begins no session; a peer without sessions gets 27 bytes that end no
    message of a stream, but are one over UDP.

    :return: the endpoint to write, None if nobody answers within half a second or this is no network; and whether the
        peer asks for a key instead.
    """
    if endpoint.scheme not in _NETWORKS or endpoint.has_session:
        return None, False
    better = with_session(endpoint)
    with suppress(CommError, OSError):
        answers, wants_key = _answers(better, time.monotonic() + _ANSWER_S)
        return better if answers else None, wants_key
    return None, False


def _answers(endpoint: Endpoint, deadline: float) -> tuple[bool, bool]:
    """Whether the peer answers the question who is there, and whether it asks for a key."""
    connection = opened(dial(endpoint, deadline), deadline)
    try:
        me = Handshake(epoch=new_epoch(), profiles=ASKING)
        connection.send(me.hello())
        while (left := deadline - time.monotonic()) > 0 and (frame := connection.receive(left)) is not None:
            welcome = welcome_of(parse(frame))
            if welcome is not None and welcome.echo == me.epoch:
                return True, False
    except RemoteProtocolError as error:  # it ended within a word: which one?
        return False, ASKS_FOR_KEY in str(error)
    except CommTimeout:
        pass
    finally:
        connection.close()
    return False, False
