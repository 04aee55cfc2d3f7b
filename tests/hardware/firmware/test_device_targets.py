"""Real firmware on the virtual board against the real Python side: much traffic, faults, floods, garbage."""

from __future__ import annotations

import os
import random

import pytest

from leadscomm import Client
from leadscomm.testing import VirtualBoard
from tests.entities.recorder import PATIENCE_S
from tests.hardware.firmware.sketches import Sketches
from tests.hardware.traffic import Echoes, Volley, random_messages

BAUDS = (115_200, 500_000, 1_000_000)
FAULTS = {"flip": 1e-3, "drop": 1e-3, "duplicate": 1e-3, "insert": 1e-3}
MANY = (*(pytest.param(baud, marks=pytest.mark.long) for baud in BAUDS[:-1]), BAUDS[-1])
"""Where much is sent the slow ones take minutes."""
slow = pytest.mark.slow


def at(virtual: VirtualBoard, baud: int, options: str) -> str:
    return virtual.endpoint.replace("baud=115200", f"baud={baud}") + "&" + options


def echo_datagrams(sketches: Sketches, baud: int, count: int) -> None:
    messages = random_messages(baud, count)
    volley = Volley(messages)
    with (
        VirtualBoard(sketches.example("Echo", baud), mcu="uno") as virtual,
        Client(at(virtual, baud, "framing=board"), volley) as client,
    ):
        volley.begin(client)
        assert volley.wait(count) == messages
        assert virtual.counters()["overruns"] == 0
    assert volley.failed == []


def echo_reliably(sketches: Sketches, baud: int, count: int, most: int = 58, seed: int = 7, **faults: float) -> None:
    """Send messages through faults, in both directions; all come back, once and in order."""
    messages = random_messages(seed, count, most)
    echoes = Echoes()
    with VirtualBoard(sketches.example("Reliable", baud), mcu="uno", seed=seed) as virtual:
        with Client(at(virtual, baud, "reliable=1&send_timeout=60"), echoes) as client:
            virtual.set_faults(**faults)
            for message in messages:
                client.send(message)
            assert echoes.wait(count) == messages
            link = client.connection.counters()
            seen = virtual.counters()
            virtual.set_faults()
        assert echoes.failed == []
        made = {name: seen[name] for name in ("flipped", "dropped", "duplicated", "inserted")}
        print(
            f"\n{count:,} reliable messages there and back at {baud:,} baud with {faults or 'no faults'}: 0 lost, 0 "
            f"duplicated, 0 reordered, in {virtual.seconds():.1f} s of the board's time; {made}, {link}"
        )


# Traffic


@pytest.mark.parametrize("baud", BAUDS)
def test_datagrams_there_and_back(sketches: Sketches, baud: int) -> None:
    echo_datagrams(sketches, baud, 300)


@slow
@pytest.mark.parametrize("baud", MANY)
def test_ten_thousand_datagrams_there_and_back(sketches: Sketches, baud: int) -> None:
    echo_datagrams(sketches, baud, 10_000)


@pytest.mark.parametrize("baud", BAUDS)
def test_reliable_messages_there_and_back(sketches: Sketches, baud: int) -> None:
    echo_reliably(sketches, baud, 300)


@slow
@pytest.mark.parametrize("baud", MANY)
def test_ten_thousand_reliable_messages_there_and_back(sketches: Sketches, baud: int) -> None:
    echo_reliably(sketches, baud, 10_000)


# Faults


def test_reliable_messages_through_faults(sketches: Sketches) -> None:
    echo_reliably(sketches, 115_200, 200, most=20, **FAULTS)


@slow
@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.long) for part in range(1, 10))])
def test_a_hundred_thousand_reliable_messages_through_faults(sketches: Sketches, part: int) -> None:
    """In ten parts, each with faults of its own. Prints its results; pytest -s shows them."""
    echo_reliably(sketches, 1_000_000, 10_000, most=20, seed=part, **FAULTS)


def test_one_bit_in_a_hundred_bytes_flipped(sketches: Sketches) -> None:
    echo_reliably(sketches, 115_200, 60, most=20, flip=1e-2)


# Garbage


def write_garbage(virtual: VirtualBoard, size: int) -> None:
    """Random bytes, past whoever has the port open, as fast as the line is and no faster."""
    before = virtual.counters()["to_board"]
    garbage = random.Random(size).randbytes(size)
    with open(os.open(virtual.port, os.O_WRONLY | os.O_NOCTTY), "wb", buffering=0) as port:
        for start in range(0, size, 1000):
            port.write(garbage[start : start + 1000])
            while virtual.counters()["to_board"] < before + start:
                virtual.advance(0.001)
    while virtual.counters()["to_board"] < before + size:
        virtual.advance(0.001)


def test_garbage_does_not_end_a_session(sketches: Sketches) -> None:
    echoes = Echoes()
    with (
        VirtualBoard(sketches.example("Reliable", 1_000_000), mcu="uno") as virtual,
        Client(at(virtual, 1_000_000, "reliable=1"), echoes) as client,
    ):
        client.send(b"before")
        echoes.wait(1)
        write_garbage(virtual, 20_000)
        client.send(b"after")
        assert echoes.wait(2) == [b"before", b"after"]
        assert client.connection.counters().resent <= 1
    assert echoes.failed == []


@pytest.mark.parametrize("size", [20_000, pytest.param(1_000_000, marks=slow)])
def test_garbage_costs_one_frame(sketches: Sketches, size: int) -> None:
    """The frame right behind it ends what the garbage began; the next one is understood."""
    echoes = Volley([b"before"])
    with (
        VirtualBoard(sketches.example("Echo", 1_000_000), mcu="uno") as virtual,
        Client(at(virtual, 1_000_000, "framing=board"), echoes) as client,
    ):
        echoes.begin(client)
        echoes.wait(1)
        write_garbage(virtual, size)
        client.send(b"first")
        client.send(b"second")
        with echoes.changed:
            assert echoes.changed.wait_for(lambda: echoes.came[-1] == b"second", PATIENCE_S)
        assert echoes.came in ([b"before", b"second"], [b"before", b"first", b"second"])
    assert echoes.failed == []
