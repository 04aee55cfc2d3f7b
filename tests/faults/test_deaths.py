"""A peer that is killed and started again is another one: both sides are told, and what was under way is reported."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.conftest import TRANSPORTS, Lay
from tests.faults.rigs import CLEAN, RIGS

BOTH = pytest.mark.parametrize("transport", TRANSPORTS)


def gives_up_the_last(failed: dict[str, Any], count: int) -> None:
    """So many are reported; a few before them may be, too: they arrived, and the acknowledgement did not."""
    assert failed["last"] == 200 + count - 1
    assert failed["given_up"] == failed["last"] + 1 - failed["first"] >= count


@BOTH
def test_server_killed(lay: Lay, transport: str) -> None:
    rig = lay(RIGS[transport], "reliable=1&dead_after=1")
    rig.exchange()
    rig.client.wait("connect")
    rig.server.stop()  # so that it is known what it did not get
    rig.client.send(50)
    rig.client.wait("sent")
    rig.server.kill()
    again = rig.start_server()
    rig.client.wait("disconnect")
    gives_up_the_last(rig.client.wait("fail", kind="DeliveryError"), 50)
    rig.client.wait("connect")
    rig.client.send(100)
    report = again.reach(349)
    assert report.missing == 250  # what the other server had, and what was given up
    assert (report.doubled, report.overtaken, report.damaged) == (0, 0, 0)


@BOTH
def test_client_killed(lay: Lay, transport: str) -> None:
    """It has a name, so that the server knows who came again."""
    rig = lay(RIGS[transport], "reliable=1&name=arm")
    rig.exchange()
    rig.server.wait("connect")
    rig.client.stop()
    rig.server.send(50)
    rig.server.wait("sent")
    rig.client.kill()
    again = rig.start_client()
    rig.server.wait("disconnect")
    gives_up_the_last(rig.server.wait("fail", kind="DeliveryError"), 50)
    rig.server.wait("connect")
    again.send(100)
    assert rig.server.receive(100, again).faults == CLEAN


@BOTH
@pytest.mark.parametrize("count", [1, 300])
def test_killed_at_any_moment(lay: Lay, transport: str, count: int) -> None:
    """Whatever is not reported arrived, in order and once."""
    rig = lay(RIGS[transport], "reliable=1&dead_after=1")
    rig.server.tell("progress", every=1)
    rig.server.report()  # by then it has heard of it
    rig.client.send(2000)
    rig.server.receive(count)
    rig.server.kill()
    rig.start_server()
    failed = rig.client.wait("fail", kind="DeliveryError")
    sent = rig.client.wait("sent")["count"]
    assert failed["last"] + 1 == sent
    assert failed["given_up"] == sent - failed["first"]
    assert failed["first"] <= max([count, *(told["count"] for told in rig.server.told("progress"))])
