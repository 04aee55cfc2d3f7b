"""fault:// before endpoints: the URL, the connections, and what server and client see of it."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time

import pytest

from leadscomm import (
    CommTimeout,
    ConnectionLost,
    Endpoint,
    EndpointError,
    RemoteProtocolError,
    Scheme,
    connect,
    create_client,
    create_server,
    register_framing,
    register_scheme,
)
from leadscomm.connections.endpoint import SCHEMES
from leadscomm.connections.faults.connection import FaultyConnection
from leadscomm.protocol.framing import FRAMINGS, LengthFraming
from leadscomm.sessions.timers import TimedConnection
from tests.connections.cable import Cable
from tests.connections.transports import CERTIFICATES, Later, accepted, listening
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until
from tests.leads.staging import LeadsShaped

QUICK = {"reconnect": True, "reconnect_min": 0.001, "reconnect_max": 0.01}


class Both:
    """A server, and a client with faults on its way."""

    def __init__(self, client: str, server: str = "tcp://127.0.0.1:0?framing=cobs", **options: object) -> None:
        self.heard, self.told = Recorder(), Recorder()
        self.server = create_server(server, self.heard)
        self._client, self._options = client, options

    def __enter__(self) -> Both:
        self.server.start(parallel=True)
        self.client = create_client(self._client.format(port=self.server.port()), self.told, **self._options)
        self.client.start(parallel=True)
        self.told.wait("connect")
        self.heard.wait("connect")
        wait_until(lambda: self.server.num_connections() == 1)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.server.close()

    @property
    def ways(self) -> FaultyConnection:
        connection = self.client.connection
        assert isinstance(connection, FaultyConnection)
        return connection


# The URL -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "fault://drop=0.2,dup=0.1,seed=7/tcp://127.0.0.1:16900?framing=cobs",
        "fault:///tcp://[::1]:16900",
        "fault://cut=100,direction=in/unix:///run/arm.sock?mode=666",
        "fault://rate=11520,delay=0.02,jitter=0.01/serial:///dev/ttyACM0?baud=115200&reliable=1",
        "fault://reorder=0.5/serial://socket://192.168.1.9:7000?logging=debug",
        "fault:///loop://arm",
        "loop://arm?corrupt=0.5&seed=-3",
    ],
)
def test_an_endpoint_is_read_and_written_back(url):
    endpoint = Endpoint.parse(url)
    assert endpoint.faulty
    assert str(endpoint) == url
    assert Endpoint.parse(str(endpoint)) == endpoint
    assert Endpoint.parse(endpoint) == endpoint


def test_it_is_the_endpoint_behind_it_with_faults():
    endpoint = Endpoint.parse("fault://drop=0.2/tls://robot.example:16900?ca=ca.pem", seed=7)
    assert (endpoint.scheme, endpoint.host, endpoint.port) == ("tls", "robot.example", 16900)
    assert (endpoint.options["drop"], endpoint.options["seed"], endpoint.options["dup"]) == (0.2, 7, 0.0)
    assert str(endpoint.at(port=1)) == "fault://drop=0.2,seed=7/tls://robot.example:1?ca=ca.pem"
    assert str(Endpoint.parse("fault://drop=1/16900")) == "fault://drop=1/tcp://127.0.0.1:16900"
    assert str(Endpoint.parse("fault://drop=1/loop://arm")) == "loop://arm?drop=1"
    assert not Endpoint.parse("loop://arm").faulty


KNOWN = "corrupt, cut, delay, direction, drop, dup, jitter, rate, reorder, seed"


@pytest.mark.parametrize(
    ("url", "mend"),
    [
        ("fault://dorp=0.2/tcp://127.0.0.1", f"fault:// has no fault 'dorp'; it has {KNOWN}"),
        ("fault://baud=9600/serial:///dev/x", f"fault:// has no fault 'baud'; it has {KNOWN}"),
        ("fault://drop=2/tcp://127.0.0.1", "drop='2' cannot be right .*: write a number from 0 to 1"),
        ("fault://drop/tcp://127.0.0.1", "drop='' cannot be right .*: write a number from 0 to 1"),
        ("fault://cut=0/tcp://127.0.0.1", "cut='0' .*: write a whole number above 0"),
        ("fault://rate=0/tcp://127.0.0.1", "rate='0' .*: write a number of bytes above 0"),
        ("fault://delay=-1/tcp://127.0.0.1", "delay='-1' .*: write seconds, 0 or more"),
        ("fault://seed=x/tcp://127.0.0.1", "seed='x' .*: write a whole number"),
        ("fault://direction=up/tcp://127.0.0.1", "write both, in or out"),
        ("fault://drop=0.1,drop=0.2/tcp://127.0.0.1", "gives drop twice"),
        ("loop://arm?drop=0.1&drop=0.1", "gives drop twice"),
        ("fault://drop=0.1/loop://arm?drop=0.2", "gives drop twice"),
        ("fault://drop=0.1", r"write fault://drop=0\.2,seed=7/ before an endpoint"),
        ("fault://drop=0.1/", r"write fault://drop=0\.2,seed=7/ before an endpoint"),
        ("fault://tcp://127.0.0.1", r"write fault://drop=0\.2,seed=7/ before an endpoint"),
        ("fault://drop=0.1/fault://dup=0.1/tcp://127.0.0.1", "has fault:// twice: one takes all faults"),
        ("tcp://127.0.0.1?drop=0.1", r"has no option 'drop'; .*; faults are made by fault://drop=\.\.\./ before it"),
        ("nowhere://x", "there are fault://, loop://"),
    ],
)
def test_what_cannot_be_says_what_can(url, mend):
    with pytest.raises(EndpointError, match=mend):
        Endpoint.parse(url)


def test_fault_is_no_scheme_of_ones_own():
    with pytest.raises(EndpointError, match="and not fault"):
        register_scheme("fault", Scheme("nowhere:nothing"))


def test_who_does_not_ask_for_faults_does_not_even_import_them():
    program = (
        "import sys, leadscomm;"
        "server = leadscomm.create_server('loop://a?reliable=1', leadscomm.Callback()).start(parallel=True);"
        "client = leadscomm.create_client('loop://a?reliable=1', leadscomm.Callback()).start(parallel=True);"
        "client.close(); server.close();"
        "print([name for name in sys.modules if 'fault' in name and name.startswith('leadscomm')])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout.strip() == b"[]"


# Faults, one by one --------------------------------------------------------------------------------------------------

MESSAGES = [b"%04d" % i for i in range(2000)]


def dropped_both_ways() -> tuple[list[bytes], list[bytes]]:
    with Both("fault://drop=0.2,seed=7/tcp://127.0.0.1:{port}?framing=cobs") as both:
        for message in MESSAGES:
            both.client.send(message)
            both.server.broadcast(message)
        ways = both.ways
        wait_until(lambda: (ways.outgoing.frames, ways.incoming.frames) == (len(MESSAGES), len(MESSAGES)))
        heard = both.heard.wait("receive", len(MESSAGES) - ways.outgoing.dropped)
        return heard, both.told.wait("receive", len(MESSAGES) - ways.incoming.dropped)


def test_drop_both_ways_and_the_same_for_the_same_seed():
    heard, told = dropped_both_ways()
    for came in (heard, told):
        assert len(came) == pytest.approx(1600, abs=72)
        assert came == sorted(came)
    assert heard != told
    assert dropped_both_ways() == (heard, told)


@pytest.mark.parametrize(("direction", "out", "back"), [("out", 0, 2000), ("in", 2000, 0)])
def test_one_direction_alone(direction, out, back):
    with Both(f"fault://drop=1,direction={direction}/tcp://127.0.0.1:{{port}}?framing=cobs") as both:
        for message in MESSAGES:
            both.client.send(message)
            both.server.broadcast(message)
        both.heard.wait("receive", out)
        both.told.wait("receive", back)
        ways = both.ways
        wait_until(lambda: (ways.outgoing.frames, ways.incoming.frames) == (2000, 2000))
        assert (ways.outgoing.dropped, ways.incoming.dropped) == (2000 - out, 2000 - back)
        assert both.heard.of("receive") == MESSAGES[:out]
        assert both.told.of("receive") == MESSAGES[:back]


@pytest.mark.parametrize("framing", ["separator", "line", "length", "cobs"])
def test_dup_and_reorder_in_every_framing(framing):
    url = f"fault://dup=0.1,reorder=0.05,seed=3/tcp://127.0.0.1:{{port}}?framing={framing}"
    with Both(url, f"tcp://127.0.0.1:0?framing={framing}") as both:
        for message in MESSAGES:
            both.client.send(message)
        ways = both.ways
        wait_until(lambda: ways.outgoing.frames == len(MESSAGES))
        came = both.heard.wait("receive", len(MESSAGES) + ways.outgoing.doubled)
    assert sorted(set(came)) == MESSAGES
    assert len(came) - len(MESSAGES) == ways.outgoing.doubled == pytest.approx(200, abs=54)
    assert ways.outgoing.overtaken == pytest.approx(100, abs=39)
    assert list(dict.fromkeys(came)) != MESSAGES


def test_what_is_damaged_never_comes_as_a_message_over_cobs():
    with Both("fault://corrupt=0.1,seed=7/tcp://127.0.0.1:{port}?framing=cobs") as both:
        for message in MESSAGES:
            both.client.send(message)
        ways = both.ways
        wait_until(lambda: ways.outgoing.frames == len(MESSAGES))
        both.client.send(b"last")
        both.heard.wait("fail")
        wait_until(lambda: len(both.heard.of("receive")) + 2 * ways.outgoing.damaged >= len(MESSAGES))
        both.client.close()
        both.heard.wait("disconnect")
        came = both.heard.of("receive")
        faults = both.heard.of("fail")
    assert ways.outgoing.damaged == pytest.approx(200, abs=54)
    assert set(came) <= {*MESSAGES, b"last"}
    assert came == sorted(came)
    # A frame whose end was damaged takes the next one with it.
    assert len(MESSAGES) - 2 * ways.outgoing.damaged <= len(came) <= len(MESSAGES) + 1 - ways.outgoing.damaged
    assert all(isinstance(fault, RemoteProtocolError) for fault in faults)


def test_without_a_crc_damage_is_delivered():
    with Both("fault://corrupt=1,seed=7/udp://127.0.0.1:{port}", "udp://127.0.0.1:0") as both:
        for _ in range(20):
            both.client.send(b"message")
        came = both.heard.wait("receive", 20)
    assert b"message" not in came
    assert all(len(message) == 7 for message in came)


@pytest.mark.parametrize(
    ("client", "server"),
    [
        ("fault://delay=0.1,jitter=0.02/tcp://127.0.0.1:{port}", "tcp://127.0.0.1:0"),
        ("fault://delay=0.1,jitter=0.02/udp://127.0.0.1:{port}", "udp://127.0.0.1:0"),
        ("loop://faulty?delay=0.1&jitter=0.02", "loop://faulty"),
    ],
)
def test_delay_both_ways(client, server):
    with Both(client, server) as both:
        both.heard.react = lambda service, message: service.sender.send(message)
        began = time.monotonic()
        for message in MESSAGES[:100]:
            both.client.send(message)
        assert both.told.wait("receive", 100) == MESSAGES[:100]
        assert time.monotonic() - began >= 0.2


def test_a_thin_line_makes_its_senders_wait():
    message = b"x" * 1000
    with Both("fault://rate=40000/tcp://127.0.0.1:{port}?framing=length", "tcp://127.0.0.1:0?framing=length") as both:
        began = time.monotonic()
        for _ in range(20):
            both.client.send(message)
        both.heard.wait("receive", 20)
        assert time.monotonic() - began >= 20 * 1004 / 40000
        assert both.ways.outgoing.frames <= 20


def test_what_is_late_leaves_before_the_connection_closes():
    with Both("fault://delay=0.1/tcp://127.0.0.1:{port}", "tcp://127.0.0.1:0") as both:
        for message in MESSAGES[:100]:
            both.client.send(message)
        both.client.close()
        assert both.heard.wait("receive", 100) == MESSAGES[:100]
        both.heard.wait("disconnect")


def test_cut_cuts_and_a_client_connects_again():
    with Both("fault://cut=20,seed=7/tcp://127.0.0.1:{port}?framing=cobs", **QUICK) as both:
        sent = 0
        while len(both.told.of("reconnect")) < 5:
            try:
                both.client.send(b"%d" % sent)
                sent += 1
            except ConnectionLost:
                wait_until(lambda: both.client.connection is not None)
        both.heard.wait("disconnect", 5)
        cuts = [error for error in both.told.of("fail") if isinstance(error, ConnectionLost)]
        assert all("fault:// has cut the connection" in str(cut) for cut in cuts)
        assert len(cuts) >= 5
        came = [int(message) for message in both.heard.of("receive")]
        assert came == sorted(came)


def test_a_cut_that_a_frame_from_the_peer_meets_with():
    with Both("fault://cut=1,direction=in/tcp://127.0.0.1:{port}", "tcp://127.0.0.1:0") as both:
        both.client.send(b"passes")
        both.server.broadcast(b"does not")
        both.told.wait("disconnect")
        both.heard.wait("disconnect")
        assert "has cut" in str(both.told.wait("fail")[0])
        assert both.told.of("receive") == []


# Where it stands -----------------------------------------------------------------------------------------------------


def test_on_the_server_too():
    with Both(
        "tcp://127.0.0.1:{port}?framing=cobs", "fault://drop=1,direction=in,seed=1/tcp://127.0.0.1:0?framing=cobs"
    ) as both:
        assert str(both.server.endpoint).startswith("fault://drop=1,direction=in,seed=1/tcp://127.0.0.1:")
        both.client.send(b"lost")
        both.server.broadcast(b"comes")
        both.told.wait("receive")
        (connection,) = both.server.connections()
        wait_until(lambda: connection.incoming.dropped == 1)
        assert connection.address[0] == "127.0.0.1"  # the name of a TCP connection
        with pytest.raises(AttributeError, match="nonsense"):
            _ = connection.nonsense
    assert both.heard.of("receive") == []


def test_each_connection_of_an_endpoint_has_other_faults():
    endpoint = Endpoint.parse("loop://faulty?drop=0.5&seed=7")
    lost = []
    with listening("loop://faulty") as listener:
        for _ in range(2):
            waiting = Later(accepted, listener)
            client = connect(endpoint)
            server = waiting.result()
            for message in MESSAGES[:50]:
                client.send(message)
            lost.append([server.receive(PATIENCE_S) for _ in range(50 - client.outgoing.dropped)])
            for connection in (client, server):
                connection.abort()
                connection.close()
    assert lost[0] != lost[1]


def test_a_seed_that_was_not_given_is_told(caplog):
    caplog.set_level(logging.INFO, "leadscomm")
    endpoint = Endpoint.parse("loop://faulty?drop=0.5")
    with listening("loop://faulty") as listener:
        waiting = Later(accepted, listener)
        client = connect(endpoint)
        server = waiting.result()
        for connection in (client, server):
            connection.abort()
            connection.close()
    (told,) = [record.message for record in caplog.records if "seed" in record.message]
    assert told == f"faults of {endpoint}: seed={endpoint.notes['fault_seed']}"


@pytest.mark.parametrize("framing", ["cobs", "length", "separator"])
def test_the_key_challenge_passes_unharmed(framing):
    key = b"sixteen bytes or more"
    url = f"fault://drop=1,corrupt=1/tcp://127.0.0.1:{{port}}?framing={framing}"
    with listening(f"tcp://127.0.0.1:0?framing={framing}") as listener:
        waiting = Later(accepted, listener, key)
        client = connect(url.format(port=listener.port()), key=key)
        server = waiting.result()
        client.send(b"lost")
        with pytest.raises(CommTimeout):
            server.receive(0.01)
        for connection in (client, server):
            connection.abort()
            connection.close()


def test_what_came_with_the_key_challenge_is_not_lost():
    """The first message and a part of the second may come in one piece with the last word of the challenge."""
    key = b"sixteen bytes or more"
    with listening("tcp://127.0.0.1:0?framing=length") as listener:
        waiting = Later(accepted, listener, key)
        client = connect(f"fault:///tcp://127.0.0.1:{listener.port()}?framing=length", key=key)
        server = waiting.result()
        client.framing.feed(b"\0\0\0\5be")  # as if it had come with it
        client.hold([b"held"])
        client.line.hold([b"first"])
        client.line.key = client.key = None
        client.open(time.monotonic() + PATIENCE_S)
        server._write(b"gun" + b"\0\0\0\4next")
        assert [client.receive(PATIENCE_S) for _ in range(3)] == [b"first", b"begun", b"next"]
        for connection in (client, server):
            connection.abort()
            connection.close()


def test_tls():
    server = f"fault:///tls://127.0.0.1:0?cert={CERTIFICATES}/server.pem&cert_key={CERTIFICATES}/server.key"
    client = f"fault://drop=0.5,seed=7/tls://127.0.0.1:{{port}}?ca={CERTIFICATES}/ca.pem"
    with Both(client, server) as both:
        for message in MESSAGES[:100]:
            both.client.send(message)
        wait_until(lambda: both.ways.outgoing.frames == 100)
        assert len(both.heard.wait("receive", 100 - both.ways.outgoing.dropped)) == pytest.approx(50, abs=20)


def test_a_framing_of_ones_own_is_cut_at_its_messages():
    class Marked(LengthFraming):
        name = "marked"

    register_framing("marked", Marked)
    try:
        with Both(
            "fault://drop=0.5,seed=7/tcp://127.0.0.1:{port}?framing=marked", "tcp://127.0.0.1:0?framing=marked"
        ) as both:
            for message in MESSAGES[:100]:
                both.client.send(message)
            wait_until(lambda: both.ways.outgoing.frames == 100)
            came = both.heard.wait("receive", 100 - both.ways.outgoing.dropped)
            assert came == sorted(came)
            assert len(came) == pytest.approx(50, abs=20)
    finally:
        del FRAMINGS["marked"]


def test_a_connection_in_leads_shape_has_nothing_to_put_faults_under():
    ours, theirs = socket.socketpair()
    register_scheme("shaped", Scheme(lambda address, deadline: LeadsShaped(ours)))
    try:
        with theirs, pytest.raises(EndpointError, match=r"shaped:// has receive\(\) of its own, .*leave fault:// out"):
            connect("fault:///shaped://127.0.0.1")
    finally:
        ours.close()
        del SCHEMES["shaped"]


def test_without_an_entity_what_waits_to_be_overtaken_leaves_when_something_is_received():
    with listening("loop://faulty") as listener:
        waiting = Later(accepted, listener)
        client = connect("loop://faulty?reorder=1")
        server = waiting.result()
        client.send(b"late")
        with pytest.raises(CommTimeout):
            server.receive(0)
        with pytest.raises(CommTimeout):
            client.receive(0.1)
        assert server.receive(PATIENCE_S) == b"late"
        for connection in (client, server):
            connection.abort()
            connection.close()


# Below a session -----------------------------------------------------------------------------------------------------


def through(server: str, client: str, count: int, **options: object) -> TimedConnection:
    """Send over a session, both ways; return the client's connection."""
    messages = MESSAGES[:count]
    with Both(client, server, send_timeout=PATIENCE_S, **options) as both:
        for message in messages:
            both.client.send(message)
            both.server.connections()[0].send(message)
        assert both.heard.wait("receive", count) == messages
        assert both.told.wait("receive", count) == messages
        connection = both.client.connection
        assert isinstance(connection, TimedConnection)
        assert isinstance(connection._carrier(), FaultyConnection)
        return connection


def test_below_a_session_faults_are_on_its_frames_and_nothing_is_lost_over_a_loop():
    faults = "drop=0.2&dup=0.1&corrupt=0.05&reorder=0.1&seed=7"
    session = through("loop://faulty?reliable=1", f"loop://faulty?{faults}&reliable=1", 60)
    assert session.counters().resent > 0


@pytest.mark.parametrize("faulty", ["server", "client"])
def test_below_a_session_on_a_serial_line(faulty):
    with Cable() as cable:
        ends = {"server": cable.a, "client": cable.b}
        urls = {
            side: ("fault://drop=0.1,dup=0.1,seed=7/" if side == faulty else "fault:///")
            + f"serial://{end}?baud=115200&reliable=1"
            for side, end in ends.items()
        }
        through(urls["server"], urls["client"], 40)
