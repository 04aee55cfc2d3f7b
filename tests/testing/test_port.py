"""The port as programs see it: resets, a pulled cable, other names, TCP, and our own connections over it."""

from __future__ import annotations

import os
import select
from io import FileIO
from pathlib import Path

import pytest
import serial

import leadscomm
from leadscomm.errors import CommError
from leadscomm.testing import VirtualBoard
from tests.entities.recorder import Recorder
from tests.testing.firmware import ECHO, HELLO, Firmware
from tests.testing.hosts import count, opened, until

CAUSE = """
int main(void) {
    uint8_t cause = MCUSR;
    MCUSR = 0;
    wdt_disable();
    GPIOR0 = cause;
    begin(115200);
    if (WATCHDOG && !(cause & 1 << WDRF)) { wdt_enable(WDTO_15MS); for (;;) {} }
    for (;;) put(get());
}
"""
POWER_ON, EXTERNAL, WATCHDOG = 1, 2, 8


def causes(board: VirtualBoard) -> list[int]:
    return [mark for mark, _ in board.marks()]


def test_opening_resets_the_board_as_dtr_does(firmware: Firmware) -> None:
    with VirtualBoard(firmware(ECHO, BAUD=115200)) as board:
        for opens in range(1, 6):
            with opened(board) as port:
                assert count(board, "resets") == opens
                port.write(b"hello")
                assert port.read(5) == b"hello"


def test_closing_and_opening_at_once_resets_too(firmware: Firmware) -> None:
    with VirtualBoard(firmware(HELLO)) as board, opened(board) as port:
        for resets in range(2, 20):
            port.close()
            port.open()
            until(board, lambda resets=resets: count(board, "resets") == resets)  # type: ignore[misc]


@pytest.mark.slow
def test_every_open_resets_before_its_first_byte_is_heard(firmware: Firmware) -> None:
    """Sessions follow each other at once; the firmware marks its start by 255, and each byte: the session's number."""
    source = (
        "int main(void) { GPIOR0 = 255; begin(115200); for (;;) { uint8_t byte = get(); GPIOR0 = byte; put(byte); } }"
    )
    with VirtualBoard(firmware(source)) as board:
        until(board, lambda: len(board.marks()) == 1)
        for session in range(1, 100):
            with open(board.port, "r+b", buffering=0) as port:
                while not answered(port, session):
                    pass
        starts = -1
        for mark in causes(board):
            starts += mark == 255
            assert mark in (255, starts)
        assert starts == 99


def answered(port: FileIO, session: int) -> bool:
    """Say the number, and wait a moment for it to be said again: the board may just be starting."""
    port.write(bytes([session]))
    if not select.select([port], [], [], 0.02)[0]:
        return False
    return port.read(100)[-1] == session  # type: ignore[index]


def test_a_second_opener_resets_nothing(firmware: Firmware) -> None:
    with VirtualBoard(firmware(ECHO, BAUD=115200)) as board, opened(board) as port:
        for _ in range(3):
            os.close(os.open(board.port, os.O_RDWR | os.O_NOCTTY))
            board.advance(0.01)
        port.write(b"still here")
        assert port.read(10) == b"still here"
        assert count(board, "resets") == 1


def test_opening_resets_nothing_if_not_wanted(firmware: Firmware) -> None:
    with VirtualBoard(firmware(ECHO, BAUD=115200), reset_on_open=False) as board, opened(board) as port:
        port.write(b"hello")
        assert port.read(5) == b"hello"
        assert count(board, "resets") == 0


def test_what_nobody_reads_is_thrown_away(firmware: Firmware) -> None:
    with VirtualBoard(firmware(HELLO), reset_on_open=False) as board:
        until(board, lambda: count(board, "unread") == 6)
        with opened(board) as port:
            port.write(b"x")
            assert port.read(1) == b"x"


def test_the_causes_of_resets_are_told(firmware: Firmware) -> None:
    with VirtualBoard(firmware(CAUSE, WATCHDOG=0)) as board:
        until(board, lambda: len(board.marks()) == 1)
        board.reset()
        until(board, lambda: len(board.marks()) == 2)
        with opened(board):
            until(board, lambda: len(board.marks()) == 3)
        board.unplug()
        board.plug()
        until(board, lambda: len(board.marks()) == 4)
        assert causes(board) == [POWER_ON, EXTERNAL, EXTERNAL, POWER_ON]


