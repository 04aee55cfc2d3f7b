"""The device: carries out what the host orders, and confirms each message when it is done.

::

    python -m examples.task_executor.device [ENDPOINT]

It comes back by itself when the connection breaks. Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from examples.task_executor import wire
from examples.task_executor.host import ENDPOINT
from examples.task_executor.timing import Timer
from leadscomm import Callback, Client, ConnectionBase

FAILED: Final = 0
PATIENCE_S: Final = 10.0
"""How long a host may be silent once everything is confirmed. It owes a heartbeat each 3 s."""
log = logging.getLogger("task_executor.device")


class Device(Callback):
    """The callback of a client with ``framing=task-device``. A `Timer` has to call `tick`.

    :param execute: carries out one order, a JSON object. If it raises, the host is told that the order failed. It is
        called by the thread that reads, so nothing else is received meanwhile; the host sends nothing either.
    :param patience: seconds that the host may be silent before the device hangs up and connects anew.
    :param clock: seconds that only grow.
    """

    def __init__(
        self,
        execute: Callable[[dict[str, Any]], object],
        patience: float = PATIENCE_S,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._execute = execute
        self._patience = patience
        self._clock = clock
        self._host: ConnectionBase | None = None  # None also while an order is carried out: the host waits then
        self._since = 0.0  # how long it has been the host's turn

    def tick(self) -> float:
        """Hang up on a host that is silent; return the seconds to the next call."""
        host, left = self._host, self._since + self._patience - self._clock()
        if host is None:
            return self._patience
        if left > 0:
            return left
        log.warning("nothing has come from %s for %g s; hanging up", host, self._patience)
        self._host = None
        host.close()
        return self._patience

    def on_connect(self, service: Any, connection: ConnectionBase) -> None:
        self._await(connection)

    def on_receive(self, service: Any, msg: bytes) -> None:
        host, self._host = service.sender, None
        try:
            order = wire.read_object(msg)
            if not wire.is_heartbeat(order):
                self._execute(order)
        except Exception:
            log.exception("could not carry out %r", msg)
            status = FAILED
        else:
            status = wire.SUCCEEDED
        host.send(wire.confirmation(status))
        self._await(host)

    def on_disconnect(self, service: Any, connection: ConnectionBase) -> None:
        self._host = None

    def on_fail(self, service: Any, error: Exception) -> None:
        log.error("%s", error, exc_info=None if isinstance(error, OSError) else error)

    def _await(self, host: ConnectionBase) -> None:
        self._since = self._clock()
        self._host = host


def show(order: dict[str, Any]) -> None:
    """Where a real device would move something."""
    print("order:", order, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Carry out what the host orders.")
    parser.add_argument("endpoint", nargs="?", default=ENDPOINT)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    device = Device(show)
    try:
        with Timer(device.tick):
            Client(options.endpoint, device, framing="task-device").start()
    except KeyboardInterrupt:
        log.info("ended by Ctrl-C")
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
