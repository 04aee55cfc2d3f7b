"""``leadscomm ports``: the serial ports, what is plugged in there, and whether it can be opened."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final, TextIO

from leadscomm.cli.wording import wrapped
from leadscomm.connections.holders import Holder
from leadscomm.connections.port_state import IN_USE, NO_PERMISSION, is_fitted, permission_mend, state_of
from leadscomm.connections.ports import Port, available_ports

_NONE: Final = (
    "no serial port found; is the device plugged in, with a cable that carries data and not only power? "
    "A container or a virtual machine sees a device only when it is handed on to it."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("--json", action="store_true", help="print a JSON list, for programs")


def run(args: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """List the ports. Finding none is no failure."""
    ports = [port for port in available_ports() if is_fitted(port.device)]
    if args.json:
        print(json.dumps([as_json(port) for port in ports], indent=2), file=out)
    elif ports:
        print("\n".join(line for port in ports for line in describe(port)), file=out)
    else:
        print("\n".join(wrapped(_NONE)), file=err)
    return 0


def describe(port: Port) -> list[str]:
    """A port in lines of at most 80 columns."""
    state, users = state_of(port.device)
    facts = [_name(port) or "no description"]
    if port.vid is not None:
        facts.append(f"USB {_usb_id(port)}")
    if port.serial_number:
        facts.append(f"serial number {port.serial_number}")
    lines = wrapped(f"{port.device:<20} {_state(state, users)}", " " * 21)
    lines += wrapped(f"    {', '.join(facts)}", " " * 4)
    if state == NO_PERMISSION:
        lines += wrapped(f"    {permission_mend(port.device)}", " " * 4)
    return lines


def as_json(port: Port) -> dict[str, Any]:
    """A port for programs."""
    state, users = state_of(port.device)
    return {**asdict(port), "usb_id": _usb_id(port), "state": state, "users": [asdict(user) for user in users]}


def _name(port: Port) -> str:
    description = "" if port.description == "n/a" else port.description
    known = port.manufacturer if port.manufacturer and port.manufacturer not in description else ""
    return " ".join(f"{known} {description}".split())


def _usb_id(port: Port) -> str | None:
    return None if port.vid is None else f"{port.vid:04x}:{port.pid or 0:04x}"


def _state(state: str, users: Sequence[Holder]) -> str:
    return f"{IN_USE} by {', '.join(map(str, users))}" if users else state
