"""What of `leadscomm flash` needs no board: which port is meant, whether a program fits, avrdude's own faults."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from leadscomm.connections.serial.port_state import NO_PERMISSION
from leadscomm.connections.serial.ports import Port
from leadscomm.errors import ConnectFailed, FirmwareError, FlashFailed, MissingTool
from leadscomm.hardware.firmware import board_port, flashing, places
from leadscomm.hardware.firmware.flashing import Stage, Upload, check_fits
from leadscomm.hardware.firmware.image import Image
from leadscomm.hardware.firmware.models import MODELS

UNO, MEGA, NANO = MODELS["uno"], MODELS["mega"], MODELS["nano"]
AN_UNO = Port("/dev/ttyACM0", "Arduino Uno", 0x2341, 0x0043)
A_MEGA = Port("/dev/ttyACM1", "Arduino Mega", 0x2A03, 0x0042)
A_LEONARDO = Port("/dev/ttyACM2", "Arduino Leonardo", 0x2341, 0x8036)
A_COPY = Port("/dev/ttyUSB0", "USB Serial", 0x1A86, 0x7523)
BUILT_IN = Port("/dev/ttyS0")

# Which port ----------------------------------------------------------------------------------------------------------


def there_are(monkeypatch: pytest.MonkeyPatch, *ports: Port) -> None:
    monkeypatch.delenv("LEADSCOMM_PORTS", raising=False)
    monkeypatch.setattr(board_port, "available_ports", lambda: list(ports))


@pytest.mark.parametrize(
    ("ports", "wanted", "found"),
    [
        ([BUILT_IN, AN_UNO], None, AN_UNO),
        ([BUILT_IN, A_COPY], UNO, A_COPY),
        ([A_COPY, AN_UNO], None, AN_UNO),
        ([A_MEGA, AN_UNO], UNO, AN_UNO),
        ([A_MEGA, AN_UNO], MEGA, A_MEGA),
        ([A_MEGA, A_COPY], UNO, A_MEGA),  # its signature will tell that it is none
    ],
)
def test_the_port_that_must_be_meant(
    monkeypatch: pytest.MonkeyPatch, ports: list[Port], wanted: object, found: Port
) -> None:
    there_are(monkeypatch, *ports)
    assert board_port.find_port(wanted) == found


@pytest.mark.parametrize(
    ("ports", "complaint"),
    [
        ([A_MEGA, AN_UNO], r"say which by --port: /dev/ttyACM1 \(Arduino Mega, USB 2a03:0042\), /dev/ttyACM0 "),
        ([A_COPY, A_COPY], "several boards may be meant"),
        ([BUILT_IN], "no board found; is it plugged in, with a cable that carries data?"),
        ([], "no board found"),
    ],
)
def test_where_one_cannot_tell(monkeypatch: pytest.MonkeyPatch, ports: list[Port], complaint: str) -> None:
    there_are(monkeypatch, *ports)
    with pytest.raises(ConnectFailed, match=complaint):
        board_port.find_port()


def test_what_usb_tells_of_a_board() -> None:
    assert board_port.model_at(AN_UNO) is UNO
    assert board_port.model_at(A_MEGA) is MEGA
    assert board_port.model_at(A_COPY) is None


def test_a_port_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there_are(monkeypatch, AN_UNO)
    link = tmp_path / "board"
    link.symlink_to(AN_UNO.device)
    assert board_port.port_named(str(link)) == AN_UNO
    assert board_port.port_named("/dev/other") == Port("/dev/other")


def test_a_port_that_is_not_there() -> None:
    with pytest.raises(ConnectFailed, match=r"there is no port /dev/ttyNone; is the board plugged in\?"):
        board_port.check_free("/dev/ttyNone")


def test_a_port_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConnectFailed, match=f"{tmp_path} is no serial port; there are: "):
        board_port.check_free(str(tmp_path))


def test_a_port_that_may_not_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_port, "state_of", lambda device: (NO_PERMISSION, ()))
    with pytest.raises(ConnectFailed, match=r"no permission to open .*; run `sudo "):
        board_port.check_free("/dev/tty")


# Whether a program fits ----------------------------------------------------------------------------------------------


def program(vectors: int, *pieces: tuple[int, int], vector: bytes = b"\x0c\x94\x00\x00") -> Image:
    """A program with so many interrupt vectors, and so many bytes more at each of these addresses."""
    table = vector * vectors + b"\x11\x24\x1f\xbe"
    return Image("some.hex", ((0, table), *((address, bytes(size)) for address, size in pieces)))


def test_programs_that_fit() -> None:
    check_fits(program(26, (1000, 30_000)), UNO)
    check_fits(program(57, (1000, 240_000)), MEGA)
    check_fits(program(0), UNO)  # in assembler, without interrupts


@pytest.mark.parametrize(
    ("image", "model", "complaint"),
    [
        (program(26, (1000, 33_000)), UNO, r"holds 33,108 bytes; the Arduino Uno has room for 32,256"),
        (
            program(26, (0x7E00, 500)),
            UNO,
            r"reaches to address 0x7ff3; on the Arduino Uno the bootloader begins at 0x7e0",
        ),
        (program(26, (0x7800, 4)), NANO, "the bootloader begins at 0x7800"),
        (program(26, (0x3E000, 4)), MEGA, "the bootloader begins at 0x3e000"),
        (
            program(57),
            UNO,
            r"is a program for an ATmega2560 \(57 interrupt vectors\); the Arduino Uno has an ATmega328P",
        ),
        (program(57, vector=b"\x31\xc1\x00\x00"), UNO, r"is a program for an ATmega2560 \(57 interrupt vectors\)"),
        (program(26), MEGA, r"is a program for an ATmega328P \(26 interrupt vectors\); the Arduino Mega 2560 has an"),
    ],
)
def test_programs_that_do_not(image: Image, model: object, complaint: str) -> None:
    with pytest.raises(FirmwareError, match=complaint):
        check_fits(image, model)


# Faults of avrdude that an emulated board cannot make ----------------------------------------------------------------


@pytest.fixture
def avrdude(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An avrdude that says this and ends so; its calls are counted by the bytes in the file `calls`."""

    def install(said: str, code: int = 1) -> Path:
        script = f"#!{sys.executable}\nimport sys\nopen({str(tmp_path / 'calls')!r}, 'a').write('x')\n"
        script += f"sys.stderr.write({said!r})\nsys.stderr.flush()\n"
        script += "import time\ntime.sleep(600)\n" if code < 0 else f"sys.exit({code})\n"
        (tmp_path / "avrdude").write_text(script)
        (tmp_path / "avrdude").chmod(0o755)
        return tmp_path / "calls"

    monkeypatch.setenv("PATH", str(tmp_path))
    return install


