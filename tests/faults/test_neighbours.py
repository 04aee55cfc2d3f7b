"""Peers that do not read, and callbacks that do not return: nobody else notices."""

from __future__ import annotations

import pytest

from tests.faults.conftest import Lay
from tests.faults.rigs import CLEAN, TcpRig, UdpRig

KINDS = pytest.mark.parametrize("kind", [TcpRig, pytest.param(UdpRig, marks=pytest.mark.long)])


@KINDS
def test_stuck_callback(lay: Lay, kind: type[TcpRig]) -> None:
    """The server's, of one client's message."""
    rig = lay(kind)
    rig.exchange()
    rig.server.tell("stick")
    rig.client.send(1000)
    rig.server.wait("stuck")
    other = rig.start_client()
    other.send(1000)
    rig.server.receive(1000, other)
    rig.server.tell("go on")
    rig.settle()


@KINDS
def test_slow_reader(lay: Lay, kind: type[TcpRig]) -> None:
    """The server answers everybody; one client reads nothing of it for a while."""
    rig = lay(kind)
    rig.server.tell("answer")
    rig.server.report()  # by now it has heard that
    rig.client.tell("stick")
    rig.client.send(2000, size=1000)
    rig.client.wait("stuck")
    other = rig.start_client()
    other.tell("ping", count=200)
    other.wait("answered")
    rig.client.tell("go on")
    assert rig.client.receive(2000).faults == CLEAN
    assert rig.server.receive(2200).faults == CLEAN