def test_the_watchdog_resets(firmware: Firmware) -> None:
    with VirtualBoard(firmware(CAUSE, WATCHDOG=1)) as board:
        until(board, lambda: len(board.marks()) == 2)
        assert causes(board) == [POWER_ON, WATCHDOG]
        assert board.counters()["watchdog_resets"] == board.counters()["resets"] == 1
        with opened(board) as port:
            until(board, lambda: len(board.marks()) == 4)
            port.write(b"alive")
            assert port.read(5) == b"alive"


def test_the_watchdog_may_be_given_another_time_while_it_runs(firmware: Firmware) -> None:
    source = """
    int main(void) {
        if (MCUSR & 1 << WDRF) { GPIOR0 = 2; for (;;) {} }
        wdt_enable(WDTO_1S);
        WDTCSR = 1 << WDCE | 1 << WDE;
        WDTCSR = 1 << WDE;               /* 16 ms, as optiboot does it */
        GPIOR0 = 1;
        for (;;) {}
    }
    """
    with VirtualBoard(firmware(source)) as board:
        until(board, lambda: len(board.marks()) >= 2)
        (_, set_at), (_, reset_at) = board.marks()[:2]
        assert (reset_at - set_at) / 16_000_000 == pytest.approx(0.016, rel=0.01)


def test_a_pulled_cable_is_noticed(firmware: Firmware) -> None:
    with VirtualBoard(firmware(ECHO, BAUD=115200)) as board:
        with opened(board) as port:
            board.unplug()
            assert board.state() == "off"
            with pytest.raises(serial.SerialException):
                port.read(1)
        assert not os.path.exists(board.port)
        stopped = board.cycles()
        assert board.cycles() == stopped
        board.plug()
        with opened(board) as port:
            port.write(b"back")
            assert port.read(4) == b"back"


def test_the_cable_is_pulled_from_a_client(firmware: Firmware) -> None:
    link = Recorder()
    with VirtualBoard(firmware(ECHO, BAUD=115200), reset_on_open=False) as board:
        client = leadscomm.Client(board.endpoint, link, reconnect=False)
        with client:
            client.send(b"hello")
            assert link.wait("receive") == [b"hello"]
            board.unplug()
            link.wait("disconnect")


def test_a_link_keeps_the_name(firmware: Firmware, tmp_path: Path) -> None:
    name = tmp_path / "ttyACM0"
    with VirtualBoard(firmware(ECHO, BAUD=115200), link=name) as board:
        assert board.port == str(name)
        first = os.readlink(name)
        with serial.Serial(board.port) as held:
            board.unplug()
            assert not name.exists()
            board.plug()
            assert os.readlink(name) != first  # the old one is still held
            assert held.is_open
        with opened(board) as port:
            port.write(b"hello")
            assert port.read(5) == b"hello"
    assert not name.is_symlink()


def test_a_file_is_not_replaced_by_a_link(firmware: Firmware, tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear all")
    with pytest.raises(CommError, match="File exists"):
        VirtualBoard(firmware(HELLO), link=file)
    assert file.read_text() == "Dear all"


def test_tcp(firmware: Firmware) -> None:
    with VirtualBoard(firmware(ECHO, BAUD=115200), transport="tcp") as board:
        assert board.endpoint.startswith("serial://socket://127.0.0.1:")
        endpoint = board.endpoint
        for opens in (1, 2):
            with opened(board) as port:
                port.write(b"over TCP")
                assert port.read(8) == b"over TCP"
                assert count(board, "resets") == opens
            until(board, lambda: not count(board, "open"))
        board.unplug()
        board.plug()
        assert board.endpoint == endpoint


def test_a_client_of_ours_over_tcp(firmware: Firmware) -> None:
    link = Recorder()
    board = VirtualBoard(firmware(ECHO, BAUD=115200), transport="tcp", reset_on_open=False)
    with board, leadscomm.Client(board.endpoint, link) as client:
        client.send(b"hello")
        assert link.wait("receive") == [b"hello"]


def test_a_new_session_does_not_see_the_rest_of_the_one_before(firmware: Firmware) -> None:
    with VirtualBoard(firmware(HELLO)) as board:
        fd = os.open(board.port, os.O_RDWR | os.O_NOCTTY)
        until(board, lambda: count(board, "opens") == 1 and count(board, "from_board") >= 6)
        os.close(fd)
        until(board, lambda: not count(board, "open"))
        board.advance(0.01)  # it has said all
        sent = count(board, "from_board")
        fd = os.open(board.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            until(board, lambda: count(board, "from_board") == sent + 6)
            board.advance(0.001)
            assert os.read(fd, 100) == b"hello\n"
        finally:
            os.close(fd)
