"""Half-open lines and frozen peers: noticed, and made good for when they come back."""

from __future__ import annotations

import pytest

from tests.faults.conftest import TRANSPORTS, Lay
from tests.faults.rigs import RIGS
from tests.faults.test_cuts import goes_on
from tests.faults.test_deaths import gives_up_the_last

BOTH = pytest.mark.parametrize("transport", TRANSPORTS)


@BOTH
def test_half_open(lay: Lay, transport: str) -> None:
    """Nothing comes through and nobody is told, while both sides send."""
    rig = lay(RIGS[transport], "reliable=1&dead_after=0.5")
    rig.exchange()
    rig.freeze()
    rig.client.send(300)
    rig.server.send(300)
    rig.client.wait("link", up=False)
    rig.server.wait("link", up=False)
    rig.thaw()
    rig.settle()
    goes_on(rig)


@BOTH
def test_half_open_while_idle(lay: Lay, transport: str) -> None:
    rig = lay(RIGS[transport], "reliable=1&dead_after=0.5")
    rig.exchange()
    rig.freeze()
    rig.client.wait("link", up=False)
    rig.server.wait("link", up=False)
    rig.thaw()
    rig.exchange()
    goes_on(rig)


@BOTH
@pytest.mark.parametrize("who", ["server", "client"])
def test_peer_that_is_frozen_for_a_while(lay: Lay, transport: str, who: str) -> None:
    """SIGSTOP for longer than a link may be silent: its system still answers, the program does not."""
    rig = lay(RIGS[transport], "reliable=1&dead_after=0.5")
    rig.exchange()
    frozen, other = (rig.server, rig.client) if who == "server" else (rig.client, rig.server)
    frozen.stop()
    other.send(300)
    other.wait("link", up=False)
    frozen.go_on()
    rig.settle()
    rig.exchange()
    goes_on(rig)


@BOTH
def test_peer_that_is_frozen_for_too_long(lay: Lay, transport: str) -> None:
    """The session ends, what did not get through is reported, and another begins when the peer is back."""
    rig = lay(RIGS[transport], "reliable=1&dead_after=0.3&patience=1")
    rig.exchange()
    rig.client.wait("connect")
    rig.server.stop()
    rig.client.send(50)
    rig.client.wait("disconnect")
    gives_up_the_last(rig.client.wait("fail", kind="DeliveryError"), 50)
    rig.server.go_on()
    rig.client.wait("connect")
