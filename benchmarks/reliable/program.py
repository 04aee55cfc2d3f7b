"""What the sessions are watched with while something happens to their links: a server that counts, and its clients.

    python -m benchmarks.reliable.program server "udp://127.0.0.1:0?reliable=1"
    python -m benchmarks.reliable.program flow "udp://127.0.0.1:7700?reliable=1" 16384
    python -m benchmarks.reliable.program hub node tcp://127.0.0.1:0

Either talks with the parent in lines of JSON (see ``leadscomm.cli.benchkit.child``), and ends with it.
"""

from __future__ import annotations

import gc
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from itertools import cycle
from time import perf_counter
from typing import Any, Final

from leadscomm import Callback, Client, Node, Server
from leadscomm.cli.benchkit.child import Talk, _own_stdout
from leadscomm.cli.benchkit.peer import resident_bytes
from leadscomm.cli.benchkit.works import allow_files, percentiles

ECHO: Final = b"?"
"""A message that begins so is sent back, as urgently as can be."""
STAMP: Final = b"@"
"""A message that begins so tells when it was sent, by ``perf_counter``, which is the same clock in all processes."""
PULSE_S: Final = 0.005
URGENT_EVERY_S: Final = 0.004
BULK_BYTES: Final = 64 * 1024
HUB_BYTES: Final = 100
LOOK_S: Final = 0.005
"""How often it is looked whether a hub, or its peers, have all that was sent."""
PATIENCE_S: Final = 30.0
_TIME: Final = struct.Struct("=cd")


class Counting(Callback):
    """The server's callbacks."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self.stamps: list[tuple[float, float]] = []  # sent, and came
        self.changed = threading.Condition()

    def on_receive(self, service: Any, msg: bytes) -> None:
        self.bytes += len(msg)
        if msg[:1] == ECHO:
            service.sender.send(msg, lane=0)
        elif msg[:1] == STAMP:
            with self.changed:
                self.stamps.append((_TIME.unpack_from(msg)[1], perf_counter()))
                self.changed.notify_all()

    def first_after(self, sent: float, patience: float) -> float | None:
        """When the first message came that was sent after that instant."""
        with self.changed:
            self.changed.wait_for(lambda: bool(self.stamps) and self.stamps[-1][0] > sent, patience)
            return next((came for stamp, came in self.stamps if stamp > sent), None)


def server(talk: Talk, url: str) -> None:
    """Answers ``ask``: ``count``, ``first_after`` (with ``sent``, ``patience``), ``usage``."""
    counting = Counting()
    with Server(url, counting, max_connections=5000) as serving:
        talk.say(address=url.replace(":0?", f":{serving.port()}?"))
        while True:
            asked = talk.hear()
            if asked["ask"] == "count":
                talk.say(bytes=counting.bytes, at=perf_counter())
            elif asked["ask"] == "first_after":
                talk.say(came=counting.first_after(asked["sent"], asked["patience"]))
            else:
                gc.collect()
                talk.say(resident=resident_bytes(), cpu=time.process_time(), at=perf_counter())


def flow(talk: Talk, url: str, size: str) -> None:
    """Sends without end."""
    message = b"x" * int(size)
    with Client(url, Callback()) as client:
        talk.say(connected=True)
        while True:
            with suppress(OSError):
                client.send(message)


def pulse(talk: Talk, url: str) -> None:
    """Sends a little every few milliseconds."""
    with Client(url, Callback()) as client:
        talk.say(connected=True)
        while True:
            with suppress(OSError):
                client.send(_TIME.pack(STAMP, perf_counter()))
            time.sleep(PULSE_S)


class Returning(Callback):
    """Keeps how long urgent messages took there and back."""

    def __init__(self) -> None:
        super().__init__()
        self.came = threading.Event()
        self.at = 0.0

    def on_receive(self, service: Any, msg: bytes) -> None:
        self.at = perf_counter()
        self.came.set()


def urgent(talk: Talk, url: str, count: str) -> None:
    """Round trips of 32 bytes on lane 0: beside nothing, and beside a bulk on lane 7 that never ends."""
    returning = Returning()
    with Client(url, returning) as client:
        talk.say(connected=True)
        idle = _round_trips(client, returning, int(count))
        threading.Thread(target=_bulk, args=(client,), daemon=True).start()
        time.sleep(1.0)  # until the window has opened
        beside = _round_trips(client, returning, int(count))
        talk.say(idle=percentiles(idle), beside=percentiles(beside))
        talk.hear()


def _round_trips(client: Client, returning: Returning, count: int) -> list[float]:
    trips, message = [], ECHO + bytes(31)
    for _ in range(count + count // 10):
        returning.came.clear()
        began = perf_counter()
        client.send(message, lane=0)
        if not returning.came.wait(10):
            raise TimeoutError("an urgent message was not answered in 10 s")
        trips.append(returning.at - began)
        time.sleep(URGENT_EVERY_S)
    return trips[count // 10 :]


def _bulk(client: Client) -> None:
    message = b"x" * BULK_BYTES
    while True:
        with suppress(OSError):
            client.send(message, lane=7)


def idle(talk: Talk, url: str, count: str) -> None:
    """Many clients that say nothing."""
    with ExitStack() as stack:
        for _ in range(int(count)):
            stack.enter_context(Client(url, Callback()))  # returns once it is connected
        talk.say(connected=True)
        talk.hear()


class Tally(Callback):
    """Counts messages."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def on_receive(self, service: Any, msg: bytes) -> None:
        self.count += 1


