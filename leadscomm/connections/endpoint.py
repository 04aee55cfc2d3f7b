"""Endpoints: URLs that say where and how to talk, and the one table of schemes.

``tcp://127.0.0.1:16900?framing=cobs``, ``tls://host:16900?ca=ca.pem``, ``udp://:16900``, ``unix:///run/arm.sock``,
``serial:///dev/ttyACM0?baud=115200``, ``serial://auto?identity=WSC``, ``loop://name``; and before any of them
``fault://drop=0.2,seed=7/``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from leadscomm.connections import options as groups
from leadscomm.connections.address import Address, Caller, is_loopback
from leadscomm.connections.base import ConnectionBase, leads_shaped
from leadscomm.connections.fitting import check_pairs, check_stream, fitting
from leadscomm.connections.listener import ListenerBase
from leadscomm.connections.options import Option
from leadscomm.connections.shortage import or_failed
from leadscomm.connections.url import (
    FAULT,
    add_query,
    faults_of,
    host_and_port,
    no_endpoint,
    no_option,
    no_scheme,
    no_value,
    option_word,
    quoted,
    unquoted,
)
from leadscomm.errors import EndpointError
from leadscomm.protocol.framing import FramingSpec, framing_options
from leadscomm.protocol.session.segments import AROUND_BYTES, STREAM_SEGMENT_BYTES

DEFAULT_PORT: Final = 16900
"""LEADS's."""
SESSION_FRAMINGS: Final = ("cobs", "length", "datagram")
"""What can carry a session: any bytes, whatever they are."""
_FRAMING_OPTIONS: Final = ("separator", "crc", "max_message")

Connect = Callable[[Address, float], ConnectionBase]
Listen = Callable[[Address], ListenerBase]
Transport = tuple[Connect, Listen]


@dataclass(frozen=True)
class Scheme:
    """How to open the endpoints of one scheme.

    :ivar connect: ``(address, deadline) -> connection``, or ``"module:name"`` of it, imported at first use.
    :ivar listen: ``(address) -> listener`` likewise; None where nobody can be waited for.
    :ivar framing: what cuts the stream into messages unless ``framing=`` says otherwise.
    :ivar options: beside those that every scheme has.
    :ivar place: ``"host"`` for host and port, ``"path"`` for everything between ``://`` and ``?``.
    :ivar session_framing: what is below a session, unless ``framing=`` says otherwise.
    :ivar session_crc: the CRC of that, if it has one, unless ``crc=`` says otherwise.
    :ivar challenges: whether a key can be asked for without a session.
    :ivar mutual: nobody is dialled: both sides ask for a session.
    :ivar stream: its bytes come in pieces that mean nothing.
    :ivar nests: the path may be a URL of somebody else's; then options that are not known here are its own, and the
        transport finds them in ``address.options["nested"]``.
    """

    connect: Connect | str
    listen: Listen | str | None = None
    framing: str = "separator"
    options: Mapping[str, Option] = field(default_factory=dict)
    place: str = "host"
    session_framing: str = "cobs"
    session_crc: str = "crc-32"
    challenges: bool = True
    mutual: bool = False
    stream: bool = False
    nests: bool = False


# Each transport is imported at its first use, by a statement: tools that freeze programs follow those.


def _tcp() -> Transport:
    from leadscomm.connections.sockets.tcp import connect_tcp, listen_tcp

    return connect_tcp, listen_tcp


def _tls() -> Transport:
    from leadscomm.connections.sockets.tls import connect_tls, listen_tls

    return connect_tls, listen_tls


def _udp() -> Transport:
    from leadscomm.connections.udp.client import connect_udp, listen_udp

    return connect_udp, listen_udp


def _unix() -> Transport:
    from leadscomm.connections.sockets.unix import connect_unix, listen_unix

    return connect_unix, listen_unix


def _serial() -> Transport:
    from leadscomm.connections.serial.connection import connect_serial, listen_serial

    return connect_serial, listen_serial


def _loop() -> Transport:
    from leadscomm.connections.sockets.loop import connect_loop, listen_loop

    return connect_loop, listen_loop


