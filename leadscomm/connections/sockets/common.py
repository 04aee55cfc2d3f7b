"""What the transports over sockets have in common: names, connecting, binding, accepting."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from leadscomm.connections.address import Address
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.listener import ListenerBase
from leadscomm.connections.shortage import why
from leadscomm.connections.sockets.names import resolve
from leadscomm.connections.waiting import attentive
from leadscomm.errors import ConnectFailed

_log = logging.getLogger("leadscomm")
BACKLOG: Final = 1024
_ANY_PORT_ATTEMPTS: Final = 16
_IN_USE: Final = (98, 48, 10048)  # EADDRINUSE of Linux, macOS, Windows
_NOT_OURS: Final = (99, 49, 10049)  # EADDRNOTAVAIL
_NO_FAMILY: Final = (97, 47, 10047)  # EAFNOSUPPORT
_INVALID: Final = (22, 65, 10022)  # EINVAL; macOS says EHOSTUNREACH
NEXT_AFTER_S: Final = 0.25
"""How long an address of several is given before the next one is dialled as well."""
_ZONE: Final = "such an address is one of a cable; say which, as in [fe80::1%eth0]: `ip link` tells what it is called"


def place(host: str, port: int) -> str:
    """``host:port`` as a URL has it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def dial(address: Address, deadline: float) -> socket.socket:
    """Connect a stream socket: to the address of the host that answers first.

    They are dialled one after the other, each a moment after the one before, so that one that is silent takes no time
    from the others.

    :param deadline: as ``time.monotonic()`` counts.
    :raises ConnectFailed: none did; the text says why.
    """
    where, caller = place(address.host, address.port), address.caller
    found = resolve(address.host, address.port, socket.SOCK_STREAM, deadline, caller)
    try:
        alarm = Alarm()
    except OSError as error:  # no descriptor is left
        raise ConnectFailed(why_not(where, error)) from error
    race = _Race(found, max(0.0, min(NEXT_AFTER_S, (deadline - time.monotonic()) / (len(found) + 1))))
    try:
        with caller.waking(alarm.ring):
            while race.goes_on and not caller.given_up and time.monotonic() < deadline:
                sock = race.look(deadline, alarm)
                if sock is not None:
                    for target, failure in race.failures:
                        _log.info("%s: %s", where, why_not(place(*target[:2]), failure))
                    return sock
    finally:
        race.close()
        alarm.close()
    if caller.given_up:
        raise ConnectFailed(f"{where} had not answered when it was given up")
    raise race.lost(where)


class _Race:
    """Several addresses, dialled until one answers.

    :param addresses: as ``getaddrinfo`` gives them.
    :param after: seconds that each is ahead of the next, unless it fails sooner.
    :ivar failures: what came of those that failed.
    """

    def __init__(self, addresses: list[tuple[Any, ...]], after: float) -> None:
        self._left = deque(addresses)
        self._after = after
        self._next_at = time.monotonic()
        self._dialled: dict[socket.socket, tuple[Any, ...]] = {}
        self.failures: list[tuple[tuple[Any, ...], OSError]] = []

    @property
    def goes_on(self) -> bool:
        """Whether one may still answer."""
        return bool(self._left or self._dialled)

    def look(self, deadline: float, alarm: Alarm) -> socket.socket | None:
        """Dial the next if it is time, and wait for the first that answers: until something happens, or it is time for
        another, or the deadline."""
        now = time.monotonic()
        if self._left and (now >= self._next_at or not self._dialled):
            self._dial(*self._left.popleft())
            self._next_at = now + self._after
        if not self._dialled:
            return None
        until = min(deadline, self._next_at) if self._left else deadline
        for sock in writable(list(self._dialled), alarm, until - now):
            try:
                error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    raise OSError(error, os.strerror(error))
                if sock.getsockname() == sock.getpeername():  # nobody listens, and the system chose this very port
                    raise ConnectionRefusedError("the connection leads to itself")
            except OSError as failure:
                self._failed(sock, failure)
            else:
                del self._dialled[sock]
                sock.setblocking(True)
                return sock
        return None

    def _dial(self, family: int, kind: int, proto: int, _: str, target: tuple[Any, ...]) -> None:
        try:
            sock = socket.socket(family, kind, proto)
        except OSError as error:
            self.failures.append((target, error))
            return
        self._dialled[sock] = target
        sock.setblocking(False)
        try:
            sock.connect(target)
        except BlockingIOError:
            pass  # it is under way
        except OSError as error:
            self._failed(sock, error)

    def _failed(self, sock: socket.socket, error: OSError) -> None:
        self.failures.append((self._dialled.pop(sock), error))
        sock.close()

    def lost(self, where: str) -> ConnectFailed:
        """What to say when none has answered."""
        silent = [(target, TimeoutError()) for target in self._dialled.values()]
        silent += [(target, TimeoutError()) for *_, target in self._left]
        failures: list[tuple[tuple[Any, ...], OSError]] = [*self.failures, *silent]
        last = failures[-1][1] if failures else None
        if len({(type(error), error.errno) for _, error in failures}) > 1:
            failed = ConnectFailed("; ".join(why_not(place(*target[:2]), error) for target, error in failures))
        else:
            failed = ConnectFailed(why_not(where, last))
        failed.__cause__ = last
        self.failures = []  # their tracebacks know this race
        return failed

    def close(self) -> None:
        """Let go of those that have not answered."""
        for sock in self._dialled:
            sock.close()


