"""Programs brought onto boards, by avrdude through the bootloader.

Opening the port resets the board; its bootloader then listens for a moment. avrdude reads the processor's signature
first and goes no further with a wrong one, so that a board that was not meant keeps its program.
"""

from __future__ import annotations

import logging
import re
import select
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Final

from leadscomm.errors import ConnectFailed, FirmwareError, FlashFailed
from leadscomm.hardware.firmware import places
from leadscomm.hardware.firmware.board_port import start_bootloader, wait_for_port
from leadscomm.hardware.firmware.image import Image
from leadscomm.hardware.firmware.models import CHIPS, MODELS, Model

_log = logging.getLogger("leadscomm")
SYNC_S: Final = 4.0
"""How long a bootloader may take for its first answer; avrdude itself would go on asking for a minute."""
PROBE_S: Final = 10.0
"""The same where only the cause of a failure is looked for: long enough for avrdude's second try, which comes after
6 s, and for a busy machine."""
STALL_S: Final = 5.0
"""How long nothing may happen after that."""
TOUCH_S: Final = 8.0
"""How long a board with its processor on USB may take to come back as its bootloader, and as its program."""
_BAR: Final = re.compile(rb"(Reading|Writing) \| (#*)")
_VECTORS: Final = re.compile(
    rb"(?:\x0c\x94..|.[\xc0-\xcf]\0\0)*", re.DOTALL
)  # JMP; what --relax makes of it: RJMP, NOP
_BAR_LENGTH: Final = 50
_SIGNATURE: Final = re.compile(rb"device signature = (?:0x)?([0-9a-f]{6})", re.IGNORECASE)
_NO_PORT: Final = re.compile("can(not|'t) open (port|device)")
_ERROR: Final = re.compile(
    rb"^avrdude(?: error)?: (?!warning)(.*(?:error|can't|cannot|mismatch|failed).*)|^avrdude (?:OS )?error: (.*)",
    re.MULTILINE,
)


def check_fits(image: Image, model: Model) -> None:
    """See to it that a program can be meant for a board, before anything is sent.

    :raises FirmwareError: it is too large, or reaches into the bootloader, or has the interrupt vectors of another
        processor.
    """
    room = model.flash_bytes
    if size_of(image) > room:
        raise FirmwareError(f"{image.name} holds {size_of(image):,} bytes; the {model.title} has room for {room:,}")
    if image.end > room:
        raise FirmwareError(
            f"{image.name} reaches to address 0x{image.end - 1:x}; on the {model.title} the bootloader begins at "
            f"0x{room:x}. A file with a bootloader in it is for a programmer, not for a serial port"
        )
    vectors = _vectors(image)
    meant = next((other for other in MODELS.values() if other.vectors == vectors), model)
    if meant.vectors != model.vectors:
        raise FirmwareError(
            f"{image.name} is a program for an {meant.chip} ({vectors} interrupt vectors); the {model.title} has an "
            f"{model.chip} ({model.vectors})"
        )


def size_of(image: Image) -> int:
    """How many bytes a program has."""
    return sum(len(data) for _, data in image.pieces)


def _vectors(image: Image) -> int:
    """How many interrupt vectors it has, all of them jumps; 0 if it does not begin with any."""
    table = next((data for address, data in image.pieces if address == 0), b"")
    return len(_VECTORS.match(table)[0]) // 4  # type: ignore[index]  # it matches nothing, if need be


class Stage(Enum):
    """How far an upload has come, and what the board holds if it ends there."""

    ASKING = "the board has the program that it had"
    WRITING = "the board has half a program now: run the command again"
    VERIFYING = "the program is written, and not verified: run the command again"
    DONE = "the program is on the board"


