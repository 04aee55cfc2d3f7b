"""The host's queue: who gets which order, and when; with a clock that is a number."""

from __future__ import annotations

import random

import pytest

from examples.task_executor.orders import BEHIND, OrderQueue, QueueFull, Sent
from examples.task_executor.wire import HEARTBEAT


def test_a_newcomer_gets_a_heartbeat_or_the_head_of_the_queue() -> None:
    queue: OrderQueue[str] = OrderQueue()
    queue.join("a")
    assert queue.due(0) == [("a", HEARTBEAT)]
    queue.add("1")
    queue.add("2")
    queue.join("b")
    assert queue.due(0) == [("b", "1")]


def test_orders_follow_each_other_and_each_waits_for_its_confirmation() -> None:
    queue: OrderQueue[str] = OrderQueue()
    queue.join("a")
    for order in "123":
        queue.add(order)
    for order in "123":
        assert queue.due(0) == [("a", order)]
        assert queue.due(1000) == []
        assert queue.confirm("a", 1000) == (Sent.ORDER, order)
    assert queue.due(1002.9) == []
    assert queue.due(1003) == [("a", HEARTBEAT)]


def test_heartbeats_follow_the_last_confirmation() -> None:
    queue: OrderQueue[str] = OrderQueue(heartbeat=3)
    queue.join("a")
    assert queue.due(0) == [("a", HEARTBEAT)]
    assert queue.confirm("a", 1) == (Sent.HEARTBEAT, None)
    assert queue.wait(1) == 3
    assert queue.due(3.9) == []
    assert queue.wait(3.9) == pytest.approx(0.1)
    assert queue.due(4) == [("a", HEARTBEAT)]


def test_an_idle_device_gets_an_order_at_once() -> None:
    queue: OrderQueue[str] = OrderQueue()
    queue.join("a")
    queue.due(0)
    queue.confirm("a", 0)
    queue.add("1")
    assert queue.due(0) == [("a", "1")]


def test_each_device_gets_every_order_once_at_its_own_pace() -> None:
    queue: OrderQueue[str] = OrderQueue()
    queue.join("quick")
    queue.join("slow")
    queue.add("1")
    queue.add("2")
    assert queue.due(0) == [("quick", "1"), ("slow", "1")]
    queue.confirm("quick", 0)
    assert queue.due(0) == [("quick", "2")]
    queue.confirm("quick", 0)
    queue.confirm("slow", 0)
    assert queue.due(0) == [("slow", "2")]


def test_what_is_done_is_not_given_to_newcomers() -> None:
    queue: OrderQueue[str] = OrderQueue()
    for device in "ab":
        queue.join(device)
    queue.add("1")
    queue.due(0)
    queue.confirm("a", 0)
    queue.join("c")
    assert queue.due(0) == [("c", HEARTBEAT)]


def test_an_order_whose_device_leaves_waits_for_another() -> None:
    queue: OrderQueue[str] = OrderQueue()
    queue.join("a")
    queue.add("1")
    queue.due(0)
    assert queue.leave("a") == "1"
    queue.join("b")
    assert queue.due(0) == [("b", "1")]
    queue.confirm("b", 0)
    assert queue.leave("b") is None
    assert queue.leave("b") is None


def test_an_order_that_somebody_has_done_does_not_wait_for_who_left() -> None:
    queue: OrderQueue[str] = OrderQueue()
    for device in "ab":
        queue.join(device)
    queue.add("1")
    queue.due(0)
    queue.confirm("a", 0)
    assert queue.leave("b") is None


def test_a_confirmation_of_nothing() -> None:
    queue: OrderQueue[str] = OrderQueue()
    assert queue.confirm("a", 0) == (None, None)
    queue.join("a")
    assert queue.confirm("a", 0) == (None, None)


def test_who_does_not_confirm_is_silent_and_holds_nobody_up() -> None:
    queue: OrderQueue[str] = OrderQueue(patience=30)
    for device in "ab":
        queue.join(device)
    queue.due(0)
    for now in range(25):
        assert queue.confirm("a", now) != (None, None)
        queue.add(str(now))
        assert queue.due(now) == [("a", str(now))]
    assert queue.silent(29.9) == []
    assert queue.silent(30) == ["b"]


def test_who_is_too_far_behind_is_silent() -> None:
    queue: OrderQueue[str] = OrderQueue(patience=1e9)
    for device in "ab":
        queue.join(device)
    queue.add("")
    queue.due(0)
    for _ in range(BEHIND):
        queue.add("")
        queue.confirm("a", 0)
        queue.due(0)
    assert queue.silent(0) == []
    queue.confirm("a", 0)
    assert queue.silent(0) == ["b"]


def test_a_full_queue_says_so() -> None:
    queue: OrderQueue[str] = OrderQueue(limit=2)
    queue.add("1")
    queue.add("2")
    with pytest.raises(QueueFull, match=r"2 orders wait already, and 0 device\(s\) are there"):
        queue.add("3")
    queue.join("a")
    queue.due(0)
    with pytest.raises(QueueFull):
        queue.add("3")
    queue.confirm("a", 0)
    queue.add("3")


def test_the_oldest_that_nobody_has_is_dropped() -> None:
    queue: OrderQueue[str] = OrderQueue(limit=3)
    for order in "123":
        queue.add(order)
    queue.join("a")
    queue.due(0)
    assert queue.drop_oldest() == "2"
    queue.add("4")
    queue.confirm("a", 0)
    assert queue.due(0) == [("a", "3")]
    assert queue.drop_oldest() == "4"
    assert queue.drop_oldest() is None


def test_nothing_is_lost_or_doubled_whoever_comes_and_goes() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        queue: OrderQueue[int] = OrderQueue(limit=5)
        queue.join(0)  # stays
        got: dict[int, list[str]] = {0: []}
        done: set[str] = set()
        added: list[str] = []
        here = [0]
        for step in range(300):
            act = chance.random()
            if act < 0.3 and queue.has_room():
                added.append(str(len(added)))
                queue.add(added[-1])
            elif act < 0.4:
                here.append(step + 1)
                got[step + 1] = []
                queue.join(step + 1)
            elif act < 0.5 and len(here) > 1:
                queue.leave(here.pop(chance.randrange(1, len(here))))
            else:
                sent, order = queue.confirm(chance.choice(here), step)
                if sent is Sent.ORDER and order is not None:
                    done.add(order)
            for device, text in queue.due(step):
                got[device] += [text] * (text != HEARTBEAT)
        while set(added) - done:
            _, order = queue.confirm(0, 1000)
            done |= {order} if order else set()
            for device, text in queue.due(1000):
                got[device] += [text] * (text != HEARTBEAT)
        assert got[0] == added
        for orders in got.values():
            assert orders == added[int(orders[0]) :][: len(orders)] if orders else True
