"""Calls something in the middle of something else, as a signal handler or a finalizer does, but at every line in turn,
and not by chance."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from tests.entities.recorder import PATIENCE_S

_OURS = (
    "leadscomm.protocol.",
    "leadscomm.connections.",
    "leadscomm.journal.",
    "leadscomm.sessions.",
    "leadscomm.streams.",
    "leadscomm.entities.",
)


def interrupted_at(
    line: int, work: Callable[[], object], intrude: Callable[[], object], begun: Callable[[], bool] = lambda: True
) -> bool:
    """Do ``work``, and call ``intrude`` when it comes to its ``line``-th line of ours; whether it came so far.

    :param begun: whether lines count yet.
    """
    seen = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal seen
        if not frame.f_globals.get("__name__", "").startswith(_OURS):
            return None
        if event == "line" and begun():
            seen += 1
            if seen == line:
                sys.settrace(None)
                intrude()
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
    return seen >= line


def interrupt(line: int, work: Callable[[], object], intrude: Callable[[], object], **how: Any) -> None:
    """As :func:`interrupted_at`, in a thread of its own: one that waits for itself fails, and does not hang."""
    thread = threading.Thread(target=interrupted_at, args=(line, work, intrude), kwargs=how, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive(), "it waits for itself"


def interrupt_everywhere(
    work: Callable[[], object], intrude: Callable[[], object], *, most: int = 10_000, each: int = 1
) -> int:
    """Do ``work`` again and again, and intrude one line later each time, until there is no such line. In a thread of
    its own, so that one that waits for itself fails and does not hang.

    :param most: lines at most.
    :param each: so many lines later each time.
    :return: how often that was.
    """
    done: list[int] = []
    raised: list[BaseException] = []

    def run() -> None:
        times = 0
        try:
            while times * each < most and interrupted_at(1 + times * each, work, intrude):
                times += 1
            done.append(times)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    if raised:
        raise raised[0]
    assert done, "it waits for itself"
    return done[0]
