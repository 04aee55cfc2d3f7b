"""Looking for a board by its tag: every port is asked at once, in the language of its endpoint."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from leadscomm import CommTimeout, ConnectFailed, connect
from leadscomm.connections.serial import asking, ports
from leadscomm.connections.serial.connection import who_are_there
from leadscomm.protocol.session.compact.bootloader import LEAVE
from tests.connections.cable import Board, Cable, Plugged
from tests.connections.wire_board import WireBoard
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals: a Unix system")
FRAMES = pytest.mark.parametrize("language", ["reliable=1", "framing=board"])


@pytest.fixture
def plugged(monkeypatch) -> Iterator[ExitStack]:
    """Ports that a test plugs boards into: `plug(stack, board)`."""
    monkeypatch.setenv(ports.NAMED_PORTS, "")
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    with ExitStack() as stack:
        yield stack


def plug(stack: ExitStack, board: Plugged) -> str:
    """Plug a board in; its port."""
    stack.enter_context(board)
    os.environ[ports.NAMED_PORTS] = os.pathsep.join(filter(None, (os.environ[ports.NAMED_PORTS], board.port)))
    return board.port


def look(language: str, tag: str = "wsc", timeout: float = PATIENCE_S):
    return connect(f"serial://auto?identity={tag}&baud=115200&{language}", timeout=timeout)


class Leaving(Plugged):
    """Is unplugged as soon as it was asked."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        super().__init__("leaving")

    def hear(self, data: bytes) -> None:
        self._asked.set()

    @contextlib.contextmanager
    def leaves(self) -> Iterator[None]:
        puller = threading.Thread(target=lambda: (self._asked.wait(PATIENCE_S), self.unplug()))
        puller.start()
        yield
        puller.join()


@FRAMES
def test_the_right_board_is_found_among_others(plugged: ExitStack, language: str):
    plug(plugged, WireBoard(b"arm"))
    plug(plugged, WireBoard(speaks="nothing"))
    wanted = plug(plugged, WireBoard(b"WSC-2"))
    plug(plugged, Board(b"wsc"))
    connection = look(language)
    assert str(connection) == wanted
    connection.send(b"hello")
    assert connection.receive(PATIENCE_S) == b"hello"
    connection.abort()
    connection.close() if language == "framing=board" else connection._close()


@FRAMES
def test_a_single_board_is_not_waited_for_longer_than_its_answer_takes(plugged: ExitStack, language: str):
    plug(plugged, WireBoard())
    began = time.monotonic()
    connection = look(language)
    assert time.monotonic() - began < PATIENCE_S / 2
    connection.abort()
    connection._close()


@pytest.mark.parametrize("language", ["reliable=1", "framing=board", "framing=separator"])
def test_two_boards_with_one_tag_are_an_error_that_names_both(plugged: ExitStack, language: str):
    kind = Board if language == "framing=separator" else WireBoard
    found = [plug(plugged, kind(b"wsc")) for _ in range(2)]
    with pytest.raises(
        ConnectFailed, match=r"2 boards answer to wsc, on .* and .*: give them different tags"
    ) as caught:
        look(language)
    assert all(port in str(caught.value) for port in found)
    for port in found:  # neither is kept
        connect(f"serial://{port}").close()


def test_every_port_is_named_for_what_it_said(plugged: ExitStack):
    other = plug(plugged, WireBoard(b"arm"))
    silent = plug(plugged, WireBoard(speaks="nothing"))
    newer = plug(plugged, NewerBoard())
    refusing = plug(plugged, WireBoard(speaks="version 2"))
    modem = plug(plugged, Modem())
    text = plug(plugged, Talker(b"wss_lf:12.00;"))
    noisy = plug(plugged, Talker(bytes(range(128, 228))))
    gone = Leaving()
    vanished = plug(plugged, gone)
    with gone.leaves(), pytest.raises(ConnectFailed, match="no board answers with the tag wsc") as caught:
        look("reliable=1", timeout=0.6)
    said = str(caught.value)
    assert f"{other} said 'arm'" in said
    assert f"{silent} said nothing" in said
    assert f"{newer} does not understand the question: it speaks version 2" in said
    assert f"{refusing} does not understand the question: it speaks version 2" in said
    assert f"{modem} repeats what it is told, as a modem does" in said
    assert f"{text} gives no answer: it answers in text" in said
    assert f"{noisy} gives no answer: it sends noise" in said
    assert f"{vanished} sends noise, or is gone" in said


def test_in_text_too(plugged: ExitStack):
    modem = plug(plugged, Modem())
    talker = plug(plugged, Talker(b"wss_lf:12.00;"))
    with pytest.raises(ConnectFailed) as caught:
        look("framing=separator", timeout=0.3)
    assert f"{modem} repeats what it is told, as a modem does" in str(caught.value)
    assert f"{talker} said 'wss_lf:12.00'" in str(caught.value)
    wanted = plug(plugged, Board(b"wsc"))
    connection = look("framing=separator")
    assert str(connection) == wanted
    connection.abort()
    connection.close()


