"""How the demo's second part runs and looks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final, TextIO

from leadscomm.cli.demonstration.device_link import BoardDevice, Device, NodeDevice
from leadscomm.cli.demonstration.display import NOT_SHOWN, Display
from leadscomm.cli.demonstration.hosts import HOSTS, Company
from leadscomm.cli.demonstration.pty_cable import can_make
from leadscomm.cli.terminal.wording import counted, wrapped

_STARTS_WITHIN_S: Final = 20.0
_TICK_S: Final = 0.02
_CUT_EVERY_S: Final = 0.35


def introduction() -> list[str]:
    """What is about to be seen."""
    text = (
        "Now three hosts and three devices, each known by its name. A device is reached over a network cable, by radio "
        "(UDP) and over a serial cable, as far as it has them, and all that lead to it are one session. Cables are "
        "pulled and connections killed all the time, and one byte in two thousand of the board's line is damaged. "
        "Every message is counted."
    )
    return [*wrapped(text), ""]


def make_devices() -> list[Device]:
    """Two nodes and a virtual board."""
    return [NodeDevice("arm", serial=HOSTS[0] if can_make() else ""), NodeDevice("leg"), BoardDevice(HOSTS[0])]


def table(devices: Sequence[Device]) -> list[str]:
    """The figures: a heading, and a line for each device."""
    head = f"{'device':<12}{'cuts':>8}{'sent':>15}{'delivered':>15}{'lost':>15}{'duplicated':>15}"
    return [head, *map(_row, devices)]


def _row(device: Device) -> str:
    if device.missing:
        return f"{device.name:<12}{NOT_SHOWN}"
    counts = f"{device.sent:>15,}{device.delivered:>15,}"
    return f"{device.name:<12}{device.cuts:>8,}{counts}{_lost(device):>15}{device.duplicated:>15,}"


def _lost(device: Device) -> str:
    """While they are on their way, messages are not lost."""
    return f"{device.lost():,}" if device.over else "0"


def run(devices: Sequence[Device], display: Display, out: TextIO) -> None:
    """Show it."""
    print("\n".join(introduction()), file=out, flush=True)
    company = Company(devices, display.happened)
    with ExitStack() as stack:
        stack.callback(company.close)
        company.start()
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while not company.all_met() and time.monotonic() < deadline:
            time.sleep(_TICK_S)
        display.begin()
        _pull(company, display)
        company.finish()
        for device in devices:
            device.over = True
        display.update()


def _pull(company: Company, display: Display) -> None:
    cut = shown = 0.0
    while display.elapsed() < display.seconds:
        company.send()
        if display.elapsed() >= cut:
            cut = display.elapsed() + _CUT_EVERY_S
            company.cut()
        if display.elapsed() >= shown:
            shown = display.elapsed() + display.period
            display.update()
        time.sleep(_TICK_S)


def summary(devices: Sequence[Device]) -> list[str]:
    """How it went."""
    shown = [device for device in devices if not device.missing]
    lines = [line for device in devices if device.missing for line in wrapped(f"{device.name}: {device.missing}", "  ")]
    faulty = [device for device in shown if device.fault()]
    if faulty:
        return lines + [line for device in faulty for line in wrapped(f"{device.name}: {device.fault()}", "  ")]
    total, cuts = sum(device.delivered for device in shown), sum(device.cuts for device in shown)
    text = (
        f"{total:,} messages between {len(HOSTS)} hosts and {counted(len(shown), 'device')}, {counted(cuts, 'cut')}: "
        "every one was delivered, none was lost, none came twice."
    )
    return lines + wrapped(text)
