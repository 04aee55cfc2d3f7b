"""TLS: certificates that fit and that do not, peers that speak something else, and who never finishes a handshake."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leadscomm import AuthenticationFailed, CommTimeout, EndpointError, connect, create_client, create_server, listen
from leadscomm.connections.sockets import tls
from tests.connections.transports import (
    CERTIFICATES,
    TLS_CLIENT,
    TLS_SERVER,
    TRANSPORTS,
    Later,
    accepted,
    conversation,
    listening,
)
from tests.entities.recorder import PATIENCE_S, Recorder, wait_until

TLS = TRANSPORTS[2]
CA = f"ca={CERTIFICATES}/ca.pem"


def server_url(name: str, more: str = "") -> str:
    return f"tls://127.0.0.1:0?cert={CERTIFICATES}/{name}.pem&cert_key={CERTIFICATES}/{name}.key{more}"


def client_url(port: int, options: str = CA) -> str:
    return f"tls://127.0.0.1:{port}?{options}"


def shown(name: str) -> str:
    return f"&cert={CERTIFICATES}/{name}.pem&cert_key={CERTIFICATES}/{name}.key"


# Renewed files ------------------------------------------------------------------------------------------------------


def renew(folder: Path, name: str, *, half: bool = False) -> None:
    """Put another certificate where the present one is, and its key unless only half of it is done."""
    for end in ("pem",) if half else ("pem", "key"):
        shutil.copyfile(CERTIFICATES / f"{name}.{end}", folder / f"new.{end}")
        os.replace(folder / f"new.{end}", folder / f"ours.{end}")


def owner(connection: Any) -> Any:
    """Whose certificate the peer has shown."""
    return dict(pair for part in connection._tls.getpeercert()["subject"] for pair in part)["commonName"]


def test_a_renewed_certificate_of_a_server_counts_from_the_next_connection_on(tmp_path):
    renew(tmp_path, "server")
    url = f"tls://127.0.0.1:0?cert={tmp_path}/ours.pem&cert_key={tmp_path}/ours.key"

    def met(server: Any) -> Any:
        client = connect(client_url(server.port(), CA + "&server_name=elsewhere.example"))
        try:
            return owner(client)
        finally:
            client.close()

    with create_server(url, heard := Recorder()) as server:
        with pytest.raises(AuthenticationFailed, match="Hostname mismatch"):
            met(server)
        heard.wait("fail")
        renew(tmp_path, "elsewhere", half=True)  # the key is not there yet
        for _ in range(2):
            with pytest.raises(AuthenticationFailed, match="Hostname mismatch"):
                met(server)
        wait_until(lambda: any("renewed" in str(error) for error in heard.of("fail")))
        renew(tmp_path, "elsewhere")
        assert met(server)
        told = [str(error) for error in heard.of("fail") if "renewed" in str(error)]
        assert len(told) == 1
        assert "the former ones stay" in told[0]
        assert "do not belong together" in told[0]


def test_a_renewed_certificate_of_a_client_counts_from_the_next_connection_on(tmp_path):
    renew(tmp_path, "stranger")
    place = f"&cert={tmp_path}/ours.pem&cert_key={tmp_path}/ours.key"
    with create_server(server_url("server", f"&client_{CA}"), heard := Recorder()) as server:
        url = client_url(server.port(), CA + place)
        with create_client(url, told := Recorder(), reconnect=True, reconnect_min=0.01, reconnect_max=0.01):
            heard.wait("fail")
            renew(tmp_path, "client", half=True)
            wait_until(lambda: any("the former ones stay" in str(error) for error in told.of("fail")))
            assert heard.of("connect") == []
            renew(tmp_path, "client")
            heard.wait("connect")


# Certificates --------------------------------------------------------------------------------------------------------


def test_it_is_tls_1_3():
    with conversation(TLS) as (client, server, _):
        assert client._tls.version() == server._tls.version() == "TLSv1.3"
        assert client._tls.getpeercert()["subject"] == ((("commonName", "localhost"),),)


@pytest.mark.parametrize(
    ("server", "options", "mend"),
    [
        (
            "server",
            f"ca={CERTIFICATES}/other_ca.pem",
            "unable to get local issuer certificate; ca= names its authority",
        ),
        ("server", "", "certificate does not fit: .*; ca= names its authority"),
        ("expired", CA, "certificate does not fit: certificate has expired"),
        ("elsewhere", CA, "IP address mismatch.*server_name= its name"),
        ("server", CA + "&server_name=elsewhere.example", "Hostname mismatch.*server_name= its name"),
    ],
)
def test_a_server_whose_certificate_does_not_fit(server, options, mend):
    with create_server(server_url(server), heard := Recorder()) as running:
        with pytest.raises(AuthenticationFailed, match=mend):
            connect(client_url(running.port(), options))
        assert isinstance(heard.wait("fail")[0], AuthenticationFailed)
        assert "does not trust this side's certificate" in str(heard.of("fail")[0])
        assert running.num_connections() == 0


def test_a_certificate_for_another_name_that_was_expected():
    with create_server(server_url("elsewhere"), heard := Recorder()) as server:
        client = connect(client_url(server.port(), CA + "&server_name=elsewhere.example"))
        client.send(b"hello")
        assert heard.wait("receive") == [b"hello"]
        client.close()


def test_client_certificates():
    url = server_url("server", f"&client_{CA}")
    with create_server(url, heard := Recorder()) as server:
        client = connect(client_url(server.port(), CA + shown("client")))
        client.send(b"it is me")
        assert heard.wait("receive") == [b"it is me"]
        client.close()
        heard.wait("disconnect")


@pytest.mark.parametrize(
    ("client", "at_the_server", "at_the_client"),
    [
        (
            "",
            "showed no certificate, and client_ca asks for one",
            "wants a certificate of this side; give one with cert=",
        ),
        ("stranger", "certificate does not fit", "does not trust this side's certificate"),
    ],
)
def test_clients_that_are_not_known(client, at_the_server, at_the_client):
    with create_server(server_url("server", f"&client_{CA}"), heard := Recorder()) as server:
        told = Recorder()
        url = client_url(server.port(), CA + (shown(client) if client else ""))
        with create_client(url, told):
            assert at_the_server in str(heard.wait("fail")[0])
            error = told.wait("fail")[0]  # TLS 1.3 tells the client after its handshake
            assert isinstance(error, AuthenticationFailed)
            assert at_the_client in str(error)
        assert "connect" not in heard.kinds()


def test_files_that_cannot_be_used(tmp_path):
    def fails(url: str, mend: str) -> None:
        with pytest.raises(EndpointError, match=mend):
            listen(url)

    fails("tls://127.0.0.1:0", "needs its certificate: cert=FILE and, if it is apart, cert_key=FILE")
    fails("tls://127.0.0.1:0?cert=/nowhere.pem", r"cert=/nowhere\.pem cannot be read: No such file")
    (tmp_path / "junk").write_text("junk")
    fails(f"tls://127.0.0.1:0?cert={tmp_path}/junk", "cannot be used: .*a PEM file is wanted")
    fails(
        f"tls://127.0.0.1:0?cert={CERTIFICATES}/server.pem&cert_key={CERTIFICATES}/client.key",
        "the certificate and the private key do not belong together",
    )
    fails(
        f"tls://127.0.0.1:0?cert={CERTIFICATES}/server.pem&cert_key={CERTIFICATES}/server_encrypted.key",
        "the private key is encrypted: leadscomm asks for no passwords. Take it off with `openssl pkey",
    )
    fails(server_url("server", f"&client_ca={tmp_path}/junk"), "client_ca=.*/junk cannot be used")
    for name in ("server.pem", "server.key"):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + (CERTIFICATES / name).read_bytes())
    marked = "begins with a byte order mark, behind which OpenSSL finds nothing: save it as ASCII"
    fails(f"tls://127.0.0.1:0?cert={tmp_path}/server.pem", f"cert=.*{marked}")
    fails(f"tls://127.0.0.1:0?cert={CERTIFICATES}/server.pem&cert_key={tmp_path}/server.key", f"cert_key=.*{marked}")
    fails(server_url("server", f"&client_ca={tmp_path}/server.pem"), f"client_ca=.*{marked}")
    with pytest.raises(EndpointError, match=r"ca=/nowhere\.pem cannot be read"):
        connect(client_url(1, "ca=/nowhere.pem"))


def test_certificate_and_key_in_one_file(tmp_path):
    with open(tmp_path / "both.pem", "wb") as both:
        for name in ("server.pem", "server.key"):
            with open(CERTIFICATES / name, "rb") as part:
                shutil.copyfileobj(part, both)
    with create_server(f"tls://127.0.0.1:0?cert={tmp_path}/both.pem") as server:
        connect(client_url(server.port())).close()


# Others --------------------------------------------------------------------------------------------------------------


def test_a_peer_that_speaks_only_tls_1_2():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with create_server(server_url("server"), heard := Recorder()) as server:
        with socket.create_connection(("127.0.0.1", server.port())) as sock, pytest.raises(ssl.SSLError):
            context.wrap_socket(sock)
        assert "speaks no TLS 1.3" in str(heard.wait("fail")[0])


def test_a_peer_that_speaks_no_tls():
    with create_server(server_url("server"), heard := Recorder()) as server:
        with socket.create_connection(("127.0.0.1", server.port())) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert "does not speak TLS; use tcp://, or start TLS there" in str(heard.wait("fail")[0])
        with socket.create_connection(("127.0.0.1", server.port())) as sock:
            sock.sendall(b"\x16\x03\x01")
        assert "in the middle of the" in str(heard.wait("fail", 2)[1])


def test_a_server_that_answers_in_plain_text():
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def answer() -> None:
            with plain.accept()[0] as sock:
                sock.recv(100)
                sock.sendall(b"220 welcome\r\n")
                sock.recv(100)

        answering = Later(answer)
        with pytest.raises(AuthenticationFailed, match=r"does not speak TLS; use tcp://, or start TLS there"):
            connect(client_url(plain.getsockname()[1]))
        answering.result()


def test_a_server_that_hangs_up():
    with socket.create_server(("127.0.0.1", 0)) as rude:
        hanging_up = Later(lambda: rude.accept()[0].close())
        with pytest.raises(AuthenticationFailed, match=r"in the middle of the .*; does it speak TLS"):
            connect(client_url(rude.getsockname()[1]))
        hanging_up.result()


def test_a_server_that_says_nothing():
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(CommTimeout, match=r"did not finish the TLS handshake in time; does it speak TLS\?"),
    ):
        connect(client_url(silent.getsockname()[1], CA + "&connect_timeout=0.1"))


def test_one_byte_a_time_is_no_handshake_and_disturbs_nobody():
    with create_server(server_url("server", "&handshake_timeout=0.3"), heard := Recorder()) as server:
        with socket.create_connection(("127.0.0.1", server.port())) as slow:
            done = threading.Event()

            def drip() -> None:
                with contextlib.suppress(OSError):
                    for byte in b"\x16\x03\x01\x02\x00" + bytes(600):
                        slow.sendall(bytes([byte]))
                        if done.wait(0.01):
                            break

            dripping = Later(drip)
            client = connect(client_url(server.port()))
            client.send(b"meanwhile")
            assert heard.wait("receive") == [b"meanwhile"]
            assert "did not finish the TLS handshake in time" in str(heard.wait("fail")[0])
            done.set()
            dripping.result()
            client.close()
        heard.wait("disconnect")


# What OpenSSL wants --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def wrapped() -> Iterator[tuple[tls.TlsConnection, ssl.SSLSocket, socket.socket]]:
    """A connection of ours, and the other end: the TLS of it and the socket below, to be played with."""
    with listening(TLS_SERVER) as listener:
        waiting = Later(accepted, listener)
        context = tls.client_context({"ca": f"{CERTIFICATES}/ca.pem", "cert": None})
        sock = socket.create_connection(("127.0.0.1", listener.port()))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        while True:
            try:
                peer.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(sock.recv(65536))
        sock.sendall(outgoing.read())
        server = waiting.result()
        try:
            yield server, (peer, outgoing), sock
        finally:
            sock.close()
            server.abort()
            server.close()


def test_half_a_record_makes_nobody_wait_too_long():
    with wrapped() as (server, (peer, outgoing), sock):
        peer.write(b"one;two;")
        record = outgoing.read()
        sock.sendall(record[:10])
        with pytest.raises(CommTimeout):
            server.receive(0.05)
        sock.sendall(record[10:])
        assert server.receive(PATIENCE_S) == b"one"
        assert server.receive(0) == b"two"
        peer.write(b"x" * 100)
        sock.sendall(outgoing.read()[:-1])
        closing = Later(server.close)  # what never becomes whole does not hold up closing
        closing.result()


def test_garbage_in_the_middle_is_no_message():
    with wrapped() as (server, (peer, outgoing), sock):
        peer.write(b"one;")
        sock.sendall(outgoing.read() + bytes(100))
        assert server.receive(PATIENCE_S) == b"one"
        assert server.receive(PATIENCE_S) is None


def test_a_goodbye_of_tls_is_an_end():
    with wrapped() as (server, (peer, outgoing), sock):
        peer.write(b"one;")
        with contextlib.suppress(ssl.SSLWantReadError):
            peer.unwrap()
        sock.sendall(outgoing.read())
        assert server.receive(PATIENCE_S) == b"one"
        assert server.receive(PATIENCE_S) is None


def test_spinning_over_tls():
    with create_server(server_url("server", "&spin=0.001"), Recorder(lambda s, m: s.sender.send(m))) as server:
        told = Recorder()
        with create_client(TLS_CLIENT.format(port=server.port()) + "&spin=0.001", told) as client:
            for i in range(20):
                client.send(b"%d" % i)
                told.wait("receive", i + 1)


def test_texts_of_failures():
    def text(reason: str, kind: type[ssl.SSLError] = ssl.SSLError) -> str:
        error = kind(1, "text of OpenSSL")
        error.reason = reason
        return str(tls.failed("peer", error))

    assert "did you" not in text("SOMETHING_ELSE")
    assert text("SOMETHING_ELSE") == "TLS with peer failed: SOMETHING_ELSE"
    assert "speaks no TLS 1.3" in text("UNSUPPORTED_PROTOCOL")
    assert "in the middle of the handshake" in text("", ssl.SSLEOFError)
    assert "in the middle of the handshake" in text("", ssl.SSLZeroReturnError)
    assert "text of OpenSSL" in text("")
