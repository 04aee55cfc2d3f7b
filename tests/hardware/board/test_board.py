"""Board, with a companion that is written here: what a real one never does, and what callbacks may do."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from leadscomm import (
    BoardError,
    Callback,
    CommTimeout,
    ConnectionLost,
    DeliveryError,
    EndpointError,
    OutboxFull,
    RemoteProtocolError,
    Server,
    ServiceError,
)
from leadscomm.hardware import Board, Layout, Mode, Sample, companion, u8, u16
from leadscomm.hardware.companion import Answer, LevelAnswer, Report, SetMode, SetReport, Status, Write
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until

_names = itertools.count()


class Companion(Recorder):
    """Answers orders as it is told to; writes down all of them."""

    def __init__(self) -> None:
        super().__init__(self.obey)
        self.status = Status.OK
        self.answers = True
        self.first: list[bytes] = []  # said before the next answer

    def obey(self, service: Any, order: bytes) -> None:
        while self.first:
            service.sender.send(self.first.pop(0))
        if not self.answers:
            return
        answer: Answer = Answer(order[1], self.status)
        if order[0] == companion.Read.number and not self.status:
            answer = LevelAnswer(order[1], 0, True)
        elif order[0] == companion.Echo.number:
            answer = companion.EchoAnswer(order[1], 0, b"hello")
        service.sender.send(answer.pack())


class Rig:
    """A board on this machine, and its companion."""

    def __init__(self) -> None:
        self.companion = Companion()
        self.endpoint = f"loop://board-{next(_names)}?reliable=1"
        self.server = Server(self.endpoint, self.companion)

    def board(self, callback: Callback | None = None, **options: Any) -> Board:
        options = {"timeout": PATIENCE_S, "reconnect_min": 0.01, "reconnect_max": 0.02, **options}
        return Board(self.endpoint, callback, **options)

    def orders(self, layout: type[Layout]) -> list[Any]:
        """The orders of this kind that came."""
        found = [message for message in self.companion.of("receive") if message[0] == layout.number]
        return [layout.unpack(message) for message in found]

    def say(self, message: bytes) -> None:
        wait_until(lambda: self.server.num_connections() == 1)
        self.server.broadcast(message)

    def restart(self) -> None:
        self.server.close()
        self.server.join()
        self.server.start(True)


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    with rig.server:
        yield rig


# Orders and answers


def test_an_order_waits_for_its_answer(rig: Rig) -> None:
    with rig.board() as board:
        board.pin(13).write(1)
        assert rig.orders(Write) == [Write(0, 13, True)]
        assert board.pin(3).read() is True
        board.pin(2).mode(Mode.PULLUP)
        assert rig.orders(SetMode) == [SetMode(2, 2, 1)]


def test_a_refusal_says_why(rig: Rig) -> None:
    rig.companion.status = Status.BAD_PIN
    with rig.board() as board:
        with pytest.raises(BoardError, match="refused Write with status 3: there is no such pin") as refused:
            board.pin(13).write(1)
        assert refused.value.status == 3
        rig.companion.status = 77  # type: ignore[assignment]
        with pytest.raises(BoardError, match="status 77: the firmware does not say why"):
            board.pin(13).read()


def test_no_answer_in_time(rig: Rig) -> None:
    rig.companion.answers = False
    with rig.board(timeout=0.05) as board, pytest.raises(CommTimeout, match=r"did not answer Read in 0\.05 s; does"):
        board.pin(13).read()


def test_a_late_answer_is_not_taken_for_anothers(rig: Rig) -> None:
    rig.companion.answers = False
    with rig.board() as board:
        with pytest.raises(CommTimeout):
            board.ask(lambda request: companion.Read(request, 3), LevelAnswer, timeout=0.01)
        rig.companion.answers = True
        rig.companion.first = [LevelAnswer(0, 0, False).pack()]  # the late one comes before that of the next order
        assert board.pin(4).read() is True
        assert [order.request for order in rig.orders(companion.Read)] == [0, 1]


def test_orders_that_are_never_answered_are_bounded(rig: Rig) -> None:
    rig.companion.answers = False
    with rig.board() as board:
        for _ in range(256):
            with pytest.raises(CommTimeout):
                board.ask(lambda request: companion.Read(request, 3), LevelAnswer, timeout=0.0)
        with pytest.raises(OutboxFull, match="256 orders wait"):
            board.pin(3).read()


def test_an_echo_of_something_else(rig: Rig) -> None:
    with rig.board() as board:
        assert board.echo(b"hello") > 0
        with pytest.raises(RemoteProtocolError, match="was to say b'hullo' again, and said b'hello'"):
            board.echo(b"hullo")


def test_an_answer_of_the_wrong_length(rig: Rig) -> None:
    rig.companion.answers = False
    rig.companion.first = [Answer(0, 0).pack()]
    with rig.board() as board, pytest.raises(RemoteProtocolError, match=r"LevelAnswer\.level wants 1 more byte"):
        board.pin(3).read()


def test_without_a_connection(rig: Rig) -> None:
    board = rig.board()
    for attempt in (lambda: board.pin(3).read(), lambda: board.pin(3).write(1), lambda: board.send_datagram(b"x")):
        with pytest.raises(ConnectionLost):
            attempt()
    with pytest.raises(EndpointError, match="wants an endpoint, or identity=TAG"):
        Board()


# Callbacks


def call_in_callback(rig: Rig, call: Callable[[Board], Any], **options: Any) -> tuple[list[Any], Recorder]:
    """What ``call`` returns or raises inside a callback of the board."""
    outcome: list[Any] = []
    done = threading.Event()

    def react(board: Any, message: bytes) -> None:
        try:
            outcome.append(call(board))
        except Exception as error:
            outcome.append(error)
        done.set()

    recorder = Recorder(react)
    with rig.board(recorder, **options) as board:
        rig.say(b"go")
        assert done.wait(PATIENCE_S)
        board.echo(b"hello")  # comes behind the order
    return outcome, recorder


def test_asking_inside_a_callback_says_what_to_do(rig: Rig) -> None:
    (error,), _ = call_in_callback(rig, lambda board: board.pin(3).read())
    assert isinstance(error, ServiceError)
    assert "ask from another thread, or have the value reported" in str(error)


def test_ordering_inside_a_callback_does_not_wait(rig: Rig) -> None:
    (result,), recorder = call_in_callback(rig, lambda board: board.pin(3).write(1))
    assert result is None
    assert recorder.of("fail") == []
    assert rig.orders(Write) == [Write(0, 3, True)]


def test_a_refusal_of_what_nobody_waits_for_reaches_on_fail(rig: Rig) -> None:
    rig.companion.status = Status.BUSY
    (result,), recorder = call_in_callback(rig, lambda board: board.pin(3).pwm(0.5))
    assert result is None
    (error,) = recorder.of("fail")
    assert isinstance(error, BoardError)
    assert "refused SetPwm" in str(error)


def test_callbacks_are_the_ordinary_ones(rig: Rig) -> None:
    first, second = Recorder(), Recorder()
    board = rig.board(first)
    board.set_callback(second)
    board.set_callback(second)  # once more is no harm
    assert second.chained is first
    with board:
        rig.say(b"\xc0\x07\x00")  # an answer to nothing, as a sketch of one's own may say it
        rig.say(b"")
        assert second.wait("receive", 2) == [b"\xc0\x07\x00", b""]
        assert board.sender is None
    assert second.kinds() == ["initialize", "connect", "receive", "receive", "disconnect"]
    assert first.kinds() == []  # the second one hands nothing on


def test_errors_reach_the_log_where_nobody_wrote_on_fail(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    def fail(message: Any) -> None:
        raise ValueError("not today")

    with rig.board() as board:
        board.on(Speed, fail)
        rig.say(Speed(1).pack())
        wait_until(lambda: "not today" in caplog.text)


# Messages of one's own


class Speed(Layout, number=0x11):
    """How fast it is."""

    speed: u16


class Plain(Layout):
    """Has no number."""

    value: u8


def test_messages_of_a_layout(rig: Rig) -> None:
    recorder = Recorder()
    rig.companion.answers = False
    with rig.board(recorder) as board:
        speeds: list[Speed] = []
        board.on(Speed, speeds.append)
        board.send(Speed(5))
        board.send(b"plain")
        board.send_datagram(Speed(6))
        assert sorted(rig.companion.wait("receive", 3)) == [Speed(5).pack(), Speed(6).pack(), b"plain"]
        rig.say(Speed(7).pack())
        rig.say(b"\x11\x00")
        rig.say(b"\x12\x00")
        assert recorder.wait("receive") == [b"\x12\x00"]
        assert speeds == [Speed(7)]
        (error,) = recorder.of("fail")
        assert isinstance(error, RemoteProtocolError)
        assert "Speed.speed wants 2 more byte(s)" in str(error)
        board.on(Speed, None)
        rig.say(Speed(8).pack())
        assert recorder.wait("receive", 2)[-1] == Speed(8).pack()
        with pytest.raises(ValueError, match="Plain has no number"):
            board.on(Plain, print)


# Reports


def test_reports_and_their_clock(rig: Rig) -> None:
    samples: list[Sample] = []
    with rig.board(reference=3.3) as board:
        board.report(samples.append, analog=[3, 1], digital=[9, 0], rate=50)
        (order,) = rig.orders(SetReport)
        assert (order.period, order.analog, order.digital) == (20, 0b1010, b"\x01\x02")
        name = order.report
        rig.say(Report(name, 0xFFFFFFF0, [0, 1023], b"\x01\x00").pack())
        rig.say(Report(name, 0x00000010, [1023, 0], b"\x00\x02").pack())
        rig.say(Report(name, 0x00000020, [1], b"").pack())  # of another shape: ordered by somebody else
        rig.say(Report(name + 1, 0, [1], b"").pack())
        rig.say(Report(name, 0x00000030, [0, 0], b"\x00\x00").pack())
        wait_until(lambda: len(samples) == 3)
    assert [sample.analog for sample in samples] == [{1: 0.0, 3: 3.3}, {1: 3.3, 3: 0.0}, {1: 0.0, 3: 0.0}]
    assert [sample.digital for sample in samples[:2]] == [{0: True, 9: False}, {0: False, 9: True}]
    assert samples[1].time - samples[0].time == pytest.approx(32e-6)  # the board's clock has turned round


def test_what_comes_after_the_end_of_a_report(rig: Rig) -> None:
    recorder = Recorder()
    with rig.board(recorder) as board:
        report = board.report(print, analog=[0])
        report.stop()
        rig.say(Report(report.name, 1, [5], b"").pack())
        rig.say(b"after it")
        assert recorder.wait("receive") == [b"after it"]


def test_a_report_that_was_refused_is_none(rig: Rig) -> None:
    with rig.board() as board:
        rig.companion.status = Status.BAD_PIN
        for _ in range(6):  # and takes no place
            with pytest.raises(BoardError):
                board.report(print, analog=[0])
        rig.companion.status = Status.OK
        board.report(print, analog=[0])


# The end of a connection


def test_who_waits_is_told_at_once(rig: Rig) -> None:
    rig.companion.answers = False
    recorder = Recorder()
    with rig.board(recorder) as board:
        outcome: list[Any] = []

        def ask() -> None:
            try:
                board.pin(3).read()
            except Exception as error:
                outcome.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        rig.companion.wait("receive")
        rig.restart()
        thread.join(PATIENCE_S)
        (error,) = outcome
        assert isinstance(error, DeliveryError)
        assert "was disconnected before it answered Read" in str(error)
        assert error.messages == (companion.Read(0, 3).pack(),)
        recorder.wait("reconnect")


@pytest.mark.parametrize("restore", [True, False])
def test_what_is_given_again(rig: Rig, restore: bool) -> None:
    recorder = Recorder()
    with rig.board(recorder, restore=restore) as board:
        board.pin(2).mode(Mode.INPUT)
        board.pin(2).mode(Mode.PULLUP)
        board.pin(13).write(1)
        board.pin(5).pwm(1.0)
        stopped = board.report(print, analog=[1], rate=10)
        board.report(print, analog=[0], rate=20)
        stopped.stop()
        before = len(rig.companion.of("receive"))
        rig.restart()
        recorder.wait("reconnect")
        board.pin(7).read()  # comes behind what is given again
        again = [(message[0], message[2:]) for message in rig.companion.of("receive")[before:-1]]
    mode, report = SetMode(0, 2, Mode.PULLUP).pack(), SetReport(0, 1, 50, 1, b"").pack()
    assert again == ([(mode[0], mode[2:]), (report[0], report[2:])] if restore else [])


def test_what_is_given_again_and_refused_reaches_on_fail(rig: Rig) -> None:
    recorder = Recorder()
    with rig.board(recorder) as board:
        board.pin(2).mode(Mode.PULLUP)
        rig.companion.status = Status.BAD_PIN
        rig.restart()
        wait_until(lambda: any(isinstance(error, BoardError) for error in recorder.of("fail")))
