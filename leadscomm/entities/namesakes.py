"""Somebody comes by the name of a peer that is here: the same one, restarted, or another one?

Anybody can say a name. So the present session is asked for a sign of life; only where none comes, the other is
believed.
"""

from __future__ import annotations

import time
from typing import Final

from leadscomm.connections.base import ConnectionBase
from leadscomm.entities.running.conversation import SessionStage
from leadscomm.errors import ConnectFailed
from leadscomm.sessions.session import SessionConnection

SETTLE_S: Final = 0.2
"""What a peer that is gone has sent may still be on its way for so long."""
ANSWER_S: Final = 0.5
"""A peer that is there answers within this time."""


class NameTaken(ConnectFailed):
    """Somebody has the name of another.

    :ivar name: that name.
    """

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text)
        self.name = name


def check_gone(name: str, stage: SessionStage, connection: ConnectionBase) -> float:
    """See whether the peer of a session still answers, though another one has its name.

    :return: when it was found not to, for :func:`check_away`.
    :raises NameTaken: it does.
    """
    session = stage.session
    if not session.lines or stage.done.wait(SETTLE_S):
        return time.monotonic()
    asked_at = _ask_for_life(session)
    if not stage.done.wait(ANSWER_S):
        check_away(name, stage, connection, asked_at)
    return time.monotonic()


def check_away(name: str, stage: SessionStage, connection: ConnectionBase, since: float) -> None:
    """:raises NameTaken: the peer of a session was heard since then."""
    lines = stage.session.lines
    if any(line.link.proved and line.link.heard_at > since for line in lines):
        raise NameTaken(
            f"two peers are called {name!r}: one at {connection}, and one at {', '.join(map(str, lines))}; give each a "
            "name of its own",
            name,
        )


def _ask_for_life(session: SessionConnection) -> float:
    """Have the peer asked for a sign of life over each line; return when that was."""
    now = time.monotonic()
    with session._turn:
        for line in session.lines:
            line.link.ping_now()
    session.emit()
    return now
