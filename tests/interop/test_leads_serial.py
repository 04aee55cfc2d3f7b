"""LEADS's serial connection at the other end of a cable, and LEADS's dialogue with boards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from leadscomm import create_client, create_server
from tests.entities.recorder import Recorder, wait_until
from tests.interop.leads_peer import LeadsPeer

pytest.importorskip("termios", reason="pseudo-terminals are a matter of Unix systems")
from tests.connections.cable import Board, Cable

MESSAGES = [
    b"hello",
    b"",
    b"",
    b"x",
    b"disconnec",
    b"disconnected",
    b"wss_lf:12.00",
    bytes(range(33, 59)),
    b"",
    b"last",
]
BAUD = 115200


@pytest.fixture
def cable() -> Iterator[Cable]:
    with Cable() as cable:
        yield cable


# LEADS reads a cable byte by byte, so that its parser cuts rightly there, however fast the messages come.


def test_both_ways_and_we_say_goodbye(leads: LeadsPeer, cable: Cable) -> None:
    told = Recorder()
    leads.command("serial", cable.b, BAUD)
    leads.wait("connect")
    with create_client(f"serial://{cable.a}?baud={BAUD}", told) as client:
        leads.command("write", *MESSAGES)
        assert told.wait("receive", len(MESSAGES)) == MESSAGES
        for message in MESSAGES:
            client.send(message)
        assert leads.wait("receive", len(MESSAGES)) == MESSAGES
    leads.wait("disconnect")
    assert told.kinds() == ["initialize", "connect", *["receive"] * len(MESSAGES), "disconnect"]


@pytest.mark.parametrize(
    ("leads", "word"),
    [("0.6.1", "disconnect"), ("0.9.7", "disconnect"), ("0.9.7", "close")],  # 0.6.1 closes without a word
    indirect=["leads"],
)
def test_both_ways_and_they_say_goodbye(leads: LeadsPeer, cable: Cable, word: str) -> None:
    heard = Recorder()
    with create_server(f"serial://{cable.a}?baud={BAUD}", heard) as server:
        heard.wait("connect")
        leads.command("serial", cable.b, BAUD)
        leads.wait("connect")
        wait_until(lambda: server.num_connections() == 1)
        for message in MESSAGES:
            server.broadcast(message)
        assert leads.wait("receive", len(MESSAGES)) == MESSAGES
        leads.command("write", *MESSAGES)
        assert heard.wait("receive", len(MESSAGES)) == MESSAGES
        leads.command(word)
        heard.wait("disconnect")
    assert heard.of("fail") == []


def test_a_host_of_theirs_finds_a_board_of_ours(newer: LeadsPeer, cable: Cable) -> None:
    def answer(service, msg):
        if msg == b"ic":
            service.sender.send(b"wsc")

    asked = Recorder(answer)
    with create_server(f"serial://{cable.a}?baud=9600", asked) as board:
        asked.wait("connect")
        newer.command("find", cable.b, "wsc")
        assert newer.wait("connect") == [cable.b]
        wait_until(lambda: board.num_connections() == 1)
        board.broadcast(b"wss_lf:12.00")
        assert newer.wait("receive") == [b"wss_lf:12.00"]
    newer.wait("disconnect")


def test_a_host_of_ours_finds_the_board_by_its_tag() -> None:
    told = Recorder()
    with Board(b"wsc") as board, create_client(f"serial://{board.port}?identity=WSC", told) as client:
        board.say_bytes(b"wss_lf:12.00;wss_")
        board.say_bytes(b"rf:12.50;")
        assert told.wait("receive", 2) == [b"wss_lf:12.00", b"wss_rf:12.50"]
        client.send(b"gps")
        wait_until(lambda: b"gps" in board.heard)
        assert board.heard[0] == b"ic"


def test_another_board_is_refused() -> None:
    told = Recorder()
    with Board(b"pwr") as board:
        client = create_client(f"serial://{board.port}?identity=WSC", told, connect_timeout=0.5)
        client.start()
    (error,) = told.of("fail")
    assert "pwr" in str(error)
    assert told.kinds() == ["initialize", "fail"]
