"""The lines that are typed, or piped in."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger("task_executor")


def read_lines(obey: Callable[[str], None]) -> None:
    """Hand each line of the standard input that is not blank to `obey`, in a thread of its own. What that raises is
    shown."""
    threading.Thread(target=_read, args=(obey,), name="task-terminal", daemon=True).start()


def _read(obey: Callable[[str], None]) -> None:
    # Not sys.stdin: the interpreter closes that at its end, which fails while this thread is reading it.
    for line in map(str.strip, open(0, encoding="utf-8", closefd=False)):
        try:
            if line:
                obey(line)
        except Exception as error:
            log.error("%s", error)
