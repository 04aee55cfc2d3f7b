"""Waiting without a lock."""

from __future__ import annotations

import threading

from leadscomm.connections.waiting import Flag, Waiters, enter, interrupted
from tests.entities.intruder import interrupt, interrupted_at
from tests.entities.recorder import PATIENCE_S, wait_until


def test_who_waits_is_told() -> None:
    waiters, done = Waiters(), threading.Event()
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(waiters.wait_for(done.is_set, PATIENCE_S))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(waiters._gates) == 3)
    waiters.notify_all()  # in vain
    wait_until(lambda: len(waiters._gates) == 3)
    done.set()
    waiters.notify_all()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert results == [True] * 3
    assert not waiters


def test_who_waits_in_vain_is_told_so() -> None:
    assert not Waiters().wait_for(lambda: False, 0.0)
    assert not Waiters().wait_for(lambda: False, 0.01)
    assert Waiters().wait_for(lambda: True, 0.0)


def test_a_flag_that_is_set_in_the_middle_of_waiting_for_it_is_seen() -> None:
    """At every line: what a lock and a look under it would miss."""
    line = 1
    while True:
        flag = Flag()
        came: list[bool] = []

        def work(flag: Flag = flag, line: int = line, came: list[bool] = came) -> None:
            came.append(interrupted_at(line, lambda: flag.wait(PATIENCE_S if not came else 0), flag.set))

        rescue = threading.Timer(PATIENCE_S / 2, flag.set)
        thread = threading.Thread(target=work)
        thread.start()
        wait_until(lambda flag=flag, thread=thread: flag.is_set() or bool(flag._waiters) or not thread.is_alive())  # type: ignore[misc]
        if not flag.is_set():
            flag.set()  # it has come to no such line before it slept
        thread.join(PATIENCE_S)
        rescue.cancel()
        assert not thread.is_alive()
        if not came[0]:
            break
        line += 1
    assert line > 8


def test_a_lock_is_not_waited_for_in_the_middle_of_what_may_hold_it() -> None:
    found: list[object] = []
    lock = threading.Lock()
    waiters = Waiters()

    def intrude() -> None:
        found.append(interrupted())
        found.append(interrupted(waiters))
        found.append(interrupted(lock))
        lock.acquire()
        found.append(enter(lock))
        lock.release()
        found.append(enter(lock))

    interrupt(2, lambda: waiters.wait_for(lambda: True), intrude)
    assert found == [True, True, False, False, True]
    assert not interrupted()
