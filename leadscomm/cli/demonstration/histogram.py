"""Times by the million in a few kilobytes."""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

_STEP: Final = math.log(1.01)


class Histogram:
    """Counts positive numbers in classes one percent wide, so that its size does not grow with their count."""

    def __init__(self) -> None:
        self._classes: Counter[int] = Counter()

    def add(self, value: float) -> None:
        """Count one number; one that is not positive counts as very small."""
        self._classes[round(math.log(max(value, 1e-12)) / _STEP)] += 1

    def count(self) -> int:
        """How many were added."""
        return self._classes.total()

    def quantile(self, share: float) -> float:
        """The number below which ``share`` (0 to 1) of the numbers are, within a percent; 0 if there are none."""
        rank = share * self.count()
        seen = 0
        for key in sorted(self._classes):
            seen += self._classes[key]
            if seen >= rank:
                return math.exp(key * _STEP)
        return 0.0
