"""``leadscomm board --virtual``, as a person uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import serial

from tests.cli.program import Program, run
from tests.entities.recorder import PATIENCE_S
from tests.testing.firmware import ECHO, Firmware

SKETCH = """
void setup() { Serial.begin(115200); }
void loop() { if (Serial.available()) Serial.write(Serial.read()); }
"""


def echoed(port: str) -> bool:
    """Whether the board behind the port echoes; asked until it does, since opening resets it."""
    with serial.Serial(port, 115200, timeout=0.1) as line:
        for _ in range(int(PATIENCE_S * 10)):
            line.write(b"!")
            if line.read(1) == b"!":
                return True
    return False


def test_it_says_where_it_is_and_what_happened(firmware: Firmware) -> None:
    with Program("board", "--virtual", firmware(ECHO, BAUD=115200)) as program:
        port = program.out.see(r"^serial://(/dev/pts/\d+)\?baud=115200: a virtual Arduino Uno").group(1)
        program.out.see(rf"leadscomm connect 'serial://{port}\?baud=115200&framing=line'")
        assert echoed(port)
        program.interrupt()
        assert program.wait() == 130
        program.out.see(r"bytes to the board, [1-9]\d* from it")
        program.out.see(r"opened 1\s+times, 1 resets")


def test_json(firmware: Firmware) -> None:
    elf = firmware(ECHO, mcu="atmega2560", BAUD=115200)
    with Program("board", "--virtual", "--json", "--mcu", "atmega2560", "--tcp", elf) as program:
        facts = json.loads(program.out.see(r"^\{.*\}$").group())
        assert facts["endpoint"].startswith("serial://socket://127.0.0.1:")
        assert facts["mcu"] == "atmega2560"
        program.interrupt()
        assert program.wait() == 130
        assert json.loads(program.out.see(r'^\{"to_board.*\}$').group())["opens"] == 0


@pytest.mark.slow
def test_a_sketch_is_compiled(tmp_path: Path) -> None:
    sketch = tmp_path / "Mine" / "Mine.ino"
    sketch.parent.mkdir()
    sketch.write_text(SKETCH)
    link = tmp_path / "ttyACM0"
    with Program("board", "--virtual", sketch, "--link", link) as program:
        program.out.see("a virtual Arduino Uno")
        assert echoed(str(link))
        program.interrupt()
        program.wait()
    assert sorted(path.name for path in sketch.parent.iterdir()) == ["Mine.ino"]


def test_pins_and_inputs_are_set_from_the_command_line(firmware: Firmware) -> None:
    source = "int main(void) { begin(115200); DDRB = 1; for (;;) { get(); put(PIND & 1 << PD7 ? '!' : '?'); } }"
    with Program("board", "--virtual", firmware(source), "--pin", "7=1", "--analog", "A0=2.5") as program:
        assert echoed(program.out.see(r"/dev/pts/\d+").group())
        program.interrupt()
        program.wait()


def test_a_crash_ends_it(firmware: Firmware) -> None:
    code, _, err = run("board", "--virtual", firmware("int main(void) { *(volatile uint8_t *)0x9000 = 1; }"))
    assert code == 1
    assert err.startswith("leadscomm: the firmware of the virtual board: crashed: ")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--pin", "99=1"], "the board uno has the pins 0 to 19, and no pin 99"),
        (["--analog", "0=9"], "9 V: an analog input takes 0 to 5 V"),
        (["--flip", "2"], "faults are probabilities: numbers from 0 to 1"),
        (["--mcu", "mega"], "was compiled for the atmega328p; the board mega has an atmega2560"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(firmware: Firmware, options: list[str], said: str) -> None:
    code, out, err = run("board", "--virtual", firmware(ECHO, BAUD=115200), *options)
    assert (code, out) == (1, "")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "said"), [(["--pin", "x"], "write a number, = and a value"), ([], "required: --virtual")]
)
def test_a_wrong_command_line(options: list[str], said: str) -> None:
    code, _, err = run("board", *options)
    assert code == 2
    assert said in err
