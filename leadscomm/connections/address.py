"""What a transport is told: where to talk, and how."""

from __future__ import annotations

import ipaddress
import logging
import os
import threading
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from leadscomm.connections.shortage import unreadable
from leadscomm.connections.waiting import attentive
from leadscomm.errors import EndpointError
from leadscomm.protocol.framing import FramingSpec
from leadscomm.protocol.words import unmarked

_log = logging.getLogger("leadscomm")


class Gate:
    """Where a thread waits until another opens it; then it is shut again.

    It is a lock and no more, so that a signal handler may open it in the middle of the waiting.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def open(self) -> None:
        """Let one thread through, that waits or is about to. Any thread."""
        with suppress(RuntimeError):  # it is open
            self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is open, at most ``timeout`` seconds (None: for ever); whether it was."""
        span = attentive(timeout)
        seconds = -1.0 if span is None else min(max(0.0, span), threading.TIMEOUT_MAX)
        while not (opened := self._lock.acquire(timeout=seconds)) and timeout is None:
            pass
        return opened


class Caller:
    """On whose behalf something is opened: hears of what goes wrong beside it, and may give it up.

    :param told: called with what failed although the rest works; must not block. Without it the log is told.
    :ivar given_up: what is being opened is not wanted any more.
    """

    def __init__(self, told: Callable[[Exception], None] | None = None) -> None:
        self.given_up = False
        self._told = told
        self._wakes: dict[object, Callable[[], None]] = {}

    def tell(self, error: Exception) -> None:
        """Something failed, and the rest works. Any thread."""
        if self._told is None:
            _log.warning("%s", error)
        else:
            self._told(error)

    def give_up(self) -> None:
        """Whatever is being opened comes to nothing, at once where it can be ended. Any thread; does not wait."""
        self.given_up = True
        for wake in list(self._wakes.values()):
            wake()

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """Within the block :meth:`give_up` calls ``wake``; if it was called before, so is ``wake`` now."""
        key = object()
        self._wakes[key] = wake
        try:
            if self.given_up:
                wake()
            yield
        finally:
            del self._wakes[key]


NOBODY: Final = Caller()
"""Of what no entity opens: it is never given up, and the log is told."""


@dataclass(frozen=True)
class Address:
    """An endpoint after parsing.

    :ivar host: a name or an IP address, without brackets; "" where the scheme has none.
    :ivar port: 0 where the scheme has none, or for "any free one".
    :ivar path: a file, a device or a name, for the schemes that have one.
    :ivar options: every option of the scheme by name, with its default where it was not given.
    :ivar framing: makes the framing of each connection.
    :ivar faulty: faults are made on purpose; what they are is among the options.
    :ivar notes: what the transport remembers from one connection to the next; shared by copies of the address.
    :ivar caller: on whose behalf it is opened.
    """

    scheme: str
    host: str
    port: int
    path: str
    framing: FramingSpec
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    faulty: bool = False
    notes: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    caller: Caller = field(default=NOBODY, compare=False, repr=False)

    def key(self) -> bytes | None:
        """The pre-shared key: given in Python, or read from ``key_file`` or the environment variable ``key_env``.

        :raises EndpointError: it cannot be read, or is shorter than 16 bytes.
        :raises ConnectFailed: the process has no descriptor left to read it with.
        """
        key: bytes | None = self.options.get("key")
        where = "key"
        if path := self.options.get("key_file"):
            where = f"key_file={path}"
            try:
                with open(path, "rb") as file:
                    key = _key_of(file.read(4096))
            except OSError as error:
                raise unreadable(where, error) from error
        elif name := self.options.get("key_env"):
            where = f"key_env={name}"
            if name not in os.environ:
                raise EndpointError(f"{where}: there is no environment variable {name}; set it to the key")
            key = _key_of(os.fsencode(os.environ[name]))
        if key is not None and len(key) < 16:
            raise EndpointError(
                f"{where}: a key of {len(key)} bytes is too short; use 16 or more, such as `openssl rand -hex 32` makes"
            )
        return key


def _key_of(data: bytes) -> bytes:
    """A key as somebody wrote it down: without blanks and line ends around it, and without the mark that Notepad and
    PowerShell put before a text. (A key of random bytes may begin as a mark does.)"""
    text = unmarked(data)
    return (text if text.isascii() or data.startswith(BOM_UTF8) else data).strip()


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can reach ``host``."""
    if host == "localhost":
        return True
    try:
        return _ip(host).is_loopback
    except ValueError:
        return False


def origin_of(host: str) -> str | None:
    """What ``max_per_address`` counts an address under; None: nothing, since only this machine has it.

    Of IPv6 it is the network of 64 bits: whoever has one address there can have them all.
    """
    if is_loopback(host):
        return None
    try:
        address = _ip(host)
    except ValueError:  # what LEADS's own programs write for one
        return host
    if address.version == 4:
        return str(address)
    _, zone, interface = host.partition("%")
    return f"{ipaddress.IPv6Address(int(address) >> 64 << 64)}/64{zone}{interface}"


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address, without its zone; one of IPv4 that came through a socket of IPv6 is what it was.

    :raises ValueError: it is none.
    """
    address = ipaddress.ip_address(host.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address
