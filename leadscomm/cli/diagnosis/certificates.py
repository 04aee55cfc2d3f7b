"""The certificate that a TLS server shows, also when it is not to be trusted."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from typing import Any, Final

from leadscomm.protocol.words import printable

_NO_CHECK_TIME: Final = ssl.VerifyFlags(0x200000)
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which the standard library does not name."""


def shown_by(host: str, port: int, name: str, timeout: float) -> Mapping[str, Any]:
    """The certificate as ``ssl.SSLSocket.getpeercert`` gives it; empty if it cannot be read.

    The standard library reads only a certificate that it trusts. So it is fetched without trust first, and then trusted
    for a second handshake, over which nothing is said.

    :param name: what the server is asked for (SNI).
    :param timeout: seconds for each of the two.
    :raises OSError: the server cannot be reached or speaks no TLS.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with _handshake(context, host, port, name, timeout) as tls:
        der = tls.getpeercert(binary_form=True)
    if not der:
        return {}
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    trusting.load_verify_locations(cadata=der)
    with _handshake(trusting, host, port, name, timeout) as tls:
        return tls.getpeercert() or {}


def _handshake(context: ssl.SSLContext, host: str, port: int, name: str, timeout: float) -> ssl.SSLSocket:
    plain = socket.create_connection((host, port), timeout)
    try:
        return context.wrap_socket(plain, server_hostname=name)
    except BaseException:
        plain.close()
        raise


def names(certificate: Mapping[str, Any]) -> list[str]:
    """Whom it is for."""
    found = [printable(str(name)) for _, name in certificate.get("subjectAltName", ())]
    return found or _field(certificate, "subject", "commonName")


def issuer(certificate: Mapping[str, Any]) -> str:
    """Who signed it, in words."""
    if certificate.get("issuer") == certificate.get("subject"):
        return "itself"
    found = _field(certificate, "issuer", "commonName") or _field(certificate, "issuer", "organizationName")
    return found[0] if found else "somebody without a name"


def _field(certificate: Mapping[str, Any], part: str, field: str) -> list[str]:
    return [printable(str(value)) for names in certificate.get(part, ()) for key, value in names if key == field]
