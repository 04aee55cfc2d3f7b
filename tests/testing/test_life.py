"""The board's process: firmware that is refused, how it starts, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from leadscomm.errors import CommError, EndpointError, FirmwareError, ServiceError
from leadscomm.testing import VirtualBoard
from tests.entities.recorder import PATIENCE_S
from tests.testing.firmware import ECHO, Firmware

PARENT = """
import sys
from leadscomm.testing import VirtualBoard
board = VirtualBoard(sys.argv[1])
print(board.pid, flush=True)
sys.stdin.read()
"""


def to_hex(elf: Path) -> Path:
    target = elf.with_suffix(".hex")
    subprocess.run(["avr-objcopy", "-O", "ihex", str(elf), str(target)], check=True)
    return target


def test_elf_and_hex_are_the_same_firmware(firmware: Firmware) -> None:
    elf = firmware(ECHO, BAUD=115200)
    memories = []
    for file in (elf, to_hex(elf)):
        with VirtualBoard(file) as board:
            memories.append(board.memory("flash", 0, 0x8000))
    assert memories[0] == memories[1] != b"\xff" * 0x8000


def test_firmware_for_another_board_is_refused(firmware: Firmware) -> None:
    with pytest.raises(FirmwareError, match="was compiled for the atmega2560; the board uno has an atmega328p"):
        VirtualBoard(firmware(ECHO, mcu="atmega2560", BAUD=115200))


def test_an_unknown_board_is_answered_by_the_known_ones(firmware: Firmware) -> None:
    with pytest.raises(EndpointError, match="no board 'due' can be emulated; there are: uno, nano"):
        VirtualBoard(firmware(ECHO, BAUD=115200), "due")


def test_an_architecture_that_does_not_fit_is_refused(firmware: Firmware, tmp_path: Path) -> None:
    nameless = tmp_path / "nameless.elf"
    elf = firmware(ECHO, mcu="atmega2560", BAUD=115200)
    subprocess.run(["avr-objcopy", "-R", ".note.gnu.avr.deviceinfo", str(elf), str(nameless)], check=True)
    with pytest.raises(FirmwareError, match="AVR architecture 6; the atmega328p of the board uno has 5"):
        VirtualBoard(nameless)


def test_firmware_that_is_too_large_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.hex"
    large.write_text(":02800000000" + "07E\n:00000001FF\n")
    with pytest.raises(FirmwareError, match="reaches up to 0x8002; the atmega328p has 0x8000 bytes"):
        VirtualBoard(large)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"Hello", "neither an ELF nor"),
        (sys.executable, "another machine"),
        (b"", "neither"),
        (b"\xef\xbb\xbf:00000001FF", "byte order mark"),
    ],
)
def test_what_is_no_firmware_is_refused(tmp_path: Path, content: bytes | str, text: str) -> None:
    file = tmp_path / "letter.txt"
    file.write_bytes(content if isinstance(content, bytes) else Path(content).read_bytes())
    with pytest.raises(FirmwareError, match=text):
        VirtualBoard(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.elf"):
        VirtualBoard(tmp_path / "nothing.elf")


def test_a_board_without_anything_to_run_is_refused() -> None:
    with pytest.raises(FirmwareError, match="needs a firmware, or a bootloader"):
        VirtualBoard()


@pytest.mark.parametrize("wrong", [{"receiver_depth": 0}, {"receiver_depth": 65}, {"baud": 0}, {"frequency": 0}])
def test_options_out_of_range_are_refused(firmware: Firmware, wrong: dict[str, int]) -> None:
    with pytest.raises(CommError, match="out of range"):
        VirtualBoard(firmware(ECHO, BAUD=115200), **wrong)  # type: ignore[arg-type]


def test_a_closed_board_says_so(firmware: Firmware) -> None:
    board = VirtualBoard(firmware(ECHO, BAUD=115200))
    port = board.port
    board.close()
    board.close()
    assert not os.path.exists(port)
    with pytest.raises(ServiceError, match="is closed"):
        board.reset()


def test_the_board_dies_with_its_parent(firmware: Firmware) -> None:
    elf = firmware(ECHO, BAUD=115200)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(elf)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="ascii"
    )
    with parent:
        assert parent.stdout is not None
        board = os.pidfd_open(int(parent.stdout.readline()))
        try:
            parent.kill()
            assert ended(board)
        finally:
            os.close(board)


def test_a_board_that_is_killed_says_so(firmware: Firmware) -> None:
    board = VirtualBoard(firmware(ECHO, BAUD=115200))
    os.kill(board.pid, signal.SIGKILL)
    with pytest.raises(CommError, match="ended"):
        while True:
            board.state()
    board.close()


def test_who_is_interrupted_may_ask_again(firmware: Firmware) -> None:
    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with VirtualBoard(firmware(ECHO, BAUD=115200)) as board:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(KeyboardInterrupt):
                board.advance(60)
            assert board.state() == "running"
            assert board.counters()["resets"] == 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def ended(process: int) -> bool:
    """Wait for a process by its descriptor."""
    import select

    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(PATIENCE_S * 1000))
