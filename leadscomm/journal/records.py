"""What a journal holds, and the table by which what comes twice is known."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import Final, NamedTuple

ORIGINS: Final = 4096
"""How many origins are remembered."""
OPENINGS: Final = 64
"""How many of them may be of one journal, which has another one each time it is opened."""
ORIGIN: Final = 8
"""Bytes of an origin."""
FAMILY: Final = 3
"""Bytes of an origin that a journal keeps for life. Two journals may have the same; nothing is wrong then."""

LAST_SEQ: Final = 2**63 - 1
"""The highest number that SQLite can hold."""


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
    :ivar source: the address that brought it, as ``max_per_address`` counts it; empty: this machine, or it is not known
        any more.
    """

    origin: bytes
    seq: int
    lane: int
    payload: bytes
    peer: str = ""
    arrival: int = 0
    source: str = ""

    @property
    def id(self) -> str:
        """What no other message has: the same whenever this one comes, or is delivered, again."""
        return f"{self.origin.hex()}-{self.seq}"


class Duplicates:
    """The highest number that came from each origin on each of its lanes.

    That is enough to know what comes twice, since a lane brings its messages in their order. The last ``most`` origins
    are remembered, and of one journal the last :data:`OPENINGS`, so that who is restarted again and again does not make
    it forget the others. Where they are more, the source that has brought the most of them goes short, from those on
    that were used longest ago: whoever makes origins up has his own forgotten. Of an origin that was forgotten every
    message counts as new. Not thread-safe.
    """

    def __init__(self, most: int = ORIGINS) -> None:
        self._most = most
        self._highest: dict[bytes, dict[int, int]] = {}
        self._sources: dict[bytes, str] = {}  # of each origin, which has brought it last
        self._counts: Counter[str] = Counter()  # and of each of these how many it are
        self._families: dict[str, OrderedDict[bytes, OrderedDict[bytes, None]]] = {}  # what was used last is last

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
        forgotten = []
        for record in records:
            self._highest.setdefault(record.origin, {})[record.lane] = record.seq
            family = self._put(record.origin, record.source)
            if len(family) > OPENINGS:
                forgotten.append(self._forget(next(iter(family))))
        while len(self._highest) > self._most:
            most = max(self._counts, key=self._counts.__getitem__)
            oldest = next(iter(self._families[most].values()))
            forgotten.append(self._forget(next(iter(oldest))))
        return forgotten

    def _put(self, origin: bytes, source: str) -> OrderedDict[bytes, None]:
        """Have it be the last of its source; its family there."""
        if self._sources.get(origin, source) != source:  # it has another address now
            self._take(origin)
        families = self._families.setdefault(source, OrderedDict())
        family = families.setdefault(origin[:FAMILY], OrderedDict())
        if origin not in family:
            self._sources[origin] = source
            self._counts[source] += 1
        family[origin] = None
        family.move_to_end(origin)
        families.move_to_end(origin[:FAMILY])
        return family

    def _forget(self, origin: bytes) -> bytes:
        self._take(origin)
        del self._highest[origin]
        return origin

    def _take(self, origin: bytes) -> None:
        source, name = self._sources.pop(origin), origin[:FAMILY]
        families = self._families[source]
        del families[name][origin]
        if not families[name]:
            del families[name]
        self._counts[source] -= 1
        if not self._counts[source]:
            del self._counts[source], self._families[source]
