"""What one step of an examination found."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

from leadscomm.cli.terminal.wording import cause_and_mend, wrapped
from leadscomm.connections.base import ConnectionBase

OK: Final = "ok"
WARN: Final = "warn"
FAIL: Final = "FAIL"
OPEN: Final = "-"
"""It could not be told, or does not apply."""


@dataclass(frozen=True)
class Finding:
    """One finding.

    :ivar mark: :data:`OK`, :data:`WARN`, :data:`FAIL` or :data:`OPEN`.
    :ivar step: what was looked at, in a word or two.
    :ivar text: what was seen.
    :ivar mend: what to do about it.
    """

    mark: str
    step: str
    text: str
    mend: str = ""

    def lines(self) -> list[str]:
        """At most 80 columns."""
        lines = wrapped(f"{self.mark:<5} {self.step:<11} {self.text}", " " * 18)
        return lines + (wrapped(f"{'':<17} mend: {self.mend}", " " * 24) if self.mend else [])

    def as_json(self) -> dict[str, str]:
        """For programs: ``result`` is ok, warn, fail or unknown."""
        return {"result": _RESULTS[self.mark], "step": self.step, "text": self.text, "mend": self.mend}


_RESULTS: Final = {OK: "ok", WARN: "warn", FAIL: "fail", OPEN: "unknown"}

Findings = Generator[Finding, None, None]
Opening = Generator[Finding, None, "ConnectionBase | None"]
"""Findings, and in the end the connection, if there is one."""


def failed(step: str, error: BaseException) -> Finding:
    """The finding that an error is: its cause and its mend."""
    return Finding(FAIL, step, *cause_and_mend(error))