def why_not(where: str, error: OSError | None) -> str:
    """What to say of a connection that could not be opened."""
    if isinstance(error, ConnectionRefusedError):
        if where.endswith(":0"):
            return f"{where} is no port to dial: 0 is for servers, which say the port that they got"
        return f"nobody listens on {where}; is the server started, and on this port?"
    if isinstance(error, TimeoutError):
        return f"{where} did not answer in time; is it switched on and reachable, and its firewall open?"
    if error is not None and _wants_zone(where, error):
        return f"{where} cannot be reached: {_ZONE}"
    return f"{where} cannot be reached: {why(error) if error else 'it has no address'}"


def _wants_zone(where: str, error: OSError) -> bool:
    return error.errno in _INVALID and where.lower().startswith("[fe80:") and "%" not in where


def bind_all(address: Address, kind: int) -> list[socket.socket]:
    """Sockets bound to every address of a host, all to one port, and listening if they are for streams; port 0 is any
    that is free. An address that fails takes none of the others along: it is told to the caller.

    :raises ConnectFailed: there is no such host, or nothing could be bound; the text says why.
    """
    deadline = time.monotonic() + address.options["connect_timeout"]
    found = resolve(address.host, address.port, kind, deadline, address.caller)
    attempts = _ANY_PORT_ATTEMPTS if address.port == 0 and len(found) > 1 else 1
    sockets: list[socket.socket] = []
    failures: list[ConnectFailed] = []
    for _ in range(attempts):
        for sock in sockets:
            sock.close()
        sockets, failures = _bind_each(found, kind, address.port)
        if not any(map(_taken, failures)):  # what is free at one address may be taken at another: another number may do
            break
    if not sockets:
        raise failures[0] if failures else ConnectFailed(f"{place(address.host, address.port)} has no address")
    for failure in failures:
        _tell_left_out(address, failure)
    return sockets


def _bind_each(found: list[tuple[Any, ...]], kind: int, port: int) -> tuple[list[socket.socket], list[ConnectFailed]]:
    """Bind what can be bound to ``port``, or to that which the first one got; and why the others could not be."""
    sockets: list[socket.socket] = []
    failures: list[ConnectFailed] = []
    for family, _, proto, _, target in found:
        try:
            sock = bound(family, kind, proto, (target[0], port, *target[2:]), place(target[0], port))
        except ConnectFailed as error:
            failures.append(error)
        else:
            sockets.append(sock)
            port = sock.getsockname()[1]
    return sockets, failures


def _taken(failure: ConnectFailed) -> bool:
    return getattr(failure.__cause__, "errno", None) in _IN_USE


def _tell_left_out(address: Address, failure: ConnectFailed) -> None:
    """Where a system has no IPv6 its name servers may know some all the same: that is no failure."""
    if getattr(failure.__cause__, "errno", None) in (*_NOT_OURS, *_NO_FAMILY):
        _log.warning("%s is listened on without one of its addresses: %s", address.host, failure)
    else:
        told = ConnectFailed(f"{failure}; the other addresses of {address.host} are listened on")
        told.__cause__ = failure.__cause__
        address.caller.tell(told)


def bound(family: int, kind: int, proto: int, target: tuple[Any, ...], where: str) -> socket.socket:
    """A socket bound to ``target``, and listening if it is one for streams; ``::`` takes IPv4 as well.

    :raises ConnectFailed: the port is taken, not allowed, or not ours.
    """
    try:
        sock = socket.socket(family, kind, proto)
    except OSError as error:
        raise ConnectFailed(_why_not_bound(where, error)) from error
    try:
        if sys.platform == "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        elif kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(target[0] != "::"))
        sock.bind(target)
        if kind == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
        return sock
    except OSError as error:
        sock.close()
        raise ConnectFailed(_why_not_bound(where, error)) from error


def _why_not_bound(where: str, error: OSError) -> str:
    port = where.rpartition(":")[2]
    if error.errno in _IN_USE:
        return f"{where} is in use by another program; stop that one, or choose another port (0 takes any free one)"
    if isinstance(error, PermissionError):
        return f"port {port} is not allowed; choose one of 1024 and above"
    if _wants_zone(where, error):
        return f"{where} cannot be listened on: {_ZONE}"
    if error.errno in _NOT_OURS:
        return f"{where} is no address of this machine; use 127.0.0.1, 0.0.0.0 or one that `ip address` shows"
    return f"{where} cannot be listened on: {why(error)}"


