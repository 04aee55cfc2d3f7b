"""What every transport promises, through its connections and through server and client."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from leadscomm import (
    CommTimeout,
    ConnectionBase,
    ConnectionLost,
    LocalProtocolError,
    OutboxFull,
    create_client,
    create_server,
)
from tests.connections.transports import (
    FAULTY_TRANSPORTS,
    SESSION_TRANSPORTS,
    TRANSPORTS,
    Later,
    Transport,
    conversation,
)
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until

WAIT_S = PATIENCE_S
ALL = (*TRANSPORTS, *FAULTY_TRANSPORTS, *SESSION_TRANSPORTS)
every_transport = pytest.mark.parametrize("transport", ALL, ids=[transport.name for transport in ALL])
BUFFERED = [transport for transport in ALL if transport.buffers]
transports_that_buffer = pytest.mark.parametrize("transport", BUFFERED, ids=[str(transport) for transport in BUFFERED])
RELIABLE = [transport for transport in ALL if transport.reliable]
reliable_transports = pytest.mark.parametrize("transport", RELIABLE, ids=[str(transport) for transport in RELIABLE])
FRIENDLY = [transport for transport in ALL if transport.tells_end]
transports_that_tell_the_end = pytest.mark.parametrize("transport", FRIENDLY, ids=[str(t) for t in FRIENDLY])
LOYAL = [transport for transport in ALL if transport.tells_loss]
transports_that_tell_a_loss = pytest.mark.parametrize("transport", LOYAL, ids=[str(t) for t in LOYAL])

PIECE = b"x" * 1000


def send_often(connection: ConnectionBase) -> None:
    """What is sent to somebody who has gone may still find room in the system's buffers."""
    for _ in range(1000):
        connection.send(PIECE)


@pytest.fixture(autouse=True)
def pyserial_does_not_sleep(monkeypatch):
    """It does, after each closing of a socket://, to be kind to slow servers."""
    module = pytest.importorskip("serial.urlhandler.protocol_socket")
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=lambda seconds: None))


# Two connections -----------------------------------------------------------------------------------------------------


@every_transport
def test_a_message_arrives_and_its_answer_too(transport: Transport):
    with conversation(transport) as (client, server, _):
        client.send(b"question")
        assert server.receive(WAIT_S) == b"question"
        server.send(b"answer")
        assert client.receive(WAIT_S) == b"answer"


@transports_that_buffer
def test_messages_arrive_in_order_and_once(transport: Transport):
    messages = [b"%d" % i for i in range(200)]
    with conversation(transport) as (client, server, _):
        for message in messages:
            client.send(message)
        assert [server.receive(WAIT_S) for _ in messages] == messages
        with pytest.raises(CommTimeout):
            server.receive(0)


@every_transport
def test_the_empty_message(transport: Transport):
    with conversation(transport) as (client, server, _):
        if transport.empty:
            client.send(b"")
            assert server.receive(WAIT_S) == b""
        else:
            with pytest.raises(LocalProtocolError, match="send at least one byte"):
                client.send(b"")


