"""The host: gives each order to every device, the next one when the device has confirmed the last.

::

    python -m examples.task_executor.host [ENDPOINT]

Each line of the standard input is an order. Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from examples.task_executor import wire
from examples.task_executor.orders import HEARTBEAT_S, LIMIT, PATIENCE_S, OrderQueue, QueueFull
from examples.task_executor.terminal import read_lines
from examples.task_executor.timing import Timer
from leadscomm import Callback, CommError, ConnectionBase, Server
from leadscomm.protocol import Framing

ENDPOINT: Final = "tcp://127.0.0.1:12345"
log = logging.getLogger("task_executor.host")


class Host(Callback):
    """The callback of a server with ``framing=task-host``. A `Timer` has to call `tick`.

    Threads: `add` may be called from any thread. `done` is called by the one that reads the device.

    :param limit: how many orders may wait for their first confirmation.
    :param heartbeat: seconds after its last confirmation when an idle device gets a heartbeat.
    :param patience: seconds that a device may take to confirm before it is told of and hung up on.
    :param drop_oldest: where the queue is full, `add` drops the oldest order that no device has got, and logs it.
    :param clock: seconds that only grow.
    """

    def __init__(
        self,
        limit: int = LIMIT,
        heartbeat: float = HEARTBEAT_S,
        patience: float = PATIENCE_S,
        *,
        drop_oldest: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._queue: OrderQueue[ConnectionBase] = OrderQueue(limit, heartbeat, patience)
        self._drop_oldest = drop_oldest
        self._clock = clock
        self._changed = threading.Condition()  # guards the queue; told when there may be room
        self._framing: Framing = wire.HostFraming()

    def add(self, order: str, timeout: float | None = 0.0) -> None:
        """Put an order into the queue; devices that are idle get it at once.

        :param order: JSON text.
        :param timeout: seconds to wait for room where the queue is full; None waits for ever. Inside callbacks 0.
        :raises QueueFull: there was no room in time; the order was not taken.
        :raises LocalProtocolError: it is longer than ``max_message``.
        """
        self._framing.check(order.encode())
        with self._changed:
            if not self._changed.wait_for(self._queue.has_room, timeout) and self._drop_oldest:
                dropped = self._queue.drop_oldest()
                if dropped is not None:
                    log.warning("the queue is full; dropped: %s", dropped)
            self._queue.add(order)
        self._turn()

    def done(self, device: ConnectionBase, order: str, status: object) -> None:
        """A device has confirmed an order. To be overridden.

        :param status: `wire.SUCCEEDED`, or anything else: the device could not do it.
        """
        if status == wire.SUCCEEDED:
            log.info("%s has done %s", device, order)
        else:
            log.error("%s failed (status %r) at %s", device, status, order)

    def tick(self) -> float:
        """Send what is due, and hang up on who is silent; return the seconds to the next call."""
        self._turn()
        with self._changed:
            return self._queue.wait(self._clock())

    def on_initialize(self, service: Any) -> None:
        self._framing = service.endpoint.framing.make()

    def on_connect(self, service: Any, connection: ConnectionBase) -> None:
        with self._changed:
            self._queue.join(connection)
        self._turn()

    def on_receive(self, service: Any, msg: bytes) -> None:
        device = service.sender
        with self._changed:
            sent, order = self._queue.confirm(device, self._clock())
            self._changed.notify_all()
        if sent is None:
            log.warning("%s confirmed, and there was nothing to confirm: %r", device, msg)
        self._turn()
        if order is not None:
            self.done(device, order, wire.read_object(msg).get("status_code"))

    def on_disconnect(self, service: Any, connection: ConnectionBase) -> None:
        self._let_go(connection)

    def on_fail(self, service: Any, error: Exception) -> None:
        log.error("%s", error, exc_info=None if isinstance(error, OSError) else error)

    def _turn(self) -> None:
        """Send what is due, and hang up on who is silent. Nothing is sent while the queue is locked; the order of texts
        is safe nevertheless, since a device has at most one that it has not confirmed."""
        with self._changed:
            now = self._clock()
            silent = self._queue.silent(now)
            texts = self._queue.due(now)
        for device, text in texts:
            try:
                device.send(text.encode())
            except CommError as error:  # it is leaving: on_disconnect follows
                log.info("not sent to %s: %s", device, error)
        for device in silent:
            log.warning("%s does not confirm; hanging up", device)
            self._let_go(device)
            device.close()

    def _let_go(self, device: ConnectionBase) -> None:
        with self._changed:
            order = self._queue.leave(device)
        if order is not None:
            log.warning("%s has not confirmed %s, which waits for another device", device, order)


def order_of(line: str) -> str:
    """An order from a line of the terminal: JSON as it is, anything else as a command."""
    return line if line.startswith("{") else json.dumps({"type": 1, "cmd": line})


def give(host: Host, line: str) -> None:
    """Add the order of a line; where the queue is full, who types or pipes it in waits."""
    try:
        host.add(order_of(line))
    except QueueFull as error:
        log.warning("waiting: %s", error)
        host.add(order_of(line), timeout=None)


def main() -> int:
    parser = argparse.ArgumentParser(description="Give each line of the standard input as an order to all devices.")
    parser.add_argument("endpoint", nargs="?", default=ENDPOINT)
    parser.add_argument("--queue", type=int, default=LIMIT, help="orders that may wait")
    parser.add_argument("--patience", type=float, default=PATIENCE_S, help="seconds that an order may take")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    host = Host(options.queue, patience=options.patience)
    try:
        with Timer(host.tick):
            read_lines(partial(give, host))
            Server(options.endpoint, host, framing="task-host").start()
    except KeyboardInterrupt:
        log.info("ended by Ctrl-C")
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
