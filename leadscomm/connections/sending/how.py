"""How a message is to be sent, beyond being sent: what ``send`` and ``broadcast`` are told, handed on in one piece."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, NamedTuple


class How(NamedTuple):
    """In the order of the parameters of :meth:`Outbox.send`, where they are explained."""

    lane: int | None = None
    lifetime: float | None = None
    latest: Hashable | None = None
    timeout: float | None = None

    def at_once(self) -> How:
        """The same, and nobody waits for room: for one message to many."""
        return self if self.timeout is not None else self._replace(timeout=0)


PLAINLY: Final = How()


def how_to(lane: int | None, lifetime: float | None, latest: Hashable | None, timeout: float | None) -> How:
    """What was asked for; most often nothing, which is then made only once."""
    if lane is None and lifetime is None and latest is None and timeout is None:
        return PLAINLY
    return How(lane, lifetime, latest, timeout)
