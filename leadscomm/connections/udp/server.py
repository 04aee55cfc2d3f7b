"""UDP, the listening side: one socket for everybody, and a connection for each address that datagrams come from."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from leadscomm.connections.address import Address, origin_of
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.listener import ListenerBase
from leadscomm.connections.sockets.common import alarm_for, enlarge, readable
from leadscomm.connections.udp.peer import BURST, REPORT_EVERY_S, UdpPeer
from leadscomm.connections.waiting import attentive, enter
from leadscomm.errors import ConnectFailed

RECEIVE_BYTES: Final = 1 << 16
"""More than any datagram has, so that none is cut."""
_DISPLACE_EVERY_S: Final = 0.005
"""How often one of whom nothing is known makes room for another, at most."""
_LOSES: Final = (errno.ENOBUFS, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH)
"""The datagram is lost, as datagrams are; the next one may arrive, as where a cable is put in again."""
_SEND_S: Final = 1.0
"""How long a datagram waits for room in the system's buffer before it is lost."""


class UdpListener(ListenerBase):
    """Receives for all peers; whoever waits does it, the accepting thread or, where nobody accepts, a reading one.

    :param sockets: bound to one port of one or more addresses; the listener's own from now on.
    """

    def __init__(self, sockets: list[socket.socket], address: Address) -> None:
        self._sockets = sockets
        self._address = address
        self._port = int(sockets[0].getsockname()[1])
        self._silence = address.options["silence"] or float("inf")
        framing = address.framing.make()
        self._farewell = None if framing.farewell is None else framing.encode_all([framing.farewell])
        self.lock = threading.Lock()
        self._turn = threading.Condition(self.lock)
        self._followers: list[threading.Condition] = []  # of the threads that wait while another one receives
        self._led = False  # a thread is receiving
        self._alarm = alarm_for(sockets)
        self._peers: dict[Any, UdpPeer] = {}
        self._leaving: deque[tuple[UdpPeer, bool]] = deque()  # what forget() was asked for, and is not done yet
        self._origins: Counter[str | None] = Counter()
        self._displaced_at = 0.0
        self._going: set[UdpPeer] = set()  # who have made room, and are not closed yet
        self._new: deque[UdpPeer] = deque()
        self._refusal: OSError | None = None  # what accept() is to raise
        self._refused = 0
        self._refused_at = -REPORT_EVERY_S
        self._look_at = float("inf")  # when the next peer may have been silent for too long
        self._closed = self._released = False
        for sock in sockets:
            sock.setblocking(False)
            enlarge(sock)

    def port(self) -> int:
        return self._port

    def accept(self) -> ConnectionBase | None:
        self.wait(lambda: bool(self._new or self._closed or self._refusal), self._turn, None)
        with self.lock:
            refusal, self._refusal = self._refusal, None
            if self._closed:
                return None
            if refusal is not None:
                raise refusal
            return self._new.popleft()

    def close(self) -> None:
        self._closed = True
        self._settle()
        self._alarm.ring()

    def linger(self, timeout: float) -> None:
        self.wait(lambda: not self._peers, self._turn, timeout)

    def release(self) -> None:
        with self.lock:
            self._released = True
            self._leaving += [(peer, True) for peer in self._new]
            self._new.clear()
        self._settle()

    # Taking turns ----------------------------------------------------------------------------------------------------

    def wait(self, ready: Callable[[], bool], turn: threading.Condition, timeout: float | None) -> bool:
        """Wait until ``ready()``; whether it is. Receives meanwhile, unless another thread does.

        :param turn: of this listener's lock; notified when ``ready()`` may have changed.
        :param timeout: seconds; None waits for ever.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with self.lock:
            while not self._settled(ready):
                rest = None if end is None else max(0.0, end - time.monotonic())
                if self._led:
                    self._followers.append(turn)
                    turn.wait(attentive(rest))
                    self._followers.remove(turn)
                else:
                    self._lead(attentive(rest))
                if rest == 0.0:
                    break
            if self._followers and not self._led:
                self._followers[0].notify_all()  # somebody has to go on receiving
            done = ready()
        if self._leaving:
            self._settle()  # what was asked for in the middle of this, by a signal handler
        return done

    def _settled(self, ready: Callable[[], bool]) -> bool:
        """Do what others could only leave to the thread that has the lock; then as ``ready()``. Under the lock."""
        while self._leaving:
            peer, for_good = self._leaving.popleft()
            self._drop(peer)
            peer.wake()
            if for_good:
                peer.close_bell()
                self._going.discard(peer)
        if self._closed:
            self._turn.notify_all()
        return ready()

    def _settle(self) -> None:
        """Have done what was asked for: here, or by the thread that has the lock, if that cannot be waited for."""
        while enter(self.lock):
            try:
                self._settled(bool)
                done = self._released and not self._peers
            finally:
                self.lock.release()
            if done:  # the sockets outlive the listening, for those who still have something to send
                for close in (*(sock.close for sock in self._sockets), self._alarm.close):
                    close()
            if not self._leaving:
                return

    def _lead(self, timeout: float | None) -> None:
        """Receive once for everybody. Lets go of the lock meanwhile."""
        self._led = True
        self.lock.release()
        try:
            self._receive(timeout)
        finally:
            self.lock.acquire()
            self._led = False

    def _receive(self, timeout: float | None) -> None:
        if self._look_at != float("inf"):
            rest = max(0.0, self._look_at - time.monotonic())
            timeout = rest if timeout is None else min(rest, timeout)
        for sock in readable([*self._sockets, self._alarm.socket], timeout):
            if sock is self._alarm.socket:
                self._alarm.clear()
            else:
                self._drain(sock)
        now = time.monotonic()
        if now >= self._look_at:
            self._bid_farewell(now)

    def _drain(self, sock: socket.socket) -> None:
        burst: list[tuple[bytes, Any]] = []
        for _ in range(BURST):
            try:
                burst.append(sock.recvfrom(RECEIVE_BYTES))
            except BlockingIOError:
                break
            except OSError:
                pass  # Windows tells here that somebody we have sent to is not there
        now = time.monotonic()
        with self.lock:
            for datagram, source in burst:
                self._deliver(sock, source, datagram, now)

    # Peers, under the lock -------------------------------------------------------------------------------------------

    def _deliver(self, sock: socket.socket, source: Any, datagram: bytes, now: float) -> None:
        peer = self._peers.get((sock, source))
        if peer is None:
            peer = self._admit(sock, source, datagram, now)
            if peer is None:
                return
        peer.heard = now
        if datagram:
            peer.put(datagram)

    def _admit(self, sock: socket.socket, source: Any, datagram: bytes, now: float) -> UdpPeer | None:
        """A new peer, if there is room for one."""
        if self._closed or datagram == self._farewell:  # the answer to our own goodbye begins nothing
            return None
        limits = self._address.options
        origin, limit = origin_of(str(source[0])), ""
        if len(self._peers) >= limits["max_connections"]:
            limit = "max_connections"
        elif origin is not None and self._origins[origin] >= limits["max_per_address"]:
            limit = "max_per_address"
        if limit:
            self._refuse(f"{limit}={limits[limit]}", now)
            if not self._displaced(origin if limit == "max_per_address" else None, now):
                return None
        try:
            peer = UdpPeer(self, sock, source, framing=self._address.framing.make())
        except OSError as error:  # no descriptor is left
            self._refusal = error
            self._turn.notify_all()
            return None
        if limits["reliable"]:
            peer.be_wary()
        self._peers[peer.label] = peer
        self._origins[origin] += 1
        self._look_at = min(self._look_at, now + self._silence)
        self._new.append(peer)
        self._turn.notify_all()
        return peer

    def _displaced(self, origin: str | None, now: float) -> bool:
        """Whether one of whom nothing is known has made room for another: of all, or of those from one address. Anybody
        can write an address that is not his; who does so keeps nobody out for long.

        Of the address that most come from it is the one that came first. Not more often than that whoever is let in has
        the time to say who he is: those who are turned away ask again.
        """
        if now < self._displaced_at + _DISPLACE_EVERY_S:
            return False
        unknown = [
            peer
            for peer in self._peers.values()
            if peer.wary and peer not in self._new and origin in (None, peer._origin)
        ]
        if not unknown or len(self._going) >= BURST:
            return False
        peer = max(unknown, key=lambda peer: self._origins[peer._origin])
        self._displaced_at = now
        self._going.add(peer)
        self._drop(peer)
        peer.displaced = True
        peer.leave()
        return True

    def _refuse(self, limit: str, now: float) -> None:
        """Somebody is turned away: say so now and then. A flood of them must not become a flood of errors."""
        self._refused += 1
        if now - self._refused_at >= REPORT_EVERY_S:
            self._refusal = ConnectFailed(
                f"{self._refused} datagram(s) of new addresses found no room ({limit}); raise it, or close some"
            )
            self._refused, self._refused_at = 0, now
            self._turn.notify_all()

    def _bid_farewell(self, now: float) -> None:
        """Let those go who were silent for too long."""
        with self.lock:
            for peer in list(self._peers.values()):
                if now - peer.heard >= self._silence:
                    self._drop(peer)
                    peer.leave()
            self._look_at = min((peer.heard for peer in self._peers.values()), default=float("inf")) + self._silence

    def _drop(self, peer: UdpPeer) -> None:
        if self._peers.get(peer.label) is peer:
            del self._peers[peer.label]
            origin = peer._origin
            self._origins[origin] -= 1
            if not self._origins[origin]:
                del self._origins[origin]

    def forget(self, peer: UdpPeer, for_good: bool = False) -> None:
        """The server has done with a peer: its next datagram begins a new conversation. Any thread."""
        self._leaving.append((peer, for_good))
        self._settle()
        self._alarm.ring()  # the thread that receives may be the one that reads this peer
