"""Serial ports: whether the device is there, may be opened, and is free."""

from __future__ import annotations

import os
import time
from typing import Any

from leadscomm.cli.diagnosis.findings import FAIL, OK, OPEN, WARN, Finding, Findings, Opening, failed
from leadscomm.cli.ports import ANSWER_S, answer
from leadscomm.cli.terminal.wording import duration
from leadscomm.connections.endpoint import Endpoint
from leadscomm.connections.serial.connection import who_are_there
from leadscomm.connections.serial.port_state import FREE, IN_USE, NO_PERMISSION, is_fitted, permission_mend, state_of
from leadscomm.connections.serial.ports import available_ports
from leadscomm.errors import CommError
from leadscomm.sessions.doors import connect


def open_device(endpoint: Endpoint) -> Opening:
    """``serial://``."""
    if endpoint.path == "auto" and not endpoint.options["identity"] and not endpoint.options["usb_serial"]:
        yield from _every_port(endpoint.options["baud"])
        return None
    if os.path.isabs(endpoint.path) and not (yield from _usable(endpoint.path)):
        return None
    start = time.monotonic()
    try:
        connection = connect(endpoint)
    except (CommError, OSError) as error:
        yield failed("open", error)
        return None
    baud = endpoint.options["baud"]
    yield Finding(OK, "open", f"{connection} at {baud} baud in {duration(time.monotonic() - start)}")
    return connection


def _every_port(baud: int) -> Findings:
    """``serial://auto``, where it is not said who is meant: who is at which port."""
    found = [port for port in available_ports() if is_fitted(port.device)]
    if not found:
        yield Finding(FAIL, "device", "no serial port is there", _others())
    usable = []
    for port in found:
        if (yield from _usable(port.device)):
            usable.append(port.device)
    for device, identity in who_are_there(usable, time.monotonic() + ANSWER_S, baud).items():
        if identity.tag is None:
            yield Finding(WARN, "who", f"{device}: {answer(identity)}", f"try another baud=; {baud} was tried")
        else:
            options = f"identity={identity.tag}" + ("" if identity.in_text else "&framing=board")
            yield Finding(OK, "who", f"{device} {answer(identity)}: serial://auto?{options}")


def _usable(path: str) -> Any:
    """Whether trying to open the device makes sense."""
    if not os.path.exists(path):
        yield Finding(FAIL, "device", f"there is no {path}", _others())
        return False
    yield Finding(OK, "device", _described(path))
    state, users = state_of(path)
    if state == NO_PERMISSION:
        yield Finding(FAIL, "permission", f"this user may not read and write {path}", permission_mend(path))
        return False
    if state == IN_USE:
        who = ", ".join(map(str, users))
        yield Finding(FAIL, "in use", f"{path} is in use by {who}", "end that program")
        return False
    yield Finding(OK if state == FREE else OPEN, "in use", "no, as far as can be seen" if state == FREE else state)
    return True


def _described(path: str) -> str:
    real = os.path.realpath(path)
    return next((str(port) for port in available_ports() if port.device == real), path)


def _others() -> str:
    devices = [port.device for port in available_ports() if is_fitted(port.device)]
    if not devices:
        return "plug the device in; no serial port is there at the moment"
    return f"plug the device in, or use one of {', '.join(devices)}"
