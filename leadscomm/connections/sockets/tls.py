"""TLS 1.3 over TCP, from the standard library."""

from __future__ import annotations

import contextlib
import logging
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from leadscomm.connections.address import Address, Caller
from leadscomm.connections.base import CHUNK_BYTES, ConnectionBase
from leadscomm.connections.listener import ListenerBase
from leadscomm.connections.shortage import unreadable
from leadscomm.connections.sockets.common import SocketListener, dial
from leadscomm.connections.sockets.tcp import TcpConnection, listening, tune
from leadscomm.connections.waiting import Interrupted, enter
from leadscomm.errors import AuthenticationFailed, CommTimeout, ConnectFailed, EndpointError
from leadscomm.protocol.framing import Framing
from leadscomm.protocol.words import marked, printable

_log = logging.getLogger("leadscomm")
FILES: Final = ("cert", "cert_key", "ca", "client_ca")
"""The options that name files."""


class TlsConnection(TcpConnection):
    """A conversation over TLS.

    OpenSSL allows one thread at a time, so reading never waits inside it: it waits for the socket, and reads under a
    lock.
    """

    __slots__ = ("_lock", "_tls")

    def __init__(self, socket: ssl.SSLSocket, address: tuple[Any, ...], *, framing: Framing | None = None) -> None:
        super().__init__(socket, address, framing=framing)
        socket.setblocking(False)
        self._tls = socket
        self._lock = threading.Lock()

    def set_blocking(self, blocking: bool) -> None:
        self._waits = blocking

    @property
    def has_to_ask(self) -> bool:
        return True

    def open(self, deadline: float) -> None:
        # OpenSSL takes two buffers for the first word: who has not said any is not given them.
        ready = not self.accepted or self._wait_readable(max(0.0, deadline - time.monotonic()))
        while True:
            if not ready:
                raise CommTimeout(f"{self} did not finish the TLS handshake in time; does it speak TLS?")
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                ready = self._wait_readable(max(0.0, deadline - time.monotonic()))
            except ssl.SSLWantWriteError:
                ready = self._wait_writable(max(0.0, deadline - time.monotonic()))
            except ssl.SSLError as error:
                raise failed(str(self), error) from error
            except OSError as error:
                raise AuthenticationFailed(
                    f"{self} ended the conversation in the middle of the TLS handshake ({error.strerror or error}); "
                    "does it speak TLS, and does it trust this side's certificate?"
                ) from error
        super().open(deadline)

    def _read(self) -> bytes | None:
        until = time.perf_counter() + self.spin if self.spin else 0.0
        while True:
            try:
                with self._lock:
                    data = self._tls.recv(CHUNK_BYTES)
                self._more = True  # a record may be half read; only SSLWantReadError tells
                if not data:
                    self._check_end()
                return data or None
            except ssl.SSLWantReadError:
                if until and time.perf_counter() < until:
                    continue
                self._more = False
                if not self._waits:
                    raise BlockingIOError from None
                self._wait_readable(None)
            except ssl.SSLError as error:
                self._check_end()
                raise failed(str(self), error) from error

    def _write(self, data: bytes | memoryview) -> int:
        if not enter(self._lock):
            raise Interrupted
        try:
            return self._tls.send(data)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            raise BlockingIOError from None
        finally:
            self._lock.release()

    def shut_sending(self) -> None:
        with contextlib.suppress(OSError, ValueError), self._lock:
            self._tls.unwrap()  # sends close_notify; the peer's is not waited for
        super().shut_sending()


def failed(peer: str, error: ssl.SSLError) -> AuthenticationFailed:
    """What to say of a TLS conversation that came to nothing."""
    reason = error.reason or ""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = printable(error.verify_message)
        mend = f"its certificate does not fit: {why}; ca= names its authority, server_name= its name"
    elif "PEER_DID_NOT_RETURN_A_CERTIFICATE" in reason:
        mend = "it showed no certificate, and client_ca asks for one; it has to give cert= and cert_key="
    elif "CERTIFICATE_REQUIRED" in reason:
        mend = "it wants a certificate of this side; give one with cert= and cert_key="
    elif "UNKNOWN_CA" in reason or "CERTIFICATE" in reason:
        mend = f"it does not trust this side's certificate ({reason}); give one of an authority that it knows (its ca=)"
    elif "WRONG_VERSION" in reason or "HTTP_REQUEST" in reason or "RECORD_LAYER" in reason:
        mend = "it does not speak TLS; use tcp://, or start TLS there"
    elif "PROTOCOL" in reason:
        mend = "it speaks no TLS 1.3, which is the oldest that leadscomm speaks"
    elif isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        mend = "it ended the conversation in the middle of the handshake; does it speak TLS?"
    else:
        mend = reason or printable(str(error))
    return AuthenticationFailed(f"TLS with {peer} failed: {mend}")


# Certificates --------------------------------------------------------------------------------------------------------


