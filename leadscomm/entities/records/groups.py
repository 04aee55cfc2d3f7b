"""Which groups the peers of a node are in: each says so by a record, as the first thing in a session."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final

from leadscomm.entities.records.handler import RecordHandler
from leadscomm.entities.running.reader import Stage
from leadscomm.errors import EndpointError, LocalProtocolError, RemoteProtocolError
from leadscomm.protocol.records.durable import GROUPS
from leadscomm.protocol.words import words
from leadscomm.sessions.session import SessionConnection

LANE: Final = 0
_LONGEST: Final = 255
_MOST: Final = 255


class Groups(RecordHandler):
    """Tells peers of this node's groups, and remembers theirs.

    :param mine: the groups of this node.
    :raises EndpointError: a name is empty or too long, or there are too many.
    """

    def __init__(self, mine: Iterable[str]) -> None:
        if isinstance(mine, str):
            raise EndpointError(f"groups={mine!r}: write a list, groups=[{mine!r}]")
        self._mine = encode(mine)
        self._lock = threading.Lock()
        self._of: dict[Stage, frozenset[str]] = {}

    def of(self, stage: Stage) -> frozenset[str]:
        """The groups of a peer. Any thread."""
        with self._lock:
            return self._of.get(stage, frozenset())

    def session_began(self, stage: Stage) -> None:
        if len(self._mine) > 1:
            assert isinstance(stage.connection, SessionConnection)
            try:
                stage.connection.session.check(self._mine)
            except LocalProtocolError as error:
                stage.entity._fail(LocalProtocolError(f"{stage.connection} is not told of this node's groups: {error}"))
            else:
                stage.connection.offer_record(self._mine, LANE)

    def handle(self, stage: Stage, lane: int, record: bytes) -> None:
        groups = decode(record)
        with self._lock:
            self._of[stage] = groups

    def settled(self, stage: Stage, lane: int, record: bytes) -> None:
        """Nothing waits for it."""

    def session_ended(self, stage: Stage) -> None:
        with self._lock:
            self._of.pop(stage, None)


def encode(groups: Iterable[str]) -> bytes:
    """The record that tells of these groups.

    :raises EndpointError: it cannot.
    """
    names = sorted({group.encode() for group in groups})
    if len(names) > _MOST or any(not 0 < len(name) <= _LONGEST for name in names):
        raise EndpointError(f"a node is in at most {_MOST} groups, with names of 1 to {_LONGEST} bytes")
    if not all(group.isprintable() for group in groups):
        raise EndpointError("the name of a group has printable characters alone")
    return bytes((GROUPS,)) + b"".join(bytes((len(name),)) + name for name in names)


def decode(record: bytes) -> frozenset[str]:
    """The groups that a record tells of.

    :raises RemoteProtocolError: it is cut off, or tells of what cannot be: what it names is kept for as long as the
        session lives.
    """
    groups, at, count = set(), 1, 0
    while at < len(record):
        end, count = at + 1 + record[at], count + 1
        if end > len(record):
            raise RemoteProtocolError("a record of groups is cut off")
        if end == at + 1 or count > _MOST:
            raise RemoteProtocolError(f"a record of groups has an empty name, or more than {_MOST} of them")
        groups.add(words(record[at + 1 : end]))
        at = end
    return frozenset(groups)
