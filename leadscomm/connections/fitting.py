"""Settings that cannot carry what they are given: refused where they are said, with the mend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from leadscomm.errors import EndpointError
from leadscomm.protocol.framing import Framing, FramingSpec

XON_XOFF: Final = b"\x11\x13"
"""What software flow control takes out of a line."""
_KEYS: Final = ("key", "key_file", "key_env")


def check_stream(scheme: str, framing: str) -> None:
    """See that a stream of bytes is cut into messages by something.

    :raises EndpointError: it is not.
    """
    if framing == "datagram":
        raise EndpointError(
            f"framing=datagram leaves messages as the transport has them, and {scheme}:// is a stream that has none: "
            "use framing=length or framing=cobs"
        )


def check_pairs(options: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """:raises EndpointError: two options contradict each other."""
    if options.get("cert_key") and not options.get("cert"):
        raise EndpointError("cert_key= is the private key of a certificate: give cert= too")
    if {"reconnect_min", "reconnect_max"} <= given.keys() and options["reconnect_min"] > options["reconnect_max"]:
        raise EndpointError("reconnect_min= is longer than reconnect_max=: make it the shorter one")
    keys = [f"{name}=" for name in _KEYS if given.get(name)]
    if len(keys) > 1:
        raise EndpointError(f"{' and '.join(keys)} are given, and one key is wanted: leave all but one out")
    if options.get("rs485") and options.get("rtscts"):
        raise EndpointError("rs485=1 switches the transceiver by RTS, and rtscts=1 wants it too: use one of them")


def check_alone(options: Mapping[str, Any]) -> None:
    """:raises EndpointError: an option is for entities, and this is to be a connection alone."""
    if options.get("durable"):
        raise EndpointError("durable= is for Client, Server and Node: a connection alone sends nothing again")


def fitting(options: Mapping[str, Any], framing: FramingSpec) -> FramingSpec:
    """The framing of a serial line, which refuses what the line does not carry.

    :raises EndpointError: it does not; the text names the mend.
    """
    bytesize, xonxoff = options["bytesize"], options["xonxoff"]
    said, mend = _narrow(bytesize, xonxoff)
    if not said:
        return framing
    for name in ("reliable", *_KEYS):
        if options[name]:
            words = "reliable=1" if name == "reliable" else f"the challenge of {name}="
            raise EndpointError(f"{said}, and {words} needs every byte: {mend}")
    if options["identity"] and options["bytesize"] < 7:
        raise EndpointError(f"{said}, and boards are asked for their identity in ASCII: use bytesize=8 or bytesize=7")
    try:
        return FramingSpec(framing.name, dict(framing.options), _lost(bytesize, xonxoff))
    except EndpointError as error:
        raise EndpointError(f"{said}, and {error}: {mend}") from None


def fit(framing: Framing, bytesize: int, xonxoff: bool) -> None:
    """As :func:`fitting`, for a framing that is made."""
    said, mend = _narrow(bytesize, xonxoff)
    if said:
        try:
            framing.avoid(_lost(bytesize, xonxoff))
        except EndpointError as error:
            raise EndpointError(f"{said}, and {error}: {mend}") from None


def _lost(bytesize: int, xonxoff: bool) -> bytes:
    return bytes(range(1 << bytesize, 256)) + (XON_XOFF if xonxoff else b"")


def _narrow(bytesize: int, xonxoff: bool) -> tuple[str, str]:
    """What a line does not carry, and the mend; empty: it carries everything."""
    if bytesize < 8:
        return (
            f"bytesize={bytesize} carries no byte above 0x{(1 << bytesize) - 1:02x}",
            "use bytesize=8, or framing=separator or framing=line with text of ASCII",
        )
    if xonxoff:
        return (
            "xonxoff=1 takes the bytes 0x11 and 0x13 out of the line",
            "use rtscts=1 instead, or framing=separator or framing=line with text",
        )
    return "", ""
