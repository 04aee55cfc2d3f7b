"""One of two programs that talk: ``python -m tests.faults.peer server|client ENDPOINT``.

It does what its standard input says and tells what happens on its standard output; both are lines of JSON. ``peers.py``
is the other end of these pipes. Times are those of the system's monotonic clock, which all processes share.

| it is told | and |
| --- | --- |
| ``{"do": "send", "count": 100, "lane": 4, "size": 32}`` | sends numbered messages, tells ``sent`` |
| ``{"do": "expect", "count": 100}`` | tells ``complete`` when so many have come; with ``"sender"``, from it |
| ``{"do": "expect", "reached": 100}`` | tells ``complete`` when that number, or a higher one, has come |
| ``{"do": "ping", "count": 100}`` | sends the next message when the last was answered; tells ``answered`` |
| ``{"do": "progress", "every": 100}`` | tells ``progress`` whenever so many more have come |
| ``{"do": "answer"}`` | sends back each message from now on; with ``"back": false`` not any more |
| ``{"do": "stick"}`` | stays in its next ``on_receive``, of one connection, until ``{"do": "go on"}`` |
| ``{"do": "report"}`` | tells ``report``: what came, and how its connections are |
| ``{"do": "close"}`` | closes, and ends |

A thread that ends by an exception is told as ``crash``.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any, Final

from leadscomm import Callback, Client, CommError, Server
from tests.faults.numbered import Ledger, number_of, numbered

LANE: Final = 4
"""Where messages go if nothing else is said."""


class Books(Callback):
    """Keeps a ledger of what comes and tells what happens."""

    def __init__(self, tell: Callable[..., None]) -> None:
        super().__init__()
        self.tell = tell
        self.ledger = Ledger()
        self._goal: Callable[[], bool] | None = None
        self.connections: list[Any] = []
        self.connected = threading.Condition()
        self.sticks = False  # the next callback does not return until `free` is set
        self.free = threading.Event()
        self.answers = False  # each message is sent back
        self.answered = threading.Semaphore(0)
        self.progress = 0  # messages between two signs of it; 0: none

    def on_connect(self, service: Any, connection: Any) -> None:
        with self.connected:
            self.connections.append(connection)
            self.connected.notify_all()
        self.tell("connect", peer=str(connection), what=type(connection).__name__)

    def on_disconnect(self, service: Any, connection: Any) -> None:
        with self.connected:
            self.connections.remove(connection)
        self.tell("disconnect", peer=str(connection))

    def on_link(self, service: Any, connection: Any, link: str, up: bool) -> None:
        self.tell("link", link=link, up=up)

    def on_fail(self, service: Any, error: Exception) -> None:
        numbers = [number_of(message) for message in getattr(error, "messages", ())]
        facts = {"first": numbers[0], "last": numbers[-1]} if numbers else {}
        self.tell("fail", kind=type(error).__name__, text=str(error), given_up=len(numbers), **facts)

    def on_receive(self, service: Any, msg: bytes) -> None:
        if self.sticks:
            self.sticks = False
            self.tell("stuck")
            self.free.wait()
        if self.answers:
            service.sender.send(msg)
        self.answered.release()
        ledger = self.ledger
        ledger.take(msg)
        if self._goal is not None:
            self._see()
        if self.progress and ledger.total % self.progress == 0:
            self.tell("progress", count=ledger.total)

    def expect(self, goal: Callable[[], bool]) -> None:
        self._goal = goal
        self._see()

    def _see(self) -> None:
        """Tell when the goal is reached; two threads may look at once, and one of them tells."""
        with self.connected:
            if self._goal is None or not self._goal():
                return
            self._goal = None
        self.tell("complete")

    def peer(self) -> Any:
        """The oldest connection, once there is one."""
        with self.connected:
            self.connected.wait_for(lambda: self.connections)
            return self.connections[0]


class Program:
    """What standard input asks for is done here."""

    def __init__(self, service: type[Server | Client], endpoint: str, books: Books) -> None:
        self.tell = books.tell
        self.books = books
        self.service = service(endpoint, books)
        self.sent = 0
        self._numbers: dict[int, int] = {}  # of the next message of each lane
        self._queues: dict[int, SimpleQueue[dict[str, Any]]] = {}

    def start(self) -> None:
        self.service.start(parallel=True)
        self.tell("ready", port=self.service.port() if isinstance(self.service, Server) else None)

    def obey(self, order: dict[str, Any]) -> bool:
        """Do as told; whether to go on."""
        what = order["do"]
        if what in ("send", "ping"):
            self._queue_of(order.get("lane", LANE)).put(order)
        elif what == "expect":
            self._expect(order)
        elif what == "progress":
            self.books.progress = order["every"]
        elif what == "answer":
            self.books.answers = order.get("back", True)
        elif what == "stick":
            self.books.free.clear()
            self.books.sticks = True
        elif what == "go on":
            self.books.free.set()
        elif what == "report":
            self.tell("report", **self.report())
        return bool(what != "close")

    def _expect(self, order: dict[str, Any]) -> None:
        ledger, sender = self.books.ledger, order.get("sender")
        if "reached" in order:
            self.books.expect(lambda: ledger.reached > order["reached"])
        elif sender is None:
            self.books.expect(lambda: ledger.total >= order["count"])
        else:
            self.books.expect(lambda: ledger.of(sender) >= order["count"])

    def _queue_of(self, lane: int) -> SimpleQueue[dict[str, Any]]:
        """Where the orders of a lane wait: one is done after the other."""
        if lane not in self._queues:
            self._queues[lane] = SimpleQueue()
            threading.Thread(target=self._work, args=(self._queues[lane],), daemon=True).start()
        return self._queues[lane]

    def _work(self, orders: SimpleQueue[dict[str, Any]]) -> None:
        while True:
            order = orders.get()
            if order["do"] == "send":
                self._send(order)
            else:
                self._ping(order)

    def _messages(self, order: dict[str, Any]) -> Iterator[bytes]:
        count, lane = order["count"], order.get("lane", LANE)
        first = self._numbers.get(lane, 0)
        self._numbers[lane] = first + count
        return numbered(os.getpid(), count, size=order.get("size", 32), lane=lane, first=first)

    def _send(self, order: dict[str, Any]) -> None:
        options = {"lane": order["lane"]} if "lane" in order else {}  # connections without a session have no lanes
        send = self.books.peer().send
        try:
            for message in self._messages(order):
                send(message, **options)
                self.sent += 1
        except CommError as error:
            self.tell("refused", kind=type(error).__name__, text=str(error))
        self.tell("sent", count=self.sent)

    def _ping(self, order: dict[str, Any]) -> None:
        trips = []
        for message in self._messages(order):
            began = time.monotonic()
            self.books.peer().send(message)
            self.books.answered.acquire()
            trips.append(time.monotonic() - began)
        trips.sort()
        self.tell("answered", p50=trips[len(trips) // 2], p99=trips[len(trips) * 99 // 100])

    def report(self) -> dict[str, Any]:
        ledger = self.books.ledger
        delivered = [[*lane, count] for lane, count in sorted(ledger.delivered.items())]
        return {
            "sent": self.sent,
            "delivered": delivered,
            "doubled": ledger.doubled,
            "overtaken": ledger.overtaken,
            "missing": ledger.missing(),
            "reached": ledger.reached,
            "damaged": ledger.damaged,
            "stats": [stats_of(connection) for connection in tuple(self.books.connections)],
        }


def stats_of(connection: Any) -> dict[str, Any]:
    """What the connection itself tells; an empty one if it does not."""
    stats = getattr(connection, "stats", None)
    found = None if stats is None else stats()
    return dataclasses.asdict(found) if dataclasses.is_dataclass(found) and not isinstance(found, type) else {}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("server", "client"))
    parser.add_argument("endpoint")
    parser.add_argument("--threads", type=int, help="as if the system had no more threads than so many")
    parser.add_argument("--clock-jumps", action="store_true", help="the time of day jumps by an hour at each look")
    options = parser.parse_args()
    if options.clock_jumps:
        let_the_clock_jump()
    if options.threads:
        let_threads_run_out(options.threads)
    lock = threading.Lock()

    def tell(event: str, **facts: Any) -> None:
        with lock, contextlib.suppress(BrokenPipeError):
            print(json.dumps({"event": event, "at": time.monotonic(), **facts}), flush=True)

    threading.excepthook = lambda raised: tell(
        "crash", thread=str(raised.thread), text="".join(traceback.format_exception(raised.exc_value))
    )
    service = Server if options.role == "server" else Client
    program = Program(service, options.endpoint, Books(tell))
    program.start()
    for line in sys.stdin:
        if not program.obey(json.loads(line)):
            break
    program.books.free.set()
    program.service.close()
    tell("closed")


def let_the_clock_jump() -> None:
    """Replace the time of day, for all who ask from now on, by one that is an hour off, now ahead and now behind."""
    real, looks = time.time, iter(range(1 << 62))
    time.time = lambda: real() + (3600.0 if next(looks) % 2 else -3600.0)


def let_threads_run_out(limit: int) -> None:
    """Refuse to start threads of the toolkit's beyond so many, as the system does."""
    start = threading.Thread.start

    def start_one(thread: threading.Thread) -> None:
        if threading.active_count() >= limit and thread.name.startswith("leadscomm"):
            raise RuntimeError("can't start new thread")
        start(thread)

    threading.Thread.start = start_one  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
