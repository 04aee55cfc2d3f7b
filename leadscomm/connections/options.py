"""The options of endpoints: their names, defaults and forms. The same in a URL and as keyword arguments.

``docs/endpoints.md`` shows them; a test holds it to what stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from leadscomm.connections.sending.bound import OUTBOX_BYTES, POLICIES, SEND_TIMEOUT_S
from leadscomm.errors import EndpointError
from leadscomm.protocol.framing import DEFAULT_MAX_MESSAGE, parse_size


@dataclass(frozen=True)
class Option:
    """One option: its default, how its text is read, and what it means.

    ``read`` raises ``ValueError`` with a text that says what to write.
    """

    default: Any
    read: Callable[[Any], Any]
    help: str


def flag(value: Any) -> bool:
    """``1 0 true false yes no on off``."""
    text = str(value).strip().lower()
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("0", "false", "no", "off"):
        return False
    raise ValueError("write 1 or 0")


def is_on(value: Any) -> bool:
    """As :func:`flag`; what is none is off, since that is said of the option itself."""
    try:
        return flag(value)
    except ValueError:
        return False


def size(value: Any) -> int:
    """A number of bytes: ``65536``, ``64K``, ``8M``."""
    try:
        number = parse_size(value)
    except EndpointError:
        number = 0
    if number <= 0:
        raise ValueError("write a number of bytes above 0, such as 65536, 64K or 8M")
    return number


def count(value: Any) -> int:
    """A number above 0."""
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if number <= 0 or number != float(value):
        raise ValueError("write a whole number above 0")
    return number


def seconds(value: Any) -> float:
    """A time that is not negative."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < 1e9:
        raise ValueError("write seconds, 0 or more")
    return number


def number(value: Any) -> int:
    """A whole number, also below 0."""
    try:
        return int(str(value))
    except ValueError:
        raise ValueError("write a whole number") from None


def share(value: Any) -> float:
    """A part of the whole: 0 to 1."""
    try:
        part = float(value)
    except (TypeError, ValueError):
        part = -1.0
    if not 0 <= part <= 1:
        raise ValueError("write a number from 0 to 1, such as 0.2")
    return part


def one_of(*words: Any) -> Callable[[Any], Any]:
    """One of some words or numbers."""
    known = {str(word): word for word in words}

    def read(value: Any) -> Any:
        text = f"{value:g}" if isinstance(value, float) else str(value)
        if text not in known:
            raise ValueError(f"write {', '.join(list(known)[:-1])} or {list(known)[-1]}")
        return known[text]

    return read


