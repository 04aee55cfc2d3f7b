"""Endpoints: URLs that say where and how to talk, and the one table of schemes.

``tcp://127.0.0.1:16900?framing=cobs``, ``tls://host:16900?ca=ca.pem``, ``udp://:16900``, ``unix:///run/arm.sock``,
``serial:///dev/ttyACM0?baud=115200``, ``serial://auto?identity=WSC``, ``loop://name``; and before any of them
``fault://drop=0.2,seed=7/``.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from leadscomm.connections import options as groups
from leadscomm.connections.address import Address, Caller, is_loopback
from leadscomm.connections.base import ConnectionBase, ListenerBase, leads_shaped
from leadscomm.connections.options import Option
from leadscomm.errors import EndpointError
from leadscomm.protocol.framing import FramingSpec, framing_options

DEFAULT_PORT: Final = 16900
"""LEADS's."""
FAULT: Final = "fault://"
"""Stands before an endpoint whose frames meet with faults: ``fault://drop=0.2,seed=7/tcp://...``."""
SESSION_FRAMINGS: Final = ("cobs", "length", "datagram")
"""What can carry a session: any bytes, whatever they are."""
_FRAMING_OPTIONS: Final = ("separator", "crc", "max_message")

Connect = Callable[[Address, float], ConnectionBase]
Listen = Callable[[Address], ListenerBase]


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
    nests: bool = False


