"""reliable=1: over pseudo-terminals with a board, between two programs, and within one."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from leadscomm import (
    Callback,
    Client,
    CommTimeout,
    ConnectFailed,
    ConnectionLost,
    DeliveryError,
    EndpointError,
    LocalProtocolError,
    OutboxFull,
    RemoteProtocolError,
    Server,
    connect,
)
from leadscomm.protocol.session.compact import compact as session_module
from leadscomm.sessions.board import ReliableConnection
from tests.connections.cable import Board, Cable
from tests.connections.wire_board import WireBoard
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals: a Unix system")
OPTIONS = "baud=115200&reliable=1"


@pytest.fixture
def board() -> Iterator[WireBoard]:
    with WireBoard() as board:
        yield board


def dialled(board: WireBoard, **options: Any) -> ReliableConnection:
    connection = connect(f"serial://{board.port}?{OPTIONS}", **options)
    assert isinstance(connection, ReliableConnection)
    return connection


# Without an entity ---------------------------------------------------------------------------------------------------


def test_a_board_echoes(board: WireBoard):
    connection = dialled(board)
    assert str(connection) == board.port
    assert connection.peer is not None
    assert (connection.peer.tag, connection.peer.segment) == ("wsc", 58)
    messages = [b"%d" % number for number in range(50)]
    for message in messages:
        connection.send(message)
    assert [connection.receive(PATIENCE_S) for _ in messages] == messages
    assert board.heard == messages
    counters = connection.counters()
    assert counters.bad_frames == counters.lost_datagrams == 0
    assert counters.round_trip is not None
    connection.close()
    connection.close()
    with pytest.raises(ConnectionLost):
        connection.send_datagram(b"late")


def test_messages_of_any_bytes_and_many_sizes():
    with WireBoard(longest=5000) as board:
        connection = dialled(board)
        messages = [b"", b"\0", b"\0" * 58, b"\xff" * 59, b";disconnect;", bytes(range(256)) * 12]
        for message in messages:
            connection.send(message)
        assert [connection.receive(PATIENCE_S) for _ in messages] == messages
        connection.close()


def test_datagrams_are_neither_counted_as_messages_nor_acknowledged(board: WireBoard):
    connection = dialled(board)
    connection.send_datagram(b"quick")
    assert connection.receive(PATIENCE_S) == b"quick"
    board.say(b"\5five")
    assert connection.receive(PATIENCE_S) == b"five"
    assert connection.counters().lost_datagrams == 4
    with pytest.raises(LocalProtocolError, match="peer takes 58 at most"):
        connection.send_datagram(bytes(59))
    with pytest.raises(TypeError):
        connection.send_datagram("text")  # type: ignore[arg-type]
    connection.close()


def test_what_the_board_does_not_take_is_refused_at_send(board: WireBoard):
    connection = dialled(board)
    with pytest.raises(LocalProtocolError, match="59 bytes, and the peer takes 58 at most"):
        connection.send(bytes(59))
    connection.send(bytes(58))
    assert connection.receive(PATIENCE_S) == bytes(58)
    connection.close()


def test_damage_is_counted_and_repaired(board: WireBoard):
    connection = dialled(board)
    board.say_bytes(b"\x05noise\0")
    connection.send(b"after it")
    assert connection.receive(PATIENCE_S) == b"after it"
    wait_until(lambda: connection.counters().bad_frames == 1)
    connection.close()


def test_a_board_that_was_reset_ends_a_conversation_that_nobody_runs(board: WireBoard):
    connection = dialled(board)
    board.reset()
    connection.send(b"into the void")
    assert connection.receive(PATIENCE_S) is None
    with pytest.raises(DeliveryError, match=r"1 message\(s\)") as caught:
        connection.close()
    assert caught.value.messages == (b"into the void",)


def test_a_board_that_takes_nothing_is_not_waited_for_for_ever(board: WireBoard):
    connection = dialled(board, send_timeout=0.2)
    board.deaf = True
    with pytest.raises(OutboxFull):
        for number in range(10):
            connection.send(b"%d" % number)
    with pytest.raises(DeliveryError) as caught:
        connection.close()
    error = caught.value
    assert error.messages[:2] == (b"0", b"1")
    assert (error.unanswered, error.unsent) == (error.messages[:1], error.messages[1:])  # its window is one frame
    assert f"1 sent, and it is not known whether they arrived; {len(error.unsent)} never sent" in str(error)


def test_senders_and_a_receiver_in_threads_of_their_own(board: WireBoard):
    connection = dialled(board)
    messages = [b"%d" % number for number in range(200)]
    sender = threading.Thread(target=lambda: [connection.send(message) for message in messages])
    sender.start()
    assert [connection.receive(PATIENCE_S) for _ in messages] == messages
    sender.join()
    connection.close()


# Opening -------------------------------------------------------------------------------------------------------------


def test_a_board_that_says_nothing():
    with WireBoard(speaks="nothing") as board, pytest.raises(CommTimeout, match="does not answer: is its baud rate"):
        dialled(board, connect_timeout=0.3)


def test_a_board_of_another_version():
    with WireBoard(speaks="version 2") as board, pytest.raises(ConnectFailed, match="speaks version 2 of the session"):
        dialled(board)


def test_a_board_without_a_session():
    with WireBoard(speaks="datagrams") as board:
        with pytest.raises(ConnectFailed, match="talk to it by framing=board"):
            dialled(board)
        connection = connect(f"serial://{board.port}?baud=115200&framing=board")
        connection.send(b"hi")
        assert connection.receive(PATIENCE_S) == b"hi"
        connection.abort()
        connection.close()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"wss_lf:12.00;wss_rf:13.00;", "answers in text .*; leave reliable=1 and framing out"),
        (bytes(range(128, 228)) * 2, "sends noise .*; is its baud rate another"),
        (b"\x01\x05hi\x4c\x6f\x00" * 9, "framing=board"),
        (b"\0\0\0\x04\x80\x81\x82\x83" * 9, "framing=length"),
    ],
    ids=["text", "noise", "frames", "another framing"],
)
def test_what_speaks_something_else_is_named(said: bytes, words: str):
    with WireBoard(speaks="nothing") as board:
        talker = threading.Timer(0.05, board.say_bytes, [said])
        talker.start()
        with pytest.raises(ConnectFailed, match=words):
            dialled(board, connect_timeout=0.4)
        talker.join()


def test_a_port_that_vanishes_while_it_is_asked():
    board = WireBoard(speaks="nothing")
    puller = threading.Timer(0.1, board.unplug)
    puller.start()
    with pytest.raises(ConnectionLost):
        dialled(board)
    puller.join()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"separator": "|"}, "goes with framing=cobs"),
        ({"framing": "line"}, "goes with framing=cobs"),
        ({"reliable": "perhaps"}, "write 1 or 0"),
    ],
)
def test_what_does_not_go_together(more: dict[str, Any], words: str):
    with pytest.raises(EndpointError, match=words):
        connect("serial:///dev/ttyNONE?reliable=1", **more)


# With entities -------------------------------------------------------------------------------------------------------


def running(board: WireBoard, recorder: Callback, **options: Any) -> Client:
    return Client(f"serial://{board.port}?{OPTIONS}", recorder, **options)


def test_a_client_talks_to_a_board(board: WireBoard):
    recorder = Recorder()
    with running(board, recorder) as client:
        messages = [b"%d" % number for number in range(300)]
        for message in messages:
            client.send(message)
        assert recorder.wait("receive", 300) == messages
    assert recorder.kinds() == ["initialize", "connect", *["receive"] * 300, "disconnect"]


def test_a_reset_board_begins_a_new_conversation_on_the_open_port(board: WireBoard):
    recorder = Recorder()
    with running(board, recorder) as client:
        client.send(b"before")
        recorder.wait("receive")
        (first,) = recorder.of("connect")
        board.deaf = True
        for number in range(5):
            client.send(b"%d" % number)
        board.reset()
        board.deaf = False
        recorder.wait("reconnect")
        assert [kind for kind in recorder.kinds() if kind != "receive"] == [
            "initialize",
            "connect",
            "disconnect",
            "fail",
            "connect",
            "reconnect",
        ]
        (failure,) = recorder.of("fail")
        assert isinstance(failure, DeliveryError)
        assert failure.messages == (b"0", b"1", b"2", b"3", b"4")
        second = recorder.of("connect")[1]
        assert second is not first
        assert second.line is first.line
        assert first.closed()
        with pytest.raises(ConnectionLost):
            first.send_datagram(b"too late")
        client.send(b"after")
        assert recorder.wait("receive", 2)[1] == b"after"


def test_without_reconnecting_a_reset_is_the_end(board: WireBoard):
    recorder = Recorder()
    client = running(board, recorder, reconnect=False).start(True)
    board.reset()
    client.send(b"lost")
    assert client.join(PATIENCE_S)
    assert recorder.kinds() == ["initialize", "connect", "disconnect", "fail"]


def test_an_unplugged_board_leaves_what_it_did_not_acknowledge(board: WireBoard):
    recorder = Recorder()
    client = running(board, recorder, reconnect=False).start(True)
    board.deaf = True
    for number in range(3):
        client.send(b"%d" % number)
    board.unplug()
    assert client.join(PATIENCE_S)
    assert isinstance(recorder.of("fail")[0], ConnectionLost)
    assert recorder.of("fail")[-1].messages == (b"0", b"1", b"2")


def test_closing_waits_for_the_acknowledgements(board: WireBoard):
    recorder = Recorder()
    client = running(board, recorder).start(True)
    messages = [b"%d" % number for number in range(100)]
    for message in messages:
        client.send(message)
    client.close()
    assert board.heard == messages
    assert recorder.of("fail") == []


def test_a_message_is_acknowledged_after_its_callback(board: WireBoard):
    inside, leave = threading.Event(), threading.Event()

    def on_receive(service: Any, message: bytes) -> None:
        inside.set()
        assert leave.wait(PATIENCE_S)

    with running(board, Recorder(on_receive)):
        board.answer(b"think")
        assert inside.wait(PATIENCE_S)
        assert board._answers  # it is sent again and again, and not acknowledged
        leave.set()
        wait_until(lambda: not board._answers)


def test_nothing_is_delivered_nor_acknowledged_after_closing(board: WireBoard):
    def on_receive(service: Any, message: bytes) -> None:
        service.sender.close()

    recorder = Recorder(on_receive)
    client = running(board, recorder, reconnect=False).start(True)
    board.answer(b"one")
    board.answer(b"two")
    assert client.join(PATIENCE_S)
    assert recorder.of("receive") == [b"one"]


def test_sending_inside_a_callback_raises_at_once_when_there_is_no_room(board: WireBoard):
    def on_receive(service: Any, message: bytes) -> None:
        for _ in range(5000):  # an outbox looks after its limit each 64 KiB
            service.send(bytes(50))

    recorder = Recorder(on_receive)
    with running(board, recorder, outbox=500, send_timeout=60):
        board.deaf = True
        board.answer(b"go")
        assert isinstance(recorder.wait("fail")[0], OutboxFull)
        board.deaf = False


def test_what_the_board_refuses_reaches_on_fail(board: WireBoard):
    recorder = Recorder()
    with running(board, recorder):
        board.say(b"\xd8\5\x3a\0")
        (failure,) = recorder.wait("fail")
        assert isinstance(failure, RemoteProtocolError)
        assert "58 bytes at most" in str(failure)


def test_a_board_that_falls_silent_is_asked_again(board: WireBoard, monkeypatch):
    monkeypatch.setitem(session_module.CompactSession.__init__.__kwdefaults__, "silence", 0.5)
    recorder = Recorder()
    with running(board, recorder):
        board.speaks = "nothing"
        recorder.wait("disconnect")
        board.speaks = "session"
        recorder.wait("reconnect")


# Two programs on a cable, and within one -----------------------------------------------------------------------------


def echo(service: Any, message: bytes) -> None:
    service.sender.send(b"re:" + message)


@pytest.mark.parametrize("transport", ["serial", "loop"])
def test_server_and_client(transport: str):
    with Cable() as cable:
        here, there = (
            (f"serial://{cable.a}?{OPTIONS}", f"serial://{cable.b}?{OPTIONS}")
            if transport == "serial"
            else ("loop://reliable?reliable=1", "loop://reliable?reliable=1")
        )
        served, heard = Recorder(echo), Recorder()
        with Server(here, served) as server, Client(there, heard) as client:
            heard.wait("connect")
            served.wait("connect")
            messages = [b"%d" % number * (number % 700) for number in range(200)]
            for message in messages:
                client.send(message)
            assert heard.wait("receive", 200) == [b"re:" + message for message in messages]
            wait_until(lambda: server.num_connections() == 1)
            server.broadcast(b"to all")
            assert heard.wait("receive", 201)[-1] == b"to all"
        assert served.of("fail") == heard.of("fail") == []


@pytest.mark.parametrize("faults", [1e-4, pytest.param(1e-3, marks=pytest.mark.slow)])
def test_a_cable_that_flips_drops_and_doubles_bytes(faults: float):
    dice = random.Random(5)

    def wear(data: bytes) -> bytes:
        worn = bytearray()
        for byte in data:
            at = dice.random() / faults
            worn += bytes((byte ^ 1 << dice.randrange(8),)) if at < 1 else b"" if at < 2 else bytes((byte,))
            worn += bytes((byte,)) if 2 <= at < 3 else b""
        return bytes(worn)

    messages = [dice.randbytes(dice.randrange(100)) for _ in range(500)]
    with Cable(wear) as cable:
        served, heard = Recorder(), Recorder()
        with (
            Server(f"serial://{cable.a}?{OPTIONS}", served) as server,
            Client(f"serial://{cable.b}?{OPTIONS}", heard) as client,
        ):
            for recorder in (served, heard):
                recorder.wait("connect")
            (connection,) = served.of("connect")
            for message in messages:
                client.send(message)
                server.send(message[::-1], connection)
            assert heard.wait("receive", 500) == [message[::-1] for message in messages]
            assert served.wait("receive", 500) == messages
            counters = client.connection.counters()  # type: ignore[union-attr]
            assert counters.bad_frames > 0 or faults < 1e-3
        assert served.of("fail") == heard.of("fail") == []


def test_a_server_on_a_cable_outlives_its_client():
    with Cable() as cable:
        served = Recorder(echo)
        with Server(f"serial://{cable.a}?{OPTIONS}", served):
            for turn in range(1, 4):
                connection = connect(f"serial://{cable.b}?{OPTIONS}")
                connection.send(b"%d" % turn)
                assert connection.receive(PATIENCE_S) == b"re:%d" % turn
                connection.close()
                served.wait("disconnect", turn)


def test_a_server_on_a_board_goes_on_after_a_reset(board: WireBoard):
    recorder = Recorder()
    with Server(f"serial://{board.port}?{OPTIONS}&max_connections=1", recorder) as server:
        recorder.wait("connect")
        wait_until(lambda: server.num_connections() == 1)
        board.reset()
        server.broadcast(b"lost")
        recorder.wait("connect", 2)
        wait_until(lambda: server.num_connections() == 1)
        server.broadcast(b"came")
        recorder.wait("receive")
        assert recorder.of("receive") == [b"came"]
        (failure,) = recorder.of("fail")
        assert failure.messages == (b"lost",)


def test_a_broadcast_that_a_board_cannot_take_is_reported_and_holds_up_nothing(board: WireBoard):
    recorder = Recorder()
    with Server(f"serial://{board.port}?{OPTIONS}", recorder) as server:
        recorder.wait("connect")
        wait_until(lambda: server.num_connections() == 1)
        server.broadcast(bytes(59))
        server.broadcast(b"short")
        assert recorder.wait("receive") == [b"short"]
        (failure,) = recorder.wait("fail")
        assert isinstance(failure, DeliveryError)
        assert failure.messages == (bytes(59),)


def test_a_server_that_is_closed_while_nobody_answers():
    with WireBoard(speaks="nothing") as board:
        server = Server(f"serial://{board.port}?{OPTIONS}", Recorder())
        server.start(True)
        wait_until(lambda: board.hellos == 0 and server.running())
        began = time.monotonic()
        server.close()
        assert time.monotonic() - began < PATIENCE_S
        assert not server.running()


def test_a_text_board_beside_a_session_identifies_as_before():
    with Board(b"wsc") as board:
        connection = connect(f"serial://{board.port}?identity=wsc")
        connection.abort()
        connection.close()
