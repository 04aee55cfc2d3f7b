"""The laboratory itself: it makes the faults that it says, and what they do without a session is seen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.faults import matrix
from tests.faults.conftest import Lay
from tests.faults.namespaces import Network
from tests.faults.numbered import Ledger, numbered
from tests.faults.rigs import LateUdpRig, Rig, TcpRig, UdpRig

ROOT = Path(__file__).resolve().parents[2]
PLAIN = {TcpRig: "framing=cobs", UdpRig: "framing=datagram", LateUdpRig: "framing=datagram"}
MESSAGES = 400
"""No more than the system holds for a reader that is late."""


def plain(lay: Lay, kind: type[Rig]) -> Rig:
    rig = lay(kind, PLAIN[kind])
    assert isinstance(rig, kind)
    rig.client.send(1)
    rig.client.wait("sent")
    rig.server.receive(1)
    return rig


def lets_through(rig: Rig) -> tuple[int, int, int, int]:
    """What becomes of many messages without a session. Others follow until one of them has come."""
    rig.client.send(MESSAGES)
    while rig.server.report().reached <= MESSAGES:
        rig.client.send(1)
    return rig.server.report().faults


def test_ledger() -> None:
    ledger = Ledger()
    zero, one, two, three = numbered(1, 4)
    for message in (zero, two, one, one, three[:-1], b"", next(numbered(2, 1))):
        ledger.take(message)
    assert (ledger.missing(), ledger.doubled, ledger.overtaken, ledger.damaged) == (0, 1, 1, 2)
    assert ledger.delivered == {(1, 4): 3, (2, 4): 1}
    assert (ledger.of(1), ledger.total, ledger.reached) == (3, 4, 3)
    ledger.take(next(numbered(1, 1, first=9)))
    assert ledger.missing() == 6


@pytest.mark.parametrize(
    ("fault", "shows"), [("lose", (1, 0, 0, 0)), ("double", (0, 1, 0, 0)), ("damage", (1, 0, 0, 1))]
)
def test_network_does_as_told(lay: Lay, fault: str, shows: tuple[int, ...]) -> None:
    """The fault is seen about as often as it was asked for, and no other one; what is damaged is missing besides."""
    rig = plain(lay, UdpRig)
    rig.network.harm(**{fault: 0.2})
    for count, expected in zip(lets_through(rig), shows):
        assert 0.1 * MESSAGES * expected <= count <= 0.3 * MESSAGES * expected


def test_packets_overtake_each_other(lay: Lay) -> None:
    """The late ones too are waited for: none gets lost."""
    rig = plain(lay, LateUdpRig)
    rig.client.send(MESSAGES)
    missing, doubled, overtaken, damaged = rig.server.receive(1 + MESSAGES).faults
    assert overtaken > 0.02 * MESSAGES
    assert (missing, doubled, damaged) == (0, 0, 0)


def test_thin_wire() -> None:
    with Network() as network:
        network.thin(1000)
        told = network.hosts[0].run("tc", "-s", "qdisc", "show", "dev", "wire")
    assert "tbf" in told


def test_proxy_loses_what_was_under_way(lay: Lay) -> None:
    """So the session does have something to make good for."""
    rig = plain(lay, TcpRig)
    rig.freeze()
    rig.client.send(100)
    rig.client.wait("sent")
    rig.cut()
    rig.thaw()
    rig.client.wait("disconnect")
    rig.client.send(1)
    assert rig.server.reach(101).missing > 0


def test_every_cell_is_tested() -> None:
    """By tests that there are."""
    found = {
        f"{path.stem}.{name}"
        for path in Path(__file__).parent.glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    named = {test for row in matrix.MATRIX for tests in row.cells.values() for test in tests}
    assert sorted(named - found) == []
    assert all(row.cells[transport] for row in matrix.MATRIX for transport in row.cells)


def test_the_page_shows_the_matrix() -> None:
    page = (ROOT / "docs" / "fault-laboratory.md").read_text("utf-8")
    assert matrix.markdown() in page
