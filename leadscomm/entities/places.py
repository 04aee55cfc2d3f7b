"""How many sessions somebody who is dialled holds, and which of them gives up its place to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from leadscomm.entities.running.conversation import SessionStage
from leadscomm.entities.running.reader import Stage
from leadscomm.errors import CommError

DISPLACED: Final = "others needed its place, and it had no line"
"""Why a session has ended that gave up its place."""


def displaced(stages: Sequence[Stage], origin: str | None, limits: Mapping[str, Any]) -> SessionStage | None:
    """Which session has to end before there is room for one more; None: there is room.

    It is one that waits for a line, and has nothing to lose: who comes again is let in again.

    :param stages: the sessions that there are, of either profile, the oldest first.
    :param origin: the address of who comes, as ``max_per_address`` counts it; None: it does not.
    :param limits: the options of the endpoint.
    :raises CommError: there is no room, and none to be made.
    """
    origins = [_origin_of(stage) for stage in stages]
    of_one = origin is not None and origins.count(origin) >= limits["max_per_address"]
    if len(origins) < limits["max_connections"] and not of_one:
        return None
    for stage in stages:
        if isinstance(stage, SessionStage) and _is_idle(stage) and (not of_one or stage.origin == origin):
            return stage
    limit = "max_per_address" if of_one else "max_connections"
    whose = f" from {origin}" if of_one else ""
    raise CommError(f"there are {limits[limit]} sessions{whose} already ({limit}): raise it, or close some")


def _origin_of(stage: Stage) -> str | None:
    """A session's stays what it was when it began: it may have no line at the moment."""
    return stage.origin if isinstance(stage, SessionStage) else stage.connection._origin


def _is_idle(stage: SessionStage) -> bool:
    """Whether it has no line, and nothing was ever said in it."""
    if stage.session.lines:
        return False
    seen = stage.session.session.stats(0.0)
    return not (seen.sent or seen.received)
