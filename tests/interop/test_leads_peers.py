"""LEADS's own programs, of both versions, on the other end of the wire; and wires that cut it to pieces.

What leadscomm receives has to be exact however the bytes are cut. LEADS itself cuts wrongly where a piece ends behind a
separator and holds the beginning of a further message, so what it hears is compared message by message, each sent once
the one before was heard: then no piece holds parts of two.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from leadscomm import create_client, create_server
from tests.entities.recorder import Recorder, wait_until
from tests.interop.cutter import Cutter, Sizes, always, seeded
from tests.interop.leads_peer import LeadsPeer

MESSAGES = [
    b"hello",
    b"",
    b"",
    b"x",
    b"disconnec",
    b"disconnected",
    b" disconnect",
    bytes(byte for byte in range(256) if byte != ord(";")),
    *(b"%d:" % size + b"." * (size - 4) for size in (510, 511, 512, 513, 1023, 1024, 1025)),  # LEADS reads 512 bytes
    "Grüße".encode(),
    b"",
    b"last",
]
BURST = sum(map(len, MESSAGES)) + len(MESSAGES)
CUTS: dict[str, tuple[Sizes, bool]] = {
    "as it comes": (always(65536), False),
    "byte by byte": (always(1), False),
    "two by two": (always(2), False),
    "at random": (seeded(1), False),
    "at random again": (seeded(2), False),
    "all in one": (always(65536), True),
}


@pytest.fixture(params=CUTS.values(), ids=CUTS.keys())
def cut(request: pytest.FixtureRequest) -> tuple[Sizes, bool]:
    return request.param


# Messages ------------------------------------------------------------------------------------------------------------


def test_their_server_and_our_client(leads: LeadsPeer, cut: tuple[Sizes, bool]) -> None:
    sizes, merged = cut
    told = Recorder()
    with (
        Cutter(leads.serve(), sizes, (0, BURST if merged else 0)) as wire,
        create_client(wire.port, told, reconnect=False) as client,
    ):
        leads.wait_listed(1)
        leads.command("broadcast", *MESSAGES)
        assert told.wait("receive", len(MESSAGES)) == MESSAGES
        leads.hears(client.send, MESSAGES)
    leads.wait("disconnect")
    assert leads.kinds("receive") == ["initialize", "connect", "disconnect"]
    assert told.kinds() == ["initialize", "connect", *["receive"] * len(MESSAGES), "disconnect"]
    leads.wait_listed(0)


def test_our_server_and_their_client(leads: LeadsPeer, cut: tuple[Sizes, bool]) -> None:
    sizes, merged = cut
    heard = Recorder()
    with create_server(0, heard) as server, Cutter(server.port(), sizes, (BURST if merged else 0, 0)) as wire:
        leads.dial(wire.port)
        leads.command("send", *MESSAGES)
        assert heard.wait("receive", len(MESSAGES)) == MESSAGES
        (connection,) = heard.of("connect")
        leads.hears(connection.send, MESSAGES)
        leads.hears(server.broadcast, MESSAGES)
        server.close()
        leads.wait("disconnect")
    assert leads.kinds("receive") == ["initialize", "connect", "disconnect"]
    assert heard.kinds() == ["initialize", "connect", *["receive"] * len(MESSAGES), "disconnect"]


def test_a_long_message(leads: LeadsPeer) -> None:
    heard, long = Recorder(), bytes(range(ord("a"), ord("z"))) * 8000
    with create_server(0, heard) as server:
        leads.dial(server.port())
        leads.command("send", long, b"after")
        assert heard.wait("receive", 2) == [long, b"after"]
        leads.hears(server.broadcast, [long, b"after"])


def test_a_burst_reaches_leads_whole_however_leads_cuts_it(leads: LeadsPeer) -> None:
    """Its parser loses where messages end, never a byte of them."""
    heard = Recorder()
    messages = [b"<%d>" % number for number in range(2000)]
    with create_server(0, heard) as server:
        leads.dial(server.port())
        wait_until(lambda: server.num_connections() == 1)
        for message in messages:
            server.broadcast(message)
        wanted = b"".join(messages)
        wait_until(lambda: len(b"".join(leads.of("receive"))) >= len(wanted), "the whole burst")
        assert b"".join(leads.of("receive")) == wanted


# Many ----------------------------------------------------------------------------------------------------------------


def test_several_clients_of_both_kinds_at_our_server(leads: LeadsPeer, newer: LeadsPeer) -> None:
    heard, told = Recorder(), Recorder()
    with create_server(0, heard) as server, create_client(server.port(), told) as client:
        for peer in (leads, newer):
            peer.dial(server.port())
        heard.wait("connect", 3)
        wait_until(lambda: server.num_connections() == 3)
        for count, message in enumerate([b"to all", b"", b"of you"], 1):
            server.broadcast(message)
            for one in (leads, newer, told):
                assert one.wait("receive", count)[-1] == message
        for number in range(50):
            leads.command("send", b"theirs %d" % number)
            newer.command("send", b"others' %d" % number)
            client.send(b"ours %d" % number)
        received = heard.wait("receive", 150)
        for who in (b"theirs", b"others'", b"ours"):
            assert [m for m in received if m.startswith(who)] == [b"%s %d" % (who, number) for number in range(50)]
        server.close()
        for peer in (leads, newer):
            peer.wait("disconnect")
    assert heard.kinds().count("disconnect") == 3
    assert heard.of("fail") == []


def test_several_clients_of_both_kinds_at_their_server(leads: LeadsPeer, newer: LeadsPeer) -> None:
    told = [Recorder(), Recorder()]
    port = leads.serve()
    with contextlib.ExitStack() as stack:
        clients = []
        for count, one in enumerate(told, 1):
            clients.append(stack.enter_context(create_client(port, one)))
            leads.wait_listed(count)  # its queue of those who knock holds one, others have to knock again
        newer.dial(port)
        leads.wait_listed(3)
        leads.command("broadcast", b"to all", b"", b"of you")
        for one in told:
            assert one.wait("receive", 3) == [b"to all", b"", b"of you"]
        for client in clients:
            leads.hears(client.send, [b"from one", b"", b"of us"])
    leads.wait("disconnect", 2)
    leads.wait_listed(1)


# Goodbyes ------------------------------------------------------------------------------------------------------------


def test_our_client_says_goodbye(leads: LeadsPeer) -> None:
    told = Recorder()
    with create_client(leads.serve(), told) as client:
        leads.wait_listed(1)
        client.connection.disconnect()
        leads.wait("disconnect")
        told.wait("disconnect")
        leads.wait_listed(0)
    assert told.kinds() == ["initialize", "connect", "disconnect"]


def test_our_server_says_goodbye_to_one(leads: LeadsPeer, newer: LeadsPeer) -> None:
    heard = Recorder()
    with create_server(0, heard) as server:
        leads.dial(server.port())
        heard.wait("connect")
        newer.dial(server.port())
        heard.wait("connect", 2)[0].close()
        leads.wait("disconnect")
        assert heard.wait("disconnect") == heard.of("connect")[:1]
        wait_until(lambda: server.num_connections() == 1)
        newer.hears(server.broadcast, [b"still here"])
    assert heard.of("fail") == []


@pytest.mark.parametrize("word", ["disconnect", "close"])
def test_their_client_says_goodbye(leads: LeadsPeer, word: str) -> None:
    heard = Recorder()
    with create_server(0, heard) as server:
        leads.dial(server.port())
        heard.wait("connect")
        leads.command("send", b"before")
        assert heard.wait("receive") == [b"before"]
        leads.command(word)
        if word == "close" and leads.version == "0.6.1":
            leads.kill()  # it closes without a word, and its own reading thread keeps the socket open meanwhile
        heard.wait("disconnect")
        wait_until(lambda: server.num_connections() == 0)
    assert heard.kinds() == ["initialize", "connect", "receive", "disconnect"]


@pytest.mark.parametrize("word", ["disconnect", "close"])
def test_their_server_says_goodbye(leads: LeadsPeer, word: str) -> None:
    told = Recorder()
    with create_client(leads.serve(), told) as client:
        leads.wait_listed(1)
        leads.command("broadcast", b"before")
        assert told.wait("receive") == [b"before"]
        leads.command(word)
        if word == "close" and leads.version == "0.6.1":
            leads.kill()
        told.wait("disconnect")
        assert client.join(20.0)
    assert told.kinds() == ["initialize", "connect", "receive", "disconnect"]


def test_a_leads_program_that_dies_is_noticed(leads: LeadsPeer) -> None:
    heard = Recorder()
    with create_server(0, heard) as server:
        leads.dial(server.port())
        heard.wait("connect")
        leads.kill()
        heard.wait("disconnect")
        wait_until(lambda: server.num_connections() == 0)


def test_their_client_is_told_that_it_is_turned_away(leads: LeadsPeer) -> None:
    """It would never notice an end without a goodbye, and read from it for ever."""
    heard = Recorder()
    with create_server(0, heard, max_connections=1) as server, create_client(server.port()):
        heard.wait("connect")
        leads.dial(server.port())
        leads.wait("disconnect")
    assert "max_connections" in str(heard.of("fail")[0])


def test_they_can_come_again(leads: LeadsPeer) -> None:
    heard = Recorder()
    with create_server(0, heard) as server:
        for round_ in range(1, 4):
            leads.dial(server.port())
            heard.wait("connect", round_)[-1].close()
            leads.wait("disconnect", round_)
            heard.wait("disconnect", round_)


# Separators ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", ["|", "\n"])
def test_another_separator(leads_python: Callable[[str], str], separator: str) -> None:
    heard, told = Recorder(), Recorder()
    messages = [b"a;b", b"", b"c"]
    with LeadsPeer(leads_python("0.9.7")) as leads:
        with create_server(0, heard, separator.encode()) as server:
            leads.dial(server.port(), separator)
            leads.command("send", *messages)
            assert heard.wait("receive", 3) == messages
            leads.hears(server.broadcast, messages)
        leads.wait("disconnect")
        with create_client(leads.serve(separator), told, separator.encode()) as client:
            leads.hears(client.send, messages)
