"""`leadscomm pin`, `servo` and `report`, on a virtual board with the companion firmware."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from leadscomm.cli import main
from leadscomm.hardware.toolchain import arduino_folder
from leadscomm.testing import VirtualBoard
from tests.cli.program import run
from tests.connections.wire_board import WireBoard


@pytest.fixture(scope="module")
def virtual(board_tools: None) -> Iterator[VirtualBoard]:
    with VirtualBoard(arduino_folder() / "firmware" / "companion-uno.hex", reset_on_open=False) as virtual:
        yield virtual


def test_pins_are_set_and_read(virtual: VirtualBoard, capsys: pytest.CaptureFixture[str]) -> None:
    virtual.set_analog(0, 2.5)
    assert main(["pin", "--board", virtual.endpoint, "13=on", "12=off", "2=pullup", "A0", "2"]) == 0
    told = capsys.readouterr().out.split()
    assert (told[0], told[2:]) == ("A0", ["V", "2", "high"])
    assert float(told[1]) == pytest.approx(2.5, abs=0.01)
    assert (virtual.pin(13), virtual.pin(12)) == (True, False)
    assert main(["pin", "--board", virtual.endpoint, "--json", "2", "9=100%"]) == 0
    assert json.loads(capsys.readouterr().out) == {"2": True}
    assert virtual.pin(9)


def test_servos_are_turned(virtual: VirtualBoard) -> None:
    assert main(["servo", "--board", virtual.endpoint, "6=90", "5=off"]) == 0


def test_reports_as_lines_tables_and_objects(virtual: VirtualBoard, capsys: pytest.CaptureFixture[str]) -> None:
    virtual.set_analog(1, 5.0)
    ask = ["report", "--board", virtual.endpoint, "--rate", "100", "--count", "2", "A1", "7"]
    assert main(ask) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(line.endswith(" s  A1 5.000 V  7 low") for line in lines)
    assert main([*ask, "--csv"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head == "time,A1,7"
    assert [row.split(",")[1:] for row in rows] == [["5", "0"]] * 2
    assert main([*ask, "--json"]) == 0
    objects = list(map(json.loads, capsys.readouterr().out.splitlines()))
    assert [(told["A1"], told["7"]) for told in objects] == [(5.0, False)] * 2


def test_what_the_board_refuses_is_said(virtual: VirtualBoard, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pin", "--board", virtual.endpoint, "99=on"]) == 1
    assert capsys.readouterr().err.startswith(
        "leadscomm: 99: the board refused Write with status 3: there is no such pin"
    )
    assert main(["report", "--board", virtual.endpoint, "A0", "--rate", "0"]) == 1
    assert capsys.readouterr().err == "leadscomm: no board reports 0 times a second: choose 0.015 to 1000\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pin", "x"], "'x' is no pin: write a number such as 13, or A0 for an analog input"),
        (["pin", "13=maybe"], "13=maybe: write on, off, input, pullup, or a share of time such as 25%"),
        (["pin", "13=120%"], "13=120%: write on, off"),
        (["pin", "A0=on"], "A0=on: analog inputs are read, not set"),
        (["servo", "6=200"], "6=200: write a digital pin and 0 to 180 degrees"),
        (["servo", "6"], "6: write a digital pin"),
        (["report", "Ax"], "'Ax' is no pin"),
    ],
)
def test_a_wrong_command_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit):
        main(arguments)
    assert said in capsys.readouterr().err


def test_no_board_is_there() -> None:
    with WireBoard(speaks="nothing") as silent:
        code, out, err = run(
            "pin",
            "13=on",
            "--board",
            "serial://auto?identity=companion&connect_timeout=0.2",
            LEADSCOMM_PORTS=silent.port,
        )
    assert (code, out) == (1, "")
    assert err.startswith("leadscomm: no board answers with the tag companion: ")
    assert "`leadscomm ports --identify` tells who answers where; `leadscomm flash` brings the companion" in err
