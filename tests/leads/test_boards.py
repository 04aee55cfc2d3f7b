"""Boards on serial lines in LEADS's way: SerialConnection, AutoIdentity, an entity of one's own around them."""

from __future__ import annotations

import contextlib

import pytest
import serial

from leadscomm import AutoIdentity, CommTimeout, ConnectionLost, Entity, SerialConnection
from tests.entities.recorder import Recorder, wait_until

pytest.importorskip("termios", reason="pseudo-terminals are a matter of Unix systems")
from tests.connections.cable import Board, Cable


class Controller:
    """What a user's class is besides: it has a tag, and is told what its board says."""

    def __init__(self, tag: bytes) -> None:
        self.tag = tag
        self.values: dict[bytes, bytes] = {}

    def update(self, data: bytes) -> None:
        name, _, value = data.partition(b":")
        self.values[name] = value


class Updating(Recorder):
    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self.controller = controller

    def on_receive(self, service, msg) -> None:
        self.super(service=service, msg=msg)
        self.controller.update(msg)
        super().on_receive(service, msg)


class Arduino(Controller, Entity, AutoIdentity):
    """In the shape of LEADS's own class for boards, each base initialized by name."""

    def __init__(self, port: str, tag: bytes = b"wsc", baud_rate: int = 9600) -> None:
        Controller.__init__(self, tag)
        Entity.__init__(self, -1, Updating(self))
        AutoIdentity.__init__(self, port == "auto")
        self._serial = serial.Serial()
        self._serial.baudrate = baud_rate
        self._connection: SerialConnection | None = None
        self._serial.port = self.suggest_next_port() if port == "auto" else port

    def port(self) -> str:
        return self._serial.port

    def check_identity(self, connection: SerialConnection) -> bool:
        connection.send(b"ic")
        return (msg := connection.receive()) and msg.startswith(self.tag)

    def run(self) -> None:
        self._callback.on_initialize(self)
        self._connection = self.establish_connection(self._serial)
        self._callback.on_connect(self, self._connection)
        self._stage(self._connection)

    def write(self, payload: bytes) -> None:
        if not self._connection:
            raise OSError("not connected")
        self._connection.send(payload)

    def close(self) -> None:
        if self._connection:
            self._connection.close()


@contextlib.contextmanager
def plugged_in(monkeypatch, *boards: Board):
    """These are the serial ports of this machine."""
    from leadscomm.connections.serial import ports

    monkeypatch.setattr(ports, "available_ports", lambda: [ports.Port(board.port) for board in boards])
    with contextlib.ExitStack() as stack:
        for board in boards:
            stack.enter_context(board)
        yield


def told(arduino: Arduino) -> Recorder:
    return arduino.callback


# An entity of one's own ----------------------------------------------------------------------------------------------


def test_a_board_on_a_known_port():
    with Board(b"wsc") as board:
        arduino = Arduino(board.port)
        with pytest.raises(OSError):
            arduino.write(b"too early")
        arduino.start(True)
        told(arduino).wait("connect")
        board.say_bytes(b"wss_lf:12.00;;wss_rf:1")
        board.say_bytes(b"3.00;")
        told(arduino).wait("receive", 3)
        assert arduino.values == {b"wss_lf": b"12.00", b"": b"", b"wss_rf": b"13.00"}
        arduino.write(b"gps")
        wait_until(lambda: board.heard == [b"ic", b"gps"])
        assert arduino.port() == board.port
        arduino.close()
        assert arduino.join(20.0)
        wait_until(lambda: board.heard[-1:] == [b"disconnect"])
    assert told(arduino).kinds() == ["initialize", "connect", *["receive"] * 3, "disconnect"]


def test_the_board_is_looked_for(monkeypatch):
    with plugged_in(monkeypatch, Board(b"pwr"), found := Board(b"wsc"), Board(b"gps")):
        arduino = Arduino("auto").start(True)
        told(arduino).wait("connect")
        assert arduino.port() == found.port
        arduino.close()
        assert arduino.join(20.0)
    assert told(arduino).of("fail") == []


def test_another_board_is_on_the_port():
    with Board(b"pwr") as board:
        arduino = Arduino(board.port).start(True)
        error = told(arduino).wait("fail")[0]
        assert arduino.join(20.0)
    assert isinstance(error, ConnectionError)
    assert "unable to establish the connection" in str(error)
    assert told(arduino).kinds() == ["initialize", "fail"]


