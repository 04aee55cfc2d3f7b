"""``leadscomm flash``: a sketch is compiled, a program brought onto a board, and the board asked who it is."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TextIO

from leadscomm.connections.serial.connection import who_are_there
from leadscomm.connections.serial.ports import Port
from leadscomm.errors import BuildFailed, CommError, ConnectFailed, FlashFailed
from leadscomm.hardware.firmware import board_port
from leadscomm.hardware.firmware.flashing import Stage, Upload, check_fits, size_of
from leadscomm.hardware.firmware.image import Image, read_image
from leadscomm.hardware.firmware.models import MODELS, Model
from leadscomm.hardware.toolchain import arduino_folder, build

ANSWER_S: Final = 1.8
"""How long a sketch has to say who it is: its port is opened, which resets most boards once more."""
COMPANION_S: Final = 10.0
"""The same for the companion firmware, which does answer."""
_BAR_LENGTH: Final = 40
_DOING: Final = {Stage.ASKING: "asking", Stage.WRITING: "writing", Stage.VERIFYING: "verifying"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add = parser.add_argument
    add(
        "program",
        nargs="?",
        metavar="SKETCH|HEX",
        help="a sketch (a folder, an .ino or a .cpp file) or an Intel HEX file; unless given, the companion firmware",
    )
    add("--board", choices=MODELS, help="its kind; unless given, what its USB numbers say, or else uno")
    add("--port", default="auto", help="such as /dev/ttyACM0 or COM3; unless given, that of the only board")
    add(
        "--library", action="append", default=[], metavar="FOLDER", help="an Arduino library for the sketch; repeatable"
    )
    add(
        "--verify",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="read back what was written; takes twice the time",
    )
    add("--dry-run", action="store_true", help="compile and check, show the command for the upload, and end there")
    add("--json", action="store_true", help="print what was done as JSON, for programs")


def run(args: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Compile, check, upload, ask."""
    port = _port(args, err)
    model = MODELS[args.board] if args.board else board_port.model_at(port) or MODELS["uno"]
    with tempfile.TemporaryDirectory(prefix="leadscomm-") as folder:
        image = _program(args, model, folder, err)
        check_fits(image, model)
        progress = _Progress(err)
        upload = Upload(image, model, port.device, args.verify, progress)
        if args.dry_run:
            print(shlex.join(upload.command(model.bauds[0])), file=out)
            return 0
        board_port.check_free(port.device)
        with progress.telling(upload):
            begin = time.monotonic()
            upload.run()
            seconds = time.monotonic() - begin
            identity = _ask(port, ANSWER_S if args.program else COMPANION_S, err)
    done = {
        "board": model.name,
        "port": port.device,
        "bytes": size_of(image),
        "verified": args.verify,
        "seconds": round(seconds, 3),
        "identity": identity,
    }
    print(json.dumps(done, indent=2) if args.json else _sentence(done, model), file=out)
    if args.program is None and identity is None:
        raise FlashFailed(f"{upload.stage.value}, and does not answer; press its reset button and run leadscomm doctor")
    return 0


def _port(args: argparse.Namespace, err: TextIO) -> Port:
    if args.port != "auto":
        return board_port.port_named(args.port)
    try:
        return board_port.find_port(MODELS.get(args.board))
    except ConnectFailed as error:
        if not args.dry_run:
            raise
        print(error, file=err)
        return Port("PORT")


def _program(args: argparse.Namespace, model: Model, folder: str, err: TextIO) -> Image:
    """The program that is meant; compiled, if it is a sketch."""
    if args.program is None:
        return read_image(arduino_folder() / "firmware" / f"companion-{model.firmware}.hex")
    path = Path(args.program)
    if path.suffix.lower() in (".hex", ".ihex"):
        return read_image(path)
    print(f"compiling {path} for the {model.title}", file=err)
    try:
        return read_image(build(path, model.name, args.library, folder).with_suffix(".hex"))
    except BuildFailed as error:
        print(error.output, end="", file=err)
        raise BuildFailed(error.summary) from error


def _ask(port: Port, patience: float, err: TextIO) -> str | None:
    """Who the board says that it is; None: it gave no answer."""
    found = who_are_there([port.device], time.monotonic() + patience)[port.device]
    if found.trouble:
        print(found.trouble, file=err)
    return found.tag


def _sentence(done: dict[str, Any], model: Model) -> str:
    how = "written and verified" if done["verified"] else "written"
    who = "it does not say who it is" if done["identity"] is None else f"it is {done['identity']}"
    return f"{model.title} on {done['port']}: {done['bytes']:,} bytes {how} in {done['seconds']:.1f} s; {who}"


class _Progress:
    """Shows how far an upload has come: a bar on a terminal, a line for each stage anywhere else."""

    def __init__(self, err: TextIO) -> None:
        self._err = err
        self._redraws = err.isatty() and os.environ.get("TERM") != "dumb"
        self._stage: Stage | None = None
        self._line = ""

    def __call__(self, stage: Stage, done: float) -> None:
        if self._redraws:
            self._draw(stage, done)
        elif stage is not self._stage and stage in _DOING:
            print(f"{_DOING[stage]} ...", file=self._err)
        self._stage = stage

    @contextlib.contextmanager
    def telling(self, upload: Upload) -> Iterator[None]:
        """If this is left early, say what the board holds."""
        try:
            yield
        except BaseException as error:
            if self._redraws and self._stage in _DOING:
                self._err.write("\n")
            if not isinstance(error, CommError):  # Ctrl-C; our own errors say it
                print(upload.stage.value, file=self._err)
            raise

    def _draw(self, stage: Stage, done: float) -> None:
        if self._stage not in (None, stage):
            self._err.write("\n")
        if stage in _DOING:
            line = f"\r{_DOING[stage]:<10} [{'#' * round(_BAR_LENGTH * done):<{_BAR_LENGTH}}] {done:4.0%}"
            if line != self._line:
                self._err.write(line)
            self._line = line
        self._err.flush()
