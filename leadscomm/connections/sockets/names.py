"""The addresses of a name, within a time: the system's own look-up knows none, and cannot be ended."""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
import time
from typing import Any, Final

from leadscomm.connections.address import NOBODY, Caller, Gate
from leadscomm.errors import ConnectFailed

Found = list[tuple[Any, ...]]


def resolve(
    host: str, port: int, kind: int = socket.SOCK_STREAM, deadline: float | None = None, caller: Caller = NOBODY
) -> Found:
    """The addresses of a host, each once, as ``socket.getaddrinfo`` gives them.

    :param deadline: as ``time.monotonic()`` counts; None waits for as long as the system does.
    :param caller: may give it up.
    :raises ConnectFailed: there is no such host, or nobody has said so in time.
    """
    try:
        if is_address(host):
            found = socket.getaddrinfo(host, port, type=kind)
        else:
            found = _look_up(host, port, kind, deadline, caller)
    except (OSError, UnicodeError) as error:
        if isinstance(error, ConnectFailed):
            raise
        raise ConnectFailed(_why_not(host, error)) from error
    return list(dict.fromkeys(found))


def is_address(host: str) -> bool:
    """Whether it is an IP address, and no name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _why_not(host: str, error: Exception) -> str:
    why = getattr(error, "strerror", None) or error
    address, zone, name = host.partition("%")
    if zone and is_address(address):
        return f"{host!r} is no address here ({why}): has this machine an interface {name!r}? `ip link` tells"
    return f"there is no host {host!r} ({why}): check the name, or use an address"


def _look_up(host: str, port: int, kind: int, deadline: float | None, caller: Caller) -> Found:
    question = (os.getpid(), host, port, kind)
    fresh = _LookUp(question)
    look_up = _under_way.setdefault(question, fresh)
    if look_up is fresh:
        fresh.begin()
    found = look_up.answer(deadline, caller)
    if found is not None:
        return found
    if caller.given_up:
        raise ConnectFailed(f"{host!r} was being looked up when it was given up")
    raise ConnectFailed(f"{host!r} could not be looked up in time: is the name server reachable? Or use an address")


class _LookUp:
    """One question to the system, for all who ask it at the same time: so there are no more threads than names, however
    often somebody tries again while the name server is silent; and who does has the answer at last."""

    def __init__(self, question: tuple[int, str, int, int]) -> None:
        self._question = question
        self._found: Found | None = None
        self._error: Exception | None = None
        self._done = False
        self._waiting: list[Gate] = []

    def begin(self) -> None:
        """:raises ConnectFailed: there is no thread left for it."""
        try:
            threading.Thread(target=self._ask, name=f"leadscomm-look-up-{self._question[1]}", daemon=True).start()
        except RuntimeError as error:
            self._end(ConnectFailed(f"{self._question[1]!r} cannot be looked up: {error}; it may be tried again"))

    def _ask(self) -> None:
        _, host, port, kind = self._question
        try:
            self._found = socket.getaddrinfo(host, port, type=kind)
        except Exception as error:
            self._end(error)
        else:
            self._end(None)

    def _end(self, error: Exception | None) -> None:
        _under_way.pop(self._question, None)
        self._error = error
        self._done = True
        for gate in self._waiting:
            gate.open()

    def answer(self, deadline: float | None, caller: Caller) -> Found | None:
        """Wait for the answer; None: it did not come in time, or was given up."""
        gate = Gate()
        self._waiting.append(gate)
        if not self._done:
            with caller.waking(gate.open):
                gate.wait(None if deadline is None else deadline - time.monotonic())
        if self._error is not None:
            raise self._error
        return self._found if self._done else None


_under_way: Final[dict[tuple[int, str, int, int], _LookUp]] = {}
