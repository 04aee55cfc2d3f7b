"""The words of an endpoint's URL: taken apart, and put together again.

An endpoint is no HTML form: a ``+`` is a ``+``. ``%`` and two digits stand for a byte, as in every URL, also for one
that is no UTF-8, as names of files may have it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from leadscomm.connections.options import FAULTS
from leadscomm.errors import EndpointError

FAULT: Final = "fault://"
"""Stands before an endpoint whose frames meet with faults: ``fault://drop=0.2,seed=7/tcp://...``."""


def quoted(text: str, safe: str) -> str:
    return quote(text, safe=safe, errors="surrogateescape")


def unquoted(text: str) -> str:
    return unquote(text, errors="surrogateescape")


def faults_of(text: str) -> tuple[dict[str, Any], str]:
    """``fault://drop=0.2,seed=7/tcp://...``: the faults, and what follows."""
    words, slash, rest = text.removeprefix(FAULT).partition("/")
    if not slash or not rest or words.endswith(":"):
        raise EndpointError(f"{text!r}: write {FAULT}drop=0.2,seed=7/ before an endpoint such as tcp://127.0.0.1:16900")
    if rest.startswith(FAULT):
        raise EndpointError(f"{text!r} has {FAULT} twice: one takes all faults, with commas between them")
    faults: dict[str, Any] = {}
    for word in filter(None, words.split(",")):
        name, _, value = word.partition("=")
        if name not in FAULTS:
            raise EndpointError(f"{FAULT} has no fault {name!r}; it has {', '.join(sorted(FAULTS))}")
        if name in faults:
            raise EndpointError(f"{text!r} gives {name} twice")
        faults[name] = value
    return faults, rest


def add_query(query: str, text: str, given: dict[str, Any]) -> dict[str, Any]:
    """Add the options of a query to ``given``."""
    for word in filter(None, query.split("&")):
        name, _, value = map(unquoted, word.partition("="))
        if name in given:
            raise EndpointError(f"{text!r} gives {name} twice")
        if name == "key":
            raise EndpointError(
                "a key does not belong in a URL, where logs and process lists show it: use key_file= or key_env="
            )
        given[name] = value
    return given


def host_and_port(scheme: str, place: str, text: str, default_port: int) -> tuple[str, int]:
    """What a place of that kind says."""
    try:
        parts = urlsplit(f"//{place}")
        host, port = (parts.hostname or "127.0.0.1").replace("%25", "%"), parts.port
    except ValueError as error:
        raise EndpointError(f"{text!r}: {error}; write {scheme}://host:port, an IPv6 address in brackets") from error
    if parts.username is not None or parts.password is not None:
        raise EndpointError(f"{scheme}:// takes no name or password: use key_file= or key_env=")
    if parts.path not in ("", "/") or "#" in place:
        raise EndpointError(f"{scheme}:// takes host and port alone, and {text!r} has more; options follow a ?")
    return host, default_port if port is None else port


def option_text(name: str, value: Any) -> str:
    """An option's value as a URL has it, before what is special there is quoted."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, bytes):  # a separator
        return "".join(chr(byte) if byte < 128 and byte != 92 else f"\\x{byte:02x}" for byte in value)
    if name == "mode":
        return f"{value:o}"
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)


def option_word(name: str, value: Any) -> str:
    """``name=value``."""
    return f"{quoted(name, '')}={quoted(option_text(name, value), '/:,')}"


# Typos ---------------------------------------------------------------------------------------------------------------


def no_endpoint(text: str, schemes: Iterable[str]) -> EndpointError:
    """What to say of a text without ``://``."""
    meant = _meant(text, schemes)
    such = "write a URL such as tcp://127.0.0.1:16900 or serial:///dev/ttyACM0"
    return EndpointError(f"{text!r} is no endpoint: {f'did you mean {meant}?' if meant else such}")


def _meant(text: str, schemes: Iterable[str]) -> str:
    """The endpoint that somebody has probably meant; empty: there is nothing like it."""
    if text.startswith("/dev/") or re.match(r"(?i)com\d", text):
        return f"serial://{text}"
    if re.match(r"tty|cu\.", text):
        return f"serial:///dev/{text}"
    word, slashes, place = re.findall(r"^([^:/]*)(:?/*)(.*)", text)[0]
    near = closest(word, schemes) if slashes else ""
    if near == word and place.isdecimal():
        return f"{word}://:{place}"
    if near and not place.isdecimal():
        return f"{near}://{'/' if near in ('serial', 'unix') and slashes.endswith('/') else ''}{place}"
    is_host = re.fullmatch(r"localhost|[\w-]+(\.[\w-]+)+|[\w.-]+:\d+|\[[\da-fA-F:.]+\](:\d+)?", text)
    return f"tcp://{text}" if is_host else ""


def no_scheme(scheme: str, schemes: Iterable[str]) -> EndpointError:
    """What to say of a scheme that there is not."""
    near = closest(scheme, [*schemes, FAULT.removesuffix("://")])
    known = ", ".join(sorted([FAULT, *(f"{name}://" for name in schemes)]))
    return EndpointError(f"{scheme}:// is not known; {f'did you mean {near}://? ' if near else ''}there are {known}")


def no_option(scheme: str, name: str, known: set[str]) -> EndpointError:
    """What to say of an option that a scheme does not have."""
    near = closest(name, sorted(known))
    mend = f"; faults are made by {FAULT}{name}=.../ before it" if name in FAULTS else ""
    said = f"{scheme}:// has no option {name!r}; {f'did you mean {near}? ' if near else ''}it has"
    return EndpointError(f"{said} {', '.join(sorted(known))}{mend}")


def no_value(name: str, value: object, meaning: str, error: Exception) -> EndpointError:
    """What to say of a value that an option cannot have. A key is not shown."""
    said = name if name == "key" else f"{name}={value!r}"
    return EndpointError(f"{said} cannot be right ({meaning}): {error}")


def closest(word: str, known: Iterable[str]) -> str:
    """What somebody has probably meant; empty: there is nothing like it."""
    names = list(known)
    return next(iter(difflib.get_close_matches(word.lower(), names, 1, 0.6)), "")
