"""The pool of reading threads by itself."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from leadscomm.entities.running.pool import ReaderPool, Task, can_pool
from tests.entities.recorder import PATIENCE_S

pytestmark = pytest.mark.skipif(not can_pool(), reason="this system has no epoll")


@pytest.fixture
def pool() -> Iterator[ReaderPool]:
    made = ReaderPool("test", 10)
    yield made
    made.stop(time.monotonic() + PATIENCE_S)


class Reading(Task):
    """Takes what comes, and notes that it was called; ``ends`` with the first call, as a line does whose peer is gone.

    :ivar called: it was.
    """

    def __init__(self, pool: ReaderPool, sock: socket.socket, *, ends: bool = False) -> None:
        super().__init__()
        self.pool, self.sock, self.ends = pool, sock, ends
        self.called = threading.Event()

    def ready(self, ending: bool) -> None:
        if self.ends:
            self.pool.remove(self.sock.fileno())
            self.sock.close()
        self.called.set()


class Hasty(dict[int, Task]):
    """As soon as a task is known, a thread runs it: for an event of the connection that had its number before."""

    def __setitem__(self, fd: int, task: Task) -> None:
        super().__setitem__(fd, task)
        task.ready(False)


def test_a_task_is_called_at_once_and_again_when_something_comes(pool: ReaderPool) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        task = Reading(pool, ours)
        pool.add(ours.fileno(), task)
        assert task.called.wait(PATIENCE_S)
        task.called.clear()
        pool.rearm(ours.fileno())
        theirs.send(b"x")
        assert task.called.wait(PATIENCE_S)
        pool.remove(ours.fileno())


@pytest.mark.parametrize("ends", [False, True])
def test_an_event_that_was_meant_for_another_may_come_while_a_task_is_added(pool: ReaderPool, ends: bool) -> None:
    pool._tasks = Hasty()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        task = Reading(pool, ours, ends=ends)
        pool.add(ours.fileno(), task)
        assert task.called.is_set()
        assert len(pool._tasks) == (0 if ends else 1)
        if not ends:
            pool.remove(ours.fileno())


def test_what_cannot_be_polled_is_refused(pool: ReaderPool) -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    fd = ours.fileno()
    ours.close()
    with pytest.raises(OSError, match="descriptor"):
        pool.add(fd, Reading(pool, ours))
