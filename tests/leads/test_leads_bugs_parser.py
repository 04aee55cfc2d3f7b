"""The bugs of LEADS's parser; what LEADS does stands in the first line of each test."""

from __future__ import annotations

import socket

from leadscomm import RemoteProtocolError, create_server
from tests.entities.raw_peer import raw, read_until_end
from tests.entities.recorder import Recorder, wait_until
from tests.leads.staging import Arm, LeadsShaped, Scripted, staged


def test_part_of_a_message_is_delivered_as_a_message():
    """LEADS makes a, b, c of these."""
    assert staged(b"a;b", b"c;").of("receive") == [b"a", b"bc"]


def test_a_burst_is_cut_at_the_edges_of_the_chunks():
    """LEADS reads 512 bytes at a time, and of 2000 short messages makes 2008."""
    messages = [b"%d" % number for number in range(2000)]
    stream = b"".join(message + b";" for message in messages)
    told = staged(*(stream[at : at + 512] for at in range(0, len(stream), 512)))
    assert told.of("receive") == messages


def test_the_beginning_of_a_message_is_taken_for_the_farewell():
    """LEADS hangs up at `disconnect` though the message is not over."""
    told = staged(b"x;disconnect", b"ed;y;")
    assert told.of("receive") == [b"x", b"disconnected", b"y"]


def test_a_farewell_without_its_separator_is_no_farewell():
    """LEADS takes it for one; here it is a message that was cut off."""
    told = staged(b"x;disconnect")
    assert told.kinds() == ["initialize", "connect", "receive", "fail", "disconnect"]
    assert "inside a message" in str(told.of("fail")[0])


def test_a_peer_that_is_gone_is_read_for_ever():
    """In LEADS the thread spins, on_disconnect never comes, and the connection stays listed."""
    heard = Recorder()
    with create_server(0, heard) as server:
        with raw(server.port()) as peer:
            peer.sendall(b"x;")
            heard.wait("receive")
            assert server.num_connections() == 1
        heard.wait("disconnect")
        wait_until(lambda: server.num_connections() == 0)
        assert heard.kinds() == ["initialize", "connect", "receive", "disconnect"]


def test_a_separator_of_two_bytes_is_only_half_removed():
    r"""LEADS makes a, \nb, \n of these."""
    assert staged(b"a\r\nb\r\n", separator=b"\r\n").of("receive") == [b"a", b"b"]


def test_a_separator_in_two_chunks_is_found_with_the_next_one_only():
    """In LEADS the message waits until a later chunk holds a whole separator."""
    told = Recorder()
    seen = []

    class Looking(Scripted):
        def _read(self):
            seen.append(told.of("receive"))
            return super()._read()

    arm = Looking(b"a\r", b"\n", b"b", separator=b"\r\n")
    Arm(arm, told).start()
    assert seen[2] == [b"a"]
    assert told.of("receive") == [b"a"]


def test_nothing_in_time_is_delivered_as_an_empty_message():
    """LEADS's serial connection delivers "" when its port's timeout is over, and what it has of a message twice."""
    assert staged(b"", b"ab", b"", b"c;", b"", b";").of("receive") == [b"abc", b""]


def test_use_remainder_gives_away_what_is_not_yet_a_message():
    """LEADS returns the rest as if it were whole, and forgets it."""
    near, far = socket.socketpair()
    with near, far:
        connection = LeadsShaped(near)
        far.sendall(b"a;b;c")
        assert [connection.receive(), connection.receive()] == [b"a", b"b"]
        far.sendall(b"d;e;")
        assert [connection.receive(), connection.receive()] == [b"cd", b"e"]


def test_a_message_may_be_of_any_length():
    """LEADS gathers for ever what a peer sends without a separator."""
    heard = Recorder()
    with create_server(0, heard, max_message=1000) as server, raw(server.port()) as peer:
        peer.sendall(b"ok;" + b"x" * 2000)
        heard.wait("disconnect")
        assert read_until_end(peer) == b"disconnect;"
    assert heard.of("receive") == [b"ok"]
    assert isinstance(heard.of("fail")[0], RemoteProtocolError)
