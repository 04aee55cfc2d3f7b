"""``L``, LEADS's logger, over the standard library's logging."""

from __future__ import annotations

import logging
import sys
from typing import Final


class Logger:
    """Logs as the logger of LEADS does, through the standard library's logger ``leadscomm.L``.

    If the program has not set up logging, messages are written to standard output, as LEADS writes them.
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)
        self._logger.setLevel(logging.DEBUG)

    def debug(self, *msg: object, sep: str = " ") -> None:
        """Log for whoever looks for a fault."""
        self._log(logging.DEBUG, msg, sep)

    def info(self, *msg: object, sep: str = " ") -> None:
        """Log what happens."""
        self._log(logging.INFO, msg, sep)

    def warn(self, *msg: object, sep: str = " ") -> None:
        """Log what may be wrong."""
        self._log(logging.WARNING, msg, sep)

    def error(self, *msg: object, sep: str = " ") -> None:
        """Log what is wrong."""
        self._log(logging.ERROR, msg, sep)

    def _log(self, level: int, msg: tuple[object, ...], sep: str) -> None:
        text = sep.join(map(str, msg))
        if self._logger.hasHandlers():
            self._logger.log(level, "%s", text)
        else:
            print(f"[{logging.getLevelName(level)}] {text}", file=sys.stdout, flush=True)


L: Final = Logger("leadscomm.L")
