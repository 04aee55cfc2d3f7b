"""``leadscomm ports``: the serial ports, what is plugged in there, and whether it can be opened."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final, TextIO

from leadscomm.cli.terminal import arguments
from leadscomm.cli.terminal.wording import wrapped
from leadscomm.connections.serial.connection import Identity, who_are_there
from leadscomm.connections.serial.port_state import IN_USE, NO_PERMISSION, is_fitted, permission_mend, state_of
from leadscomm.connections.serial.ports import Port, available_ports
from leadscomm.holders import Holder

_BAUD: Final = 115200
ANSWER_S: Final = 3.0
"""A board that was reset by opening its port has come through its bootloader by then."""
_NONE: Final = (
    "no serial port found; is the device plugged in, with a cable that carries data and not only power? "
    "A container or a virtual machine sees a device only when it is handed on to it."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("--json", action="store_true", help="print a JSON list, for programs")
    parser.add_argument(
        "--identify", action="store_true", help="open the ports that are free, and ask who is there; resets most boards"
    )
    parser.add_argument(
        "--baud", type=arguments.count, default=_BAUD, help=f"bits a second that are asked at (default {_BAUD})"
    )


def run(args: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """List the ports. Finding none is no failure."""
    ports = [port for port in available_ports() if is_fitted(port.device)]
    found = identified(ports, args.baud) if args.identify else {}
    if args.json:
        print(json.dumps([as_json(port, found.get(port.device)) for port in ports], indent=2), file=out)
    elif ports:
        print("\n".join(line for port in ports for line in describe(port, found.get(port.device))), file=out)
    else:
        print("\n".join(wrapped(_NONE)), file=err)
    return 0


def identified(ports: Iterable[Port], baud: int) -> dict[str, Identity]:
    """Ask all ports that nobody is known to have open, at once."""
    asked = [port.device for port in ports if state_of(port.device)[0] not in (IN_USE, NO_PERMISSION)]
    return who_are_there(asked, time.monotonic() + ANSWER_S, baud)


def describe(port: Port, found: Identity | None = None) -> list[str]:
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
    if found is not None:
        lines += wrapped(f"    {answer(found)}", " " * 4)
    return lines


def answer(found: Identity) -> str:
    """What came of asking, in words."""
    if found.tag is None:
        return found.trouble or f"nobody answers: it {found.said}"
    how = "text" if found.in_text else "frames (framing=board; reliable=1 where its sketch has a session)"
    return f"answers as {found.tag or 'a board without a tag'}, in {how}"


def as_json(port: Port, found: Identity | None = None) -> dict[str, Any]:
    """A port for programs; with ``tag``, ``language`` and ``trouble`` if it was asked."""
    state, users = state_of(port.device)
    told = {**asdict(port), "usb_id": _usb_id(port), "state": state, "users": [asdict(user) for user in users]}
    if found is None:
        return told
    language = None if found.tag is None else "text" if found.in_text else "frames"
    return {**told, "tag": found.tag, "language": language, "trouble": found.trouble or None}


def _name(port: Port) -> str:
    description = "" if port.description == "n/a" else port.description
    known = port.manufacturer if port.manufacturer and port.manufacturer not in description else ""
    return " ".join(f"{known} {description}".split())


def _usb_id(port: Port) -> str | None:
    return None if port.vid is None else f"{port.vid:04x}:{port.pid or 0:04x}"


def _state(state: str, users: Sequence[Holder]) -> str:
    return f"{IN_USE} by {', '.join(map(str, users))}" if users else state
