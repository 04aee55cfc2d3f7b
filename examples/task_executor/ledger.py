"""The device's memory of tasks, which outlives the device: what was begun is never begun again."""

from __future__ import annotations

import sqlite3
import threading
from typing import Final

KEPT: Final = 10_000
"""How many tasks are remembered. A host asks again only for those that it has open, and these are fewer."""


class Ledger:
    """Which tasks were begun, and how they ended. Any thread.

    :param path: a file, or ``":memory:"``; what is written is synced before the call returns.
    """

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        self._base = sqlite3.connect(path, check_same_thread=False)
        self._base.execute("PRAGMA journal_mode = WAL")
        self._base.execute("PRAGMA synchronous = FULL")
        self._base.execute("CREATE TABLE IF NOT EXISTS task (id TEXT PRIMARY KEY, ended BLOB)")

    def begin(self, task: str) -> None:
        """A task is about to begin."""
        with self._lock, self._base:
            self._base.execute("INSERT INTO task (id) VALUES (?)", (task,))

    def end(self, task: str, message: bytes) -> None:
        """A task has ended, whether it had begun or not; `message` tells its host so."""
        with self._lock, self._base:
            self._base.execute(
                "INSERT INTO task VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET ended = excluded.ended", (task, message)
            )
            self._base.execute("DELETE FROM task WHERE rowid <= (SELECT max(rowid) FROM task) - ?", (KEPT,))

    def look_up(self, task: str) -> tuple[bool, bytes | None]:
        """Return whether a task was begun or has ended, and what tells its end, if it has."""
        with self._lock:
            row = self._base.execute("SELECT ended FROM task WHERE id = ?", (task,)).fetchone()
        return (False, None) if row is None else (True, row[0])

    def close(self) -> None:
        with self._lock:
            self._base.close()
