"""The companion firmware, on a virtual board, spoken to by a Board."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadscomm import BoardError, LocalProtocolError, ServiceError, create_client
from leadscomm.hardware import Board, Mode, Sample, Status
from leadscomm.hardware.board.layout import u8
from leadscomm.hardware.companion import VERSION, Answer, Order
from leadscomm.testing import VirtualBoard
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until
from tests.hardware.firmware.sketches import Sketches


@pytest.fixture(params=["uno", "mega"])
def virtual(request: pytest.FixtureRequest, sketches: Sketches) -> Iterator[VirtualBoard]:
    with VirtualBoard(sketches.companion(request.param), mcu=request.param) as virtual:
        yield virtual


@pytest.fixture
def board(virtual: VirtualBoard) -> Iterator[Board]:
    with Board(virtual.endpoint, timeout=PATIENCE_S) as board:
        yield board


@pytest.fixture
def uno(sketches: Sketches) -> Iterator[tuple[VirtualBoard, Board]]:
    with VirtualBoard(sketches.companion(), mcu="uno") as virtual, Board(virtual.endpoint, timeout=PATIENCE_S) as board:
        yield virtual, board


TCCR1A, OCR1A = 0x80, 0x88  # of an ATmega328P


class Samples:
    """A callback that keeps what is reported."""

    def __init__(self) -> None:
        self.kept: list[Sample] = []
        self.changed = threading.Condition()

    def __call__(self, sample: Sample) -> None:
        with self.changed:
            self.kept.append(sample)
            self.changed.notify_all()

    def wait(self, count: int) -> list[Sample]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.kept) >= count, PATIENCE_S), f"{len(self.kept)} of {count}"
            return self.kept[:]


def test_it_says_who_and_how_it_is(virtual: VirtualBoard, board: Board) -> None:
    info = board.info()
    mega = "2560" in info.chip
    assert (info.version, info.pins, info.channels) == (VERSION, 70 if mega else 20, 16 if mega else 6)
    assert info.chip == ("atmega2560" if mega else "atmega328p")
    assert 1000 < info.free_ram < (8192 if mega else 2048)
    assert 0 < info.uptime <= virtual.seconds()
    virtual.advance(0.1)
    assert board.info().uptime >= info.uptime + 0.1


def test_digital_pins(virtual: VirtualBoard, board: Board) -> None:
    for level in (True, False, True):
        board.pin(13).write(level)
        assert virtual.pin(13) is level
        assert board.pin(13).read() is level
    board.pin(7).mode(Mode.INPUT)
    for level in (True, False):
        virtual.set_pin(7, level)
        assert board.pin(7).read() is level
    virtual.set_pin(7, None)
    board.pin(7).mode(Mode.PULLUP)
    assert board.pin(7).read() is True
    board.pin(7).mode(Mode.OUTPUT)
    assert virtual.pin(7) is True  # the pull-up's bit is the output's level


def test_analog_inputs(virtual: VirtualBoard, board: Board) -> None:
    virtual.set_analog(0, 0.0)
    virtual.set_analog(1, 2.5)
    assert board.analog(0).raw() == 0
    assert abs(board.analog(1).raw() - 512) <= 2
    assert abs(board.analog(1).read() - 2.5) < 0.01


def test_pwm(virtual: VirtualBoard, board: Board) -> None:
    pin = 4 if board.info().pins == 70 else 5  # of timer 0, whose PWM the emulator shows
    board.pin(pin).pwm(0.25)
    virtual.advance(0.05)
    high, period = virtual.pulse(pin)
    assert abs(high / period - 0.25) < 0.01
    board.pin(pin).pwm(1.0)
    virtual.advance(0.01)
    assert virtual.pin(pin) is True


def test_servos(virtual: VirtualBoard, board: Board) -> None:
    widths = {2: 544, 3: 1000, 4: 1500, 5: 2400, 6: 2500, 7: 500}
    for pin, width in widths.items():
        board.pin(pin).pulse(width)
    virtual.advance(0.1)
    for pin, width in widths.items():
        high, period = virtual.pulse(pin)
        assert abs(high * 1e6 - width) < 15, f"pin {pin}"
        assert abs(period * 1e3 - 20) < 0.1, f"pin {pin}"
    with pytest.raises(BoardError, match="all places are taken"):
        board.pin(8).servo(90)
    board.pin(4).servo(None)
    board.pin(8).servo(90)
    virtual.advance(0.1)
    assert abs(virtual.pulse(8)[0] * 1e6 - 1472) < 15
    assert virtual.pin(4) is False


def test_servos_and_pwm_share_a_timer(uno: tuple[VirtualBoard, Board]) -> None:
    virtual, board = uno
    board.pin(6).servo(0)
    for pin in (9, 10):
        with pytest.raises(BoardError, match="in use for servos") as refused:
            board.pin(pin).pwm(0.5)
        assert refused.value.status == Status.BUSY
    board.pin(5).pwm(0.5)  # of another timer
    board.pin(6).write(False)  # lets go of the servo
    board.pin(9).pwm(0.5)
    assert virtual.memory("ram", TCCR1A, 2) == b"\x81\x03"  # as the core sets up the timer, and pin 9 at it
    assert virtual.memory("ram", OCR1A, 1) == b"\x80"
    assert virtual.pin(6) is False


def test_what_cannot_be_is_refused(uno: tuple[VirtualBoard, Board]) -> None:
    _, board = uno
    for attempt in (
        board.pin(20).read,
        board.analog(6).raw,
        lambda: board.pin(0).write(True),  # the line to the host
        lambda: board.pin(1).mode(Mode.INPUT),
        lambda: board.pin(12).pwm(0.5),  # has no timer
        lambda: board.pin(20).servo(90),
        lambda: board.report(print, analog=[6]),
        lambda: board.report(print, digital=[20]),
    ):
        with pytest.raises(BoardError) as refused:
            attempt()
        assert refused.value.status == Status.BAD_PIN
    for attempt in (lambda: board.pin(6).pulse(499), lambda: board.pin(6).pulse(2501), lambda: board.rename("a;b")):
        with pytest.raises(BoardError) as refused:
            attempt()
        assert refused.value.status == Status.BAD_VALUE


def test_values_that_no_order_holds_are_refused_here(uno: tuple[VirtualBoard, Board]) -> None:
    _, board = uno
    for attempt in (
        lambda: board.pin(9).pwm(1.1),
        lambda: board.pin(9).servo(181),
        lambda: board.pin(256).read(),
        lambda: board.pin(9).pulse(-1),
        lambda: board.report(print),
        lambda: board.report(print, analog=[16]),
        lambda: board.report(print, digital=[72]),
        lambda: board.report(print, analog=[0], rate=0),
        lambda: board.report(print, analog=[0], rate=2001),
    ):
        with pytest.raises(ValueError):
            attempt()


class Dance(Order, number=0x8F):
    """An order of the future."""

    steps: u8


def test_an_order_of_the_future_is_refused(uno: tuple[VirtualBoard, Board]) -> None:
    _, board = uno
    with pytest.raises(BoardError, match="refused Dance with status 1: the firmware does not know this order"):
        board.ask(lambda request: Dance(request, 3), Answer)


class LongRead(Order, number=0x87):
    """As Read, but too long."""

    pin: u8
    more: u8


def test_an_order_of_the_wrong_length_is_refused(uno: tuple[VirtualBoard, Board]) -> None:
    _, board = uno
    with pytest.raises(BoardError) as refused:
        board.ask(lambda request: LongRead(request, 13, 0), Answer)
    assert refused.value.status == Status.BAD_LENGTH


def test_echo(uno: tuple[VirtualBoard, Board]) -> None:
    _, board = uno
    for size in (0, 1, 48):
        assert 0 < board.echo(bytes(range(size))) < PATIENCE_S
    with pytest.raises(LocalProtocolError, match=r"Echo.data has 49 bytes, at most 48"):
        board.echo(bytes(49))


def test_reports(virtual: VirtualBoard, board: Board) -> None:
    virtual.set_analog(1, 5.0)
    virtual.set_pin(7, True)
    quick, slow = Samples(), Samples()
    first = board.report(quick, analog=[1, 0], digital=[7, 8], rate=500)
    board.report(slow, digital=[13], rate=100)
    kept = quick.wait(50)
    assert kept[-1].analog == {0: 0.0, 1: 5.0}
    assert kept[-1].digital == {7: True, 8: False}
    assert_on_time(board, kept, 0.002)
    board.pin(13).write(True)
    count = len(slow.wait(3))
    wait_until(lambda: slow.kept[-1].digital == {13: True})
    first.stop()
    first.stop()  # once more is no harm
    told = len(quick.kept)
    slow.wait(count + 5)
    assert len(quick.kept) == told
    assert_on_time(board, slow.wait(1), 0.01)


def assert_on_time(board: Board, samples: list[Sample], period: float) -> None:
    """One each period of the board's clock, which goes by steps, but for those that found the line busy or got lost."""
    times = [sample.time for sample in samples]
    assert times == sorted(times)
    counters = board.counters()
    missing = round((times[-1] - times[0]) / period) - (len(times) - 1)
    assert -1 <= missing <= counters.unreported + counters.host.lost_datagrams + 1


