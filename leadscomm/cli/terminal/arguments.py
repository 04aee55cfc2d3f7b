"""What several commands read from the command line."""

from __future__ import annotations

import argparse
import math

from leadscomm.connections.endpoint import SCHEMES, Endpoint
from leadscomm.connections.serial.ports import available_ports
from leadscomm.errors import EndpointError


def endpoint(text: str) -> Endpoint:
    """An endpoint; what is wrong with it is said as ``argparse`` says such things."""
    try:
        return Endpoint.parse(text)
    except EndpointError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def seconds(text: str) -> float:
    """A time that is not negative; ``inf`` is one."""
    value = _number(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError("write seconds, 0 or more")
    return value


def some_time(text: str) -> float:
    """A time in which something can happen."""
    value = _number(text)
    if not 0.1 <= value < math.inf:
        raise argparse.ArgumentTypeError("write seconds, 0.1 or more")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def short_time(text: str) -> float:
    """At most a day."""
    return min(seconds(text), 86_400.0)


def count(text: str) -> int:
    """How often: 1 or more."""
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError("write a whole number, 1 or more")
    return value


def add_endpoint(parser: argparse.ArgumentParser) -> None:
    """The argument ENDPOINT."""
    completed(
        parser.add_argument(
            "endpoint",
            type=endpoint,
            metavar="ENDPOINT",
            help="a URL such as tcp://127.0.0.1:16900 or serial:///dev/ttyACM0?baud=115200, or a port of this machine",
        )
    )


def completed(action: argparse.Action) -> None:
    """Have a shell complete an endpoint there, where argcomplete is set up."""
    action.completer = _endpoints  # type: ignore[attr-defined]


def _endpoints(prefix: str, **_: object) -> list[str]:
    """How an endpoint may begin."""
    known = [f"{name}://" for name in SCHEMES] + [f"serial://{port.device}" for port in available_ports()]
    return [text for text in known if text.startswith(prefix)]


def add_hex(parser: argparse.ArgumentParser) -> None:
    """The option ``--hex``."""
    parser.add_argument("--hex", action="store_true", help="show and read messages as hexadecimal: 68 65 6c 6c 6f")