def _usage(count: int) -> dict[str, Any]:
    return {"count": count, "cpu": time.process_time(), "at": perf_counter(), "threads": threading.active_count()}


def _until(count: Callable[[], int], wanted: int) -> dict[str, Any]:
    """When there are as many as are wanted; whatever there are, if they do not come."""
    last = perf_counter() + PATIENCE_S
    while count() < wanted and perf_counter() < last:
        time.sleep(LOOK_S)
    return {"at": perf_counter(), "count": count()}


def _listening(kind: str, url: str, callback: Callback) -> Server | Node:
    if kind == "node":
        return Node("hub", [url], callback=callback, max_connections=5000)
    return Server(url, callback, max_connections=5000)


def _dialling(kind: str, url: str, number: int, callback: Callback) -> Client | Node:
    return Node(f"peer-{number}", connect=[url], callback=callback) if kind == "node" else Client(url, callback)


def hub(talk: Talk, kind: str, url: str) -> None:
    """What many talk with. Answers ``ask``: ``broadcast`` (``count`` messages in ``seconds`` at most), ``until``,
    ``usage``."""
    allow_files(5000)
    tally, message = Tally(), b"x" * HUB_BYTES
    with _listening(kind, url, tally) as hub:
        talk.say(address=url.replace(":0", f":{hub.port()}"))
        while True:
            asked = talk.hear()
            if asked["ask"] == "broadcast":
                sent, end = 0, perf_counter() + asked["seconds"]
                while sent < asked["count"] and perf_counter() < end:
                    hub.broadcast(message)
                    sent += 1
                talk.say(sent=sent)
            elif asked["ask"] == "until":
                talk.say(**_until(lambda: tally.count, asked["count"]))
            else:
                talk.say(**_usage(tally.count))


def peers(talk: Talk, kind: str, url: str, count: str) -> None:
    """Those who talk with a hub. Answers ``ask``: ``send`` (for ``seconds``, one by one, one each ``every`` seconds at
    most), ``until``, ``usage``."""
    allow_files(5000)
    with ExitStack() as stack:
        tallies = [Tally() for _ in range(int(count))]
        all_of_them = [stack.enter_context(_dialling(kind, url, number, tally)) for number, tally in enumerate(tallies)]
        sends = [one.send if isinstance(one, Client) else partial(one.send, to="hub") for one in all_of_them]
        for one in all_of_them:
            while isinstance(one, Node) and not one.peers():
                time.sleep(LOOK_S)
        talk.say(connected=True)
        while True:
            asked = talk.hear()
            if asked["ask"] == "send":
                talk.say(sent=_in_turn(sends, asked["seconds"], asked["every"]))
            elif asked["ask"] == "until":
                talk.say(**_until(lambda: sum(tally.count for tally in tallies), asked["count"]))
            else:
                talk.say(**_usage(sum(tally.count for tally in tallies)))


def _in_turn(sends: Sequence[Callable[[bytes], None]], seconds: float, every: float) -> int:
    """Send by one after the other; return how many messages that were."""
    message, sent, began = b"x" * HUB_BYTES, 0, perf_counter()
    for send in cycle(sends):
        now = perf_counter()
        if now > began + seconds:
            break
        if every and now < began + sent * every:
            time.sleep(began + sent * every - now)
        send(message)
        sent += 1
    return sent


ROLES: Final[dict[str, Callable[..., None]]] = {
    "server": server,
    "flow": flow,
    "pulse": pulse,
    "urgent": urgent,
    "idle": idle,
    "hub": hub,
    "peers": peers,
}

if __name__ == "__main__":
    ROLES[sys.argv[1]](Talk(sys.stdin, _own_stdout()), *sys.argv[2:])