def failure(model: object = UNO) -> tuple[str, Stage]:
    upload = Upload(program(26), model, "/dev/port", verify=True)
    with pytest.raises(FlashFailed) as caught:
        upload.run()
    return str(caught.value), upload.stage


KEPT = "the board has the program that it had"
SIGNED = "avrdude: device signature = 0x1e950f (probably m328p)\n"


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (
            "avrdude: Device signature = 0x1e9307 (probably m8)\navrdude: Expected signature for ATmega328P is 1E",
            f"this is an ATmega8; a board with it cannot be programmed from here; {KEPT}",
        ),
        (
            "avrdude: device signature = 0x1eabcd\n",
            f"this is a processor with the signature 1eabcd, which is not known here; {KEPT}",
        ),
        (
            "avrdude OS error: cannot open port /dev/port: Permission denied\n",
            f"/dev/port: cannot open port /dev/port: Permission denied; {KEPT}",
        ),
        (
            'avrdude: ser_open(): can\'t open device "/dev/port": No such file or directory\n',
            f'/dev/port: ser_open(): can\'t open device "/dev/port": No such file or directory; {KEPT}',
        ),
        (
            SIGNED + "\nWriting | #########\navrdude error: programmer is not responding\n",
            "/dev/port: programmer is not responding; the board has half a program now: run the command again",
        ),
        (
            f"{SIGNED}\nWriting | {'#' * 50} | 100% 0.1 s\n\nReading | ##\navrdude error: verification mismatch\n",
            "/dev/port: verification mismatch; the program is written, and not verified: run the command again",
        ),
        (SIGNED, f"/dev/port: avrdude ended without a word; {KEPT}"),
    ],
)
def test_what_avrdude_says(avrdude, said: str, answer: str) -> None:
    calls = avrdude(said)
    text, stage = failure()
    assert text == answer
    assert text.endswith(stage.value)
    assert calls.read_text() == "x"


def test_every_baud_rate_and_every_bootloader_is_tried(avrdude) -> None:
    calls = avrdude("avrdude error: programmer is not responding\n")
    assert failure(NANO)[0].startswith("no bootloader answers on /dev/port; is this an Arduino Nano, on a cable")
    assert calls.read_text() == "xxx"  # 115200 and 57600 baud, and as a Mega


def test_an_avrdude_that_hangs_is_ended(avrdude, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flashing, "SYNC_S", 0.2)
    monkeypatch.setattr(flashing, "PROBE_S", 0.2)
    avrdude("", -1)
    assert failure()[0].startswith("no bootloader answers")
    monkeypatch.setattr(flashing, "SYNC_S", 20.0)
    monkeypatch.setattr(flashing, "STALL_S", 0.2)
    avrdude(SIGNED + "\nWriting | ##", -1)
    assert failure()[0] == (
        "/dev/port: the board has stopped answering; the board has half a program now: run the command again"
    )