class Upload:
    """One program for one board.

    :param image: what to write; it was checked to fit.
    :param model: the board that it is for.
    :param port: such as ``/dev/ttyACM0``; that of the program where the bootloader has another one.
    :param verify: read it back and compare. The bootloader acknowledges each page as it is; this takes as long again.
    :param on_progress: called with the stage and how much of it is done, from 0 to 1, by the thread that runs it.
    :ivar stage: how far it has come.
    """

    def __init__(
        self,
        image: Image,
        model: Model,
        port: str,
        verify: bool = False,
        on_progress: Callable[[Stage, float], None] | None = None,
    ) -> None:
        self.stage = Stage.ASKING
        self._image = image
        self._model = model
        self._port = port
        self._verify = verify
        self._on_progress = on_progress

    def command(self, baud: int) -> list[str]:
        """The command that does it."""
        extra = [] if self._verify else ["-V"]
        # -D: the bootloaders erase each page as they write it, and have no command to erase all.
        return [*avrdude(self._model, self._port, baud), "-D", *extra, f"-Uflash:w:{self._image.name}:i"]

    def run(self) -> None:
        """Do it. If it ends early, by whatever exception, the avrdude process has ended too, and ``stage`` tells what
        the board holds.

        :raises FlashFailed: it could not be done; the text says why, and what the board holds.
        :raises MissingTool: there is no avrdude.
        """
        port = self._port
        if self._model.usb_product:
            try:
                self._port = start_bootloader(port, TOUCH_S)
            except ConnectFailed as error:
                raise FlashFailed(f"{error}; {self.stage.value}") from None
        try:
            self._write()
        finally:
            self._port = port
        if self._model.usb_product:
            wait_for_port(port, TOUCH_S)

    def _write(self) -> None:
        for baud in self._model.bauds:
            talk = _Talk(self._follow)
            if talk.run(self.command(baud), SYNC_S) == 0:
                self._show(Stage.DONE, 1.0)
                return
            if talk.signature or self.stage is not Stage.ASKING:
                break
        raise FlashFailed(f"{self._why(talk)}; {self.stage.value}")

    def _follow(self, talk: _Talk) -> None:
        bars = _BAR.findall(talk.text)
        if bars:
            written = any(kind == b"Writing" for kind, _ in bars[:-1])
            kind, done = bars[-1]
            stage = Stage.WRITING if kind == b"Writing" else Stage.VERIFYING if written else Stage.ASKING
            self._show(stage, len(done) / _BAR_LENGTH)

    def _show(self, stage: Stage, done: float) -> None:
        self.stage = stage
        if self._on_progress is not None:
            self._on_progress(stage, done)

    def _why(self, talk: _Talk) -> str:
        if self.stage is not Stage.ASKING:
            return f"{self._port}: {talk.complaint()}"
        signature = talk.signature
        if signature == self._model.signature or _NO_PORT.search(talk.complaint()):
            return f"{self._port}: {talk.complaint()}"
        for other in _others(self._model):
            if signature:
                break
            probe = _Talk()
            probe.run([*avrdude(other, self._port, other.bauds[0]), "-n"], PROBE_S)
            signature = probe.signature
        return _wrong_board(signature, self._model) if signature else _silent(self._port, self._model)


def avrdude(model: Model, port: str, baud: int) -> list[str]:
    """The beginning of a command that speaks to a board's bootloader.

    :raises MissingTool: there is no avrdude.
    """
    program = places.find("avrdude")
    settings = Path(program).parent.parent / "etc" / "avrdude.conf"
    own = ["-C", str(settings)] if settings.is_file() else []
    return [program, *own, "-p", model.mcu, "-c", model.programmer, "-P", port, "-b", str(baud)]


class _Talk:
    """What avrdude says while it runs."""

    def __init__(self, on_text: Callable[[_Talk], None] = lambda talk: None) -> None:
        self.text = b""
        self._on_text = on_text

    @property
    def signature(self) -> str:
        """The processor's, in hexadecimal; "" as long as it has not said it."""
        found = _SIGNATURE.search(self.text)
        return found[1].decode().lower() if found else ""

    def complaint(self) -> str:
        """What avrdude says went wrong."""
        said = [(one or other).decode(errors="replace") for one, other in _ERROR.findall(self.text)]
        told = [text for text in said if "TIOCM" not in text]  # a pseudo-terminal has no DTR
        return told[-1] if told else "avrdude ended without a word"

    def run(self, command: list[str], patience: float) -> int:
        """Run it to its end, or until no bootloader has answered in time; its exit code. It never outlives this."""
        _log.info("%s", shlex.join(command))
        self.text = b""
        deadline = time.monotonic() + patience
        nothing = subprocess.DEVNULL
        with subprocess.Popen(command, bufsize=0, stdin=nothing, stdout=nothing, stderr=subprocess.PIPE) as process:
            try:
                while said := self._read(process, deadline):
                    self.text += said
                    self._on_text(self)
                    if self.signature:
                        deadline = time.monotonic() + STALL_S
            except BaseException:
                process.kill()
                raise
        _log.debug("avrdude ended with %d; it said: %s", process.returncode, self.text.decode(errors="replace"))
        return process.returncode

    def _read(self, process: subprocess.Popen[bytes], deadline: float) -> bytes:
        assert process.stderr is not None
        if sys.platform != "win32":  # which cannot wait for a pipe with a deadline
            left = max(0.0, deadline - time.monotonic())
            if not select.select([process.stderr], [], [], left)[0]:
                process.kill()
                self.text += b"\navrdude error: the board has stopped answering\n"
                return b""
        return process.stderr.read(4096)


def _others(model: Model) -> list[Model]:
    """One board of each other kind of bootloader."""
    if model.usb_product:
        return []  # what is on its port is its bootloader, or nothing
    kinds: dict[str, Model] = {}
    for other in MODELS.values():
        if not other.usb_product:
            kinds.setdefault(other.programmer, other)
    return [other for kind, other in kinds.items() if kind != model.programmer]


def _wrong_board(signature: str, model: Model) -> str:
    if signature not in CHIPS:
        return f"this is a processor with the signature {signature}, which is not known here"
    chip = CHIPS[signature]
    right = [other for other in MODELS.values() if other.signature == signature]
    if not right:
        return f"this is an {chip}; a board with it cannot be programmed from here"
    titles = " or ".join(other.title for other in right)
    return f"this is an {chip} ({titles}); you said {model.name}: run leadscomm flash --board {right[0].name}"


def _silent(port: str, model: Model) -> str:
    return (
        f"no bootloader answers on {port}; is this an {model.title}, on a cable that carries data, and is nothing "
        "connected to its pins 0 and 1? Press its reset button and run the command again at once"
    )