def test_a_board_that_is_unplugged():
    with Board(b"wsc") as board:
        arduino = Arduino(board.port).start(True)
        told(arduino).wait("connect")
        board.unplug()
        told(arduino).wait("disconnect")
        assert arduino.join(20.0)
        with pytest.raises(ConnectionLost):
            arduino.write(b"x")


# SerialConnection ----------------------------------------------------------------------------------------------------


def test_a_serial_connection_by_itself():
    with Cable() as cable:
        connection = SerialConnection(serial.Serial(cable.a), b"first;sec", b";")
        other = SerialConnection(serial.Serial(cable.b))
        assert not connection.closed()
        assert connection.receive() == b"first"
        other.send(b"ond")
        assert connection.receive() == b"second"
        connection.send(b"answer")
        assert other.receive() == b"answer"
        connection.disconnect()
        assert other.receive() is None
        other.close()
        connection.close()
        assert connection.closed()
        with pytest.raises(OSError):
            connection.send(b"x")


def test_what_is_suspected_is_not_waited_for():
    with Cable() as cable, contextlib.closing(SerialConnection(serial.Serial(cable.a))) as connection:
        other = SerialConnection(serial.Serial(cable.b))
        assert connection.suspect(0.01) is connection
        with pytest.raises(CommTimeout):
            connection.receive()
        cable.noise(b"a")
        with pytest.raises(CommTimeout):
            connection.receive()
        assert connection.trust() is connection
        cable.noise(b"b;")
        assert connection.receive() == b"ab"  # LEADS: b"", b"a", b"ab" in pieces (its parser's sixth bug)
        other.disconnect()
        assert connection.receive() is None
        other.close()


# LEADS's bugs in looking for ports -----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_port_that_was_identified_is_refused_as_taken(monkeypatch, order):
    """LEADS takes the ports that it recognized out of its list, and then does not find them there."""
    boards = Board(b"wsc"), Board(b"pwr")
    with plugged_in(monkeypatch, *boards):
        arduinos = Arduino("auto", b"wsc"), Arduino("auto", b"pwr")
        for which in order:
            arduinos[which].start(True)
            told(arduinos[which]).wait("connect")
        for arduino, board in zip(arduinos, boards):
            assert arduino.port() == board.port
            arduino.close()
            assert arduino.join(20.0)


def test_ports_that_were_tried_are_never_tried_again(monkeypatch):
    """LEADS remembers them for as long as the object lives."""
    with plugged_in(monkeypatch, Board(b"pwr")):
        arduino = Arduino("auto")
        for _ in range(2):
            arduino.start()
        assert len(told(arduino).of("fail")) == 2
    with plugged_in(monkeypatch, board := Board(b"wsc")):
        arduino.start(True)
        told(arduino).wait("connect")
        assert arduino.port() == board.port
        arduino.close()
        assert arduino.join(20.0)


def test_every_port_is_opened_and_asked_before_the_one_that_was_named():
    """LEADS first scans the whole machine, and so resets boards that are none of its business."""
    with Board(b"pwr") as stranger, Board(b"wsc") as board:
        arduino = Arduino(board.port).start(True)
        told(arduino).wait("connect")
        assert stranger.heard == []
        arduino.close()
        assert arduino.join(20.0)


def test_looking_calls_itself_for_every_port(monkeypatch):
    """LEADS's recursion ends at the number of ports only; here it is a loop that ends."""

    class Other(AutoIdentity):
        def check_identity(self, connection):
            return False

    from leadscomm.connections.serial import ports

    opened = []
    monkeypatch.setattr(ports, "available_ports", lambda: [ports.Port(f"/dev/nothing{n}") for n in range(500)])
    monkeypatch.setattr(ports, "opened", lambda port: opened.append(port.port) or port.port.index("?"))
    with pytest.raises(ConnectionError):
        Other(retry=True).establish_connection(serial.Serial())
    assert len(opened) == len(set(opened)) == 64


def test_two_that_look_at_once_get_a_board_each(monkeypatch):
    """LEADS looks under a lock of the whole module, so that one that waits for its board holds up all others."""
    boards = Board(b"wsc"), Board(b"pwr", deaf_to=1)
    with plugged_in(monkeypatch, *boards):
        arduinos = Arduino(boards[0].port, b"wsc"), Arduino(boards[1].port, b"pwr")
        for arduino in reversed(arduinos):
            arduino.start(True)
        told(arduinos[0]).wait("connect")
        told(arduinos[1]).wait("connect")
        for arduino in arduinos:
            arduino.close()
            assert arduino.join(20.0)
