"""What a client process of the demo tells its parent: one line of JSON each time."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final

ANSWER: Final = b"ok "
"""What the server puts before a message to answer it."""


@dataclass(frozen=True)
class Report:
    """The figures of one client since its start.

    :ivar at: seconds since its first message.
    :ivar sent: messages that it sent.
    :ivar answered: of them, how many were answered rightly.
    :ivar strange: messages that it received and that answer nothing.
    :ivar p50: median of the round trips of single messages, in seconds; 0 before the first.
    :ivar p99: the time that one in a hundred exceeds.
    :ivar last: whether this is its last word.
    :ivar error: what went wrong; "" if nothing did.
    """

    at: float = 0.0
    sent: int = 0
    answered: int = 0
    strange: int = 0
    p50: float = 0.0
    p99: float = 0.0
    last: bool = False
    error: str = ""

    def line(self) -> str:
        """As one line."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, line: str) -> Report:
        """What :meth:`line` wrote.

        :raises ValueError: it is something else.
        """
        values = json.loads(line)
        if not isinstance(values, dict) or values.keys() != cls().__dict__.keys():
            raise ValueError(f"this is no report: {line!r}")
        return cls(**values)