def _lazy(transport: Callable[[], Transport]) -> Transport:
    return (lambda address, deadline: transport()[0](address, deadline)), (lambda address: transport()[1](address))


_ALL: Final = {**groups.DELIVERY, **groups.LIMITS, **groups.DIALLING}
SCHEMES: Final[dict[str, Scheme]] = {
    "tcp": Scheme(
        *_lazy(_tcp),
        options={**groups.TCP, **groups.KEYS, **groups.SPIN, **groups.RELIABLE},
        stream=True,
    ),
    "tls": Scheme(
        *_lazy(_tls),
        options={**groups.TCP, **groups.TLS, **groups.KEYS, **groups.SPIN, **groups.RELIABLE},
        stream=True,
    ),
    "udp": Scheme(
        *_lazy(_udp),
        "datagram",
        options={**groups.UDP, **groups.KEYS, **groups.RELIABLE},
        session_framing="datagram",
        challenges=False,
    ),
    "unix": Scheme(
        *_lazy(_unix),
        options={**groups.UNIX, **groups.KEYS, **groups.SPIN, **groups.RELIABLE},
        place="path",
        stream=True,
    ),
    "serial": Scheme(
        *_lazy(_serial),
        options={**groups.SERIAL, **groups.KEYS, **groups.RELIABLE},
        place="path",
        session_crc="crc-ccitt-false",
        mutual=True,
        stream=True,
        nests=True,
    ),
    "loop": Scheme(
        *_lazy(_loop),
        options={**groups.KEYS, **groups.SPIN, **groups.RELIABLE, **groups.FAULTS},
        place="path",
    ),
}


def register_scheme(name: str, scheme: Scheme) -> None:
    """Add a scheme of one's own, or replace one. Its endpoints then work wherever an endpoint does."""
    if not name.isidentifier() or not name.islower() or f"{name}://" == FAULT:
        raise EndpointError(f"{name!r} cannot be a scheme: use lower-case letters, and not fault")
    SCHEMES[name] = scheme


