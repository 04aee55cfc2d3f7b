"""What is said over an open connection: what comes by itself, and how long an answer takes."""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Final

from leadscomm.cli.diagnosis.findings import FAIL, OK, OPEN, WARN, Finding, Findings, failed
from leadscomm.cli.terminal.wording import counted, duration
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.endpoint import Endpoint
from leadscomm.connections.sockets.tcp_info import round_trip
from leadscomm.errors import CommError, CommTimeout
from leadscomm.protocol.framing import guess
from leadscomm.protocol.session.counters import LinkStats
from leadscomm.protocol.session.handshake import MANY
from leadscomm.sessions.timers import TimedConnection

_MUCH_LOSS: Final = 0.02
_BAD_CABLE: Final = "a shorter cable, a lower baud rate, or a sketch that polls more often"
_BAD_PATH: Final = "a better radio or cable, or fewer others on it; what is lost is sent again, and takes longer"
_KEPT_BYTES: Final = 64 * 1024
PROBES: Final = 10
ECHO_TIMEOUT_S: Final = 2.0


@dataclass
class Heard:
    """What came while we only listened.

    :ivar data: the first 64 KiB of it.
    :ivar ended: after how many seconds the peer ended it; None if it did not.
    """

    data: bytearray = field(default_factory=bytearray)
    pieces: int = 0
    ended: float | None = None


def listen(endpoint: Endpoint, connection: ConnectionBase, seconds: float) -> Generator[Finding, None, bool]:
    """Listen a while and say whether what comes looks like the framing; returns whether anything came."""
    try:
        heard = _hear(connection, seconds)
    except (CommError, OSError) as error:
        yield failed("framing", error)
        return False
    if heard.data:
        yield _looked_at(endpoint, bytes(heard.data), heard.pieces)
    elif heard.ended is None:
        yield Finding(
            OPEN, "framing", f"nothing came within {seconds:g} s: many peers wait to be asked; so it cannot be told"
        )
    if heard.ended is not None:
        yield Finding(
            FAIL,
            "framing",
            f"the peer ended the conversation after {heard.ended:.1f} s",
            "see what it says there: it may want a key (key_file=), TLS (tls://), or have connections enough",
        )
    return bool(heard.data)


def peer(connection: TimedConnection) -> Findings:
    """What the other side of a session said of itself."""
    said = connection.peer
    if said is not None:
        name = f"with {said.tag!r}" if said.tag else "with a peer without a name"
        longest = "any size" if said.longest == MANY else counted(said.longest, "byte")
        text = f"{name}, which takes messages of {longest}"
        if connection.stats().session is None:
            credit = f", {counted(said.credit, 'byte')}" if said.credit else ""
            text += f", and {counted(said.window, 'frame')}{credit} under way"
        yield Finding(OK, "session", text)


def measure(connection: TimedConnection, seconds: float) -> None:
    """Let a session measure the way to the peer, ``seconds`` at most; a sign of life a second does so."""
    connection.run_until(
        lambda: connection.over or any(line.clock_offset is not None for line in connection.stats().links.values()),
        seconds,
    )


def link(connection: TimedConnection) -> Findings:
    """What a session has counted and measured."""
    seen, stats = connection.counters(), connection.stats()
    text = (
        f"{counted(seen.bad_frames, 'damaged frame')}, {seen.resent} sent again, {seen.duplicates} dropped, "
        f"{counted(seen.lost_datagrams, 'datagram')} lost"
    )
    if seen.round_trip is not None:
        text += f"; acknowledged within {duration(seen.round_trip)}"
    if seen.bad_frames or seen.resent:
        mend = _BAD_PATH if stats.session is not None else _BAD_CABLE
        yield Finding(WARN, "link", text, mend)
    else:
        yield Finding(OK, "link", text)
    for name, line in stats.links.items():
        yield from _line(name, line)
    if stats.queued_messages:
        text = f"{counted(stats.queued_messages, 'message')} ({counted(stats.queued_bytes, 'byte')}) wait"
        yield Finding(WARN, "queue", text, "the peer reads slowly, or the line is thin: send less, or over another")


def _line(name: str, seen: LinkStats) -> Findings:
    """How one line of a session is."""
    if seen.loss > _MUCH_LOSS:
        yield Finding(WARN, "loss", f"{name}: {seen.loss:.0%} of what was sent had to be sent again", _BAD_PATH)
    if seen.pings_missed:
        text = f"{name}: {counted(seen.pings_missed, 'question')} whether it is there came to nothing"
        yield Finding(WARN, "link", text, "the path is interrupted, or the peer is stopped")
    if seen.clock_offset is not None and seen.clock_uncertainty is not None:
        ahead = "ahead" if seen.clock_offset >= 0 else "behind"
        text = f"{name}: its monotonic clock is {duration(abs(seen.clock_offset))} {ahead}"
        yield Finding(OK, "clock", f"{text}, to within {duration(seen.clock_uncertainty)}")


