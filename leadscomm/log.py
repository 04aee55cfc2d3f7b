"""``L``, LEADS's logger, over the standard library's logging."""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from enum import IntEnum
from typing import Final

Format = tuple[int, int | None, int | None]
"""Font, colour, background: the constants of :class:`Logger`; None is the terminal's own."""
_REMEMBERED: Final = 10


class Level(IntEnum):
    """How much a message matters; LEADS's names and numbers."""

    DEBUG = 0
    INFO = 1
    WARN = 2
    ERROR = 3


_STANDARD: Final = {
    Level.DEBUG: logging.DEBUG,
    Level.INFO: logging.INFO,
    Level.WARN: logging.WARNING,
    Level.ERROR: logging.ERROR,
}


class Logger:
    """Logs as LEADS's logger does, through a logger of the standard library.

    What is logged is printed to standard output, as LEADS prints it; colours only to a terminal. It also goes to the
    handlers that the program has set up. If one of those prints to the console already, nothing is printed twice.
    Any thread may log.

    :param name: of the standard logger.
    """

    REGULAR: Final = 0
    BOLD: Final = 1
    ITALIC: Final = 3
    UNDERLINED: Final = 4
    INVERSE: Final = 7

    BLACK: Final = 30
    RED: Final = 31
    GREEN: Final = 32
    YELLOW: Final = 33
    BLUE: Final = 34
    PURPLE: Final = 35
    CYAN: Final = 36
    WHITE: Final = 37

    def __init__(self, name: str = "leadscomm.L") -> None:
        self._history: deque[str] = deque(maxlen=_REMEMBERED)
        self._logger = logging.getLogger(name)
        self._logger.setLevel(logging.DEBUG)
        if not any(isinstance(handler, _Printer) for handler in self._logger.handlers):
            self._logger.addHandler(_Printer())

    def debug_level(self, debug_level: Level | None = None) -> Level | None:
        """Set from which level on messages are logged (and return None), or return that level."""
        if debug_level is not None:
            self._logger.setLevel(_STANDARD[debug_level])
            return None
        present = self._logger.getEffectiveLevel()
        return next((level for level, standard in _STANDARD.items() if standard >= present), Level.ERROR)

    def history_messages(self) -> tuple[str, ...]:
        """The last ten messages, of whatever level, oldest first."""
        return tuple(self._history)

    def debug(self, *msg: object, sep: str = " ", end: str = "\n", f: Format = (REGULAR, YELLOW, None)) -> None:
        """Log for whoever looks for a fault."""
        self._log(Level.DEBUG, msg, sep, end, f)

    def info(self, *msg: object, sep: str = " ", end: str = "\n", f: Format = (REGULAR, None, None)) -> None:
        """Log what happens.

        :param msg: written as ``str`` writes it, with ``sep`` between.
        :param end: printed behind it.
        :param f: how it looks on a terminal.
        """
        self._log(Level.INFO, msg, sep, end, f)

    def warn(self, *msg: object, sep: str = " ", end: str = "\n", f: Format = (REGULAR, RED, None)) -> None:
        """Log what may be wrong."""
        self._log(Level.WARN, msg, sep, end, f)

    def error(self, *msg: object, sep: str = " ", end: str = "\n", f: Format = (REGULAR, RED, None)) -> None:
        """Log what is wrong."""
        self._log(Level.ERROR, msg, sep, end, f)

    def _log(self, level: Level, msg: tuple[object, ...], sep: str, end: str, f: Format) -> None:
        text = sep.join(map(str, msg))
        self._history.append(text)
        more = {"level": level.name, "end": end, "look": f}
        self._logger.log(_STANDARD[level], "%s", text, extra=more, stacklevel=3)


class _Printer(logging.Handler):
    """Prints to standard output, whatever that is at the moment, unless another handler prints to the console."""

    def emit(self, record: logging.LogRecord) -> None:
        stream = sys.stdout
        if stream is None or _printed_elsewhere(record.name):  # a program without a console has no stdout
            return
        try:
            level, end = getattr(record, "level", record.levelname), getattr(record, "end", "\n")
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
            text = f"[{level}] [{record.funcName}] [{when}.{int(record.msecs):03d}] {record.getMessage()}"
            if stream.isatty():
                text = _coloured(text, getattr(record, "look", (Logger.REGULAR, None, None)))
            stream.write(text + end)
            stream.flush()
        except Exception:
            self.handleError(record)


def _coloured(text: str, look: Format) -> str:
    font, color, background = look
    codes = [font, *([color] if color else ()), *([background + 10] if background else ())]
    return f"\033[{';'.join(map(str, codes))}m{text}\033[0m"


def _printed_elsewhere(name: str) -> bool:
    """Whether a handler that the program has set up prints messages of the logger ``name`` to the console."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        streams = [getattr(handler, "stream", None) for handler in logger.handlers]
        if any(stream is not None and stream in (sys.stdout, sys.stderr) for stream in streams):
            return True
        logger = logger.parent if logger.propagate else None
    return False


L: Final = Logger()
"""The one that programs use, as LEADS has it."""