_ALL: Final = {**groups.DELIVERY, **groups.LIMITS, **groups.DIALLING}
_HERE: Final = "leadscomm.connections"
SCHEMES: Final[dict[str, Scheme]] = {
    "tcp": Scheme(
        f"{_HERE}.tcp:connect_tcp",
        f"{_HERE}.tcp:listen_tcp",
        options={**groups.TCP, **groups.KEYS, **groups.SPIN, **groups.RELIABLE},
    ),
    "tls": Scheme(
        f"{_HERE}.tls:connect_tls",
        f"{_HERE}.tls:listen_tls",
        options={**groups.TCP, **groups.TLS, **groups.KEYS, **groups.SPIN, **groups.RELIABLE},
    ),
    "udp": Scheme(
        f"{_HERE}.udp:connect_udp",
        f"{_HERE}.udp:listen_udp",
        "datagram",
        options={**groups.UDP, **groups.KEYS, **groups.RELIABLE},
        session_framing="datagram",
        challenges=False,
    ),
    "unix": Scheme(
        f"{_HERE}.unix:connect_unix",
        f"{_HERE}.unix:listen_unix",
        options={**groups.UNIX, **groups.KEYS, **groups.SPIN, **groups.RELIABLE},
        place="path",
    ),
    "serial": Scheme(
        f"{_HERE}.serial:connect_serial",
        f"{_HERE}.serial:listen_serial",
        options={**groups.SERIAL, **groups.KEYS, **groups.RELIABLE},
        place="path",
        session_crc="crc-ccitt-false",
        mutual=True,
        nests=True,
    ),
    "loop": Scheme(
        f"{_HERE}.loop:connect_loop",
        f"{_HERE}.loop:listen_loop",
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
        faults, text = _faults(text) if faulty else ({}, text)
        if text.isdecimal():
            text = f"tcp://127.0.0.1:{text}"
        scheme, found, rest = text.partition("://")
        if not found:
            raise EndpointError(
                f"{text!r} is no endpoint: write a URL such as tcp://127.0.0.1:16900 or serial:///dev/ttyACM0"
            )
        if scheme not in SCHEMES:
            known = ", ".join(sorted([FAULT, *(f"{name}://" for name in SCHEMES)]))
            raise EndpointError(f"{scheme}:// is not known; there are {known}")
        place, _, query = rest.partition("?")
        given = _query(query, text, faults)
        if SCHEMES[scheme].place == "path":
            path = place if "://" in place else unquote(place)
            return cls._make(scheme, "", 0, path, {**given, **more}, faulty)
        host, port = _host_and_port(scheme, place, text)
        host = more.pop("host", host)
        return cls._make(scheme, host, port, "", {**given, **more}, faulty)

    @classmethod
    def _make(cls, scheme: str, host: str, port: int, path: str, given: dict[str, Any], faulty: bool) -> Endpoint:
        table = {**_ALL, **SCHEMES[scheme].options, **(groups.FAULTS if faulty else {})}
        if _asks_for_session(scheme, given):
            table = {**table, **groups.SESSION}
        framing, ours = _framing(scheme, _for_session(scheme, given))
        theirs = given.keys() - ours - table.keys()
        if theirs and not (SCHEMES[scheme].nests and "://" in path):
            known = ", ".join(sorted({*table, "framing", *_FRAMING_OPTIONS} - {"key"}))
            mend = f"; faults are made by {FAULT}{min(theirs)}=.../ before it" if theirs & groups.FAULTS.keys() else ""
            raise EndpointError(f"{scheme}:// has no option {min(theirs)!r}; it has {known}{mend}")
        values = {name: option.default for name, option in table.items()}
        for name in given.keys() & table.keys():
            try:
                values[name] = table[name].read(given[name])
            except (ValueError, TypeError) as error:
                raise EndpointError(f"{name}={given[name]!r} cannot be right ({table[name].help}): {error}") from error
        values.update((name, given[name]) for name in ours & given.keys())
        values["nested"] = {name: given[name] for name in given if name in theirs}
        faulty = faulty or bool(given.keys() & groups.FAULTS.keys() & table.keys())
        return cls(scheme, host, port, path, framing, values, faulty, given=tuple(given))

    def _given(self) -> dict[str, Any]:
        known = {**self.options["nested"], **self.options}
        return {name: known[name] for name in self.given}

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        path = self.path if "://" in self.path else quote(self.path, safe="/:@,~+ ")
        place = path if SCHEMES[self.scheme].place == "path" else f"{host}:{self.port}"
        shown = {name: f"{name}={quote(_text(name, value), safe='/:,')}" for name, value in self._given().items()}
        shown.pop("key", None)
        prefix = ""
        if self.faulty and not (shown.keys() & groups.FAULTS.keys() & SCHEMES[self.scheme].options.keys()):
            faults = [shown.pop(name) for name in list(shown) if name in groups.FAULTS]
            prefix = f"{FAULT}{','.join(faults)}/"
        return f"{prefix}{self.scheme}://{place}" + ("?" if shown else "") + "&".join(shown.values())

    __repr__ = __str__

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
        return replace(self, framing=_load(f"{_HERE}.session_line:line_framing")(self))


def connect(endpoint: str | int | Endpoint, timeout: float | None = None, **options: Any) -> ConnectionBase:
    """Open a connection, with everything that precedes the first message. It is then used by ``send`` and ``receive``.

    With ``reliable=1`` it is a session, which lives as long as its line.

    :param timeout: seconds; the option ``connect_timeout`` unless given.
    :raises EndpointError: the endpoint or an option is wrong.
    :raises ConnectFailed: it could not be opened; the text says why and what to do.
    :raises CommTimeout: it was opened, and then the peer did not finish TLS or the key challenge in time.
    """
    parsed = _bare(Endpoint.parse(endpoint, **options))
    deadline = time.monotonic() + (parsed.options["connect_timeout"] if timeout is None else timeout)
    if parsed.has_session:
        begin: Callable[..., ConnectionBase] = _load(f"{_HERE}.bare_session:connect_session")
        return begin(parsed, dial(parsed, deadline), deadline)
    connection = dial(parsed, deadline)
    key = parsed.key()
    if leads_shaped(connection):
        if key is not None:
            connection.close()
            raise EndpointError(f"{parsed.scheme}:// cannot ask for a key: leave it out")
        return connection
    connection.key = key
    with parsed.caller.waking(connection.abort):
        return opened(connection, deadline)


def _bare(endpoint: Endpoint) -> Endpoint:
    """:raises EndpointError: an option is for entities alone."""
    if endpoint.options.get("durable"):
        raise EndpointError("durable= is for Client, Server and Node: a connection alone sends nothing again")
    return endpoint


def dial(endpoint: Endpoint, deadline: float) -> ConnectionBase:
    """Open a connection without saying anything over it; for one with a session: a line of it.

    :param deadline: as ``time.monotonic()`` counts.
    :raises ConnectFailed: it could not be opened; the text says why and what to do.
    """
    open_it: Connect = _load(SCHEMES[endpoint.scheme].connect)
    connection = open_it(endpoint.line(), deadline)
    if endpoint.faulty:
        connection = _load(f"{_HERE}.faulty:with_faults")(connection, endpoint.line())
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


def listen(endpoint: str | int | Endpoint, **options: Any) -> ListenerBase:
    """Listen on an endpoint.

    Accepted connections have not said anything yet: who accepts them sets ``key`` and calls ``open``.

    :raises EndpointError: the endpoint or an option is wrong, or nobody can be waited for there.
    :raises ConnectFailed: it cannot be listened on; the text says why and what to do.
    """
    parsed = _bare(Endpoint.parse(endpoint, **options))
    listener = listen_for_lines(parsed)
    return _load(f"{_HERE}.bare_session:SessionListener")(listener, parsed) if parsed.has_session else listener


def listen_for_lines(endpoint: Endpoint) -> ListenerBase:
    """As :func:`listen`; of an endpoint with sessions it accepts their lines."""
    accepts = SCHEMES[endpoint.scheme].listen
    if accepts is None:
        raise EndpointError(f"{endpoint.scheme}:// can only be dialled; start a client on it")
    bind: Listen = _load(accepts)
    listener = bind(endpoint.line())
    if endpoint.faulty:
        listener = _load(f"{_HERE}.faulty:FaultyListener")(listener, endpoint.line())
    return listener


def _load(target: Any) -> Any:
    if not isinstance(target, str):
        return target
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _faults(text: str) -> tuple[dict[str, Any], str]:
    """``fault://drop=0.2,seed=7/tcp://...``: the faults, and what follows."""
    words, slash, rest = text.removeprefix(FAULT).partition("/")
    if not slash or not rest or words.endswith(":"):
        raise EndpointError(f"{text!r}: write {FAULT}drop=0.2,seed=7/ before an endpoint such as tcp://127.0.0.1:16900")
    if rest.startswith(FAULT):
        raise EndpointError(f"{text!r} has {FAULT} twice: one takes all faults, with commas between them")
    faults: dict[str, Any] = {}
    for word in filter(None, words.split(",")):
        name, _, value = word.partition("=")
        if name not in groups.FAULTS:
            raise EndpointError(f"{FAULT} has no fault {name!r}; it has {', '.join(sorted(groups.FAULTS))}")
        if name in faults:
            raise EndpointError(f"{text!r} gives {name} twice")
        faults[name] = value
    return faults, rest


def _query(query: str, text: str, given: dict[str, Any]) -> dict[str, Any]:
    """Add the options of a query to ``given``."""
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in given:
            raise EndpointError(f"{text!r} gives {name} twice")
        if name == "key":
            raise EndpointError(
                "a key does not belong in a URL, where logs and process lists show it: use key_file= or key_env="
            )
        given[name] = value
    return given


def _host_and_port(scheme: str, place: str, text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{place}")
        host, port = (parts.hostname or "127.0.0.1").replace("%25", "%"), parts.port
    except ValueError as error:
        raise EndpointError(f"{text!r}: {error}; write {scheme}://host:port, an IPv6 address in brackets") from error
    if parts.username is not None or parts.password is not None:
        raise EndpointError(f"{scheme}:// takes no name or password: use key_file= or key_env=")
    if parts.path not in ("", "/") or "#" in place:
        raise EndpointError(f"{scheme}:// takes host and port alone, and {text!r} has more; options follow a ?")
    return host, DEFAULT_PORT if port is None else port


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
    return "reliable" in SCHEMES[scheme].options and _is_on(given.get("reliable", False))


def _check_without_session(scheme: str, given: Mapping[str, Any]) -> None:
    """:raises EndpointError: an option is for sessions alone."""
    of_sessions = [name for name in groups.RELIABLE if name in given and name != "reliable"]
    if of_sessions and "reliable" in SCHEMES[scheme].options:
        raise EndpointError(f"{of_sessions[0]} is an option of sessions: add reliable=1, or leave it out")
    keys = [name for name in groups.KEYS if name in given and name in SCHEMES[scheme].options]
    if keys and not SCHEMES[scheme].challenges:
        raise EndpointError(f"{scheme}:// can ask for a key in a session alone: add reliable=1, or leave {keys[0]} out")


def _is_on(value: Any) -> bool:
    try:
        return groups.flag(value)
    except ValueError:
        return False  # said of the option itself


def _text(name: str, value: Any) -> str:
    """An option's value as a URL has it."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, bytes):  # a separator
        return "".join(chr(byte) if 32 < byte < 127 and byte != 92 else f"\\x{byte:02x}" for byte in value)
    if name == "mode":
        return f"{value:o}"
    return f"{value:g}" if isinstance(value, float) else str(value)
