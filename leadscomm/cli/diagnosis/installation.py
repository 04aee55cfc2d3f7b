"""Whether leadscomm itself, and what it stands on, is well here."""

from __future__ import annotations

import platform
import ssl
import sys
from importlib import import_module
from pathlib import Path
from typing import Final

from leadscomm.cli.diagnosis.findings import FAIL, OK, OPEN, WARN, Finding, Findings
from leadscomm.cli.terminal.wording import counted
from leadscomm.connections.serial.port_state import IN_USE, NO_PERMISSION, is_fitted, permission_mend, state_of
from leadscomm.connections.serial.ports import available_ports
from leadscomm.errors import MissingExtra
from leadscomm.packages import pyserial
from leadscomm.version import __version__

ENOUGH_DESCRIPTORS: Final = 512
"""A server's 256 connections, twice: what else a program has open."""


def installation() -> Findings:
    """Python, the packages, the serial ports and the limits."""
    place = Path(__file__).resolve().parents[2]
    yield Finding(OK, "leadscomm", f"{__version__}, in {place}")
    version = platform.python_version()
    yield Finding(OK, "Python", f"{version} ({platform.python_implementation()}, {sys.platform})")
    yield _crcmod()
    yield _pyserial()
    yield _tls()
    yield from _ports()
    yield _descriptors()


def _crcmod() -> Finding:
    try:
        module = import_module("crcmod.crcmod")
    except ImportError as error:
        return Finding(FAIL, "crcmod", f"cannot be imported: {error}", "run `pip install crcmod`")
    if getattr(module, "_usingExtension", False):
        return Finding(OK, "crcmod", "with its C extension")
    return Finding(
        WARN,
        "crcmod",
        "without its C extension: CRCs other than crc-32 and the 16 bit ones of 0x1021 are some 25 times slower",
        "install a C compiler, then run `pip install --force-reinstall --no-cache-dir crcmod`",
    )


def _pyserial() -> Finding:
    try:
        module = pyserial()
    except MissingExtra as error:
        seen, _, mend = str(error).partition(": ")
        return Finding(FAIL, "pyserial", seen, mend)
    return Finding(OK, "pyserial", module.__version__)


def _tls() -> Finding:
    if ssl.HAS_TLSv1_3:
        return Finding(OK, "TLS", f"1.3, by {ssl.OPENSSL_VERSION}")
    return Finding(WARN, "TLS", f"{ssl.OPENSSL_VERSION} has no TLS 1.3: tls:// does not work", "use a newer Python")


def _ports() -> Findings:
    try:
        ports = [port.device for port in available_ports() if is_fitted(port.device)]
    except (ImportError, OSError) as error:
        yield Finding(WARN, "serial", f"the ports cannot be listed: {error}")
        return
    states = [state_of(device)[0] for device in ports]
    locked = [device for device, state in zip(ports, states) if state == NO_PERMISSION]
    used = states.count(IN_USE)
    if not ports:
        yield Finding(OPEN, "serial", "no serial port found")
    elif len(locked) < len(ports):
        text = counted(len(ports), "port") + (f", {used} in use" if used else "")
        yield Finding(OK, "serial", f"{text}; `leadscomm ports` lists them")
    for device in locked:
        yield Finding(WARN, "serial", f"{device}: no permission", permission_mend(device))


def _descriptors() -> Finding:
    if sys.platform == "win32":
        return Finding(OPEN, "ulimit -n", "this system has no such limit")
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= ENOUGH_DESCRIPTORS:
        shown = "unlimited" if soft == resource.RLIM_INFINITY else f"{soft}"
        return Finding(OK, "ulimit -n", f"{shown}: so many files and connections may be open in a program")
    most = "" if hard == resource.RLIM_INFINITY else f" (at most {hard})"
    return Finding(
        WARN, "ulimit -n", f"only {soft} files and connections may be open in a program", f"run `ulimit -n 4096`{most}"
    )