def test_a_board_keeps_four_reports(uno: tuple[VirtualBoard, Board]) -> None:
    _, board = uno
    reports = [board.report(Samples(), analog=[0], rate=10) for _ in range(4)]
    with pytest.raises(ServiceError, match="keeps 4 reports"):
        board.report(Samples(), analog=[0])
    reports[1].stop()
    samples = Samples()
    board.report(samples, analog=[2], rate=100)
    assert list(samples.wait(1)[0].analog) == [2]


def test_a_tag_outlasts_a_reset(sketches: Sketches, tmp_path: Path) -> None:
    eeprom = tmp_path / "eeprom"
    tag = "left.wing-24-characters!"
    with VirtualBoard(sketches.companion(), mcu="uno", eeprom=eeprom) as virtual:
        with Board(virtual.endpoint) as board:
            assert board.connection.peer.tag == "companion"
            board.rename(tag)
            for wrong in ("", "a b", "a:b", "ä"):
                with pytest.raises(BoardError):
                    board.rename(wrong)
        with Board(f"{virtual.endpoint}&identity=Left.Wing") as board:
            assert board.connection.peer.tag == tag
    with VirtualBoard(sketches.companion(), mcu="uno", eeprom=eeprom) as virtual, Board(virtual.endpoint) as board:
        assert board.connection.peer.tag == tag


