"""A peer written from docs/wire-protocol.md alone talks to leadscomm."""

from __future__ import annotations

import ast
import random
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import pytest

from leadscomm import Callback, Server, Service
from leadscomm.protocol.framing.cobs import cobs_decode, cobs_encode
from leadscomm.protocol.session.full.full import FullSession
from leadscomm.protocol.session.full.link import Link
from leadscomm.protocol.session.handshake import FULL, Handshake
from leadscomm.protocol.session.offer import Offer
from tests.interop import stranger
from tests.interop.stranger import Peer, stuffed, unstuffed

KEY = b"sixteen bytes or more"


class Echo(Callback):
    def on_receive(self, service: Service, msg: bytes) -> None:
        service.sender.send(msg)


def test_it_knows_nothing_of_leadscomm() -> None:
    tree = ast.parse(Path(stranger.__file__).read_text(encoding="utf-8"))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules <= set(sys.stdlib_module_names)


def test_its_framing() -> None:
    dice = random.Random(1)
    for size in (1, 2, 253, 254, 255, 508, 509, 1200):
        for body in (bytes(size), b"x" * size, dice.randbytes(size), b"x" * (size - 1) + b"\0", b"x" * size + b"\1"):
            assert stuffed(body) == cobs_encode(body) + b"\0"
            assert unstuffed(cobs_encode(body)) == cobs_decode(cobs_encode(body)) == body


@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("faults", [0.0, 0.1])
def test_both_ways_in_a_mix_of_faults(asks: bool, key: bytes | None, faults: float) -> None:
    dice, now = random.Random(7), 100.0
    ours = FullSession(Offer(Handshake(5, profiles=FULL), key=key), now, asks=not asks)
    link = Link(checked=True)
    ours.add(link, now)
    theirs = Peer(9, now, asks=asks, sealed=True, key=key)
    got: list[bytes] = []
    records: list[tuple[int, bytes]] = []
    there = [(number % 3, b"%d " % number + bytes(number * 37 % 2500)) for number in range(60)]
    back = [(number % 2, b"%d " % number + bytes(number * 41 % 2500)) for number in range(60)]
    for lane, message in there:
        theirs.send(message, lane)
    theirs.send(b"\x63 of a kind that nobody knows", 7, 1)
    sent = False
    while not (sent and theirs.idle and ours.idle):
        now += 0.004
        assert now < 600
        if ours.open and not sent:
            sent = True
            for lane, message in back:
                ours.send(message, lane)
        for frame in theirs.frames(now):
            for worn in wear(frame, faults, dice):
                ours.receive(worn, now, link)
        came = ours.take()
        got += came
        ours.delivered(now, len(came))
        for lane, record in ours.take_records():
            records.append((lane, record))
            ours.delivered_records(now, lane)
        for frame in ours.frames(now, link):
            for worn in wear(frame, faults, dice):
                theirs.receive(worn, now)
        assert (ours.ended, theirs.ended) == (None, "")
    for lane in range(3):
        expected = [message for at, message in there if at == lane]
        assert [message for message in got if message in expected] == expected
        assert [message for at, _, message in theirs.got if at == lane] == [m for at, m in back if at == lane]
    assert records == [(7, b"\x63 of a kind that nobody knows")]
    theirs.leave()
    for frame in theirs.frames(now):
        ours.receive(frame, now, link)
    assert ours.ended == "the peer left"


def wear(frame: bytes, faults: float, dice: random.Random) -> list[bytes]:
    if dice.random() < faults:
        return []
    if dice.random() < faults / 2:
        worn = bytearray(frame)
        worn[dice.randrange(len(worn))] ^= 1 << dice.randrange(8)
        return [bytes(worn)]
    return [frame, frame] if dice.random() < faults else [frame]


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_over_sockets(scheme: str) -> None:
    with Server(f"{scheme}://127.0.0.1:0?reliable=1", Echo()) as server:
        options = ["--udp"] if scheme == "udp" else []
        command = [sys.executable, stranger.__file__, "127.0.0.1", str(server.port()), "--count", "50", *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("50 of 50")


@pytest.mark.parametrize("late", [0.0, 0.3])
@pytest.mark.parametrize("window", [1, 64])
def test_kills_cost_who_keeps_only_what_it_expects_no_more_than_a_few_round_trips(late: float, window: int) -> None:
    """Whatever was under way is gone, and one end is slow to notice; 20,000 messages would take as long."""
    now, count, kills = 100.0, 2000, 20
    ours = FullSession(Offer(Handshake(5, profiles=FULL)), now, asks=False)
    theirs = Peer(9, now, asks=True, window=window)
    messages = [b"%d " % number + bytes(number % 1000) for number in range(count)]
    for message in messages:
        theirs.send(message)
    link = Link(64_000, in_order=True)
    ours.add(link, now)
    there: deque[tuple[float, bytes]] = deque()
    back: deque[tuple[float, bytes]] = deque()
    dying: deque[tuple[float, Link]] = deque()
    killed = 0
    while len(theirs.got) < count or not theirs.idle:
        now += 0.001
        assert now < 106
        if killed < kills and len(theirs.got) > (killed + 1) * count // (kills + 1):
            killed += 1
            dying.append((now + late, link))
            there.clear()
            back.clear()
            link = Link(64_000, in_order=True)
            ours.add(link, now)
            theirs.link(now)
        while dying and dying[0][0] <= now:
            ours.remove(dying.popleft()[1])
        there += [(now + 0.001, frame) for frame in theirs.frames(now)]
        while there and there[0][0] <= now:
            ours.receive(there.popleft()[1], now, link)
        came = ours.take()
        ours.delivered(now, len(came))
        ours.send_all(came)
        for each in ours.links:
            frames = ours.frames(now, each)
            back += [(now + 0.001, frame) for frame in frames if each is link]
        while back and back[0][0] <= now:
            theirs.receive(back.popleft()[1], now)
    assert [message for _, _, message in theirs.got] == messages


def test_losses_cost_who_keeps_only_what_it_expects_no_more_than_a_few_round_trips() -> None:
    dice, now, count = random.Random(1), 100.0, 2000
    ours = FullSession(Offer(Handshake(5, profiles=FULL)), now, asks=False)
    link = Link(1200, checked=True)
    ours.add(link, now)
    theirs = Peer(9, now, asks=True, sealed=True)
    sent = False
    while len(theirs.got) < count:
        now += 0.001
        assert now < 105  # it takes a second
        if ours.open and not sent:
            sent = True
            ours.send_all([b"%d " % number + bytes(number % 500) for number in range(count)])
        for frame in theirs.frames(now):
            if dice.random() > 0.1:
                ours.receive(frame, now, link)
        for frame in ours.frames(now, link):
            if dice.random() > 0.1:
                theirs.receive(frame, now)


@pytest.mark.parametrize("kills", [0, 5])
def test_over_a_socket_that_is_killed(kills: int) -> None:
    with Server("tcp://127.0.0.1:0?reliable=1", Echo()) as server:
        peer = Peer(9, time.monotonic(), asks=True, window=8)
        wire = stranger.Wire.to("127.0.0.1", server.port())
        assert stranger.echo(peer, wire, [b"%d " % number for number in range(2000)], 60.0, kills)
    assert [message for _, _, message in peer.got] == [b"%d " % number for number in range(2000)]
