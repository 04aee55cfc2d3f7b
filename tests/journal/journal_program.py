"""Programs with journals that a test watches, or kills: ``python -m tests.journal.journal_program WHAT ...``.

Sender and receiver talk over a Unix socket as sessions do: each lane in its order, after each connect again from the
first message that is not forgotten. What they have done they write into ledgers, line by line, which outlive them.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from multiprocessing.connection import Client, Listener
from random import Random

from leadscomm.errors import JournalError
from leadscomm.journal.journal import Journal
from leadscomm.journal.records import Record

LANES = (0, 4, 7)
PEER = "base"


class Ledger:
    """Lines that are in the system's hands once they are written; a whole line or nothing."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_CREAT | os.O_APPEND | os.O_RDWR, 0o600)

    def write(self, *words: object) -> None:
        os.write(self.fd, (" ".join(map(str, words)) + "\n").encode())


def steps(path: str, *wanted: str) -> None:
    """Store and take in, say of each that it is done or why not, and be killed."""
    journal = Journal(path)
    os.write(1, b"opened\n")
    for number, step in enumerate(wanted, 1):
        try:
            if step == "store":
                journal.store(PEER, 4, [b"<message %d>" % number])
            else:
                journal.take_in(PEER, [Record(b"sender's", number, 4, b"<message %d>" % number)])
            os.write(1, b"done %d\n" % number)
        except JournalError as error:
            os.write(1, b"%s: %s\n" % (type(error).__name__.encode(), str(error).encode()))
    os.kill(os.getpid(), 9)


def send(path: str, address: str, ledger_path: str, run: str, messages: str) -> None:
    """Store ``messages`` messages in batches, send whatever waits, and end once nothing waits any more."""
    rng, ledger, left = Random(run), Ledger(ledger_path), int(messages)
    with Journal(path) as journal, Client(address, "AF_UNIX") as receiver:
        os.write(1, b"ready\n")
        sent = dict.fromkeys(LANES, 0)
        while left or journal.peers():
            batch = min(left, rng.randint(1, 5))
            names = [f"{run}-{left - index}" for index in range(batch)]
            payloads = [name.encode() + b" " + rng.randbytes(rng.choice((0, 50, 5000))) for name in names]
            lane = rng.choice(LANES)
            for seq, name in zip(journal.store(PEER, lane, payloads), names):
                ledger.write(seq, lane, name)
            left -= batch
            for lane in LANES:
                if waiting := journal.waiting(PEER, lane, after=sent[lane]):
                    sent[lane] = waiting[-1].seq
                    receiver.send([Record(journal.origin_of(stored.seq), *stored) for stored in waiting])
                    journal.forget(receiver.recv())


def receive(path: str, address: str, ledger_path: str) -> None:
    """Take in what comes, acknowledge it, deliver it, that is, write it down, and call it dealt with; for ever."""
    ledger = Ledger(ledger_path)
    with Journal(path) as journal:

        def deliver(records: list[Record], redelivered: bool) -> None:
            for record in records:
                ledger.write(record.seq, record.lane, record.payload.split()[0].decode(), int(redelivered))
                journal.dealt([record])

        with suppress(FileNotFoundError):
            os.unlink(address)
        with Listener(address, "AF_UNIX") as listener:
            deliver(journal.left(limit=10**9), True)
            os.write(1, b"ready\n")
            while True:
                with suppress(EOFError, ConnectionError), listener.accept() as sender:
                    while True:
                        records = sender.recv()
                        new = journal.take_in("arm", records)
                        with suppress(ConnectionError):  # a sender that was killed: taken in is taken in
                            sender.send([record.seq for record in records])
                        deliver(new, False)


if __name__ == "__main__":
    with suppress(EOFError, ConnectionError):
        {"steps": steps, "send": send, "receive": receive}[sys.argv[1]](*sys.argv[2:])
