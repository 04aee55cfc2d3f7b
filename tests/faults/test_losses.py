"""Lines that lose, double, reorder and damage what they carry: all of it arrives once, whole, in order."""

from __future__ import annotations

import pytest

from tests.faults.conftest import Lay
from tests.faults.peers import Needs
from tests.faults.rigs import KernelTcpRig, LateUdpRig, NoisySerialRig, Rig, SerialRig, TcpRig, UdpRig

MEMORY_BYTES = 64 << 20
"""What a program may need at most, whatever the line is like."""


def bounded(rig: Rig) -> None:
    for peer in (rig.server, rig.client):
        assert Needs.of(peer.pid).most_bytes < MEMORY_BYTES


@pytest.mark.parametrize("kind", [TcpRig, pytest.param(SerialRig, marks=pytest.mark.long)])
def test_loss(lay: Lay, kind: type[Rig]) -> None:
    """On the session's segments, since TCP and a cable lose nothing themselves."""
    rig = lay(kind, faults="fault://drop=0.2,seed=7/")
    rig.exchange(2000)
    bounded(rig)


def test_loss_udp(lay: Lay) -> None:
    rig = lay(UdpRig)
    rig.network.harm(lose=0.2)
    rig.exchange(2000)
    bounded(rig)


@pytest.mark.long
def test_loss_kernel_tcp(lay: Lay) -> None:
    """What the kernel makes good for by itself; at 20 % it takes minutes, which is ``./dev soak``'s."""
    rig = lay(KernelTcpRig)
    rig.network.harm(lose=0.03)
    rig.exchange(1000)
    bounded(rig)


def test_doubled_and_overtaken_udp(lay: Lay) -> None:
    rig = lay(LateUdpRig)
    rig.network.harm(double=0.2)
    rig.exchange(2000)


@pytest.mark.long
def test_doubled_and_overtaken_serial(lay: Lay) -> None:
    lay(SerialRig, faults="fault://dup=0.1,reorder=0.1,seed=7/").exchange(2000)


@pytest.mark.parametrize("kind", [KernelTcpRig, UdpRig])
def test_damage(lay: Lay, kind: type[Rig]) -> None:
    rig = lay(kind)
    rig.network.harm(damage=0.05)
    rig.exchange(1000)


@pytest.mark.long
def test_damage_serial(lay: Lay) -> None:
    rig = lay(NoisySerialRig)
    rig.exchange(1000)
    assert rig.cable.damaged


def test_a_good_message_follows_a_damaged_one(lay: Lay) -> None:
    """Without a session: each damaged byte costs two messages at most, its own and, if it ended it, the next."""
    rig = lay(NoisySerialRig, "framing=cobs")
    while not rig.cable.damaged:
        rig.client.send(100)
        rig.client.wait("sent")
    rig.cable.noise = 0.0
    rig.client.send(2)
    report = rig.server.reach(rig.client.ordered - 1)
    assert (report.damaged, report.doubled, report.overtaken) == (0, 0, 0)
    assert 0 < report.missing <= 2 * rig.cable.damaged


@pytest.mark.parametrize("kind", [TcpRig, LateUdpRig, pytest.param(SerialRig, marks=pytest.mark.long)])
def test_everything_at_once(lay: Lay, kind: type[Rig]) -> None:
    """The full mix, and cuts besides."""
    rig = lay(kind, faults="" if kind is LateUdpRig else "fault://drop=0.2,dup=0.1,reorder=0.1,corrupt=0.02,seed=7/")
    if kind is LateUdpRig:
        rig.network.harm(lose=0.2, double=0.1, damage=0.02)
    for _ in range(3):
        rig.client.send(700)
        rig.server.send(700)
        rig.cut()
        rig.settle()
    bounded(rig)
