"""Cables that can be pulled."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Final

from leadscomm.packages import Self

DEAD_AFTER_S: Final = 1.0
"""So soon is a silent line given up: cables are pulled for less than a person would wait."""


class Cable(ABC):
    """To be closed, or used by ``with``.

    :ivar pulled: whether nothing passes at the moment.
    """

    pulled = False

    @abstractmethod
    def set_pulled(self, pulled: bool) -> None:
        """Pull it, or plug it in again. Any thread."""

    @abstractmethod
    def close(self) -> None:
        """Take it away."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
