"""The tables of options in docs/endpoints.md, made from the options themselves.

``python tests/docs/option_tables.py`` writes them into the page. Each stands behind a comment that names its group::

    <!-- options: TCP -->
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "endpoints.md"
GROUPS = ("DELIVERY", "LIMITS", "DIALLING", "KEYS", "SPIN", "TCP", "TLS", "UNIX", "UDP", "SERIAL")
TABLE = re.compile(r"(<!-- options: (\w+) -->\n)((?:\|.*\n)*)")


def default(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        value = int(value)
    elif name == "mode":
        value = f"{value:o}"
    elif isinstance(value, int) and value >= 1 << 20 and not value % (1 << 20):
        value = f"{value >> 20}M"
    elif isinstance(value, float):
        value = f"{value:g}"
    return f"`{value}`"


def table(group: str) -> str:
    """The rows of one group."""
    from leadscomm.connections import options

    rows = ["| option | default | meaning |", "| --- | --- | --- |"]
    rows += [
        f"| `{name}` | {default(name, option.default)} | {option.help} |"
        for name, option in getattr(options, group).items()
    ]
    return "".join(row.replace("|  |", "| |") + "\n" for row in rows)


def renewed(text: str) -> str:
    """A page with its tables made anew."""
    return TABLE.sub(lambda found: found[1] + table(found[2]), text)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
