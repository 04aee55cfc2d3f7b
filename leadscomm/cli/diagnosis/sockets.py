"""Names, addresses, sockets, TLS and keys."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from leadscomm.cli.diagnosis import certificates
from leadscomm.cli.diagnosis.findings import FAIL, OK, OPEN, WARN, Finding, Findings, Opening, failed
from leadscomm.cli.terminal.wording import cause_and_mend, duration
from leadscomm.connections.base import ConnectionBase
from leadscomm.connections.endpoint import Endpoint
from leadscomm.connections.sockets.names import resolve
from leadscomm.connections.sockets.tcp import connect_tcp
from leadscomm.connections.sockets.tls import TlsConnection, connect_tls
from leadscomm.errors import CommError, ConnectFailed
from leadscomm.holders import listeners

_EXPIRES_SOON_DAYS = 14


def open_socket(endpoint: Endpoint) -> Opening:
    """``tcp://`` and ``tls://``."""
    hosts = yield from resolved(endpoint)
    if not hosts:
        return None
    connection = yield from _connected(endpoint, hosts)
    if connection is None:
        return None
    if connection._origin is None and (programs := listeners(endpoint.port)):
        yield Finding(OK, "program", f"{', '.join(map(str, programs))} listens there")
    if endpoint.scheme == "tls" and not (yield from _secured(endpoint, connection)):
        return None
    if not (yield from keyed(endpoint, connection)):
        return None
    return connection


def resolved(endpoint: Endpoint) -> Any:
    """The addresses of the endpoint's host; none if there is no such host."""
    try:
        deadline = time.monotonic() + endpoint.options["connect_timeout"]
        found = resolve(endpoint.host, endpoint.port, deadline=deadline)
    except ConnectFailed as error:
        yield failed("resolve", error)
        return []
    hosts = list(dict.fromkeys(str(target[0]) for *_, target in found))
    if hosts == [endpoint.host]:
        yield Finding(OK, "resolve", f"{endpoint.host} is an address")
    else:
        yield Finding(OK, "resolve", f"{endpoint.host} is {', '.join(hosts)}")
    return hosts


def _connected(endpoint: Endpoint, hosts: list[str]) -> Opening:
    """Try every address; keep the first connection."""
    kept: ConnectionBase | None = None
    failures: list[tuple[str, str]] = []
    name = endpoint.options.get("server_name") or endpoint.host
    secure = endpoint.scheme == "tls"
    named = Endpoint.parse(endpoint, server_name=name) if secure else endpoint
    dial = connect_tls if secure else connect_tcp
    for host in hosts:
        start = time.monotonic()
        try:
            connection = dial(named.at(host=host), start + endpoint.options["connect_timeout"])
        except (CommError, OSError) as error:
            failures.append(cause_and_mend(error))
            continue
        yield Finding(OK, "connect", f"{connection} in {duration(time.monotonic() - start)}")
        if kept is None:
            kept = connection
        else:
            discard(connection)
    for cause, mend in failures:
        yield Finding(FAIL if kept is None else WARN, "connect", cause, mend)
    return kept


def discard(connection: ConnectionBase) -> None:
    """Close a connection over which nothing was said, without a goodbye."""
    connection.abort()
    connection._close()


def _secured(endpoint: Endpoint, connection: ConnectionBase) -> Any:
    """The TLS handshake; whether it went well."""
    assert isinstance(connection, TlsConnection)
    start = time.monotonic()
    try:
        connection.open(start + endpoint.options["connect_timeout"])
    except (CommError, OSError) as error:
        yield failed("TLS", error)
        discard(connection)
        yield from _presented(endpoint)
        return False
    tls = connection._tls
    cipher = (tls.cipher() or ("?",))[0]
    yield Finding(OK, "TLS", f"{tls.version()}, {cipher}, in {duration(time.monotonic() - start)}")
    yield certificate_finding(tls.getpeercert() or {})
    return True


def _presented(endpoint: Endpoint) -> Findings:
    """What certificate the server showed, trusted or not."""
    name = endpoint.options.get("server_name") or endpoint.host
    try:
        shown = certificates.shown_by(endpoint.host, endpoint.port, name, endpoint.options["connect_timeout"])
    except (OSError, ValueError):
        return
    if shown:
        yield certificate_finding(shown, OPEN)


def certificate_finding(certificate: Mapping[str, Any], mark: str = OK) -> Finding:
    """A certificate in words."""
    names = ", ".join(certificates.names(certificate)) or "nobody"
    text = f"for {names}, by {certificates.issuer(certificate)}"
    until = certificate.get("notAfter")
    if until is None:
        return Finding(mark, "certificate", text)
    end = datetime.fromtimestamp(ssl.cert_time_to_seconds(until), timezone.utc)
    left = end - datetime.now(timezone.utc)
    text += f", until {end:%Y-%m-%d}"
    if mark == OK and left.days < _EXPIRES_SOON_DAYS:
        return Finding(WARN, "certificate", f"{text}: {left.days} days are left", "renew it")
    return Finding(mark, "certificate", text)


def keyed(endpoint: Endpoint, connection: ConnectionBase) -> Any:
    """The key challenge; whether it went well. If not, the connection is closed."""
    try:
        key = endpoint.key()
        if key is None:
            yield Finding(OPEN, "key", "none is used" + ("" if not endpoint.exposed() else _ANYBODY))
            return True
        connection.key = key
        ConnectionBase.open(connection, time.monotonic() + endpoint.options["connect_timeout"])
    except (CommError, OSError) as error:
        yield failed("key", error)
        discard(connection)
        return False
    yield Finding(OK, "key", "both sides hold the same")
    return True


_ANYBODY = ": whoever reaches the port may talk, and listen on the way"
