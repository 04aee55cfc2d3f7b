"""Serial ports: which there are, how one is opened, and what to say when it cannot be."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from leadscomm.connections.address import Address
from leadscomm.errors import ConnectFailed, EndpointError
from leadscomm.packages import pyserial
from leadscomm.protocol.words import printable

if TYPE_CHECKING:
    from serial import Serial

NAMED_PORTS: Final = "LEADSCOMM_PORTS"
"""Which ports may be looked at."""
SLICE_S: Final = 0.2
"""How long reading waits at a time where nothing can wake it (other than ports of a Unix system)."""
_IN_USE: Final = (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK)
_NO_DEVICE: Final = (errno.EIO, errno.ENXIO, errno.ENODEV)


@dataclass(frozen=True)
class Port:
    """A serial port of this machine.

    :ivar device: what to open, such as ``/dev/ttyACM0`` or ``COM3``.
    :ivar description: for people.
    :ivar vid: USB vendor, and ``pid``, product; None where it is not on USB.
    :ivar serial_number: the USB device's.
    :ivar location: on which USB socket, and which interface of the device.
    """

    device: str
    description: str = ""
    vid: int | None = None
    pid: int | None = None
    serial_number: str | None = None
    manufacturer: str | None = None
    location: str | None = None

    def __str__(self) -> str:
        facts = [self.description] if self.description not in ("", "n/a") else []
        if self.vid is not None and self.pid is not None:
            facts.append(f"USB {self.vid:04x}:{self.pid:04x}")
        if self.serial_number:
            facts.append(f"serial number {self.serial_number}")
        return self.device + (f" ({', '.join(facts)})" if facts else "")

    def usb_identity(self) -> tuple[Any, ...] | None:
        """What stays the same when it is plugged in again elsewhere; None if nothing does."""
        if not self.serial_number:
            return None
        interface = (self.location or "").partition(":")[2]
        return self.vid, self.pid, self.serial_number, interface


def available_ports() -> list[Port]:
    """The serial ports that may be looked at, at this moment: those of this machine.

    If the environment variable ``LEADSCOMM_PORTS`` is set, it names them instead (separated as in ``PATH``): all others
    are left alone, and pseudo-terminals, which no system lists, are found as well.
    """
    pyserial()
    from serial.tools.list_ports import comports

    system = [
        Port(
            found.device,
            printable(found.description or ""),
            found.vid,
            found.pid,
            printable(found.serial_number) if found.serial_number else None,
            printable(found.manufacturer) if found.manufacturer else None,
            found.location,
        )
        for found in sorted(comports())
    ]
    named = os.environ.get(NAMED_PORTS)
    return system if named is None else _chosen(system, named.split(os.pathsep))


def _chosen(system: list[Port], paths: list[str]) -> list[Port]:
    """The ports at these paths, each once, if they are there."""
    known = {os.path.realpath(port.device): port for port in system}
    chosen: dict[str, Port] = {}
    for path in filter(None, paths):
        place = os.path.realpath(path)
        if place in known:
            chosen.setdefault(place, known[place])
        elif os.path.exists(path):
            chosen.setdefault(place, Port(path, f"named by {NAMED_PORTS}"))
    return list(chosen.values())


def listed() -> str:
    """The ports there are, for error texts."""
    return ", ".join(map(str, available_ports())) or "none"


# Which port is meant -------------------------------------------------------------------------------------------------


def locate(address: Address) -> str:
    """What the port of an endpoint is called at the moment.

    A device that was open before and has come back under another name is found by its USB serial number. Makers give
    one number to many devices: of several that are alike the path that was asked for wins, then the socket that the
    device was in, and otherwise none.

    :raises ConnectFailed: no device has the wanted ``usb_serial``, or it cannot be told which is meant.
    """
    wanted, known = address.options["usb_serial"], address.notes.get("usb")
    if not wanted and known is None:
        return address.path
    there = available_ports()
    alike = [port for port in there if (port.serial_number == wanted if wanted else port.usb_identity() == known)]
    if wanted and not alike:
        raise ConnectFailed(f"no device has usb_serial={wanted}; is it plugged in? There are: {listed()}")
    if any(port.device in (address.path, os.path.realpath(address.path)) for port in alike):
        return address.path
    location, alone = address.notes.get("usb_place", (None, True))
    same_place = [port for port in alike if location is not None and port.location == location]
    found = same_place or alike
    if len(found) == 1 and (same_place or alone):
        return found[0].device
    if alike and not (len(alike) == 1 and not wanted):
        raise ConnectFailed(_which(address, alike))
    return address.path


def _which(address: Address, alike: list[Port]) -> str:
    """What to say where one cannot tell which device is meant."""
    number = alike[0].serial_number
    places = ", ".join(f"{port} at USB socket {port.location}" if port.location else str(port) for port in alike)
    asked = f"{address.path} is not there, and " if address.path != "auto" else ""
    count = "another device has" if len(alike) == 1 else f"{len(alike)} devices have"
    return (
        f"{asked}{count} the USB serial number {number}, which does not tell which is meant: {places}. Name the port, "
        f"such as serial://{alike[0].device}, or one that stays the same, of /dev/serial/by-path"
    )


def remember(address: Address, device: str) -> None:
    """Note which device was opened, so that :func:`locate` finds it again."""
    if "://" in device:
        return
    real, there = os.path.realpath(device), available_ports()
    for port in there:
        if port.device in (device, real):
            identity = port.usb_identity()
            address.notes["usb"] = identity
            alone = sum(other.usb_identity() == identity for other in there) == 1
            address.notes["usb_place"] = (port.location, alone)


# Opening -------------------------------------------------------------------------------------------------------------


def open_port(path: str, options: Mapping[str, Any]) -> Serial:
    """Open a port, or any URL of pyserial's handlers.

    :param options: those of ``serial://``.
    :raises EndpointError: the settings cannot be right.
    :raises ConnectFailed: it cannot be opened; the text says why.
    :raises MissingExtra: pyserial is missing, or another package has its name.
    """
    serial: Any = pyserial()
    query = "&".join(f"{name}={value}" if value else name for name, value in options["nested"].items())
    try:
        port: Serial = serial.serial_for_url(
            path + (f"?{query}" if query else ""),
            do_not_open=True,
            baudrate=options["baud"],
            bytesize=options["bytesize"],
            parity=options["parity"],
            stopbits=options["stopbits"],
            rtscts=options["rtscts"],
            dsrdtr=options["dsrdtr"],
            xonxoff=options["xonxoff"],
            exclusive=True if options["exclusive"] else None,
            timeout=SLICE_S,
        )
    except Exception as error:
        raise EndpointError(f"serial://{path} cannot be right: {error}") from error
    port.dtr, port.rts = options["dtr"] != "off", options["rts"] != "off"
    opened(port)
    try:
        _settle(port, options)
    except BaseException:
        port.close()
        raise
    return port


class PortBusy(ConnectFailed):
    """Somebody has the port open: another program, or another part of this one."""


def opened(port: Serial) -> Serial:
    """Open a port that is set up.

    :raises EndpointError: the settings cannot be right.
    :raises PortBusy: somebody has it open.
    :raises ConnectFailed: it cannot be opened; the text says why.
    """
    try:
        port.open()
    except OSError as error:
        kind = PortBusy if _in_use(error) else ConnectFailed
        raise kind(_why_not(str(port.port), error)) from error
    except Exception as error:  # each of pyserial's handlers has its own; loop:// says KeyError
        raise EndpointError(f"{port.port} does not take these settings or options: {error}") from error
    return port


def _settle(port: Serial, options: Mapping[str, Any]) -> None:
    """What is to be set once a port of a Unix system is open."""
    if sys.platform == "win32":
        return
    import fcntl
    import termios

    try:
        fd = port.fileno()
        settings = termios.tcgetattr(fd)
    except (OSError, ValueError, termios.error):
        return  # a URL with no terminal behind it
    with contextlib.suppress(OSError, termios.error):
        if "keep" in (options["dtr"], options["rts"]):
            settings[2] &= ~termios.HUPCL  # closing leaves the lines as they are
            termios.tcsetattr(fd, termios.TCSANOW, settings)
        if options["exclusive"] and not os.ttyname(fd).startswith("/dev/pts/"):
            # Beside pyserial's lock, which only those see who ask for it. Not on a pseudo-terminal, which would
            # remember it beyond our end.
            fcntl.ioctl(fd, termios.TIOCEXCL)


def set_half_duplex(port: Serial) -> bool:
    """Let the driver switch an RS-485 transceiver by RTS; whether it can."""
    from serial.rs485 import RS485Settings

    try:
        port.rs485_mode = RS485Settings()
    except (AttributeError, OSError, ValueError, NotImplementedError):
        with contextlib.suppress(AttributeError, OSError, ValueError, NotImplementedError):
            port.rs485_mode = None
        return False
    return True


def _why_not(path: str, error: OSError) -> str:
    """What to say of a port that could not be opened."""
    number = _errno(error)
    if "://" in path:
        return f"serial://{path} cannot be opened: " + _why_not_far(error)
    if path.startswith("dev/"):
        return f"there is no port {path}: write serial:///{path}, with three slashes"
    if number == errno.ENOENT or "FileNotFoundError" in str(error):
        return f"there is no port {path}; is the device plugged in? There are: {listed()}"
    if _in_use(error):
        return f"{path} is in use by another program, or by this one; close it there (`fuser -v {path}` names it)"
    if number in (errno.EACCES, errno.EPERM):
        return _no_permission(path)
    if number == errno.ENOTTY:
        return f"{path} is no serial port; there are: {listed()}"
    if number in _NO_DEVICE:
        return f"{path} has no device behind it (unplugged, or never fitted); there are: {listed()}"
    return f"{path} cannot be opened: {error}"


def _in_use(error: OSError) -> bool:
    """Whether somebody has the port open; Windows says so by a PermissionError."""
    return _errno(error) in _IN_USE or "PermissionError" in str(error)


def _why_not_far(error: OSError) -> str:
    """The same, of a port behind a network."""
    if isinstance(error.__context__, ConnectionRefusedError):
        return "nobody listens there; is the far side started, and on this port?"
    if isinstance(error.__context__, TimeoutError):
        return "it did not answer in time; is it switched on and reachable, and its firewall open?"
    return str(error)


def _errno(error: BaseException) -> int | None:
    number = getattr(error, "errno", None)
    if number is None and error.__context__ is not None and error.__context__.args:
        number = error.__context__.args[0]  # pyserial wraps what termios says
    return number if isinstance(number, int) else None


def _no_permission(path: str) -> str:
    group = "dialout"
    if sys.platform != "win32":
        import grp

        with contextlib.suppress(OSError, KeyError):
            found = os.stat(path)
            if found.st_gid and found.st_mode & stat.S_IRGRP and found.st_mode & stat.S_IWGRP:
                group = grp.getgrgid(found.st_gid).gr_name
    return (
        f"no permission to open {path}: it belongs to the group {group}. Run `sudo usermod -aG {group} $USER`, "
        "then log out and in again"
    )
