"""One line of a session: a plain connection that carries its frames."""

from __future__ import annotations

import time
from typing import Final, Protocol

from leadscomm.connections.address import Address
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.opening import Plan, nothing_of_a_session, why_not
from leadscomm.connections.sending.errand import Errand
from leadscomm.connections.sending.writer import Flusher
from leadscomm.errors import CommError, CommTimeout, ConnectionLost
from leadscomm.protocol.framing import FramingSpec
from leadscomm.protocol.session.full.full import FullSession
from leadscomm.protocol.session.full.link import Link
from leadscomm.protocol.session.segments import STREAM_SEGMENT_BYTES

DATAGRAM_SEGMENT_BYTES: Final = 1200
"""The same in a datagram: what every path on the Internet carries in one piece."""
SERIAL_SEGMENT_BYTES: Final = 240
_BITS: Final = 10
_PREFERENCES: Final = {"loop": 0, "unix": 0, "tcp": 1, "tls": 1, "udp": 2, "serial": 3}
_OVERHEADS: Final = {"udp": 28, "serial": 4}
"""Bytes around a frame on the way: of COBS with its CRC, or of IP and UDP."""
_BY_HOST: Final = ("tcp", "tls", "udp")
"""Two lines that lead to the same host and port differ in their schemes."""
_LOSSLESS: Final = ("tcp", "tls", "unix", "loop")
"""Streams: what they lose, they lose with the connection."""
_REDIALLED: Final = ("tcp", "tls", "unix", "loop")
QUIET_SHARE: Final = 0.4
"""A line that was dialled is dialled anew once the peer was silent for this part of the time after which it is dead:
TCP itself would be long in finding out that an interrupted path is back."""


def link_of(address: Address) -> Link:
    """What a session has to know of the lines of an endpoint."""
    scheme, options = address.scheme, address.options
    preference = options["preference"]
    return Link(
        _segment(scheme),
        checked=not _has_crc_32(address.framing),
        in_order=scheme != "udp",
        lossless=scheme in _LOSSLESS and not address.faulty,
        rate=options["baud"] / _BITS if scheme == "serial" else 0.0,
        overhead=_OVERHEADS.get(scheme, 6),
        preference=_PREFERENCES.get(scheme, 1) if preference is None else preference,
        spoofable=scheme == "udp",
    )


def plan_of(address: Address) -> Plan | None:
    """When to ask, where a bootloader may be listening."""
    return Plan(address.options["baud"]) if address.scheme == "serial" else None


def _has_crc_32(spec: FramingSpec) -> bool:
    return spec.name == "cobs" and dict(spec.options).get("crc", "crc-32") == "crc-32"


def _segment(scheme: str) -> int:
    return {"udp": DATAGRAM_SEGMENT_BYTES, "serial": SERIAL_SEGMENT_BYTES}.get(scheme, STREAM_SEGMENT_BYTES)


class Owner(Protocol):
    """The session that a line carries."""

    @property
    def flusher(self) -> Flusher | None:
        """Who writes what is left behind; None: whoever sends or receives."""

    def emit(self) -> None:
        """Send what the session has to send."""

    def has_lost(self, line: Line) -> bool:
        """Whether a line is of no more use."""

    def due(self, line: Line) -> tuple[list[bytes], bool]:
        """The frames that are to be sent over a line now, and whether it is of no more use."""


class Line:
    """A connection that carries a session, and the session's view of it.

    :param owner: the session.
    :param connection: plain, open or to be opened; whoever reads it hands on what came.
    :param address: where it leads.
    :ivar link: what the session knows of it.
    """

    __slots__ = (
        "__weakref__",
        "_asked",
        "_asks_from",
        "_ending",
        "_plan",
        "_redials",
        "_scheme",
        "_sending",
        "connection",
        "link",
        "owner",
    )

    def __init__(self, owner: Owner, connection: ConnectionBase, address: Address) -> None:
        self.owner = owner
        self.connection = connection
        self.link = link_of(address)
        self._plan = plan_of(address)
        self._scheme = f"{address.scheme}://" if address.scheme in _BY_HOST else ""
        self._redials = address.scheme in _REDIALLED and not connection.accepted
        self._asked = 0
        self._ending = False
        self._asks_from = time.monotonic()
        self._sending = Errand(self._send_due)  # one thread at a time, for the order of the frames

    def __str__(self) -> str:
        """What it is called: ``tcp://192.168.1.7:16900``, ``/dev/ttyUSB0``."""
        return f"{self._scheme}{self.connection}"

    def emit(self) -> None:
        """Send what is due on this line. Any thread; whoever finds another at it leaves it to him."""
        self._sending.do()

    def _send_due(self) -> None:
        lower = self.connection.outbox
        if not lower.drained():  # frames are made when they can leave, and not before: they tell the latest
            if self.owner.flusher is None:
                lower.resume()
            if not lower.drained():
                if self.owner.has_lost(self):
                    self.connection.abort()
                lower.when_drained(self.owner.emit)
                return
        frames, lost = self.owner.due(self)
        if frames:
            framing = self.connection.framing
            block = framing.encode_all(frames) if framing.joins else None
            if self._plan is not None and block is not None:
                block = self._question(self._plan) + block
            lower.put(frames, block)
        if lost:
            self.connection.abort()
        elif self._ending and not self._sending.asked:
            self.connection.close()

    @property
    def stuck(self) -> bool:
        """Whether it takes nothing at the moment; it says so when it does again."""
        return not self.connection.outbox.drained()

    def end(self) -> None:
        """Send the last frames of a session that is over, and then close the connection. Any thread."""
        self._ending = True
        self.emit()

    def _question(self, plan: Plan) -> bytes:
        """What stands before a HELLO to a board; when the next one is put depends on the line."""
        link = self.link
        if link.asked == self._asked:
            return b""
        before = plan.before_asking(self._asked)
        self._asked = link.asked
        link.ask_at = self._asks_from + plan.asking_time(link.asked)
        return before

    def why_not(self, session: FullSession, heard: bytes) -> CommError:
        """Say why the peer does not agree, with the mend.

        :param heard: what it said instead.
        """
        who = str(self.connection)
        if session.trouble is None and (session.ended is not None or session.left):
            return ConnectionLost(f"{who}: {session.ended or 'this side is leaving'}")
        if self._plan is not None or session.trouble is not None or session.hint is not None:
            return why_not(who, session, heard)
        if self.link.joined:
            return CommTimeout(f"{who} has begun a session, and does not go on")
        return nothing_of_a_session(who, self.connection.framing, heard)

    def ended_early(self, session: FullSession, heard: bytes) -> CommError:
        """Say that the connection ended before the peer had agreed.

        :param heard: what it said instead.
        """
        if session.trouble is not None or session.hint is not None:
            return why_not(str(self.connection), session, heard)
        if heard and not self.link.joined:
            return nothing_of_a_session(str(self.connection), self.connection.framing, heard)
        if self.connection.accepted:
            return ConnectionLost(f"{self.connection} ended before it had begun its session")
        return ConnectionLost(
            f"{self.connection} ended before it had answered; does it speak sessions (reliable=1), and hold the same "
            "key (key_file=)?"
        )

    def is_lost(self, now: float, dead_after: float) -> bool:
        """Whether the connection is of no more use, provided that it is read. Under the session's lock."""
        link = self.link
        if link.dead or not link.joined:
            return link.dead
        return now > link.heard_at + (QUIET_SHARE * dead_after if self._redials else dead_after)