def writable(sockets: list[socket.socket], alarm: Alarm, timeout: float) -> list[socket.socket]:
    """Wait until some of the sockets are connected or have failed, or the alarm is rung; return those sockets.

    :param timeout: seconds.
    """
    if sys.platform == "win32":  # there a failure is none of writing
        _, done, failed = select.select([alarm.socket], sockets, sockets, max(0.0, timeout))
        return [*{*done, *failed}]
    poller = select.poll()
    by_fd = {sock.fileno(): sock for sock in sockets}
    for fd in by_fd:
        poller.register(fd, select.POLLOUT)
    poller.register(alarm.socket.fileno(), select.POLLIN)
    return [by_fd[fd] for fd, _ in poller.poll(max(0.0, timeout) * 1000) if fd in by_fd]


def readable(sockets: list[socket.socket], timeout: float | None = None) -> list[socket.socket]:
    """Wait until some of the sockets can be read; return those. There is no limit on the number of a descriptor where
    the system has ``poll``.

    :param timeout: seconds; None waits for ever.
    """
    span = attentive(timeout)
    while not (ready := _ready(sockets, span)) and timeout is None:
        pass
    return ready


def _ready(sockets: list[socket.socket], timeout: float | None) -> list[socket.socket]:
    if sys.platform == "win32":
        return select.select(sockets, [], [], timeout)[0]
    poller = select.poll()
    by_fd = {sock.fileno(): sock for sock in sockets}
    for fd in by_fd:
        poller.register(fd, select.POLLIN)
    return [by_fd[fd] for fd, _ in poller.poll(None if timeout is None else max(0.0, timeout) * 1000)]


def be_attentive(sock: socket.socket) -> None:
    """Have reads that wait in the main thread end after a while, with ``BlockingIOError``: see :func:`attentive`."""
    span = attentive(None)
    if span is not None and sys.platform != "win32":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(span), 0))


def enlarge(sock: socket.socket) -> None:
    """Ask for a receive buffer that takes a burst; the system gives what it will."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)


def new_bell() -> int | None:
    """A handle that a pool can poll, where there are pools."""
    if sys.platform == "linux":
        return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    return None


class Alarm:
    """Wakes a thread that waits in :func:`readable`: another thread rings, and the waiting one finds ``socket`` ready.

    It stays ready until it is cleared, and may be rung after it was closed.
    """

    def __init__(self) -> None:
        self.socket, self._bell = socket.socketpair()
        self._lock = threading.RLock()  # a signal handler may ring while the thread that it interrupts does
        self._bell.setblocking(False)
        self.socket.setblocking(False)

    def ring(self) -> None:
        """Wake the thread that waits. Any thread, any number of times."""
        with self._lock, contextlib.suppress(OSError):
            self._bell.send(b"\0")

    def clear(self) -> None:
        """Make it ready for the next ring. The waiting thread only."""
        with contextlib.suppress(OSError):
            self.socket.recv(4096)

    def close(self) -> None:
        """Release the handles."""
        with self._lock:  # the number of a closed handle may be somebody else's at once
            self.socket.close()
            self._bell.close()


def alarm_for(sockets: list[socket.socket]) -> Alarm:
    """An alarm for who listens on sockets. If there is no descriptor left for one, they are closed."""
    try:
        return Alarm()
    except BaseException:
        for sock in sockets:
            sock.close()
        raise


class SocketListener(ListenerBase):
    """Listens on one port of one or more addresses.

    :param sockets: bound and listening; the listener's own from now on.
    :param dress: makes the connection of an accepted socket.
    """

    def __init__(self, sockets: list[socket.socket], dress: Callable[[socket.socket, Any], ConnectionBase]) -> None:
        self._sockets = sockets
        self._dress = dress
        self._closed = False
        self._alarm = alarm_for(sockets)
        name = sockets[0].getsockname()
        self._port = int(name[1]) if isinstance(name, tuple) else 0
        for sock in sockets:
            sock.setblocking(False)

    def port(self) -> int:
        return self._port

    def accept(self) -> ConnectionBase | None:
        while not self._closed:
            for sock in readable([*self._sockets, self._alarm.socket]):
                if sock is self._alarm.socket:
                    return None
                try:
                    accepted, peer = sock.accept()
                except (BlockingIOError, ConnectionAbortedError):
                    continue
                try:
                    return self._dress(accepted, peer)
                except BaseException:
                    accepted.close()
                    raise
        return None

    def close(self) -> None:
        self._closed = True
        self._alarm.ring()

    def release(self) -> None:
        for sock in self._sockets:
            sock.close()
        self._alarm.close()
