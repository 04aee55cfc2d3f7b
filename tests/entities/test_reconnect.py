"""A client whose server comes and goes."""

from __future__ import annotations

import socket

import pytest

from leadscomm import Client, ConnectionLost, create_client, create_server
from leadscomm.entities.running import dialler
from leadscomm.entities.running.dialler import Backoff, backoff
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until

QUICK = {"reconnect": True, "reconnect_min": 0.001, "reconnect_max": 0.01}


def echo(service, msg):
    service.sender.send(msg)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_it_comes_back_and_says_so():
    told = Recorder()
    server = create_server(0, Recorder(echo)).start(parallel=True)
    server = create_server(server.close() or server.port(), Recorder(echo)).start(parallel=True)
    with create_client(server.port(), told, **QUICK) as client:
        for i in range(3):
            # A client that is quicker than the server's end may be connected for an instant to what is about to close.
            wait_until(lambda: server.num_connections() == 1 and client.connection is not None)
            client.send(b"%d" % i)
            told.wait("receive", i + 1)
            server.close()
            server.start(parallel=True)
        told.wait("reconnect", 3)
        server.close()
    kinds = [kind for kind in told.kinds() if kind not in ("fail", "receive")]
    assert told.of("receive") == [b"0", b"1", b"2"]
    assert kinds[:3] == ["initialize", "connect", "disconnect"]
    again = ["connect", "reconnect", "disconnect"]
    assert kinds[3:] == again * (len(kinds[3:]) // 3)


def test_it_waits_for_a_server_that_is_not_there_yet():
    told = Recorder()
    port = free_port()
    client = create_client(port, told, **QUICK).start(parallel=True)
    told.wait("fail", 2)
    with pytest.raises(ConnectionLost, match="not connected"):
        client.send(b"x")
    with create_server(port):
        told.wait("connect")
        client.close()
    assert told.of("reconnect") == []


def test_without_reconnect_it_ends_with_its_connection():
    told = Recorder()
    server = create_server(0).start(parallel=True)
    client = create_client(server.port(), told).start(parallel=True)
    server.close()
    assert client.join(PATIENCE_S)
    assert told.kinds() == ["initialize", "connect", "disconnect"]


def test_reconnecting_is_the_default_outside_the_leads_door():
    assert Client("tcp://127.0.0.1:1")._reconnect
    assert not Client("tcp://127.0.0.1:1?reconnect=0")._reconnect
    assert not create_client("tcp://127.0.0.1:1")._reconnect
    assert create_client("tcp://127.0.0.1:1?reconnect=1")._reconnect


def test_the_delay_doubles_up_to_its_limit_and_is_spread():
    client = create_client(1, reconnect=True, reconnect_min=0.1, reconnect_max=2)
    for failures, longest in ((0, 0.1), (1, 0.2), (3, 0.8), (5, 2), (5000, 2)):
        delays = [backoff(client.endpoint, failures) for _ in range(50)]
        assert longest / 2 <= min(delays) < max(delays) <= longest


def test_the_waits_grow_until_a_conversation_has_proved_itself():
    client = Client("tcp://127.0.0.1:1?reconnect_min=0.1&reconnect_max=2")
    waits = Backoff(client.endpoint)
    assert 0.05 <= waits.delay() <= 0.1
    waits.failed()
    assert 0.05 <= waits.delay() <= 0.1  # the first new attempt
    for lasted, heard in ((0.02, False), (0.02, True), (9.0, False), (0.9, True)):
        waits.ended(lasted, heard)
    assert waits.failures == 5
    assert 0.8 <= waits.delay() <= 1.6
    waits.ended(1.1, heard=True)
    assert waits.failures == 0
    waits.failed()
    waits.ended(10.5, heard=False)
    assert waits.failures == 0


@pytest.mark.parametrize("options", ["", "?reliable=1"])
@pytest.mark.parametrize("how", ["full", "closed"])
def test_a_client_that_is_turned_away_waits_longer_and_longer(options, how, monkeypatch):
    waited: list[int] = []
    waits = dialler.backoff

    def counted(endpoint, doublings, longest=float("inf")):
        waited.append(doublings)
        return waits(endpoint, doublings, longest)

    monkeypatch.setattr(dialler, "backoff", counted)
    heard = Recorder()
    if how == "closed":
        heard.on_connect = lambda service, connection: connection.close()
    limit = 1 if how == "full" else 100
    with create_server(f"tcp://127.0.0.1:0{options}", heard, max_connections=limit) as server:
        place = f"tcp://127.0.0.1:{server.port()}{options}"
        with create_client(place, Recorder()):
            if how == "full":
                wait_until(lambda: server.num_connections() == 1)
            waited.clear()
            with create_client(place, Recorder(), reconnect=True, reconnect_min=0.001, reconnect_max=0.01):
                wait_until(lambda: len(waited) >= 6)
    assert waited[:6] == sorted(waited[:6])
    assert waited[5] > waited[1]
