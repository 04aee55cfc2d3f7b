"""Programs with durable messages that a test kills.

``python -m tests.entities.records.durable_program WHAT PORT JOURNAL LEDGER ARGUMENTS...``

What they have done they write into ledgers, line by line, which outlive them.
"""

from __future__ import annotations

import os
import sys
import threading
from random import Random
from typing import Any

from leadscomm import Callback, Client, Server
from tests.journal.journal_program import LANES, Ledger


class Receiver(Callback):
    """Writes down what it is told, before and after it has dealt with it; dies inside a callback if told to."""

    def __init__(self, ledger: Ledger, dies_at: str) -> None:
        super().__init__()
        self.ledger = ledger
        self.dies_at = dies_at

    def on_receive(self, service: Any, msg: bytes) -> None:
        name, lane = msg.decode().split()[:2]
        self.ledger.write(name, lane, service.message_id, int(service.redelivered))
        if name == self.dies_at and not service.redelivered:
            os.kill(os.getpid(), 9)


def endpoint(port: str, name: str) -> str:
    return f"tcp://127.0.0.1:{port}?reliable=1&name={name}&reconnect_max=0.1"


def receive(port: str, journal: str, ledger: str, dies_at: str = "") -> None:
    """Serve until killed."""
    server = Server(endpoint(port, "base"), Receiver(Ledger(ledger), dies_at), durable=journal or None)
    with server:
        os.write(1, b"%d\n" % server.port())
        server.join()


def send(port: str, journal: str, ledger: str, run: str, messages: str) -> None:
    """Send from three threads, and write down what ``send`` has returned for; then wait until all is forgotten."""
    books = Ledger(ledger)
    with Client(endpoint(port, "arm"), durable=journal) as client:
        os.write(1, b"ready\n")

        def work(lane: int) -> None:
            rng = Random(f"{run} {lane}")
            for number in range(int(messages)):
                name = f"{run}.{lane}.{number}"
                client.send(f"{name} {lane} ".encode() + b"x" * rng.choice((0, 50, 5000)), lane=lane)
                books.write(name, lane)

        threads = [threading.Thread(target=work, args=(lane,)) for lane in LANES]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        journal_of_it = client._durable._journal
        while journal_of_it is not None and journal_of_it.peers():
            threading.Event().wait(0.01)


if __name__ == "__main__":
    {"receive": receive, "send": send}[sys.argv[1]](*sys.argv[2:])
