"""``leadscomm doctor``: find out, step by step, why an endpoint does not work."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from typing import Final, TextIO

from leadscomm.cli.diagnosis import talk
from leadscomm.cli.diagnosis.devices import open_device
from leadscomm.cli.diagnosis.findings import FAIL, OK, OPEN, WARN, Finding, Findings, Opening, failed
from leadscomm.cli.diagnosis.installation import installation
from leadscomm.cli.diagnosis.sessions import asked
from leadscomm.cli.diagnosis.sockets import open_socket, resolved
from leadscomm.cli.terminal import arguments
from leadscomm.cli.terminal.wording import counted, duration
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.endpoint import Endpoint
from leadscomm.errors import CommError, DeliveryError, EndpointError
from leadscomm.sessions.doors import connect
from leadscomm.sessions.timers import TimedConnection

LISTEN_S: Final = 1.0
MEASURE_S: Final = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    arguments.completed(
        parser.add_argument(
            "endpoint",
            nargs="?",
            metavar="ENDPOINT",
            help="what to connect to; without it the installation is examined",
        )
    )
    parser.add_argument("--echo", action="store_true", help="send probes to a peer that echoes, and measure")
    parser.add_argument(
        "--listen",
        type=arguments.short_time,
        default=LISTEN_S,
        metavar="SECONDS",
        help=f"how long to listen to what comes by itself (default {LISTEN_S:g})",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end, for programs")


def run(args: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Print each finding as it is made. Exit code 1 if there was a failure among them."""
    made: list[Finding] = []
    findings = installation() if args.endpoint is None else examine(args.endpoint, args.listen, echo=args.echo)
    with closing(findings):
        for finding in findings:
            made.append(finding)
            if not args.json:
                print("\n".join(finding.lines()), file=out, flush=True)
    marks = [finding.mark for finding in made]
    failures, warnings = marks.count(FAIL), marks.count(WARN)
    if args.json:
        told = {"endpoint": args.endpoint, "failures": failures, "warnings": warnings}
        print(json.dumps({**told, "findings": [finding.as_json() for finding in made]}, indent=2), file=out)
    else:
        parts = [counted(failures, "failure")] if failures else ["no failure"]
        parts += [counted(warnings, "warning")] if warnings else []
        print(", ".join(parts), file=out)
    return 1 if failures else 0


def examine(text: str, seconds: float, *, echo: bool) -> Findings:
    """Everything about one endpoint.

    :param seconds: how long to listen.
    :param echo: whether to send probes.
    """
    try:
        endpoint = Endpoint.parse(text)
    except EndpointError as error:
        yield failed("endpoint", error)
        return
    yield Finding(OK, "endpoint", f"{endpoint}, framing={endpoint.framing.name}")
    by_steps = not endpoint.has_session or endpoint.scheme == "serial"  # a session is opened as a whole
    opener = _OPENERS.get(endpoint.scheme, _open_other) if by_steps or endpoint.scheme == "loop" else _open_other
    connection = yield from opener(endpoint)
    if connection is None:
        return
    try:
        if isinstance(connection, TimedConnection):
            yield from talk.peer(connection)
        else:
            heard = yield from talk.listen(endpoint, connection, seconds)
            if not heard and (yield from _session(endpoint, echo=echo)):
                yield Finding(OPEN, "echo", "not tried: as it is, the peer takes nothing")
                return
        if echo:
            yield from talk.echo(connection)
        if isinstance(connection, TimedConnection):
            if connection.stats().session is not None:
                talk.measure(connection, MEASURE_S)
            yield from talk.link(connection)
        if endpoint.scheme in ("tcp", "tls") and connection.fileno() is not None:
            yield from talk.kernel_round_trip(connection)
        if not echo:
            yield Finding(OPEN, "echo", "not tried; with --echo probes go to a peer that sends them back")
    finally:
        with suppress(DeliveryError):  # a probe that got lost was told already
            connection.close()


def _session(endpoint: Endpoint, *, echo: bool) -> Generator[Finding, None, bool]:
    """Whether the peer speaks sessions, though the endpoint asks for none; returns whether it takes nothing else."""
    if endpoint.scheme == "serial":
        text = "not asked: an instrument might take the question for an order"
        mend = "`leadscomm ports --identify` asks it who it is; if its sketch has a session, write"
        yield Finding(OPEN, "session", text, f"{mend} {_and_session(endpoint)}")
        return False
    if endpoint.scheme == "udp" and not echo:
        mend = f"--echo asks; if the peer speaks sessions, write {_and_session(endpoint)}"
        yield Finding(OPEN, "session", "not asked: over UDP the question would be a message", mend)
        return False
    better, wants_key = asked(endpoint)
    wants_key = wants_key and endpoint.key() is None
    if wants_key:
        text = "the peer asks for a key, and this side has none"
        yield Finding(FAIL, "key", text, "give both sides the same key (key_file=), or neither")
    if better is not None:
        text = "the peer speaks sessions (reliable=1) and takes nothing else"
        yield Finding(FAIL, "session", text, f"write {better}")
    return wants_key or better is not None


def _and_session(endpoint: Endpoint) -> str:
    return f"{endpoint}{'&' if '?' in str(endpoint) else '?'}reliable=1"


def _open_udp(endpoint: Endpoint) -> Opening:
    """``udp://``: there is no connecting, so only an answer tells that somebody is there."""
    if not (yield from resolved(endpoint)):
        return None
    try:
        connection = connect(endpoint)
    except (CommError, OSError) as error:
        yield failed("connect", error)
        return None
    yield Finding(OPEN, "connect", f"nobody refuses it at {connection}; UDP has no more to tell before an answer comes")
    return connection


def _open_loop(endpoint: Endpoint) -> Generator[Finding, None, ConnectionBase | None]:
    yield Finding(FAIL, "connect", "loop:// stays inside one program; from here nobody can be reached", "use tcp://")
    return None


def _open_other(endpoint: Endpoint) -> Opening:
    """Any other scheme, also a user's own: by what every scheme has."""
    start = time.monotonic()
    try:
        connection = connect(endpoint)
    except (CommError, OSError) as error:
        yield failed("connect", error)
        return None
    yield Finding(OK, "connect", f"{connection} in {duration(time.monotonic() - start)}")
    if endpoint.options.get("key") or endpoint.options.get("key_file") or endpoint.options.get("key_env"):
        yield Finding(OK, "key", "both sides hold the same")
    return connection


_OPENERS: Final[dict[str, Callable[[Endpoint], Opening]]] = {
    "tcp": open_socket,
    "tls": open_socket,
    "udp": _open_udp,
    "serial": open_device,
    "loop": _open_loop,
}
