"""AutoIdentity: LEADS's way of finding a board, in the shape in which LEADS's own Arduino entity uses it."""

from __future__ import annotations

import sys
import threading

import pytest
from serial import Serial

from leadscomm import AutoIdentity, Callback, ConnectFailed, Entity, SerialConnection, connect
from leadscomm.connections.serial import ports
from leadscomm.connections.serial.ports import Port
from tests.connections.cable import Board
from tests.connections.transports import Later
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals: a Unix system")


class Finder(AutoIdentity):
    """Looks for one tag."""

    def __init__(self, tag: bytes, retry: bool = False, **options: bytes) -> None:
        super().__init__(retry, **options)
        self.tag = tag

    def check_identity(self, connection: SerialConnection) -> bool:
        connection.send(b"ic")
        return (connection.receive() or b"").startswith(self.tag)


class BoardEntity(Entity, AutoIdentity):
    """What LEADS's entity for Arduinos does, in the same order."""

    def __init__(self, port: str, tag: bytes, callback: Callback) -> None:
        Entity.__init__(self, -1, callback)
        AutoIdentity.__init__(self, port == "auto")
        self._serial = Serial()
        self._serial.baudrate = 9600
        self._connection: SerialConnection | None = None
        self._serial.port = self.suggest_next_port() if port == "auto" else port
        self._tag = tag

    def check_identity(self, connection: SerialConnection) -> bool:
        connection.send(b"ic")
        return bool((msg := connection.receive()) and msg.startswith(self._tag))

    def run(self) -> None:
        self._callback.on_initialize(self)
        self._connection = self.establish_connection(self._serial)
        self._callback.on_connect(self, self._connection)
        self._stage(self._connection)

    def write(self, payload: bytes) -> None:
        assert self._connection is not None
        self._connection.send(payload)

    def close(self) -> None:
        if self._connection:
            self._connection.close()


@pytest.fixture
def plugged(monkeypatch) -> list[Port]:
    there: list[Port] = []
    monkeypatch.setattr(ports, "available_ports", lambda: list(there))
    return there


def end(connection: SerialConnection) -> None:
    connection.abort()
    connection.close()


def test_the_port_that_is_named(plugged):
    with Board(b"wsc") as board:
        finder = Finder(b"wsc")
        port = Serial()
        port.port = board.port  # which pyserial does not list
        connection = finder.establish_connection(port)
        assert connection.patience is None
        board.say_bytes(b"wss_lf:1;")
        assert connection.receive(PATIENCE_S) == b"wss_lf:1"
        end(connection)


def test_it_says_who_it_is():
    assert Finder(b"x", True, remainder=b"r", separator=b"|").meta() == (True, b"r", b"|")
    assert Finder(b"x").meta() == (False, b"", b";")


def test_ports_are_suggested_as_they_are_now(plugged):
    finder = Finder(b"x")
    assert finder.suggest_next_port() is None
    plugged += [Port("a"), Port("b")]
    assert finder.suggest_next_port() == "a"
    assert finder.suggest_next_port("a") == "b"
    assert finder.suggest_next_port("b") is None
    plugged.append(Port("c"))
    assert finder.suggest_next_port() == "c"


def test_with_retry_one_port_after_the_other_is_tried(plugged):
    with Board(b"pedal") as pedal, Board(b"wsc") as board, Board(b"accl") as taken:
        other = connect(f"serial://{taken.port}")
        plugged += [Port(each.port) for each in (taken, pedal, board)]
        port = Serial()
        finder = Finder(b"wsc", retry=True)
        for _ in range(2):  # which ports were tried is forgotten
            port.port = finder.suggest_next_port()
            connection = finder.establish_connection(port)
            assert port.port == board.port
            end(connection)
            port.port = None
        end(other)


def test_without_retry_the_first_is_the_only_one(plugged):
    with Board(b"pedal") as pedal, Board(b"wsc") as board:
        plugged += [Port(pedal.port), Port(board.port)]
        with pytest.raises(ConnectFailed, match=rf"{pedal.port}: another board, or none, is there"):
            Finder(b"wsc").establish_connection(Serial())