@pytest.mark.parametrize("at", range(5))
def test_a_damaged_eeprom_is_no_tag(sketches: Sketches, tmp_path: Path, at: int) -> None:
    eeprom = tmp_path / "eeprom"
    with VirtualBoard(sketches.companion(), mcu="uno", eeprom=eeprom) as virtual, Board(virtual.endpoint) as board:
        board.rename("wing")
    kept = bytearray(eeprom.read_bytes())
    kept[at] ^= 0x41
    eeprom.write_bytes(kept)
    with VirtualBoard(sketches.companion(), mcu="uno", eeprom=eeprom) as virtual, Board(virtual.endpoint) as board:
        assert board.connection.peer.tag == "companion"


def test_it_is_found_by_its_name(uno: tuple[VirtualBoard, Board], monkeypatch: pytest.MonkeyPatch) -> None:
    virtual, board = uno
    board.close()
    monkeypatch.setenv("LEADSCOMM_PORTS", os.pathsep.join(["/dev/null", virtual.port]))
    with Board(identity="COMPANION") as found:
        assert found.info().pins == 20


def test_it_speaks_the_language_that_it_is_spoken_to(
    uno: tuple[VirtualBoard, Board], monkeypatch: pytest.MonkeyPatch
) -> None:
    virtual, board = uno
    board.close()
    monkeypatch.setenv("LEADSCOMM_PORTS", virtual.port)
    virtual.set_analog(2, 2.5)
    heard = Recorder()
    with create_client("serial://auto?identity=companion", heard) as client:
        heard.wait("receive", 7)
        for order in (
            b"report:0",
            b"d13:1",
            b"d13",
            b"d13:0",
            b"d13",
            b"a2",
            b"nonsense",
            b"",
            b"d99",
            b"a",
            b"d0:1",
            b"d0",
        ):
            client.send(order)
        wait_until(lambda: heard.of("receive")[-1] == b"d0:0")
    said = [message for message in heard.of("receive") if message != b"companion"]  # it may be asked twice
    assert [text.partition(b":")[0] for text in said[:6]] == [b"a0", b"a1", b"a2", b"a3", b"a4", b"a5"]
    assert said[2] in (b"a2:511", b"a2:512")
    assert [text for text in said if not text.startswith(b"a")] == [b"d13:1", b"d13:0", b"d0:0"]
    with Board(virtual.endpoint) as again:  # and the other one, without a reset between them
        assert again.info().pins == 20
    assert heard.of("fail") == []


def test_it_leaves_room(sketches: Sketches) -> None:
    """On an Uno: flash and RAM for a sketch of the user's in it."""
    from leadscomm.hardware.toolchain import size_of

    size = size_of(sketches.companion())
    assert size.flash_bytes < 12_000
    assert size.ram_bytes < 1_000