def server_context(options: Mapping[str, Any]) -> ssl.SSLContext:
    """TLS 1.3 for a server; with ``client_ca`` clients must show a certificate of that authority.

    :raises EndpointError: a file cannot be used; the text says which and why.
    """
    if not options["cert"]:
        raise EndpointError("a tls:// server needs its certificate: cert=FILE and, if it is apart, cert_key=FILE")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # nobody resumes sessions here, and a client that never reads would leave them unread
    _load(context, options)
    if options["client_ca"]:
        context.verify_mode = ssl.CERT_REQUIRED
        with _readable("client_ca", options["client_ca"]):
            context.load_verify_locations(options["client_ca"])
    return context


def client_context(options: Mapping[str, Any]) -> ssl.SSLContext:
    """TLS 1.3 for a client, which trusts ``ca`` or else the system's authorities.

    :raises EndpointError: a file cannot be used; the text says which and why.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if options["ca"]:
        with _readable("ca", options["ca"]):
            context.load_verify_locations(options["ca"])
    else:
        context.load_default_certs()
    if options["cert"]:
        _load(context, options)
    return context


def _load(context: ssl.SSLContext, options: Mapping[str, Any]) -> None:
    if options["cert_key"]:
        with _readable("cert_key", options["cert_key"]):
            pass  # so that what is wrong with it is not said of the certificate
    with _readable("cert", options["cert"]):
        context.load_cert_chain(options["cert"], options["cert_key"], password=_no_password)


def _no_password() -> str:
    """Asked for by OpenSSL where a private key is encrypted; without it, it would ask at the terminal, and wait."""
    raise EndpointError(
        "the private key is encrypted: leadscomm asks for no passwords. Take it off with `openssl pkey -in KEY -out "
        "NEWKEY`, and let the file's permissions protect it"
    )


@contextlib.contextmanager
def _readable(name: str, path: str) -> Iterator[None]:
    try:
        with open(path, "rb") as file:
            if marked(file.read(4)):
                raise EndpointError(
                    f"{name}={path} begins with a byte order mark, behind which OpenSSL finds nothing: save it as ASCII"
                )
        yield
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise EndpointError(f"{name}={path}: the certificate and the private key do not belong together") from error
        raise EndpointError(f"{name}={path} cannot be used: {error.reason or error}; a PEM file is wanted") from error
    except OSError as error:
        raise unreadable(f"{name}={path}", error) from error


class Contexts:
    """The TLS context of an endpoint, made anew when a file of it has changed. A renewal that cannot be used, half
    written perhaps, is told once, and the former context stays.

    :param make: of the endpoint's options.
    :param address: the endpoint; its caller is told.
    """

    def __init__(self, make: Callable[[Mapping[str, Any]], ssl.SSLContext], address: Address) -> None:
        self._make = make
        self._address = address
        self._seen = self._stamp()
        self._context = make(address.options)

    def current(self, caller: Caller) -> ssl.SSLContext:
        """The context for a connection that is made now. Any thread."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._context = self._make(self._address.options)
            except EndpointError as error:
                told = ConnectFailed(f"the renewed TLS files are not used, and the former ones stay: {error}")
                told.__cause__ = error
                caller.tell(told)
            else:
                _log.info("the TLS files of %s were renewed", self._address.host)
        return self._context

    def _stamp(self) -> tuple[tuple[int, int, int] | None, ...]:
        """What tells one state of the files from another."""
        return tuple(_identity(self._address.options[name]) for name in FILES)


def _identity(path: str | None) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path) if path else None
    except OSError:
        return None
    return None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)


# Opening -------------------------------------------------------------------------------------------------------------


def _contexts(address: Address) -> Contexts:
    """Those of a dialled endpoint: kept, so that what was right may stay."""
    files = ("tls", *(address.options[name] for name in FILES))
    contexts: Contexts | None = address.notes.get(str(files))
    if contexts is None:
        contexts = address.notes[str(files)] = Contexts(client_context, address)
    return contexts


def connect_tls(address: Address, deadline: float) -> ConnectionBase:
    """Open ``tls://``; the handshake is done by ``open``."""
    context = _contexts(address).current(address.caller)
    name = address.options["server_name"] or address.host
    sock = dial(address, deadline)
    try:
        tune(sock, address.options)
        peer = sock.getpeername()
        wrapped = context.wrap_socket(sock, do_handshake_on_connect=False, server_hostname=name)
    except BaseException:
        sock.close()
        raise
    return _dressed(wrapped, peer, address)


def listen_tls(address: Address) -> ListenerBase:
    """Listen on ``tls://``: on every address of the host, on one port. The handshakes are done by ``open``."""
    contexts = Contexts(server_context, address)

    def dress(sock: Any, peer: tuple[Any, ...]) -> ConnectionBase:
        tune(sock, address.options)
        context = contexts.current(address.caller)
        return _dressed(context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), peer, address)

    return SocketListener(listening(address), dress)


def _dressed(sock: ssl.SSLSocket, peer: tuple[Any, ...], address: Address) -> ConnectionBase:
    connection = TlsConnection(sock, peer, framing=address.framing.make())
    connection.spin = address.options["spin"]
    connection.watch_host(address.options["user_timeout"])
    return connection
