"""Nodes from TOML files."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

from leadscomm.connections.endpoint import Endpoint
from leadscomm.errors import EndpointError, MissingExtra
from leadscomm.protocol.words import unmarked

Made = TypeVar("Made")
TABLE: Final = "node"
_NAMES: Final = ("groups", "listen", "connect")
_FILES: Final = ("key_file", "durable", "cert", "cert_key", "ca", "client_ca")
"""Options that name files: those are looked for from where the TOML file is."""


def from_file(path: str | os.PathLike[str], make: Callable[[dict[str, Any]], Made]) -> Made:
    """Make a node of what a file says.

    :param make: takes the arguments of :class:`Node`.
    :raises EndpointError: the file cannot be right; the text names the line and the mend.
    :raises MissingExtra: this Python has no reader for TOML.
    :raises OSError: it cannot be read.
    """
    place = Path(path)
    data = place.read_bytes()
    toml = _reader()
    try:
        text = unmarked(data).decode()
        found: dict[str, Any] = toml.loads(text)
    except ValueError as error:  # also of UTF-8
        raise EndpointError(f"{place} is no TOML: {error}") from error
    said = _Said(place, text)
    arguments = said.node(found)
    try:
        return make(arguments)
    except EndpointError as error:
        raise said.wrong(_concerned(arguments, str(error)), str(error)) from error


def _concerned(arguments: dict[str, Any], text: str) -> str:
    """The key that an error speaks of; empty if it names none."""
    return next((key for key in arguments if re.search(rf"(\W|^){re.escape(key)}['=]", text)), "")


def _reader() -> ModuleType:
    try:
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib
    except ImportError as error:
        raise MissingExtra("this Python reads no TOML by itself: pip install 'leadscomm[toml]'") from error
    return tomllib


class _Said:
    """A file that is TOML."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text

    def wrong(self, key: str, why: str) -> EndpointError:
        """An error that names the line of a key."""
        return EndpointError(f"{self._path}{self._line(key)}: {why}")

    def _line(self, key: str) -> str:
        for number, line in enumerate(self._text.splitlines(), 1):
            if re.match(rf"""\s*(\[\s*)?["']?{re.escape(key)}["']?\s*[]=.]""", line):
                return f", line {number}"
        return ""

    def node(self, found: dict[str, Any]) -> dict[str, Any]:
        for key in found:
            if key != TABLE:
                raise self.wrong(key, f"{key!r} means nothing here: write [{TABLE}] above all that is said of the node")
        table = found.get(TABLE)
        if not isinstance(table, dict):
            raise self.wrong(TABLE, f'there is no table [{TABLE}]: begin with [{TABLE}], then name = "arm"')
        if not isinstance(table.get("name"), str):
            raise self.wrong("name" if "name" in table else TABLE, 'a node needs a name: write name = "arm"')
        return {key: self._value(key, value) for key, value in table.items()}

    def _value(self, key: str, value: Any) -> Any:
        if key in _NAMES:
            if isinstance(value, list) and all(isinstance(word, str) for word in value):
                self._check_endpoints(key, value)
                return value
            raise self.wrong(key, f'write a list of texts: {key} = ["{"arms" if key == "groups" else "tcp://..."}"]')
        if not isinstance(value, (str, int, float)):
            near = difflib.get_close_matches(key, _NAMES, 1, 0.6)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise self.wrong(key, f"{key} takes a text, a number, true or false{meant}")
        if key in _FILES:
            return str(self._path.parent / Path(str(value)).expanduser())
        return value

    def _check_endpoints(self, key: str, places: list[str]) -> None:
        for place in places if key != "groups" else ():
            try:
                Endpoint.parse(place, reliable=True)
            except EndpointError as error:
                raise self.wrong(key, str(error)) from error