def test_what_comes_behind_the_answer_is_kept():
    with Board(b"wsc;wss_lf:12.00") as board:
        connection = connect(f"serial://{board.port}?identity=wsc")
        assert connection.receive(PATIENCE_S) == b"wss_lf:12.00"
        connection.abort()
        connection.close()


def test_a_board_that_is_busy_is_named(plugged: ExitStack):
    port = plug(plugged, WireBoard())
    taken = connect(f"serial://{port}?baud=115200&reliable=1")
    with pytest.raises(ConnectFailed, match=f"{port} is in use"):
        look("reliable=1", timeout=0.2)
    taken.close()


class NewerBoard(WireBoard):
    """Answers each HELLO with a WELCOME of version 2."""

    def _hello(self, body: bytes) -> None:
        self.say(b"\xd0\2")


class Modem(Plugged):
    """Repeats what it is told."""

    def __init__(self) -> None:
        super().__init__("modem")

    def hear(self, data: bytes) -> None:
        self.say_bytes(data)


class Talker(Plugged):
    """Says the same whatever it is asked."""

    def __init__(self, words: bytes) -> None:
        self.words = words
        super().__init__("talker")

    def hear(self, data: bytes) -> None:
        self.say_bytes(self.words)


# Who is there, and ports by name -------------------------------------------------------------------------------------


def test_who_is_at_many_ports():
    with WireBoard(b"arm") as framed, Board(b"leg") as textual, WireBoard(speaks="nothing") as silent:
        devices = [framed.port, textual.port, silent.port, "/dev/none"]
        found = who_are_there(devices, time.monotonic() + 2)
    assert set(found) == set(devices)
    assert found[framed.port][:2] == ("arm", False)
    assert found[textual.port][:2] == ("leg", True)
    assert found[silent.port] == (None, False, "said nothing", "")
    assert "there is no port /dev/none" in found["/dev/none"].trouble


def test_asking_ends_when_all_have_answered():
    with WireBoard(b"arm") as board:
        assert who_are_there([board.port], time.monotonic() + 1e6)[board.port].tag == "arm"


def test_the_environment_names_further_ports(monkeypatch, tmp_path):
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    with Cable() as cable:
        link = tmp_path / "board"
        link.symlink_to(cable.a)
        monkeypatch.setenv("LEADSCOMM_PORTS", os.pathsep.join((str(link), cable.a, "", cable.b, "/dev/not-there")))
        assert [(port.device, port.description) for port in ports.available_ports()] == [
            (str(link), "named by LEADSCOMM_PORTS"),
            (cable.b, "named by LEADSCOMM_PORTS"),
        ]
    assert ports.available_ports() == []


# framing=board without a tag -----------------------------------------------------------------------------------------


def test_a_silent_board_is_spoken_to_until_it_says_something():
    with WireBoard() as board, closing(connect(f"serial://{board.port}?baud=115200&framing=board")) as connection:
        with pytest.raises(CommTimeout):
            connection.receive(0.1)
        told = []
        for message in (b"it has spoken", b"since then"):  # when it comes back the board has heard all before it
            connection.send(message)
            assert connection.receive(PATIENCE_S) == message
            told.append(board.hellos)
            with pytest.raises(CommTimeout):
                connection.receive(0.1)
        assert 1 <= told[0] == told[1]
        connection.abort()
    with WireBoard(speaks="nothing") as board:
        recorder = Recorder()
        from leadscomm import Client

        with Client(f"serial://{board.port}?baud=115200&framing=board", recorder):
            recorder.wait("connect")
            board.say(b"\0data")
            assert recorder.wait("receive") == [b"data"]


def test_a_line_that_takes_nothing_is_asked_again(monkeypatch):
    with WireBoard() as board:
        connection = connect(f"serial://{board.port}?baud=115200")
        inquiry = asking.FrameInquiry(connection, "", asking.Plan(115200))
        written = []

        def refuse(data: bytes) -> int:
            written.append(data)
            raise BlockingIOError

        monkeypatch.setattr(type(connection), "_write", lambda self, data: refuse(data))
        for _ in range(4):
            inquiry.ask()
        assert not inquiry.over
        assert [LEAVE in words for words in written] == [False, False, False, True]
        assert not inquiry.listen()
        monkeypatch.undo()
        inquiry.close()
        inquiry.ask()
        assert inquiry.over


def test_lines_that_cannot_be_waited_for_are_looked_at_in_turns():
    port = connect("serial://loop://?reliable=0")
    assert port.fileno() is None
    asking.wait_for_any([port], 0.001)
    port.close()
    wait_until(port.closed)