def _hear(connection: ConnectionBase, seconds: float) -> Heard:
    """Collect what comes. The connection's own framing is fed too, so that it can go on afterwards."""
    heard = Heard()
    start = time.monotonic()
    connection.set_blocking(False)
    try:
        while (left := start + seconds - time.monotonic()) > 0 and len(heard.data) < _KEPT_BYTES:
            if not (connection.more() or connection._wait_readable(left)):
                break
            try:
                data = connection._read()
            except BlockingIOError:
                continue
            if data is None:
                heard.ended = time.monotonic() - start
                break
            heard.data += data
            heard.pieces += 1
            connection.framing.feed(data)
    finally:
        connection.set_blocking(True)
    return heard


def _looked_at(endpoint: Endpoint, data: bytes, pieces: int) -> Finding:
    """What the bytes look like."""
    if endpoint.framing.name == "datagram":
        return Finding(OK, "framing", f"{counted(pieces, 'datagram')} came")
    seen = guess.look(data, endpoint.framing)
    came = f"{counted(len(data), 'byte')} came"
    expected = f"framing={endpoint.framing.name}"
    if seen.verdict == guess.FITS:
        return Finding(OK, "framing", f"{came}, {counted(seen.messages, 'message')} in {expected}")
    if seen.verdict == guess.LITTLE:
        return Finding(OPEN, "framing", f"only {came} and no whole message: too little to tell")
    if seen.verdict == guess.FOREIGN:
        return Finding(FAIL, "framing", f"{came} that look like {seen.protocol}", seen.mend)
    if seen.verdict == guess.OTHER:
        return Finding(
            FAIL, "framing", f"{came} that look like {seen.options}, and {expected} is set", f"write {seen.options}"
        )
    if seen.verdict == guess.TEXT:
        return Finding(WARN, "framing", f"{came}, readable, but no end of a message in {expected}", _OTHER_FRAMING)
    share = f"{1 - seen.printable:.0%} of {counted(len(data), 'byte')} are neither printable nor framed"
    if endpoint.scheme == "serial":
        text = f"looks like noise, as another baud rate gives it: {share}. It is a guess from the bytes"
        return Finding(FAIL, "framing", text, f"baud={endpoint.options['baud']} is set; try the device's own")
    return Finding(FAIL, "framing", f"looks like another framing, or noise: {share}", _OTHER_FRAMING)


_OTHER_FRAMING: Final = "give both sides the same framing= (and separator=, crc=)"


def kernel_round_trip(connection: ConnectionBase) -> Findings:
    """The kernel's own figure of a TCP connection."""
    fd = connection.fileno()
    try:
        measured = round_trip(fd) if fd is not None else None
    except OSError:
        measured = None
    if measured is None:
        yield Finding(OPEN, "round trip", "this system does not tell")
    else:
        time_, variation = map(duration, measured)
        yield Finding(
            OK, "round trip", f"{time_}, varying by {variation}: the system's own figure, without any program"
        )


def echo(connection: ConnectionBase) -> Findings:
    """Send probes to a peer that sends back what it gets, and measure.

    A probe is as long as a key challenge, so that a server that waits for one notices at once that none comes.
    """
    tag = secrets.token_hex(4).encode()
    times: list[float] = []
    others = 0
    try:
        for number in range(PROBES):
            probe = b"leadscomm doctor, please echo this: %s %d" % (tag, number)
            start = time.perf_counter()
            connection.send(probe)
            while (answer := _answer(connection, start)) != probe:
                if answer is None:
                    yield _no_echo("the peer ended the conversation when it was sent a probe", others, _HUNG_UP)
                    return
                others += 1
            times.append(time.perf_counter() - start)
    except CommTimeout:
        yield _no_echo(f"no echo of probe {len(times) + 1} within {ECHO_TIMEOUT_S:g} s", others, _SILENT)
    except (CommError, OSError) as error:
        yield failed("echo", error)
    else:
        low, middle, high = map(duration, (min(times), statistics.median(times), max(times)))
        text = f"{PROBES} probes came back in {middle} ({low} to {high})"
        yield Finding(OK, "echo", text + (f", among {counted(others, 'other message')}" if others else ""))


def _answer(connection: ConnectionBase, start: float) -> bytes | None:
    left = ECHO_TIMEOUT_S - (time.perf_counter() - start)
    if left <= 0:
        raise CommTimeout
    return connection.receive(left)


def _no_echo(text: str, others: int, mend: str) -> Finding:
    came = f"; {counted(others, 'other message')} came" if others else ""
    return Finding(FAIL, "echo", text + came, mend)


_HUNG_UP: Final = "does it want a key (key_file=), TLS (tls://), or another framing=?"
_SILENT: Final = "does the peer send back what it gets, as `leadscomm serve --echo` does, in this framing?"
