"""What a fuzzer works with: choices read from bytes, and how much memory something holds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TypeVar

T = TypeVar("T")
_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType)


class Source:
    """Choices made by the bytes of an input, one after the other. Once they are used up, each is the first one.

    So a change of some bytes changes some choices, and a fuzzer can find its way.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        """Whether there are bytes left."""
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes, or fewer at the end."""
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def below(self, limit: int) -> int:
        """A number from 0 to ``limit - 1``."""
        size = ((limit - 1).bit_length() + 7) // 8
        return int.from_bytes(self.take(size), "little") % limit

    def extreme(self, limit: int) -> int:
        """The same, often one at which something ends."""
        return self.pick((0, 1, limit - 1, self.below(limit)))

    def pick(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def chunk(self, most: int = 255) -> bytes:
        """Some bytes."""
        return self.take(self.below(most + 1))

    def rest(self) -> bytes:
        return self.take(len(self._data))


def held(root: object) -> int:
    """Bytes of memory that an object holds with all that hangs on it. Classes and functions do not count."""
    seen: set[int] = set()
    total, waiting = 0, [root]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, _SHARED):
            continue
        seen.add(id(thing))
        total += sys.getsizeof(thing)
        waiting.extend(_parts(thing))
    return total


def _parts(thing: object) -> list[object]:
    """What an object refers to."""
    if isinstance(thing, (bytes, bytearray, str, int, float)):
        return []
    if isinstance(thing, dict):
        return [*thing.keys(), *thing.values()]
    if isinstance(thing, MethodType):
        return [thing.__self__]
    try:
        return list(thing)  # type: ignore[call-overload, no-any-return]
    except TypeError:
        slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
        own = [getattr(thing, name) for name in slots if hasattr(thing, name)]
        return [*own, *getattr(thing, "__dict__", {}).values()]
