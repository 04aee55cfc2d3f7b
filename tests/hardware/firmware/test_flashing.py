"""`leadscomm flash`: the real avrdude, and real bootloaders on emulated boards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from leadscomm.hardware.firmware.image import read_image
from leadscomm.hardware.toolchain import arduino_folder, build
from leadscomm.testing import VirtualBoard
from tests.cli.program import Program, run, without_controls
from tests.entities.recorder import wait_until
from tests.hardware.tools import BLINK, needs_avrdude, write

pytestmark = [needs_avrdude, pytest.mark.usefixtures("sketches")]  # a compiler and an emulator
COMPANION = {board: arduino_folder() / "firmware" / f"companion-{board}.hex" for board in ("uno", "mega")}


@pytest.fixture
def blink(tmp_path: Path) -> Path:
    return write(tmp_path / "blink", blink_ino=BLINK)


def compiled(sketch: Path, board: str = "uno") -> Path:
    return build(sketch, board, build_folder=sketch / board).with_suffix(".hex")


def board(mcu: str) -> VirtualBoard:
    """A board as it is sold: a bootloader, and nothing else."""
    return VirtualBoard(mcu=mcu, bootloader=True)


def holds(board: VirtualBoard, program: Path) -> bool:
    """Whether the program is in the board's flash, byte by byte."""
    pieces = read_image(program).pieces
    return all(board.memory("flash", address, len(data)) == data for address, data in pieces)


def is_empty(board: VirtualBoard) -> bool:
    return set(board.memory("flash", 0, 0x4000)) == {0xFF}


def group_is_gone(program: Program) -> bool:
    """Whether the command has ended with all that it has started."""
    try:
        os.killpg(program.process.pid, 0)
    except ProcessLookupError:
        return True
    return False


# What works ----------------------------------------------------------------------------------------------------------


def test_a_sketch_on_an_uno(blink: Path) -> None:
    with board("uno") as uno:
        code, out, err = run("flash", "--port", uno.port, blink)
        assert code == 0, err
        assert err.startswith(f"compiling {blink} for the Arduino Uno\nwriting ...\n")
        assert out.startswith(f"Arduino Uno on {uno.port}: ")
        assert " bytes written in " in out
        assert out.endswith(" s; it does not say who it is\n")
        assert holds(uno, compiled(blink))


@pytest.mark.slow
@pytest.mark.parametrize(("mcu", "name"), [("nano", "nano"), ("nano-old", "nano"), ("mega", "mega")])
def test_other_boards(blink: Path, mcu: str, name: str) -> None:
    with board(mcu) as other:
        code, _, err = run("flash", "--board", name, "--port", other.port, blink)
        assert code == 0, err
        assert holds(other, compiled(blink, name))


@pytest.mark.slow
@pytest.mark.parametrize("mcu", COMPANION)
def test_the_companion_firmware_is_what_is_meant_by_nothing(mcu: str) -> None:
    with board(mcu) as empty:
        code, out, err = run("flash", "--board", mcu, "--port", empty.port)
        assert code == 0, err
        assert holds(empty, COMPANION[mcu])
        assert out.endswith(" s; it is companion\n")


@pytest.mark.slow
def test_the_only_board_is_found() -> None:
    with board("mega") as mega:
        code, out, err = run("flash", "--board", "mega", LEADSCOMM_PORTS=mega.port)
        assert code == 0, err
        assert out.startswith(f"Arduino Mega 2560 on {mega.port}: ")


@pytest.mark.slow
def test_a_board_that_speaks_leads_text_says_who_it_is_too() -> None:
    with board("mega") as mega:
        sketch = arduino_folder() / "LeadsComm" / "examples" / "LeadsText"
        code, out, err = run("flash", "--board", "mega", "--port", mega.port, sketch)
        assert code == 0, err
        assert out.endswith(" s; it is wsc\n")


@pytest.mark.slow
def test_verified_and_told_to_programs() -> None:
    with board("uno") as uno:
        code, out, err = run("flash", "--verify", "--json", "--port", uno.port, COMPANION["uno"])
        assert code == 0, err
        assert err.startswith("writing ...\nverifying ...\n")
        done = json.loads(out)
        assert done.pop("seconds") > 0
        assert done["bytes"] == sum(len(data) for _, data in read_image(COMPANION["uno"]).pieces)
        assert [done[what] for what in ("board", "port", "verified", "identity")] == [
            "uno",
            uno.port,
            True,
            "companion",
        ]


@pytest.mark.slow
def test_a_bar_on_a_terminal() -> None:
    with board("uno") as uno, Program("flash", "--port", uno.port, COMPANION["uno"], terminal=True) as program:
        assert program.wait() == 0
        shown = str(program.out)
        assert shown.count("\rwriting    [") > 10
        assert without_controls(shown).count("[" + "#" * 40 + "] 100%") == 1


# The wrong board, and none -------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mcu", "said", "answer"),
    [
        ("mega", "uno", "this is an ATmega2560 (Arduino Mega 2560); you said uno: run leadscomm flash --board mega"),
        (
            *("uno", "mega"),
            "this is an ATmega328P (Arduino Uno or Arduino Nano); you said mega: run leadscomm flash --board uno",
        ),
    ],
)
def test_the_wrong_board_keeps_its_program(mcu: str, said: str, answer: str) -> None:
    with board(mcu) as wrong:
        code, out, err = run("flash", "--board", said, "--port", wrong.port)
        assert (code, out) == (1, "")
        assert err == f"leadscomm: {answer}; the board has the program that it had\n"
        assert is_empty(wrong)


