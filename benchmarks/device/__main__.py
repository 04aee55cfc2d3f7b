"""``./dev bench device``: measures the device side, prints Markdown, and writes docs/device-performance.md if asked to.

Firmware runs on the virtual board. Sizes are avr-size's, cycles and rates those of simulated time; where a host takes
part, it is leadscomm in this process, in real time.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import facts
from benchmarks.report import write_between_markers
from leadscomm.hardware.firmware.avr_gcc import compiler_version
from leadscomm.protocol import make_framing
from leadscomm.testing import VirtualBoard

from . import link
from .firmware import BYTES, Firmware, cycles_per_byte
from .report import Target, library_table, table, target_table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "device-performance.md"
BARE = "BareEcho"
RECORD = Path(__file__).with_name("long.json")
COMPARED = Path(__file__).resolve().parents[2] / "tests" / "arduino" / "compared.json"
"""What ``python -m tests.arduino.compare`` has recorded."""
MIX = {"flip": 1e-3, "drop": 1e-3, "duplicate": 1e-3, "insert": 1e-3}
FLIPS = {"flip": 1e-2}
RANDOM_SIZES = range(2, 59)
"""Their mean is 30 bytes."""
Groups = list[tuple[str, list[Target]]]


class Run:
    """One run of all measurements but those that take many minutes: of these it takes what was recorded."""

    def __init__(self, firmware: Firmware, record: dict[str, Any]) -> None:
        self.firmware = firmware
        self.record = record
        self.sizes = {name: firmware.size(name) for name in (BARE, "Echo", "Reliable", "LeadsText", "Sensor")}
        self.cycles = cycles_per_byte(firmware)
        framing = make_framing("board")
        self.wire = {size: len(framing.encode(bytes(range(1, size + 1)))) for size in (1, 16, 58, 64)}

    def library(self) -> list[str]:
        wire = " / ".join(str(self.wire[size]) for size in (1, 16, 64))
        coding = f"{self.cycles['encode']:.0f} / {self.cycles['decode']:.0f}"
        bare = f"{self.cycles['bare write']:.0f} / {self.cycles['bare read']:.0f}"
        rows = [
            self._row("bare Serial", BARE, "1 / 16 / 64", bare, "–", "–"),
            self._row("**leadscomm**, `Echo`", "Echo", wire, coding, "CRC-16", "no"),
            self._row("**leadscomm**, `Reliable`", "Reliable", wire, coding, "CRC-16", "go-back-N, window 2"),
            self._row("**leadscomm**, `LeadsText`", "LeadsText", "n + 1", "–", "none", "no"),
        ]
        return library_table(rows)

    def _row(self, label: str, name: str, *rest: str) -> list[str]:
        size = self.sizes[name]
        return [label, str(size.flash_bytes), str(size.ram_bytes), *rest]

    def targets(self) -> Groups:
        return [
            ("1", self.footprint()),
            ("2", self.coding()),
            ("3", self.rates()),
            ("4", [*self.loss(), *self.recovery()]),
            ("5", self.corruption()),
            ("6", self.reset()),
            ("7", self.times()),
            ("8", self.flashing()),
        ]

    def footprint(self) -> list[Target]:
        bare = self.sizes[BARE]
        found = []
        for name, flash, ram in (("Echo", 560, 85), ("Reliable", 1400, 230)):
            size = self.sizes[name]
            found += [
                Target(f"`{name}`: flash over the bare echo", flash, size.flash_bytes - bare.flash_bytes, "B"),
                Target(f"`{name}`: RAM over the bare echo", ram, size.ram_bytes - bare.ram_bytes, "B"),
            ]
        return found

    def coding(self) -> list[Target]:
        return [
            Target("bytes that a frame adds, payload up to 58", 5, self.wire[58] - 58),
            Target(f"encode {BYTES} bytes", 70, self.cycles["encode"], "cycles a byte"),
            Target(f"decode {BYTES} bytes", 95, self.cycles["decode"], "cycles a byte"),
        ]

    def rates(self) -> list[Target]:
        say("rates")
        found = [
            Target(
                f"telemetry of 16 bytes at {baud:,d} baud",
                least,
                link.telemetry(self.firmware, baud, 2),
                "frames/s",
                True,
            )
            for baud, least in ((115_200, 555), (1_000_000, 4_000))
        ]
        for what, sizes in (
            ("30 bytes", range(30, 31)),
            ("20 to 40 bytes", range(20, 41)),
            ("2 to 58 bytes", RANDOM_SIZES),
        ):
            with VirtualBoard(self.firmware.elf("Reliable")) as board:
                done = link.echo(board, sizes, 1_000)
            found.append(Target(f"reliable echo, window 2, {what}: share of the wire", 0.85, done.share, "", True))
        return found

    def loss(self) -> list[Target]:
        found = self.record["faults"]
        return [
            Target(
                f"lost, doubled or out of order, of {each['messages']:,d} messages at {each['faults']}", 0, each["bad"]
            )
            for each in found
        ]

    def recovery(self) -> list[Target]:
        say("recovery")
        found = []
        for baud, least, chance, count in (
            (1_000_000, 400, 1e-3, 1_000),
            (1_000_000, 60, 1e-2, 200),
            (115_200, 60, 1e-3, 400),
        ):
            elf = self.firmware.elf("ReliableEcho", flags=(f"-DECHO_BAUD={baud}L",))
            with VirtualBoard(elf, baud=baud, seed=4, **dict.fromkeys(MIX, chance)) as board:
                done = link.echo(board, RANDOM_SIZES, count)
            if done.lost or done.wrong:
                raise AssertionError(f"lost or wrong: {done}")
            what = f"reliable echo at {baud:,d} baud, each fault {chance:g}, 2 to 58 bytes"
            found.append(Target(what, least, done.messages / done.seconds, "messages/s", True))
        return found

    def corruption(self) -> list[Target]:
        found = json.loads(COMPARED.read_text(encoding="ascii"))
        return [Target(f"wrong frames delivered, of {found['damaged_frames']:,d} damaged ones", 0, found["wrong"])]

    def reset(self) -> list[Target]:
        say("reset")
        done = link.reset(self.firmware)
        return [
            Target("session restored after a reset", 100, done.restored_s * 1000, "ms"),
            Target("messages that got lost by it without a report", 0, done.silent),
        ]

    def times(self) -> list[Target]:
        say("times")
        worst = link.worst_calls(self.firmware, 0.5)
        return [
            Target("opened to identified, no bootloader", 60, 1000 * link.identified(self.firmware, "Reliable"), "ms"),
            Target(
                "opened to identified, through optiboot",
                1200,
                1000 * link.identified(self.firmware, "Reliable", bootloader=True),
                "ms",
            ),
            *(Target(f"`{name}()` at worst, the host stalled", 1, 1000 * worst[name], "ms") for name in worst),
        ]

    def flashing(self) -> list[Target]:
        say("flashing")
        return [Target(f"flash {name}", 3, link.flashing(self.firmware, name), "s") for name in ("uno", "mega")]


def through_faults(firmware: Firmware, messages: int) -> list[dict[str, Any]]:
    """Target 4 at full length."""
    found = []
    for mix, count in ((MIX, messages), (FLIPS, messages // 100)):
        said = ", ".join(f"{name} {chance:g}" for name, chance in mix.items())
        say(f"{count:,d} reliable messages through {said}")
        with VirtualBoard(firmware.elf("Reliable"), seed=4, **mix) as board:
            done = link.echo(board, RANDOM_SIZES, count)
        found.append({"messages": count, "faults": said, "bad": done.lost + done.wrong, "seconds": round(done.seconds)})
    return found


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def markdown(run: Run, groups: Groups) -> Iterator[str]:
    sizes = [[name, str(size.flash_bytes), str(size.ram_bytes)] for name, size in run.sizes.items()]
    yield "\n".join(run.library())
    yield "\n".join(["## Targets", "", *target_table(groups)])
    yield "\n".join(["## Sizes", "", *table(("sketch", "flash", "RAM"), sizes)])
    foot = [
        facts([])[0],
        f"{compiler_version()}, the Arduino core, `-Os -flto`, Uno at 16 MHz on the virtual board",
    ]
    yield "\n".join(["## What it was measured with", "", *(f"- {fact}" for fact in foot)])


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench device", description=__doc__)
    parser.add_argument(
        "--long",
        action="store_true",
        help=f"measure target 4 instead, half an hour, and keep it in {RECORD.name}",
    )
    parser.add_argument("--write-docs", action="store_true", help=f"write docs/{PAGE.name}")
    options = parser.parse_args(argv)
    with Firmware() as firmware:
        if options.long:
            record = {"faults": through_faults(firmware, 100_000)}
            RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="ascii")
            print(json.dumps(record, indent=1), flush=True)
            return 0
        run = Run(firmware, json.loads(RECORD.read_text(encoding="ascii")))
        text = "\n\n".join(markdown(run, run.targets())) + "\n"
    print(text, flush=True)
    if options.write_docs:
        write_between_markers(PAGE, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