def test_no_port_at_all(plugged):
    with pytest.raises(ConnectionError, match="unable to establish the connection: no serial port is there but: none"):
        Finder(b"wsc", retry=True).establish_connection(Serial())


def test_every_port_is_accounted_for(plugged):
    with Board(b"pedal") as pedal:
        plugged += [Port("/dev/nowhere"), Port(pedal.port)]
        with pytest.raises(ConnectionError) as caught:
            Finder(b"wsc", retry=True).establish_connection(Serial())
        assert "there is no port /dev/nowhere" in str(caught.value)
        assert f"{pedal.port}: another board, or none" in str(caught.value)


def test_a_board_that_was_reset_by_being_opened_is_asked_again(plugged, monkeypatch):
    monkeypatch.setattr(SerialConnection, "suspect", lambda self: setattr(self, "patience", 0.1) or self)
    with Board(b"wsc", deaf_to=2) as board:
        port = Serial()
        port.port = board.port
        end(Finder(b"wsc").establish_connection(port))
        assert board.heard == [b"ic"] * 3
    with Board(b"wsc", deaf_to=3) as board:
        port.port = board.port
        with pytest.raises(ConnectFailed, match="nothing answered"):
            Finder(b"wsc").establish_connection(port)
        assert not port.is_open


def test_a_port_that_is_open_is_opened_anew(plugged):
    with Board(b"wsc") as board:
        port = Serial(board.port)
        end(Finder(b"wsc").establish_connection(port))


def test_a_check_that_raises_leaves_the_port_closed(plugged):
    class Broken(Finder):
        def check_identity(self, connection: SerialConnection) -> bool:
            raise RuntimeError("a bug of the user's")

    with Board(b"wsc") as board:
        port = Serial()
        port.port = board.port
        with pytest.raises(RuntimeError):
            Broken(b"wsc").establish_connection(port)
        assert not port.is_open


def test_two_look_for_their_boards_at_once(plugged):
    with Board(b"wsc") as first, Board(b"pedal") as second:
        plugged += [Port(first.port), Port(second.port)]
        finders = [Later(Finder(tag, retry=True).establish_connection, Serial()) for tag in (b"pedal", b"wsc")]
        found = []
        for finder, tag in zip(finders, (b"pedal", b"wsc")):
            try:
                found.append(finder.result())
            except ConnectFailed:  # the other was just asking its board; LEADS would have read its answer
                found.append(Finder(tag, retry=True).establish_connection(Serial()))
        assert [str(connection) for connection in found] == [second.port, first.port]
        for connection in found:
            end(connection)


@pytest.mark.parametrize("port", ["auto", ""])
def test_an_entity_in_the_shape_of_leads(plugged, port):
    heard = Recorder()
    with Board(b"pedal") as pedal, Board(b"wsc") as board:
        plugged += [Port(pedal.port), Port(board.port)]
        entity = BoardEntity(port or board.port, b"wsc", heard)
        entity.start(True)
        heard.wait("connect")
        board.say_bytes(b"wss_lf:12.00;")
        board.say_bytes(b"wss_rf:")
        board.say_bytes(b"11.00;")
        assert heard.wait("receive", 2) == [b"wss_lf:12.00", b"wss_rf:11.00"]
        entity.write(b"command")
        wait_until(lambda: b"command" in board.heard)
        entity.close()
        heard.wait("disconnect")
        assert entity.join(PATIENCE_S)
        assert heard.kinds() == ["initialize", "connect", "receive", "receive", "disconnect"]


def test_an_entity_whose_board_is_unplugged(plugged):
    heard = Recorder()
    board = Board(b"wsc")
    entity = BoardEntity(board.port, b"wsc", heard)
    running = threading.Thread(target=entity.start)
    running.start()
    heard.wait("connect")
    board.unplug()
    heard.wait("disconnect")
    running.join(PATIENCE_S)
    assert "unplugged" in str(heard.of("fail")[0])


def test_an_entity_that_finds_nothing(plugged):
    heard = Recorder()
    BoardEntity("auto", b"wsc", heard).start()
    assert isinstance(heard.wait("fail")[0], ConnectFailed)