@dataclass(frozen=True)
class Endpoint(Address):
    """Where and how to talk. Made by :meth:`parse`; written back by ``str()``, without the key.

    :ivar given: the options that were given, of those in ``options``.
    """

    given: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str | int | Endpoint, /, **options: Any) -> Endpoint:
        """Read an endpoint.

        :param text: a URL; or a port, which stands for ``tcp://127.0.0.1:port``.
        :param options: further options, by the names that they have in URLs; they come before those of the URL. None
            is "not given".
        :raises EndpointError: it cannot be right; the text names what can.
        """
        more = {name: value for name, value in options.items() if value is not None}
        if isinstance(text, Endpoint):
            host = more.pop("host", text.host) if SCHEMES[text.scheme].place == "host" else text.host
            made = cls._make(text.scheme, host, text.port, text.path, {**text._given(), **more}, text.faulty)
            return replace(made, notes=text.notes, caller=text.caller)
        if isinstance(text, bool) or not isinstance(text, (int, str)):
            raise EndpointError(f"an endpoint is a URL or a port number, not {type(text).__name__}")
        text = str(text)
        faulty = text.startswith(FAULT)
        faults, text = faults_of(text) if faulty else ({}, text)
        if text.isdecimal():
            text = f"tcp://127.0.0.1:{text}"
        scheme, found, rest = text.partition("://")
        if not found:
            raise no_endpoint(text, SCHEMES)
        if scheme not in SCHEMES:
            raise no_scheme(scheme, SCHEMES)
        place, _, query = rest.partition("?")
        given = add_query(query, text, faults)
        if SCHEMES[scheme].place == "path":
            path = place if "://" in place else unquoted(place)
            return cls._make(scheme, "", 0, path, {**given, **more}, faulty)
        host, port = host_and_port(scheme, place, text, DEFAULT_PORT)
        host = more.pop("host", host)
        return cls._make(scheme, host, port, "", {**given, **more}, faulty)

    @classmethod
    def _make(cls, scheme: str, host: str, port: int, path: str, given: dict[str, Any], faulty: bool) -> Endpoint:
        session = groups.SESSION if _asks_for_session(scheme, given) else {}
        table = {**_ALL, **SCHEMES[scheme].options, **(groups.FAULTS if faulty else {}), **session}
        framing, ours = _framing(scheme, _for_session(scheme, given))
        theirs = given.keys() - ours - table.keys()
        if theirs and not (SCHEMES[scheme].nests and "://" in path):
            raise no_option(scheme, min(theirs), {*table, "framing", *_FRAMING_OPTIONS} - {"key"})
        values = {name: option.default for name, option in table.items()}
        for name in given.keys() & table.keys():
            try:
                values[name] = table[name].read(given[name])
            except (ValueError, TypeError) as error:
                raise no_value(name, given[name], table[name].help, error) from error
        known = {"framing": framing.name, **dict(framing.options)}
        values.update((name, known[name]) for name in ours & given.keys())
        values["nested"] = {name: given[name] for name in given if name in theirs}
        if SCHEMES[scheme].stream:
            check_stream(scheme, framing.name)
        check_pairs(values, given)
        if {"bytesize", "xonxoff"} <= values.keys():
            framing = fitting(values, framing)
        faulty = faulty or bool(given.keys() & groups.FAULTS.keys() & table.keys())
        return cls(scheme, host, port, path, framing, values, faulty, given=tuple(given))

    def _given(self) -> dict[str, Any]:
        known = {**self.options["nested"], **self.options}
        return {name: known[name] for name in self.given}

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        path = self.path if "://" in self.path else quoted(self.path, "/:@,~+ ")
        place = path if SCHEMES[self.scheme].place == "path" else f"{host}:{self.port}"
        shown = {name: option_word(name, value) for name, value in self._given().items()}
        shown.pop("key", None)
        prefix = ""
        if self.faulty and not (shown.keys() & groups.FAULTS.keys() & SCHEMES[self.scheme].options.keys()):
            faults = [shown.pop(name) for name in list(shown) if name in groups.FAULTS]
            prefix = f"{FAULT}{','.join(faults)}/"
        return f"{prefix}{self.scheme}://{place}" + ("?" if shown else "") + "&".join(shown.values())

    __repr__ = __str__

    def __format__(self, how: str) -> str:
        return format(str(self), how)

    def __add__(self, text: object) -> str:
        """``endpoint + "text"`` and ``"text" + endpoint`` are text."""
        return str(self) + text if isinstance(text, str) else NotImplemented

    def __radd__(self, text: object) -> str:
        return text + str(self) if isinstance(text, str) else NotImplemented

    def at(self, *, host: str | None = None, port: int | None = None) -> Endpoint:
        """The same at another host or port."""
        return replace(self, host=self.host if host is None else host, port=self.port if port is None else port)

    def called_by(self, caller: Caller) -> Endpoint:
        """The same, opened on behalf of somebody."""
        return replace(self, caller=caller)

    def place(self) -> str:
        """The endpoint without its options: where it leads, and nothing else."""
        return str(replace(self, faulty=False, given=()))

    def exposed(self) -> bool:
        """Whether others than this machine's programs can reach it, without TLS and without a key."""
        if self.scheme == "tls" or SCHEMES[self.scheme].place == "path" or is_loopback(self.host):
            return False
        return not any(self.options.get(name) for name in groups.KEYS)

    @property
    def has_session(self) -> bool:
        """Whether its connections are sessions, which lines of it carry."""
        return bool(self.options.get("reliable"))

    @property
    def mutual(self) -> bool:
        """Whether both sides ask for a session, as on a cable, where nobody is dialled."""
        return SCHEMES[self.scheme].mutual

    def line(self) -> Endpoint:
        """The endpoint of the lines below its sessions, if it has some; otherwise it itself."""
        if not self.has_session:
            return self
        spec = self.framing
        longest = STREAM_SEGMENT_BYTES + AROUND_BYTES  # its messages are the session's frames, whose size is ours
        return replace(self, framing=FramingSpec(spec.name, {**dict(spec.options), "max_message": longest}))