@every_transport
def test_a_large_message(transport: Transport):
    message = bytes(range(33, 59)) * (transport.large // 26)
    with conversation(transport) as (client, server, _):
        sending = Later(client.send, message)
        assert server.receive(WAIT_S) == message
        sending.result()
        sending = Later(server.send, message)
        assert client.receive(WAIT_S) == message
        sending.result()


@transports_that_buffer
def test_both_directions_at_once(transport: Transport):
    count = 300 if transport.reliable else 50

    def send(connection, name):
        for i in range(count):
            connection.send(b"%s %d " % (name, i) + PIECE)

    def receive(connection, name):
        for i in range(count):
            assert connection.receive(WAIT_S) == b"%s %d " % (name, i) + PIECE

    with conversation(transport) as (client, server, _):
        doing = [
            Later(receive, server, b"c"),
            Later(receive, client, b"s"),
            Later(send, client, b"c"),
            Later(send, server, b"s"),
        ]
        for each in doing:
            each.result()


@transports_that_buffer
@pytest.mark.parametrize("closer", ["client", "server"])
def test_what_was_sent_before_closing_arrives(transport: Transport, closer: str):
    with conversation(transport) as (client, server, _):
        leaving, staying = (client, server) if closer == "client" else (server, client)
        for i in range(100):
            leaving.send(b"%d" % i)
        closing = Later(leaving.close)
        assert [staying.receive(WAIT_S) for _ in range(100)] == [b"%d" % i for i in range(100)]
        if transport.tells_end:
            assert staying.receive(WAIT_S) is None
            assert staying.receive(WAIT_S) is None
        staying.close()
        closing.result()
        assert client.closed()
        assert server.closed()


@transports_that_tell_a_loss
@pytest.mark.parametrize("closer", ["client", "server"])
def test_a_peer_that_vanishes(transport: Transport, closer: str):
    with conversation(transport) as (client, server, place):
        leaving, staying = (client, server) if closer == "client" else (server, client)
        leaving.send(b"last words")
        assert staying.receive(WAIT_S) == b"last words"
        if place.sever is not None:
            place.sever()
        else:
            leaving.abort()
            leaving._close()
        assert staying.receive(WAIT_S) is None
        with pytest.raises(ConnectionLost, match="over"):
            send_often(staying)


@every_transport
def test_send_after_close(transport: Transport):
    with conversation(transport) as (client, _, _):
        client.abort()
        client.close()
        with pytest.raises(ConnectionLost, match="over"):
            client.send(b"late")
        assert client.receive(WAIT_S) is None


@every_transport
def test_receive_gives_up_in_time_and_can_be_tried_again(transport: Transport):
    with conversation(transport) as (client, server, _):
        for connection in (client, server):
            with pytest.raises(CommTimeout, match="nothing came"):
                connection.receive(0.01)
        for i in range(3):
            client.send(b"%d" % i)
            assert server.receive(WAIT_S) == b"%d" % i
            with pytest.raises(CommTimeout, match="nothing came"):
                server.receive(0.01)
        server.patience = 0.01
        with pytest.raises(CommTimeout):
            server.receive()


@every_transport
@pytest.mark.parametrize("side", ["client", "server"])
def test_close_from_another_thread_ends_receive(transport: Transport, side: str):
    with conversation(transport) as (client, server, _):
        connection, other = (client, server) if side == "client" else (server, client)
        receiving = Later(connection.receive)

        def leave_too() -> None:
            if transport.tells_end:
                assert other.receive(WAIT_S) is None
            other.close()

        leaving = Later(leave_too)
        closing = [Later(connection.close) for _ in range(3)]
        for each in (*closing, leaving):
            each.result()
        assert receiving.result() is None
        connection.close()


@every_transport
@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("timeout", [None, WAIT_S])
def test_abort_ends_receive(transport: Transport, side: str, timeout: float | None):
    with conversation(transport) as (client, server, _):
        connection = client if side == "client" else server
        receiving = Later(connection.receive, timeout)
        connection.abort()
        assert receiving.result() is None
        with pytest.raises(ConnectionLost):
            send_often(connection)


@reliable_transports
@pytest.mark.parametrize("side", ["client", "server"])
def test_a_peer_that_does_not_read_is_felt(transport: Transport, side: str):
    with conversation(transport, send_timeout=0.1) as (client, server, _):
        connection = client if side == "client" else server

        def fill() -> None:
            while True:
                connection.send(PIECE * 100)

        with pytest.raises(OutboxFull, match=r"takes? nothing|took nothing"):
            Later(fill).result()
        with pytest.raises((OutboxFull, ConnectionLost)):  # what was cut short cannot be continued
            connection.send(b"more")


@every_transport
def test_a_closed_connection_does_not_touch_what_has_its_number_now(transport: Transport):
    with conversation(transport) as (old, other, place):
        old.abort()
        old.close()
        other.abort()
        other.close()
        if place.sever is not None:
            assert old.fileno() is None
            return
        with conversation(TRANSPORTS[0]) as (client, server, _):  # takes the numbers that became free
            for connection in (old, other):
                assert connection.fileno() in (None, -1)
                connection.abort()
                connection.close()
                assert connection.receive(0) is None
                with pytest.raises(ConnectionLost):
                    connection.send(b"late")
            client.send(b"undisturbed")
            assert server.receive(WAIT_S) == b"undisturbed"


# Server and client ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=["threads", "pool"])
def readers(request, monkeypatch):
    """A server reads its first connections by a thread each and the others by a pool; here all by one or the other."""
    monkeypatch.setattr("leadscomm.entities.running.acceptor.OWN_THREADS", 0 if request.param == "pool" else 1000)


class Both:
    """A server and a client of it, in the middle of a conversation."""

    def __init__(self, transport: Transport, **server_options: object) -> None:
        self.transport = transport
        self.heard, self.told = Recorder(), Recorder()
        self._place = transport.place()
        self.place = self._place.__enter__()
        self._silence = {} if transport.tells_end else {"silence": 0.2}
        self.server = create_server(self.place.server, self.heard, **server_options, **self._silence)

    def __enter__(self) -> Both:
        self.server.start(parallel=True)
        dialled = self.place.client.format(port=self.server.port())
        self.client = create_client(dialled, self.told, **self._silence)
        self.client.start(parallel=True)
        self.told.wait("connect")
        self.heard.wait("connect")
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.server.close()
        self._place.__exit__(None, None, None)


@every_transport
@pytest.mark.parametrize("closer", ["client", "server", "connection"])
@pytest.mark.usefixtures("readers")
def test_each_conversation_is_told_once_and_in_order(transport: Transport, closer: str):
    with Both(transport) as both:
        both.client.send(b"to the server")
        both.heard.wait("receive")
        both.server.send(b"to the client", to=both.server.connections()[0])
        both.told.wait("receive")
        both.server.broadcast(b"to all")
        both.told.wait("receive", 2)
        if closer == "client":
            both.client.close()
            both.heard.wait("disconnect")
            both.told.wait("disconnect")
        elif closer == "server":
            both.server.close()
            both.heard.wait("disconnect")
            if transport.tells_end:
                both.told.wait("disconnect")
        else:
            both.server.connections()[0].close()
            both.heard.wait("disconnect")
            if transport.tells_end:
                both.told.wait("disconnect")
    for recorder in (both.heard, both.told):
        kinds = recorder.kinds()
        if transport.name.endswith("serial") or not transport.tells_end:
            # On a cable the server begins the next conversation, and over UDP a late datagram does.
            kinds = kinds[: kinds.index("disconnect") + 1]
        if not transport.tells_end:
            kinds = [kind for kind in kinds if kind != "fail"]  # a client may be told that nobody listens any more
        assert kinds == ["initialize", "connect", *["receive"] * kinds.count("receive"), "disconnect"]
    assert both.heard.of("receive") == [b"to the server"]
    assert both.told.of("receive") == [b"to the client", b"to all"]


@every_transport
@pytest.mark.usefixtures("readers")
def test_an_answer_goes_to_who_asked(transport: Transport):
    with Both(transport) as both:
        both.heard.react = lambda service, message: service.sender.send(message[::-1])
        for i in range(100):
            both.client.send(b"%03d" % i)
        assert [message[::-1] for message in both.told.wait("receive", 100)] == [b"%03d" % i for i in range(100)]


@every_transport
@pytest.mark.usefixtures("readers")
def test_a_callback_may_close(transport: Transport):
    with Both(transport) as both:
        both.told.react = lambda service, message: service.close()
        both.server.broadcast(b"go")
        both.told.wait("disconnect")
        assert both.client.join(WAIT_S)
        both.heard.wait("disconnect")


@transports_that_tell_a_loss
@pytest.mark.usefixtures("readers")
def test_a_loss_reaches_both_sides(transport: Transport):
    with Both(transport) as both:
        if both.place.sever is not None:
            both.place.sever()
        else:
            both.client.connection.abort()
        both.heard.wait("disconnect")
        both.told.wait("disconnect")
        wait_until(lambda: both.server.num_connections() == 0)


@reliable_transports
@pytest.mark.usefixtures("readers")
def test_a_client_that_is_stuck_is_felt_by_the_server_and_loses_nothing(transport: Transport):
    stuck, sent = threading.Event(), 0
    with Both(transport, outbox="300K", send_timeout=0.1) as both:
        both.told.react = lambda service, message: stuck.wait(WAIT_S)
        connection = both.server.connections()[0]

        def fill() -> None:
            nonlocal sent
            while sent < 10_000:
                connection.send(b"%d " % sent + PIECE * 20)
                sent += 1

        with pytest.raises(OutboxFull, match="send_timeout"):
            fill()
        stuck.set()
        both.told.react = None
        assert [int(message.split()[0]) for message in both.told.wait("receive", sent)] == list(range(sent))


@transports_that_tell_the_end
@pytest.mark.usefixtures("readers")
def test_after_the_end_there_may_be_another_beginning(transport: Transport):
    with Both(transport) as both:
        for i in range(1, 3):
            both.client.send(b"%d" % i)
            both.heard.wait("receive", i)
            both.client.close()
            both.heard.wait("disconnect", i)
            wait_until(lambda: both.server.num_connections() == 0)
            both.client.start(parallel=True)
            both.told.wait("connect", i + 1)
            both.heard.wait("connect", i + 1)
