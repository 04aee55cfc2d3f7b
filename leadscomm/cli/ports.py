"""``leadscomm ports``: the serial ports, what is plugged in there, and whether it can be opened."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any, Final, TextIO

from leadscomm.cli.wording import wrapped
from leadscomm.connections.serial_ports import IN_USE, NO_PERMISSION, SerialPort, permission_mend, serial_ports

_NONE: Final = (
    "no serial port found; is the device plugged in, with a cable that carries data and not only power? "
    "A container or a virtual machine sees a device only when it is handed on to it."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("--json", action="store_true", help="print a JSON list, for programs")


def run(args: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """List the ports. Finding none is no failure."""
    ports = serial_ports()
    if args.json:
        print(json.dumps([_as_json(port) for port in ports], indent=2), file=out)
    elif ports:
        print("\n".join(line for port in ports for line in describe(port)), file=out)
    else:
        print("\n".join(wrapped(_NONE)), file=err)
    return 0


def describe(port: SerialPort) -> list[str]:
    """A port in lines of at most 80 columns."""
    name = " ".join(dict.fromkeys(filter(None, (port.manufacturer, port.product or port.description))))
    facts = [name or "no description"]
    if port.usb_id:
        facts.append(f"USB {port.usb_id}")
    if port.serial_number:
        facts.append(f"serial number {port.serial_number}")
    lines = wrapped(f"{port.device:<20} {_state(port)}", " " * 21) + wrapped(f"    {', '.join(facts)}", " " * 4)
    if port.state == NO_PERMISSION:
        lines += wrapped(f"    {permission_mend(port.device)}", " " * 4)
    return lines


def _state(port: SerialPort) -> str:
    return f"{IN_USE} by {', '.join(map(str, port.users))}" if port.users else port.state


def _as_json(port: SerialPort) -> dict[str, Any]:
    return {**asdict(port), "usb_id": port.usb_id}