def octal(value: Any) -> int:
    """File permissions: ``600``."""
    try:
        mode = value if isinstance(value, int) else int(str(value), 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        raise ValueError("write permissions in octal, such as 600 or 666 (0o600 in Python)")
    return mode


def name(value: Any) -> str:
    """What somebody calls itself: at most 255 bytes."""
    text = str(value)
    if len(text.encode()) > 255 or not text.isprintable():
        raise ValueError("write at most 255 bytes of printable characters")
    return text


def secret(value: Any) -> bytes:
    """Bytes, in Python only."""
    if not isinstance(value, bytes):
        raise ValueError(f"write bytes, and not {type(value).__name__}: key=b'...', or text.encode()")
    return value


DELIVERY: Final[Mapping[str, Option]] = {
    "outbox": Option(OUTBOX_BYTES, size, "bytes that may wait for a peer that reads slowly"),
    "overflow": Option(
        "block", one_of(*POLICIES), "what happens beyond: block the sender, drop, or disconnect the peer"
    ),
    "send_timeout": Option(SEND_TIMEOUT_S, seconds, "seconds that send waits for room in the outbox"),
}
LIMITS: Final[Mapping[str, Option]] = {
    "max_connections": Option(256, count, "connections that a server holds at once"),
    "max_per_address": Option(
        32, count, "of them from one address, or one /64 of IPv6; loopback and Unix sockets are exempt"
    ),
    "handshake_timeout": Option(5.0, seconds, "seconds for TLS and the key challenge"),
}
DIALLING: Final[Mapping[str, Option]] = {
    "connect_timeout": Option(5.0, seconds, "seconds to open a connection"),
    "reconnect": Option(None, flag, "whether a client connects again; on for Client, off for create_client"),
    "reconnect_min": Option(0.1, seconds, "seconds before the first new attempt; doubles each time"),
    "reconnect_max": Option(10.0, seconds, "seconds between attempts at most"),
}
RELIABLE: Final[Mapping[str, Option]] = {
    "reliable": Option(False, flag, "each message arrives once and in order, or is reported"),
    "name": Option("", name, "what this side calls itself; who begins anew under a name ends its former session"),
    "patience": Option(30.0, seconds, "seconds that a session waits for a line before it ends"),
    "dead_after": Option(5.0, seconds, "seconds of silence after which a line is given up"),
    "preference": Option(
        None, number, "of several lines to a peer the one with the lowest number carries the messages"
    ),
    "durable": Option(None, str, "file in which messages are kept until they have arrived"),
}
SESSION: Final[Mapping[str, Option]] = {
    "max_message": Option(
        DEFAULT_MAX_MESSAGE, size, "bytes of the longest message, both ways; 65507 with `datagram`, unless `reliable=1`"
    ),
}
KEYS: Final[Mapping[str, Option]] = {
    "key": Option(None, secret, "pre-shared key; in Python only, never in a URL"),
    "key_file": Option(None, str, "file that holds the pre-shared key"),
    "key_env": Option(None, str, "environment variable that holds the pre-shared key"),
}
SPIN: Final[Mapping[str, Option]] = {
    "spin": Option(0.0, seconds, "seconds to poll before sleeping: shorter round trips, a busy core"),
}
TCP: Final[Mapping[str, Option]] = {
    "nodelay": Option(True, flag, "send small messages at once (TCP_NODELAY)"),
    "keepalive": Option(5.0, seconds, "seconds of silence before the system probes the peer's host; 0: never"),
    "user_timeout": Option(
        15.0, seconds, "seconds that the peer's host may answer nothing (Linux); 0: the system's default"
    ),
}
TLS: Final[Mapping[str, Option]] = {
    "cert": Option(None, str, "PEM file of this side's certificate"),
    "cert_key": Option(None, str, "PEM file of its private key, if that is apart"),
    "ca": Option(None, str, "client: PEM file of the authorities to trust; default: the system's"),
    "server_name": Option(None, str, "client: the name that the certificate must bear, if not the host"),
    "client_ca": Option(None, str, "server: clients must show a certificate of this authority"),
}
UNIX: Final[Mapping[str, Option]] = {"mode": Option(0o600, octal, "permissions of the socket file, octal")}
UDP: Final[Mapping[str, Option]] = {
    "silence": Option(30.0, seconds, "server: seconds after which a silent peer has left"),
    "hold": Option(
        None,
        seconds,
        "client: seconds between the empty datagrams that keep the server's memory of it; 0: none; "
        "default: a third of silence",
    ),
    "broadcast": Option(False, flag, "client: the host is the address of a whole network; nobody's answer is heard"),
}
SERIAL: Final[Mapping[str, Option]] = {
    "baud": Option(115200, count, "bits a second; LEADS's own boards want 9600"),
    "bytesize": Option(8, one_of(5, 6, 7, 8), "data bits"),
    "parity": Option("N", one_of("N", "E", "O", "M", "S"), "parity: none, even, odd, mark or space"),
    "stopbits": Option(1, one_of(1, 1.5, 2), "stop bits"),
    "rtscts": Option(False, flag, "hardware flow control by RTS and CTS"),
    "dsrdtr": Option(False, flag, "hardware flow control by DSR and DTR"),
    "xonxoff": Option(False, flag, "software flow control"),
    "dtr": Option("on", one_of("on", "off", "keep"), "DTR when the port is opened; keep leaves it as it is"),
    "rts": Option("on", one_of("on", "off", "keep"), "RTS when the port is opened; keep leaves it as it is"),
    "exclusive": Option(True, flag, "refuse a port that another program has open, and keep others out"),
    "rs485": Option(False, flag, "half duplex: RTS switches the transceiver to sending"),
    "identity": Option(None, str, "the tag that the board answers to ic; with it the port may be auto"),
    "usb_serial": Option(None, str, "the USB serial number of the device, whatever its port is called"),
}
FAULTS: Final[Mapping[str, Option]] = {
    "drop": Option(0.0, share, "share of the frames that are lost"),
    "dup": Option(0.0, share, "share of the frames that come twice"),
    "reorder": Option(0.0, share, "share of the frames that are overtaken by up to three others"),
    "corrupt": Option(0.0, share, "share of the frames of which up to eight bits are turned over"),
    "delay": Option(0.0, seconds, "seconds that each frame is late"),
    "jitter": Option(0.0, seconds, "seconds on top, at random; the order is kept"),
    "rate": Option(None, size, "bytes a second that the line carries"),
    "cut": Option(None, count, "how many frames pass, on average, before the connection is cut"),
    "seed": Option(None, number, "makes the same faults again; default: others each time"),
    "direction": Option("both", one_of("both", "in", "out"), "which way there are faults, seen from here"),
}
