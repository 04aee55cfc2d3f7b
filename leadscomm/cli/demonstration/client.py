"""A client of the demo, in a process of its own: ``python -m leadscomm.cli.demonstration.client ENDPOINT BURST``.

Ten times a second it sends a burst of messages, and then some single ones, whose round trips it measures. It goes on
until its standard input ends, so that it ends with its parent however that ends.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Final

from leadscomm.cli.demonstration.histogram import Histogram
from leadscomm.cli.demonstration.report import ANSWER, Report
from leadscomm.cli.terminal.wording import one_line
from leadscomm.connections.base import ConnectionBase
from leadscomm.entities.callback import Callback
from leadscomm.entities.client import Client
from leadscomm.entities.service import Service
from leadscomm.errors import CommError, CommTimeout

CYCLE_S: Final = 0.1
SINGLES: Final = 20
REPORT_S: Final = 0.2
PATIENCE_S: Final = 5.0
"""An answer that takes longer is lost."""


class Conversation(Callback):
    """Sends and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.stop = threading.Event()
        self.connected = threading.Event()
        self.failure: Exception | None = None
        self.sent = 0
        self.answered = 0
        self.strange = 0
        self.times = Histogram()
        self._open: dict[bytes, float] = {}  # messages without an answer, and when each was sent
        self._all_answered = threading.Event()
        self._last_time = 0.0  # round trip of the last of them
        self._over = False
        self._start = time.monotonic()

    # What the client tells -------------------------------------------------------------------------------------------

    def on_connect(self, service: Service, connection: ConnectionBase) -> None:
        self.connected.set()

    def on_receive(self, service: Service, msg: bytes) -> None:
        now = time.perf_counter()
        sent_at = self._open.pop(msg[len(ANSWER) :], None) if msg.startswith(ANSWER) else None
        if sent_at is None:
            self.strange += 1
            return
        self.answered += 1
        if not self._open:
            self._last_time = now - sent_at
            self._all_answered.set()

    def on_disconnect(self, service: Service, connection: ConnectionBase) -> None:
        self._end()

    def on_fail(self, service: Service, error: Exception) -> None:
        self.failure = self.failure or error
        self._end()

    def _end(self) -> None:
        self._over = True
        for event in (self.connected, self.stop, self._all_answered):
            event.set()

    # What it does ----------------------------------------------------------------------------------------------------

    def talk(self, client: Client, burst: int) -> None:
        """Send and receive until told to stop.

        :raises CommError: it went wrong.
        """
        self._start = told = time.monotonic()
        while not self.stop.is_set():
            begin = time.monotonic()
            self._exchange(client, burst)
            for _ in range(SINGLES):
                self._exchange(client, 1)
                if not self._over:
                    self.times.add(self._last_time)
            if time.monotonic() - told >= REPORT_S:
                told = time.monotonic()
                print(self.report().line(), flush=True)
            self.stop.wait(max(0.0, begin + CYCLE_S - time.monotonic()))

    def _exchange(self, client: Client, count: int) -> None:
        """Send some messages and wait until all are answered."""
        for _ in range(count):
            number = self.sent + 1
            message = b"#%d speed=%.1f" % (number, 40 + number % 97 / 10)
            self._open[message] = time.perf_counter()
            client.send(message)
            self.sent = number
        deadline = time.monotonic() + PATIENCE_S
        while self._waiting():
            self._all_answered.clear()
            if self._waiting() and not self._all_answered.wait(max(0.0, deadline - time.monotonic())):
                raise CommTimeout(f"{len(self._open)} messages had no answer within {PATIENCE_S:g} s")

    def _waiting(self) -> bool:
        return bool(self._open) and not self._over

    def report(self, *, last: bool = False) -> Report:
        """The figures at this moment."""
        return Report(
            at=time.monotonic() - self._start,
            sent=self.sent,
            answered=self.answered,
            strange=self.strange,
            p50=self.times.quantile(0.5),
            p99=self.times.quantile(0.99),
            last=last,
            error=one_line(self.failure) if self.failure else "",
        )


def main(endpoint: str, burst: int) -> None:
    """Talk; the last line that is printed is the last word."""
    conversation = Conversation()
    threading.Thread(target=_follow_parent, args=(conversation.stop,), daemon=True).start()
    client = Client(endpoint, conversation, reconnect=False)
    client.start(parallel=True)
    try:
        conversation.connected.wait()
        if conversation.failure is None:
            conversation.talk(client, burst)
    except CommError as error:
        conversation.failure = conversation.failure or error
    finally:
        client.close()
        print(conversation.report(last=True).line(), flush=True)


def _follow_parent(stop: threading.Event) -> None:
    while os.read(0, 1):
        pass
    stop.set()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
