"""Connections that are killed, reset, pulled: the session goes on where it was, and its callbacks notice nothing."""

from __future__ import annotations

import pytest

from tests.faults.conftest import TRANSPORTS, Lay
from tests.faults.rigs import RIGS, UDP_PORT, KernelTcpRig, Rig, TcpRig

CUTS = 3


def goes_on(rig: Rig) -> None:
    """Callbacks heard of one session, which has not ended, and nothing was given up."""
    for peer in (rig.server, rig.client):
        assert len(peer.told("connect")) == 1
        assert not peer.told("disconnect")
        assert not [told for told in peer.told("fail") if told["given_up"]]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_cut_while_sending(lay: Lay, transport: str) -> None:
    rig = lay(RIGS[transport])
    rig.exchange()
    for _ in range(CUTS):
        rig.client.send(1000)
        rig.server.send(1000)
        rig.cut()
        rig.settle()
    goes_on(rig)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_away_for_a_while(lay: Lay, transport: str) -> None:
    """What is sent while there is no line arrives when there is one again."""
    rig = lay(RIGS[transport], "reliable=1&dead_after=0.5")
    rig.exchange()
    rig.pull()
    rig.client.wait("link", up=False)
    rig.server.wait("link", up=False)
    rig.client.send(500)
    rig.server.send(500)
    rig.client.wait("sent")
    rig.plug()
    rig.client.wait("link", up=True)
    rig.settle()
    goes_on(rig)


def test_cut_while_idle(lay: Lay) -> None:
    rig = lay(TcpRig)
    rig.exchange()
    for _ in range(CUTS):
        rig.cut()
        rig.client.wait("link", up=False)
        rig.client.wait("link", up=True)
        rig.exchange()
    goes_on(rig)


def test_reset_by_a_firewall(lay: Lay) -> None:
    rig = lay(KernelTcpRig)
    rig.exchange()
    rig.network.reset(UDP_PORT)
    rig.client.send(500)
    rig.client.wait("link", up=False)
    rig.network.heal()
    rig.settle()
    goes_on(rig)


def test_killed_by_the_system(lay: Lay) -> None:
    """``ss --kill``, on either side."""
    rig = lay(KernelTcpRig)
    rig.exchange()
    for host, end in ((0, "dport"), (1, "sport")):
        rig.client.send(500)
        rig.network.hosts[host].kill_sockets("state", "established", end, "=", str(UDP_PORT))
        rig.settle()
    goes_on(rig)
