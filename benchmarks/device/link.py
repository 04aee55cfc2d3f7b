"""Firmware on the virtual board, talked to by leadscomm: rates, times, and what is lost."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic, perf_counter

from leadscomm import Callback, Client
from leadscomm.hardware.firmware.flashing import Upload
from leadscomm.hardware.firmware.image import read_image
from leadscomm.hardware.firmware.models import model_of
from leadscomm.protocol import make_framing
from leadscomm.sessions.board import ReliableConnection
from leadscomm.sessions.doors import connect
from leadscomm.testing import VirtualBoard

from .firmware import Firmware

BAUD = 115200
WIRE_BYTES_PER_S = BAUD / 10
OVERHEAD_BYTES = 5
PATIENCE_S = 30.0


@contextmanager
def session(board: VirtualBoard) -> Iterator[ReliableConnection]:
    """A connection with a session, and no entity that runs it."""
    connection = connect(f"{board.endpoint}&reliable=1")
    assert isinstance(connection, ReliableConnection)
    try:
        yield connection
    finally:
        connection.close()


def telemetry(firmware: Firmware, baud: int, seconds: float) -> float:
    """Frames of 16 bytes a second of simulated time, as the host receives them."""
    elf = firmware.elf("Telemetry", flags=(f"-DTELEMETRY_BAUD={baud}",))
    framing = make_framing("board")
    with VirtualBoard(elf, transport="tcp", baud=baud) as board, _raw(board) as connection:
        while b"\0" not in (connection._read() or b"\0"):  # the first frame may have begun before we came
            pass
        begin, frames = board.seconds(), 0
        passed = 0.0
        while passed < seconds:
            frames += len(framing.feed(connection._read() or b""))
            passed = board.seconds() - begin
        if len(framing.faults) > 1:  # the rest of the frame in which the listening began
            raise AssertionError(f"telemetry was damaged: {framing.faults}")
        return frames / passed


@contextmanager
def _raw(board: VirtualBoard) -> Iterator:  # type: ignore[type-arg]
    connection = connect(board.endpoint)
    connection.set_blocking(True)
    try:
        yield connection
    finally:
        connection.abort()
        connection._close()


@dataclass(frozen=True)
class Echo:
    """What came of reliable messages that a board sent back.

    :ivar goodput: payload bytes a second of simulated time.
    :ivar share: of what the wire carries when frames of these messages follow each other without a gap.
    """

    messages: int
    lost: int
    wrong: int
    resent: int
    goodput: float
    share: float
    seconds: float


def echo(board: VirtualBoard, sizes: range, count: int, seed: int = 1) -> Echo:
    """Send ``count`` messages of random sizes, and compare what comes back: what, and in which order."""
    source = random.Random(seed)
    messages = [source.randbytes(source.choice(sizes)) for _ in range(count)]
    with session(board) as connection:
        connection.send(b"!")
        if connection.receive(PATIENCE_S) != b"!":
            raise AssertionError("the board does not echo")
        begin = board.seconds()
        sender = threading.Thread(target=_send_all, args=(connection, messages))
        sender.start()
        came = [connection.receive(PATIENCE_S) for _ in messages]
        seconds = board.seconds() - begin
        sender.join()
        resent = connection.counters().resent
    payload = sum(map(len, messages))
    full = WIRE_BYTES_PER_S * payload / (payload + OVERHEAD_BYTES * count)
    missing = sum(message is None for message in came)
    wrong = sum(was is not None and was != message for was, message in zip(came, messages))
    goodput = payload / seconds
    return Echo(count, missing, wrong, resent, goodput, goodput / full, seconds)


def _send_all(connection: ReliableConnection, messages: Sequence[bytes]) -> None:
    for message in messages:
        connection.send(message)


def identified(firmware: Firmware, name: str, *, mcu: str = "uno", bootloader: bool = False) -> float:
    """Seconds from opening a port, which resets the board, until it said who it is."""
    with VirtualBoard(firmware.elf(name, mcu), mcu, bootloader=bootloader or None) as board:
        begin = perf_counter()
        with session(board):
            return perf_counter() - begin


class _Sessions(Callback):  # type: ignore[misc]
    """Notes when sessions begin, and what is reported."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Condition()
        self.begun: list[float] = []
        self.undelivered: list[bytes] = []
        self.received: list[bytes] = []

    def on_connect(self, service: object, connection: object) -> None:
        with self.changed:
            self.begun.append(perf_counter())
            self.changed.notify_all()

    def on_receive(self, service: object, msg: bytes) -> None:
        with self.changed:
            self.received.append(msg)
            self.changed.notify_all()

    def on_fail(self, service: object, error: Exception) -> None:
        with self.changed:
            self.undelivered.extend(getattr(error, "messages", ()))
            self.changed.notify_all()

    def wait(self, enough: Callable[[], bool]) -> None:
        """Until ``enough()``, which is looked at whenever something was called."""
        with self.changed:
            if not self.changed.wait_for(enough, PATIENCE_S):
                raise AssertionError("the board did not come back")


@dataclass(frozen=True)
class Reset:
    """What a reset in the middle of a stream did: seconds until the next session, and messages nobody told of."""

    restored_s: float
    reported: int
    silent: int


def reset(firmware: Firmware) -> Reset:
    """Press the reset button while messages go to and fro."""
    calls = _Sessions()
    with VirtualBoard(firmware.elf("Reliable")) as board:
        client = Client(f"{board.endpoint}&reliable=1", calls)
        with client:
            sent = _stream(client, calls, lambda: len(calls.received) > 20)
            pressed = perf_counter()
            board.reset()
            sent += _stream(client, calls, lambda: len(calls.begun) > 1, first=len(sent))
            restored = calls.begun[1] - pressed
            calls.wait(lambda: sent[-1] in {*calls.received, *calls.undelivered})
    known = {*calls.received, *calls.undelivered}
    return Reset(restored, len(calls.undelivered), sum(message not in known for message in sent))


def _stream(client: Client, calls: _Sessions, enough: Callable[[], bool], first: int = 0) -> list[bytes]:
    """Send numbered messages until it is enough; those that were accepted."""
    sent: list[bytes] = []
    until = monotonic() + PATIENCE_S
    while not enough():
        if monotonic() > until:
            raise AssertionError("the board did not come back")
        message = b"%08d" % (first + len(sent))
        try:
            client.send(message)
        except OSError:
            with calls.changed:
                calls.changed.wait(0.001)
        else:
            sent.append(message)
    return sent


def worst_calls(firmware: Firmware, seconds: float) -> dict[str, float]:
    """The longest time that `poll` and `send` took, in seconds, while a host that greeted takes nothing any more."""
    with VirtualBoard(firmware.elf("Stalled")) as board, session(board):
        board.forget_marks()
        board.advance(seconds)
        marks = board.marks()
        board.unplug()
        frequency = board.kind.model.f_cpu
    worst = {"poll": 0, "send": 0}
    for (begun, start), (ended, end) in itertools.pairwise(marks):
        name = {(1, 2): "poll", (3, 4): "send"}.get((begun, ended))
        if name:
            worst[name] = max(worst[name], end - start)
    return {name: cycles / frequency for name, cycles in worst.items()}


def flashing(firmware: Firmware, name: str) -> float:
    """Seconds that an upload through the board's bootloader takes, with reading back."""
    image = read_image(firmware.elf("Reliable", name).with_suffix(".hex"))
    with VirtualBoard(None, name, bootloader=True) as board:
        begin = perf_counter()
        Upload(image, model_of(name), board.port).run()
        return perf_counter() - begin
