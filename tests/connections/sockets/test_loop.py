"""loop://: names, and who waits."""

from __future__ import annotations

import pytest

from leadscomm import ConnectFailed, EndpointError, connect, create_client, create_server, listen
from leadscomm.connections.sockets import loop
from tests.connections.transports import Later, accepted, listening
from tests.entities.recorder import Recorder, wait_until


def test_nobody_listens():
    with pytest.raises(ConnectFailed, match=r"nobody listens on loop://arm in this program, .*; listened on: nothing"):
        connect("loop://arm")
    with listening("loop://leg"), pytest.raises(ConnectFailed, match="listened on: loop://leg"):
        connect("loop://arm")


def test_a_name_is_listened_on_once_at_a_time():
    with listening("loop://arm"), pytest.raises(ConnectFailed, match="is listened on already; close that one, or"):
        listen("loop://arm")
    with listening("loop://arm"):
        pass


def test_a_name_is_wanted():
    with pytest.raises(EndpointError, match="wants a name, such as loop://arm"):
        listen("loop://")


def test_a_server_and_its_clients_in_one_program():
    with create_server("loop://arm", heard := Recorder(lambda s, m: s.sender.send(m[::-1]))) as server:
        assert (server.port(), str(server.endpoint)) == (0, "loop://arm")
        told = [Recorder() for _ in range(3)]
        clients = [create_client("loop://arm", each).start(parallel=True) for each in told]
        for client, each in zip(clients, told):
            client.send(b"abc")
            assert each.wait("receive") == [b"cba"]
            assert (str(client.connection), client.connection._origin) == ("loop:arm", None)
        server.broadcast(b"all")
        for client, each in zip(clients, told):
            each.wait("receive", 2)
            client.close()
        heard.wait("disconnect", 3)


def test_who_waits_to_be_accepted_is_bounded_and_let_go(monkeypatch):
    monkeypatch.setattr(loop, "BACKLOG", 2)
    listener = listen("loop://arm")
    waiting = [connect("loop://arm") for _ in range(2)]
    with pytest.raises(ConnectFailed, match="accepts nobody at the moment; is its server busy"):
        connect("loop://arm", timeout=0.01)
    third = Later(connect, "loop://arm")
    waiting.append(accepted(listener))  # makes room
    waiting.append(third.result())
    fourth = Later(connect, "loop://arm")
    wait_until(lambda: bool(listener._changed))
    listener.close()
    with pytest.raises(ConnectFailed, match="nobody listens"):
        fourth.result()
    assert listener.accept() is None
    assert waiting[1].receive() is None
    for connection in waiting:
        connection.abort()
        connection.close()
    listener.close()