@pytest.mark.slow
def test_no_bootloader_answers(blink: Path) -> None:
    with VirtualBoard(compiled(blink)) as bare:
        code, _, err = run("flash", "--port", bare.port)
    assert code == 1
    assert err.startswith(f"leadscomm: no bootloader answers on {bare.port}; is this an Arduino Uno, on a cable")
    assert err.endswith("; the board has the program that it had\n")


def test_a_program_that_is_not_for_this_board_is_not_sent(blink: Path) -> None:
    for mcu, name, program in (("mega", "mega", COMPANION["uno"]), ("uno", "uno", COMPANION["mega"])):
        with board(mcu) as wrong:
            code, _, err = run("flash", "--board", name, "--port", wrong.port, program)
            assert code == 1
            assert f"leadscomm: {program} is a program for an ATmega" in err
            assert wrong.counters()["opens"] == 0


def test_somebody_else_has_the_port() -> None:
    hold = "import os, sys; os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY); print('open', flush=True); sys.stdin.read()"
    with (
        board("uno") as uno,
        subprocess.Popen(
            [sys.executable, "-c", hold, uno.port], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder,
    ):
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        code, _, err = run("flash", "--port", uno.port)
        assert code == 1
        assert err.startswith(f"leadscomm: {uno.port} is in use by python")
        assert f"(process {holder.pid}); close it there" in err
        holder.communicate(b"")
        assert uno.counters()["opens"] == 1


# What ends it in the middle ------------------------------------------------------------------------------------------


@contextmanager
def writing(uno: VirtualBoard) -> Iterator[Program]:
    """The command, as it has begun to write."""
    with Program("flash", "--port", uno.port, COMPANION["uno"]) as program:
        program.err.see("^writing")
        wait_until(lambda: not is_empty(uno), "writing")
        yield program


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_it_writes(number: signal.Signals, code: int) -> None:
    with board("uno") as uno:
        with writing(uno) as program:
            program.process.send_signal(number)
            assert program.wait() == code
            assert str(program.err) == "writing ...\nthe board has half a program now: run the command again\n"
            assert group_is_gone(program)
        assert not holds(uno, COMPANION["uno"])
        code, _, err = run("flash", "--port", uno.port, COMPANION["uno"])
        assert code == 0, err
        assert holds(uno, COMPANION["uno"])


@pytest.mark.slow
def test_ctrl_c_on_a_terminal_reaches_avrdude_too() -> None:
    with board("uno") as uno, Program("flash", "--port", uno.port, COMPANION["uno"], terminal=True) as program:
        program.out.see(r"\rwriting    \[###")
        program.write(b"\x03")
        assert program.wait() == 130
        assert "the board has half a program now: run the command again" in str(program.out)
        assert group_is_gone(program)


def test_ctrl_c_after_it_is_written(blink: Path) -> None:
    with board("uno") as uno, Program("flash", "--port", uno.port, blink) as program:
        program.err.see("^writing")
        wait_until(lambda: uno.counters()["opens"] == 2, "asking")
        program.interrupt()
        assert program.wait() == 130
        assert str(program.err).endswith("writing ...\nthe program is on the board\n")
        assert holds(uno, compiled(blink))


def test_ctrl_c_before_anything_is_written(blink: Path) -> None:
    with VirtualBoard(compiled(blink)) as deaf, Program("flash", "--port", deaf.port, COMPANION["uno"]) as program:
        wait_until(lambda: deaf.counters()["opens"] > 0, "avrdude")
        program.interrupt()
        assert program.wait() == 130
        assert str(program.err) == "the board has the program that it had\n"
        assert group_is_gone(program)
        assert holds(deaf, compiled(blink))


@pytest.mark.slow
def test_who_is_killed_takes_avrdude_along() -> None:
    with board("uno") as uno, writing(uno) as program:
        program.process.kill()
        program.process.wait()
        wait_until(lambda: group_is_gone(program), "the end of avrdude")
        assert not holds(uno, COMPANION["uno"])


@pytest.mark.slow
def test_a_cable_that_is_pulled() -> None:
    with board("uno") as uno, writing(uno) as program:
        uno.unplug()
        assert program.wait() == 1
        assert str(program.err).startswith(f"writing ...\nleadscomm: {uno.port}: ")
        assert str(program.err).endswith("; the board has half a program now: run the command again\n")
        assert group_is_gone(program)


# Around it -----------------------------------------------------------------------------------------------------------


def test_a_dry_run_sends_nothing(blink: Path) -> None:
    with board("uno") as uno:
        code, out, err = run("flash", "--dry-run", "--port", uno.port, blink)
        assert code == 0, err
        assert f"avrdude -p atmega328p -c arduino -P {uno.port} -b 115200 -D -V -Uflash:w:" in out
        assert uno.counters()["opens"] == 0


def test_a_dry_run_needs_no_board(blink: Path) -> None:
    with board("uno") as one, board("uno") as two:
        ports = os.pathsep.join((one.port, two.port))
        code, out, err = run("flash", "--dry-run", blink, LEADSCOMM_PORTS=ports)
        assert code == 0, err
        assert "several boards may be meant; say which by --port: " in err
        assert "-P PORT " in out
        assert run("flash", blink, LEADSCOMM_PORTS=ports)[0] == 1


def test_what_does_not_compile_is_not_sent(tmp_path: Path) -> None:
    folder = write(tmp_path / "bad", bad_ino="void setup() { wrong(); }\nvoid loop() {}\n")
    with board("uno") as uno:
        code, _, err = run("flash", "--port", uno.port, folder)
        assert code == 1
        assert f"{folder}/bad.ino:1:" in err
        assert err.endswith("leadscomm: bad does not compile for the Arduino Uno\n")
        assert uno.counters()["opens"] == 0
