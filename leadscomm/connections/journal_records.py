"""What a journal holds, and the table by which what comes twice is known."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, NamedTuple

ORIGINS: Final = 4096
"""How many senders' journals are remembered."""


class Stored(NamedTuple):
    """A message of the outbox.

    :ivar seq: its number: later messages of the journal have greater ones, whatever their peer.
    """

    seq: int
    lane: int
    payload: bytes


class Record(NamedTuple):
    """A message that came from another journal.

    :ivar origin: 8 bytes that name that journal.
    :ivar seq: its number there.
    :ivar peer: who brought it, and ``arrival``, its place in the order of arrival; both are set when it is taken in.
    """

    origin: bytes
    seq: int
    lane: int
    payload: bytes
    peer: str = ""
    arrival: int = 0

    @property
    def id(self) -> str:
        """What no other message has: the same whenever this one comes, or is delivered, again."""
        return f"{self.origin.hex()}-{self.seq}"


class Duplicates:
    """The highest number that came from each origin on each of its lanes.

    That is enough to know what comes twice, since a lane brings its messages in their order. The ``most`` origins that
    brought something last are remembered; of one that was forgotten every message counts as new. Not thread-safe.
    """

    def __init__(self, most: int = ORIGINS) -> None:
        self._most = most
        self._highest: OrderedDict[bytes, dict[int, int]] = OrderedDict()  # what was used last is last

    def new(self, records: Iterable[Record], under_way: dict[tuple[bytes, int], int] | None = None) -> list[Record]:
        """Those that did not come yet, in their order. Notes nothing.

        :param under_way: the highest numbers, by origin and lane, of what is about to be noted; they are added there.
        """
        found = []
        here = {} if under_way is None else under_way
        for record in records:
            place = (record.origin, record.lane)
            if record.seq > here.get(place, self._highest.get(record.origin, {}).get(record.lane, 0)):
                here[place] = record.seq
                found.append(record)
        return found

    def note(self, records: Iterable[Record]) -> list[bytes]:
        """Remember them. Returns the origins that were forgotten for them."""
        for record in records:
            self._highest.setdefault(record.origin, {})[record.lane] = record.seq
            self._highest.move_to_end(record.origin)
        surplus = len(self._highest) - self._most
        return [self._highest.popitem(last=False)[0] for _ in range(surplus)]