def dial(endpoint: Endpoint, deadline: float) -> ConnectionBase:
    """Open a connection without saying anything over it; for one with a session: a line of it.

    :param deadline: as ``time.monotonic()`` counts.
    :raises ConnectFailed: it could not be opened; the text says why and what to do.
    """
    with or_failed(f"{endpoint} cannot be reached"):
        open_it: Connect = _load(SCHEMES[endpoint.scheme].connect)
        connection = open_it(endpoint.line(), deadline)
    if endpoint.faulty:
        from leadscomm.connections.faults.listener import with_faults

        connection = with_faults(connection, endpoint.line())
    if not leads_shaped(connection):
        connection.outbox.timeout = endpoint.options["send_timeout"]
    return connection


def opened(connection: ConnectionBase, deadline: float) -> ConnectionBase:
    """Say everything that precedes the first message; if that fails, the handle is released.

    :raises OSError: as :meth:`ConnectionBase.open`.
    """
    try:
        connection.open(deadline)
    except BaseException:
        connection.abort()
        connection._close()
        raise
    return connection


def listen_for_lines(endpoint: Endpoint) -> ListenerBase:
    """Listen on an endpoint; on one with sessions it accepts their lines.

    :raises EndpointError: nobody can be waited for there.
    :raises ConnectFailed: it cannot be listened on; the text says why and what to do.
    """
    accepts = SCHEMES[endpoint.scheme].listen
    if accepts is None:
        raise EndpointError(f"{endpoint.scheme}:// can only be dialled; start a client on it")
    with or_failed(f"{endpoint} cannot be listened on"):
        bind: Listen = _load(accepts)
        listener = bind(endpoint.line())
    if endpoint.faulty:
        from leadscomm.connections.faults.listener import FaultyListener

        listener = FaultyListener(listener, endpoint.line())
    return listener


def _load(target: Any) -> Any:
    if not isinstance(target, str):
        return target
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _framing(scheme: str, given: Mapping[str, Any]) -> tuple[FramingSpec, set[str]]:
    """The framing, and the names of the options that went into it."""
    name = str(given.get("framing", SCHEMES[scheme].framing))
    if "framing" not in given and "separator" in given and SCHEMES[scheme].framing != "separator":
        name = "separator"
    accepted = framing_options(name)
    mine = {option for option in given if option in accepted or option in _FRAMING_OPTIONS}
    spec = FramingSpec(name, {option: given[option] for option in mine})
    return spec, mine | ({"framing"} & given.keys())


def _for_session(scheme: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was given, with the framing of a session added where ``reliable=1`` asks for one.

    :raises EndpointError: something does not go together with it.
    """
    known = SCHEMES[scheme]
    if not _asks_for_session(scheme, given):
        _check_without_session(scheme, given)
        return given
    framing = given.get("framing", known.session_framing)
    if "separator" in given or framing not in SESSION_FRAMINGS:
        raise EndpointError(f"reliable=1 goes with framing={' or '.join(SESSION_FRAMINGS)}: leave separator out")
    crc = {"crc": known.session_crc} if framing == "cobs" else {}
    others = {name: value for name, value in given.items() if name not in groups.SESSION}
    return {"framing": framing, **crc, **others}


def _asks_for_session(scheme: str, given: Mapping[str, Any]) -> bool:
    return "reliable" in SCHEMES[scheme].options and groups.is_on(given.get("reliable", False))


def _check_without_session(scheme: str, given: Mapping[str, Any]) -> None:
    """:raises EndpointError: an option is for sessions alone."""
    of_sessions = [name for name in groups.RELIABLE if name in given and name != "reliable"]
    if of_sessions and "reliable" in SCHEMES[scheme].options:
        raise EndpointError(f"{of_sessions[0]} is an option of sessions: add reliable=1, or leave it out")
    keys = [name for name in groups.KEYS if name in given and name in SCHEMES[scheme].options]
    if keys and not SCHEMES[scheme].challenges:
        raise EndpointError(f"{scheme}:// can ask for a key in a session alone: add reliable=1, or leave {keys[0]} out")