def test_progress_is_told_by_stages(avrdude) -> None:
    avrdude(f"Reading | {'#' * 50}\n{SIGNED}\nWriting | {'#' * 25}", 0)
    told = []
    Upload(program(26), UNO, "/dev/port", on_progress=lambda stage, done: told.append((stage, done))).run()
    assert told[-2:] == [(Stage.WRITING, 0.5), (Stage.DONE, 1.0)]


def test_no_avrdude(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(places, "packages_folder", lambda: tmp_path)
    with pytest.raises(
        MissingTool, match="avrdude is needed, and is not here; Debian, Ubuntu: sudo apt-get install avrdude"
    ):
        Upload(program(26), UNO, "/dev/port").run()


def test_the_avrdude_of_the_arduino_tools_brings_its_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "tools" / "avrdude" / "6.3.0-arduino17"
    for name in ("bin/avrdude", "etc/avrdude.conf"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).touch(0o755)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(places, "packages_folder", lambda: tmp_path)
    command = Upload(program(26), MEGA, "/dev/port").command(115200)
    assert command[:3] == [str(folder / "bin/avrdude"), "-C", str(folder / "etc/avrdude.conf")]
    assert command[3:9] == ["-p", "atmega2560", "-c", "wiring", "-P", "/dev/port"]


# A processor on USB itself -------------------------------------------------------------------------------------------


class Touched:
    """Ports that change once one of them was opened at 1200 baud and closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, before: list[str], *after: list[str]) -> None:
        self.lists = [before, *after]
        self.opened: list[tuple[str, int]] = []
        monkeypatch.setattr(board_port, "available_ports", self.ports)
        monkeypatch.setattr(board_port.serial, "Serial", self.open)

    def ports(self) -> list[Port]:
        now = self.lists[0]
        if self.opened and len(self.lists) > 1:
            self.lists.pop(0)
        return [Port(device) for device in now]

    def open(self, device: str, baud: int) -> Touched:
        self.opened.append((device, baud))
        return self

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("after", "found"),
    [
        ([["a", "p"], ["a"], ["a", "q"]], "q"),
        ([["a"], ["a", "p"]], "p"),
        ([["a", "p", "q"]], "q"),
    ],
)
def test_the_bootloader_has_the_port_that_appears(
    monkeypatch: pytest.MonkeyPatch, after: list[list[str]], found: str
) -> None:
    touched = Touched(monkeypatch, ["a", "p"], *after)
    assert board_port.start_bootloader("p", 5.0) == found
    assert touched.opened == [("p", 1200)]


def test_no_bootloader_appears(monkeypatch: pytest.MonkeyPatch) -> None:
    Touched(monkeypatch, ["p"])
    image = Image("some.hex", ((0, bytes(16)),))
    monkeypatch.setattr(flashing, "TOUCH_S", 0.01)
    with pytest.raises(FlashFailed, match=r"no bootloader appeared after p .* reset button twice; the board has the"):
        Upload(image, MODELS["leonardo"], "p").run()


def test_a_port_that_cannot_be_opened_for_the_touch(monkeypatch: pytest.MonkeyPatch) -> None:
    there_are(monkeypatch)
    with pytest.raises(ConnectFailed, match="/nowhere cannot be opened"):
        board_port.start_bootloader("/nowhere", 0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="the program that stands for avrdude is a script")
def test_a_leonardo_is_written_at_its_bootloaders_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = tmp_path / "said"
    tool = tmp_path / "avrdude"
    tool.write_text(f'#!/bin/sh\necho "$@" > {said}\n')
    tool.chmod(0o755)
    monkeypatch.setattr(places, "find", lambda name: str(tool))
    Touched(monkeypatch, ["p"], [], ["q"], ["p"])
    upload = Upload(Image("some.hex", ((0, bytes(16)),)), MODELS["leonardo"], "p")
    upload.run()
    assert upload.stage is Stage.DONE
    assert "-p atmega32u4 -c avr109 -P q -b 57600 -D" in said.read_text()


def test_a_leonardo_by_its_usb_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    there_are(monkeypatch, AN_UNO, A_LEONARDO)
    assert board_port.find_port(MODELS["leonardo"]) == A_LEONARDO
    assert board_port.model_at(Port("x", "", 0x2341, 0x0036)) == MODELS["leonardo"]
    assert board_port.model_at(Port("x", "", 0x2341, 0x8037)) == MODELS["micro"]
