"""Whose session a line is: who comes to nothing leaves nothing behind, and nobody who is in a session notices."""

from __future__ import annotations

import time
from typing import Any

import pytest

from leadscomm import Client, CommTimeout, Node, Server, connect
from leadscomm.entities import sessions
from leadscomm.entities.namesakes import NameTaken
from leadscomm.entities.registry import Registry
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until

TCP = "tcp://127.0.0.1:0?reliable=1&patience=1"


def at(server: Server, options: str = "") -> str:
    return f"tcp://127.0.0.1:{server.port()}?reliable=1&patience=1{options}"


def registry_of(server: Server) -> Registry:
    assert server._acceptor is not None
    return server._acceptor._join.__self__._registry


def test_who_is_found_to_have_anothers_name_leaves_that_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own session has begun by then, as far as it goes, and must not take the place of the other's."""

    def heard_from(name: str, *_: Any) -> None:
        raise NameTaken(f"two peers are called {name!r}", name)

    monkeypatch.setattr(sessions, "check_gone", lambda *_: time.monotonic())
    monkeypatch.setattr(sessions, "check_away", heard_from)
    heard = Recorder()
    with Server(TCP, heard) as server, Client(at(server, "&name=arm"), Recorder()) as first:
        heard.wait("connect")
        with Client(at(server, "&name=arm&reconnect=0"), Recorder()) as second:
            heard.wait("fail")
            registry = registry_of(server)
            wait_until(lambda: len(registry.present()) == 1)
            assert len(server.connections()) == 1
            second.close()
        first.send(b"still here")
        assert heard.wait("receive") == [b"still here"]
        assert len(heard.of("connect")) == 1
        assert not heard.of("disconnect")


def test_the_last_callback_comes_before_the_next_session_and_is_not_waited_for_for_ever() -> None:
    with Node("base", ["tcp://127.0.0.1:0"]) as node:
        registry = Registry(node)
        endpoint = node._listen[0].at(port=node.port())
        first, second = connect(f"tcp://127.0.0.1:{node.port()}"), connect(f"tcp://127.0.0.1:{node.port()}")
        terms = sessions.Terms.of(endpoint, None)
        found = registry.wait_and_carry("arm", first, endpoint, terms, 0.0)
        assert found is not None
        stage, _ = found
        stage.session.session.joining.trusted = True  # it has begun
        stage.session.session.end("its peer left")
        assert registry.find("arm") is None
        with pytest.raises(CommTimeout, match="a callback of it does not return"):
            registry.wait_and_carry("arm", second, endpoint, terms, 0.0)
        stage.done.set()
        later = registry.wait_and_carry("arm", second, endpoint, terms, 0.0)
        assert later is not None
        assert later[0] is not stage
        registry.withdraw("arm", later[0], later[1], None, hopeless=True)
        assert not registry.present()
        for connection in (first, second):
            connection.abort()
            connection.close()


def test_a_session_that_never_began_waits_for_its_peer_as_long_as_that_may_come() -> None:
    with Node("base", ["tcp://127.0.0.1:0"]) as node:
        registry = Registry(node)
        endpoint = node._listen[0].at(port=node.port())
        terms = sessions.Terms.of(endpoint, None)
        for until, stays in ((None, True), (time.monotonic() + PATIENCE_S, True), (time.monotonic(), False)):
            connection = connect(f"tcp://127.0.0.1:{node.port()}")
            found = registry.carry(until, connection, endpoint, terms, asks=True)
            assert found is not None
            registry.withdraw(until, *found, until)
            assert (registry.find(until) is not None) == stays
            connection.abort()
            connection.close()
        for stage in registry.present().values():
            registry.discard(stage)
        assert not registry.present()
