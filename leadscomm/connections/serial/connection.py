"""Serial lines, by pyserial: ``serial:///dev/ttyACM0?baud=115200``, ``serial://auto?identity=WSC``, and in place of the
device any URL of pyserial's handlers, such as ``serial://socket://host:port``.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from leadscomm.connections.address import Address
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.fitting import fit
from leadscomm.connections.handles import lead_nowhere
from leadscomm.connections.listener import ListenerBase
from leadscomm.connections.opening import Plan
from leadscomm.connections.options import SERIAL
from leadscomm.connections.serial import ports
from leadscomm.connections.serial.asking import AnyInquiry, Inquiry, find, inquiry, question
from leadscomm.connections.serial.handle import Line, line_of
from leadscomm.connections.waiting import Waiters
from leadscomm.errors import CommTimeout, ConnectFailed, ConnectionLost, EndpointError
from leadscomm.packages import Self
from leadscomm.protocol.framing import Framing, SeparatorFraming
from leadscomm.protocol.framing.board import BoardFraming

if TYPE_CHECKING:
    from serial import Serial

_log = logging.getLogger("leadscomm")
LOOK_EVERY_S: Final = 0.25
"""How often a listener looks whether its device is there."""
SUSPECT_S: Final = 1.0


class SerialConnection(ConnectionBase):
    """A conversation over an open port of pyserial.

    :param serial: open; the connection's own from now on.
    :param remainder: bytes of the stream that were read already.
    :param separator: what ends each message.
    :param framing: any other framing, instead of ``separator``.
    :param half_duplex: RTS is to be switched around each write.
    :param on_close: called when the port was closed.
    :raises EndpointError: the port's settings cannot carry the framing.
    """

    pooled: ClassVar[bool] = False  # nothing but the reading itself can be woken
    __slots__ = ("_half_duplex", "_line", "_on_close", "_serial", "_waits")

    def __init__(
        self,
        serial: Serial,
        remainder: bytes = b"",
        separator: bytes = b";",
        *,
        framing: Framing | None = None,
        half_duplex: bool = False,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        framing = SeparatorFraming(separator) if framing is None else framing
        fit(framing, getattr(serial, "bytesize", 8), getattr(serial, "xonxoff", False))
        super().__init__(remainder, separator, framing=framing)
        self._serial = serial
        self._half_duplex = half_duplex
        self._on_close = on_close
        self._waits = True
        self._line: Line | None = None
        if serial.is_open:
            self._line = line_of(serial, half_duplex)

    def __str__(self) -> str:
        return str(self._serial.port)

    def suspect(self, timeout: float = SUSPECT_S) -> Self:
        """Until it is trusted, ``receive`` gives up after ``timeout`` seconds, with ``CommTimeout``."""
        self.patience = timeout
        return self

    def trust(self) -> Self:
        """From now on ``receive`` waits for as long as it takes."""
        self.patience = None
        return self

    def closed(self) -> bool:
        return super().closed() or not self._serial.is_open

    def fileno(self) -> int | None:
        return None if self._line is None else self._line.fd

    def set_blocking(self, blocking: bool) -> None:
        self._waits = blocking

    def _opened(self) -> Line:
        if self._line is None:
            if self.closed():
                raise ConnectionLost(f"{self} is not open")
            self._line = line_of(self._serial, self._half_duplex)
        return self._line

    def open(self, deadline: float) -> None:
        if self.accepted and self.key is not None:
            # On a cable nobody dials: the challenge begins when the other side says its first word.
            patience = deadline - time.monotonic()
            self._wait_readable(None)
            deadline = time.monotonic() + patience
        super().open(deadline)

    def _read(self) -> bytes | None:
        try:
            return self._opened().read(self._waits)
        except BlockingIOError:
            raise
        except OSError as error:
            raise self._lost(error) from error

    def _write(self, data: bytes | memoryview) -> int:
        try:
            return self._opened().write(data)
        except BlockingIOError:
            raise
        except OSError as error:
            raise self._lost(error) from error

    def _lost(self, error: OSError) -> ConnectionLost:
        if isinstance(error, ConnectionLost):
            return ConnectionLost(f"{self}: {error}")
        return ConnectionLost(f"{self}: it is gone, unplugged perhaps ({error.strerror or error})")

    def _wait(self, timeout: float | None, writable: bool) -> bool:
        return self._opened().wait(timeout, writable=writable)

    @property
    def _answers_goodbye(self) -> bool:
        return False  # who opens the port next would take the answer for himself

    def shut_sending(self) -> None:
        if self._line is not None:
            self._line.shut()

    def disown(self) -> None:
        super().disown()
        with contextlib.suppress(Exception):  # not every handler of pyserial's has one
            lead_nowhere(self._serial.fileno())

    def abort(self) -> None:
        if self._line is not None:
            self._line.end()

    def _close(self) -> None:
        if self._line is not None:
            self._line.close()
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()


class BoardConnection(SerialConnection):
    """A conversation with a board in ``framing=board``: it is asked who it is until it says something.

    A board that has a name says nothing before it is spoken to, so that it does not disturb hosts of another language.
    """

    __slots__ = ("_asked", "_began", "_hello", "_plan")

    def __init__(self, serial: Serial, plan: Plan, hello: bytes, **settings: Any) -> None:
        super().__init__(serial, **settings)
        self._plan = plan
        self._hello = hello
        self._began = time.monotonic()
        self._asked: int | None = 0  # None: it has spoken

    def tick(self) -> float | None:
        if self._asked is None or self._line is None:
            return None
        now = time.monotonic()
        due = self._began + self._plan.asking_time(self._asked)
        if now >= due:
            with contextlib.suppress(OSError):
                self._write(self._plan.before_asking(self._asked) + self._hello)
            self._asked += 1
            due = self._began + self._plan.asking_time(self._asked)
        return max(0.0, due - now)

    def _read(self) -> bytes | None:
        data = super()._read()
        if data:
            self._asked = None
        return data


# Opening -------------------------------------------------------------------------------------------------------------


def connect_serial(address: Address, deadline: float) -> ConnectionBase:
    """Open ``serial://``; with ``identity`` the board is asked who it is, until ``deadline`` (as ``time.monotonic()``
    counts)."""
    return _dial(address, deadline)


def _check(address: Address) -> None:
    """:raises EndpointError: it cannot be right."""
    options = address.options
    if options["identity"] and any(options[name] for name in ("key", "key_file", "key_env")):
        raise EndpointError("identity and a key do not go together: a board answers ic, or both sides hold a key")
    if address.path == "auto" and not options["usb_serial"] and not options["identity"]:
        raise EndpointError(f"serial://auto wants identity=TAG or usb_serial=NUMBER; there are: {ports.listed()}")
    if not address.path:
        raise EndpointError("serial:// wants a port, such as serial:///dev/ttyACM0 or serial://auto?identity=WSC")


def _dial(address: Address, deadline: float, on_close: Callable[[], None] | None = None) -> SerialConnection:
    _check(address)
    tag = address.options["identity"]
    if address.path == "auto" and not address.options["usb_serial"]:
        places = [port.device for port in ports.available_ports()]
    else:
        places = [ports.locate(address)]
    if tag:
        connection = _ask(address, places, tag, deadline, on_close)
    else:
        connection = _open(address, places[0], on_close)
    ports.remember(address, str(connection))
    return connection


def _open(address: Address, device: str, on_close: Callable[[], None] | None) -> SerialConnection:
    port = ports.open_port(device, address.options)
    half_duplex = address.options["rs485"] and not ports.set_half_duplex(port)
    settings: dict[str, Any] = {"framing": address.framing.make(), "half_duplex": half_duplex, "on_close": on_close}
    if address.framing.name == "board" and not address.options["identity"]:
        plan = Plan(address.options["baud"])
        return BoardConnection(port, plan, question(address), **settings)
    return SerialConnection(port, **settings)


def _ask(
    address: Address, places: list[str], tag: str, deadline: float, on_close: Callable[[], None] | None
) -> SerialConnection:
    """Ask every port at once; the one that answers with ``tag`` is it, the others are closed again.

    :raises ConnectFailed: none does, or several do; the text says what each said.
    """
    refusals: dict[str, str] = {}
    asked: dict[str, Inquiry] = {}
    lines: dict[str, SerialConnection] = {}
    try:
        for device in places:
            try:
                lines[device] = _open(address, device, None)
                asked[device] = inquiry(lines[device], address, tag)
            except ConnectFailed as error:
                refusals[device] = str(error)
        with address.caller.waking(lambda: _end(lines)):
            found = find(asked, deadline)
        refusals.update((device, f"{device} {asked[device].said()}") for device in asked if device not in found)
        if len(found) > 1:  # a tag may begin as another one does
            found = [device for device in found if str(asked[device].tag).lower() == tag.lower()] or found
        if len(found) == 1:
            del asked[found[0]]
    finally:
        for other in asked.values():
            other.close()
    if not found:
        why = ", ".join(refusals.values()) or f"there is no free port; there are: {ports.listed()}"
        mend = "; `leadscomm ports --identify` tells who answers where" if refusals else ""
        raise ConnectFailed(f"no board answers with the tag {tag}: {why}{mend}")
    if len(found) > 1:
        raise ConnectFailed(
            f"{len(found)} boards answer to {tag}, on {' and '.join(found)}: give them different tags, or name the "
            f"port instead of auto, such as serial://{found[0]}"
        )
    chosen = lines[found[0]]
    chosen._on_close = on_close
    return chosen


def _end(lines: Mapping[str, SerialConnection]) -> None:
    for line in lines.values():
        line.abort()


class Identity(NamedTuple):
    """Who is at a port.

    :ivar tag: what its board calls itself; None: it gave no answer.
    :ivar in_text: it answered in text (LEADS's ``ic``), and not in frames.
    :ivar said: what came instead of an answer, for people.
    :ivar trouble: why the port could not be asked, for people; empty if it could.
    """

    tag: str | None = None
    in_text: bool = False
    said: str = ""
    trouble: str = ""


def who_are_there(devices: Iterable[str], deadline: float, baud: int = 115200) -> dict[str, Identity]:
    """Ask ports for the tags of their boards, all at once and whichever language these speak. Opening a port resets
    most boards.

    :param deadline: as ``time.monotonic()`` counts; when all have answered it is not waited for.
    :return: every device, with what came of it.
    """
    options = {**{name: option.default for name, option in SERIAL.items()}, "baud": baud, "nested": {}}
    found: dict[str, Identity] = {}
    asked: dict[str, AnyInquiry] = {}
    try:
        for device in devices:
            try:
                line = SerialConnection(ports.open_port(device, options), framing=BoardFraming())
            except ConnectFailed as error:
                found[device] = Identity(trouble=str(error))
            else:
                asked[device] = AnyInquiry(line, "", Plan(baud))
        find(asked, deadline, grace=math.inf)
    finally:
        for one in asked.values():
            one.close()
    found.update((device, Identity(one.tag, one.in_text, one.said())) for device, one in asked.items())
    return found


# Listening -----------------------------------------------------------------------------------------------------------


class SerialListener(ListenerBase):
    """One conversation at a time, whenever the device is there. A trouble is told once, and outwaited."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._changed = Waiters()
        self._taken = False
        self._closed = False
        self._trouble = ""
        self._pause = 0.0
        self._since = 0.0

    def accept(self) -> ConnectionBase | None:
        while True:
            self._changed.wait_for(lambda: self._closed or not self._taken)
            self._changed.wait_for(lambda: self._closed, self._pause)
            if self._closed:
                return None
            self._pause = LOOK_EVERY_S
            try:
                self._taken, self._since = True, time.monotonic()  # before: it is freed when the conversation ends
                deadline = time.monotonic() + self._address.options["connect_timeout"]
                connection = _dial(self._address, deadline, self._freed)
            except (ConnectFailed, ConnectionLost, CommTimeout) as error:
                self._taken = False
                if self._closed:
                    return None
                if str(error) == self._trouble:
                    continue
                self._trouble = str(error)
                raise ConnectFailed(f"{error}. It is waited for") from error
            except BaseException:
                self._taken = False
                raise
            self._trouble = ""
            _log.info("%s is open", connection)
            return connection

    def _freed(self) -> None:
        # A conversation that ends as soon as it begins must not begin a thousand times a second.
        self._pause = 0.0 if time.monotonic() - self._since > LOOK_EVERY_S else LOOK_EVERY_S
        self._taken = False
        self._changed.notify_all()

    def close(self) -> None:
        self._closed = True
        self._changed.notify_all()


def listen_serial(address: Address) -> ListenerBase:
    """Be the server on ``serial://``: whoever is at the other end of the cable is its client."""
    _check(address)
    return SerialListener(address)
