"""Framings by name: from the words of an endpoint URL to a `Framing` for each connection."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from leadscomm.errors import EndpointError
from leadscomm.protocol.framing.base import DEFAULT_MAX_MESSAGE, MAX_FAULTS_KEPT, Framing, plain
from leadscomm.protocol.framing.board import BoardFraming
from leadscomm.protocol.framing.cobs import CobsFraming
from leadscomm.protocol.framing.length import MAX_DATAGRAM, DatagramFraming, LengthFraming
from leadscomm.protocol.framing.separated import DEFAULT_SEPARATOR, FAREWELL, LineFraming, SeparatorFraming

__all__ = [
    "DEFAULT_MAX_MESSAGE",
    "DEFAULT_SEPARATOR",
    "FAREWELL",
    "FRAMINGS",
    "MAX_DATAGRAM",
    "MAX_FAULTS_KEPT",
    "BoardFraming",
    "CobsFraming",
    "DatagramFraming",
    "Framing",
    "FramingSpec",
    "LengthFraming",
    "LineFraming",
    "SeparatorFraming",
    "framing_options",
    "make_framing",
    "parse_separator",
    "parse_size",
    "plain",
    "register_framing",
]

FramingFactory = Callable[..., Framing]

FRAMINGS: dict[str, FramingFactory] = {
    "separator": SeparatorFraming,
    "line": LineFraming,
    "length": LengthFraming,
    "cobs": CobsFraming,
    "datagram": DatagramFraming,
    "board": BoardFraming,
}
"""Every framing that an endpoint can name. `register_framing` adds to it."""


def register_framing(name: str, factory: FramingFactory) -> None:
    """Let endpoints say ``framing=name``.

    :param factory: makes a fresh `Framing` for each connection; its parameters are the options. ``max_message`` arrives
        as an int and ``separator`` as bytes; any other option that comes from a URL arrives as text.
    :raises EndpointError: the name is taken, or is not made of letters, digits, ``-`` and ``_``.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise EndpointError(f"{name!r} cannot name a framing: use letters, digits, - and _")
    if FRAMINGS.setdefault(name, factory) is not factory:
        raise EndpointError(f"there is a framing called {name!r} already: choose another name")


def framing_options(name: str) -> tuple[str, ...]:
    """Return the names of the options of a framing.

    :raises EndpointError: no framing is called that.
    """
    return tuple(
        parameter.name
        for parameter in inspect.signature(_factory(name)).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    )


def make_framing(name: str, **options: object) -> Framing:
    """Return a fresh framing for one connection.

    :param options: as Python values, or as the text that a URL gives (percent-decoded).
    :raises EndpointError: an unknown name, option or value; the text names the known ones.
    """
    return FramingSpec(name, options).make()


@dataclass(frozen=True, init=False)
class FramingSpec:
    """A framing chosen, with options, from which each connection makes its own.

    Specs are equal when name and options are, ``max_message="64K"`` being the same as ``max_message=65536``.

    :raises EndpointError: an unknown name, option or value; the text names the known ones.
    """

    name: str
    options: tuple[tuple[str, object], ...]
    lost: bytes
    """What the line below does not carry, as :meth:`Framing.avoid` takes it."""

    def __init__(self, name: str, options: Mapping[str, object] | None = None, lost: bytes = b"") -> None:
        known = framing_options(name)
        values: dict[str, object] = {}
        for option, value in sorted((options or {}).items()):
            if option not in known:
                listed = ", ".join(known) if known else "none"
                raise EndpointError(f"framing={name} has no option {option!r}; its options: {listed}")
            values[option] = _READERS[option](value) if option in _READERS else value
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "options", tuple(values.items()))
        object.__setattr__(self, "lost", lost)
        self.make()  # a value that the framing refuses is the endpoint's error, not the first connection's

    def make(self, **others: object) -> Framing:
        """Return a fresh framing for one connection.

        :param others: options that are to differ from those of the spec.
        """
        framing = _factory(self.name)(**{**dict(self.options), **others})
        if self.lost:
            framing.avoid(self.lost)
        return framing


def parse_size(value: object) -> int:
    """Return a number of bytes from an int or from text: ``65536``, ``64K``, ``64KiB``, ``1M``, ``1G`` (K is 1,024)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = re.fullmatch(r"(\d+)\s*(?:([KMG])(?:I?B)?|B)?", str(value).strip(), re.IGNORECASE)
    if not found:
        raise EndpointError(f"{value!r} is no number of bytes: write for example 65536, 64K or 1M")
    return int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[(found[2] or "").upper()]


_ESCAPES = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}


def parse_separator(value: object) -> bytes:
    r"""Return a separator from bytes or from text, in which ``\r \n \t \0 \\ \xNN`` stand for what they stand for in
    Python; everything else is encoded as UTF-8."""
    if not isinstance(value, str):
        return plain(value, "a separator")
    if not value.isascii() and ("\ufffd" in value or any("\ud800" <= letter <= "\udfff" for letter in value)):
        raise EndpointError(rf"the separator {value!r} was not UTF-8: write its bytes as \xNN, for example \xff")
    if value == "\\":
        return b"\\"
    return re.sub(rb"\\(x[0-9A-Fa-f]{2}|.?)", _unescaped, value.encode(), flags=re.DOTALL)


def _unescaped(found: re.Match[bytes]) -> bytes:
    escape = found[1]
    if len(escape) == 3:
        return bytes.fromhex(escape[1:].decode())
    if escape not in _ESCAPES:
        raise EndpointError(rf"{found[0]!r} in the separator is none of \r \n \t \0 \\ \xNN")
    return _ESCAPES[escape]


def _max_message(value: object) -> int:
    try:
        return parse_size(value)
    except EndpointError as error:
        raise EndpointError(f"max_message: {error}") from None


_READERS: dict[str, Callable[[object], object]] = {"max_message": _max_message, "separator": parse_separator}


def _factory(name: str) -> FramingFactory:
    try:
        return FRAMINGS[name]
    except KeyError:
        near = difflib.get_close_matches(name, FRAMINGS, 1, 0.6)
        meant = f"did you mean {near[0]}? " if near else ""
        raise EndpointError(f"no framing is called {name!r}; {meant}the known ones are {', '.join(FRAMINGS)}") from None
