"""`leadscomm doctor`: against peers with every fault that it knows."""

from __future__ import annotations

import io
import os
import random
import socket
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from leadscomm import Callback, Endpoint, create_server
from leadscomm.cli.commands import COMMANDS, execute, make_parser
from leadscomm.cli.diagnosis.sockets import certificate_finding
from tests.cli.peers import saying, silent, tcp_peer
from tests.cli.program import ROOT, run

CERTIFICATES = ROOT / "tests" / "data" / "tls"
KEY = b"a key that both sides hold"


class Echo(Callback):
    def on_receive(self, service, msg):
        service.sender.send(msg)


class Report:
    """What the doctor said: its exit code, and the steps by their names."""

    def __init__(self, *arguments: object) -> None:
        out, err = io.StringIO(), io.StringIO()
        args = make_parser().parse_args(["doctor", *map(str, arguments)])
        self.code = execute(COMMANDS["doctor"], args, out, err)
        self.text = out.getvalue()
        assert err.getvalue() == ""
        lines = self.text.splitlines()
        assert all(len(line) <= 80 or line.split() == [line.strip()] for line in lines), self.text
        self.steps: dict[str, str] = {}
        name = ""
        for line in lines[:-1]:
            if line[0] != " ":
                mark, name, line = line[:5].strip(), line[6:18].strip(), line[18:]
                self.steps[name] = f"{self.steps[name]} | {mark}" if name in self.steps else mark
            self.steps[name] += f" {line.strip()}"
        self.closing = lines[-1]

    def __getitem__(self, step: str) -> str:
        return self.steps[step]


def test_an_echoing_server():
    with create_server(0, Echo()) as server:
        report = Report(server.port(), "--echo", "--listen", 0.01)
    assert report.code == 0, report.text
    assert report["endpoint"] == f"ok tcp://127.0.0.1:{server.port()}, framing=separator"
    assert report["resolve"] == "ok 127.0.0.1 is an address"
    assert report["connect"].startswith("ok 127.0.0.1:")
    if sys.platform == "linux":
        assert report["program"].endswith(f"(process {os.getpid()}) listens there")
    assert report["key"] == "- none is used"
    assert report["framing"].startswith("- nothing came within 0.01 s")
    assert report["echo"].startswith("ok 10 probes came back in ")
    if sys.platform == "linux":
        assert report["round trip"].startswith("ok ")
    assert report.closing == "no failure"


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_a_server_that_speaks_sessions(scheme):
    met: list[object] = []

    class Heard(Callback):
        def on_connect(self, service, connection):
            met.append(connection)

    with create_server(f"{scheme}://127.0.0.1:0?reliable=1", Heard()) as server:
        plain = f"{scheme}://127.0.0.1:{server.port()}"
        report = Report(plain, "--listen", 0.01, *(["--echo"] if scheme == "udp" else []))
        assert report["session"] == (
            f"FAIL the peer speaks sessions (reliable=1) and takes nothing else mend: write {plain}?reliable=1"
        )
        assert report.code == 1
        assert Report(f"{plain}?reliable=1", "--listen", 0.01)["session"].startswith("ok ")
    assert len(met) == 1  # the one with reliable=1


def test_a_datagram_is_no_question_unless_it_may_be():
    with create_server("udp://127.0.0.1:0?reliable=1") as server:
        plain = f"udp://127.0.0.1:{server.port()}"
        report = Report(plain, "--listen", 0.01)
    assert report.code == 0
    assert report["session"].startswith("- not asked: over UDP the question would be a message mend: --echo asks")
    assert report["session"].endswith(f"write {plain}?reliable=1")


def test_a_silent_server():
    with tcp_peer(silent) as port:
        report = Report(port, "--listen", 0.01)
        assert report.code == 0
        assert report["echo"].startswith("- not tried")
        report = Report(port, "--listen", 0.01, "--echo")
        assert report.code == 1
        assert report["echo"].startswith("FAIL no echo of probe 1 within 2 s mend: ")
        assert report.closing == "1 failure"


def test_a_refused_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        code, out, err = run("doctor", sock.getsockname()[1])
    assert (code, err) == (1, "")
    assert "FAIL  connect     nobody listens on 127.0.0.1" in out
    assert "mend: is the server started" in out


def test_a_host_that_does_not_exist():
    report = Report("tcp://no-such-host.invalid:16900")
    assert report.code == 1
    assert report["resolve"].startswith("FAIL there is no host 'no-such-host.invalid'")
    assert "connect" not in report.steps


def test_a_name_with_several_addresses(monkeypatch):
    with create_server(0, Echo()) as server:
        port = server.port()

        def addresses(host, port, **more):
            numbers = ("127.0.0.9", "127.0.0.1") if host == "arm.example" else (host,)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port)) for number in numbers]

        monkeypatch.setattr(socket, "getaddrinfo", addresses)
        report = Report(f"tcp://arm.example:{port}", "--listen", 0.01)
    assert report.code == 0
    assert report["resolve"] == "ok arm.example is 127.0.0.9, 127.0.0.1"
    assert report["connect"].startswith("ok 127.0.0.1:")
    assert " | warn nobody listens on 127.0.0.9" in report["connect"]
    assert report.closing == "no failure, 1 warning"


@pytest.mark.parametrize("text", ["tpc://x", "tcp://x?framing=morse", "tcp://x:y", "tcp://x?key=secret"])
def test_an_endpoint_that_cannot_be_right(text):
    report = Report(text)
    assert report.code == 1
    assert list(report.steps) == ["endpoint"]
    assert report["endpoint"].startswith("FAIL ")


def test_a_peer_that_ends_the_conversation():
    with tcp_peer(lambda peer: None) as port:
        report = Report(port)
    assert report.code == 1
    assert "the peer ended the conversation after " in report["framing"]


NOISE = random.Random(1).randbytes(400)


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (b"speed=1;speed=2;spe", "", "ok 19 bytes came, 2 messages in framing=separator"),
        (NOISE, "", "FAIL looks like another framing, or noise"),
        (b"speed=1\nspeed=2\n", "", "FAIL 16 bytes came that look like framing=line"),
        (b"speed=1;speed=2;", "?framing=cobs", "FAIL 16 bytes came that look like framing=separator"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "", "FAIL 28 bytes came that look like HTTP"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "", "FAIL 7 bytes came that look like a TLS alert"),
        (b"one endless line of text", "", "warn 24 bytes came, readable"),
        (b"abc", "", "- only 3 bytes came"),
    ],
)
def test_what_a_peer_says_by_itself(data, options, said):
    with tcp_peer(saying(data)) as port:
        report = Report(f"tcp://127.0.0.1:{port}{options}", "--listen", 0.3)
    assert report["framing"].startswith(said)
    assert report.code == (1 if said.startswith("FAIL") else 0)


def test_probes_among_other_messages():
    class Chatty(Echo):
        def on_connect(self, service, connection):
            connection.send(b"welcome")

        def on_receive(self, service, msg):
            service.sender.send(b"news")
            super().on_receive(service, msg)

    with create_server(0, Chatty()) as server:
        report = Report(server.port(), "--echo", "--listen", 0.2)
    assert report["framing"].startswith("ok 8 bytes came, 1 message")
    assert report["echo"].endswith("among 10 other messages")


def test_a_peer_that_hangs_up_when_it_is_asked():
    with tcp_peer(lambda peer: peer.recv(1)) as port:
        report = Report(port, "--echo", "--listen", 0.01)
    assert report.code == 1
    assert report["echo"].startswith("FAIL ")


# Keys


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_bytes(KEY)
    return path


def test_a_key_that_both_sides_hold(key_file):
    with create_server(0, Echo(), key=KEY) as server:
        report = Report(f"tcp://127.0.0.1:{server.port()}?key_file={key_file}", "--echo", "--listen", 0.01)
    assert report.code == 0, report.text
    assert report["key"] == "ok both sides hold the same"
    assert report["echo"].startswith("ok")


def test_another_key(key_file):
    with create_server(0, Echo(), key=KEY + b"!") as server:
        report = Report(f"tcp://127.0.0.1:{server.port()}?key_file={key_file}")
    assert report.code == 1
    assert "holds another key" in report["key"]
    assert "framing" not in report.steps


def test_a_key_that_is_not_there(tmp_path):
    with create_server(0, Echo(), key=KEY) as server:
        report = Report(f"tcp://127.0.0.1:{server.port()}?key_file={tmp_path}/none")
    assert report.code == 1
    assert report["key"].split()[:4] == ["FAIL", f"key_file={tmp_path}/none", "cannot", "be"]


def test_a_server_that_wants_a_key():
    with create_server(0, Echo(), key=KEY) as server:
        report = Report(server.port(), "--echo", "--listen", 0.01)
    assert report.code == 1
    assert report["key"].startswith("- none is used | FAIL the peer asks for a key")
    assert "key_file=" in report["key"]
    assert report["echo"] == "- not tried: as it is, the peer takes nothing"
    assert report.closing == "1 failure"


# TLS


NAMES = "localhost, 127.0.0.1, 0:0:0:0:0:0:0:1"


def tls_server(name: str):
    files = {"cert": CERTIFICATES / f"{name}.pem", "cert_key": CERTIFICATES / f"{name}.key"}
    return create_server("tls://127.0.0.1:0", Echo(), **{option: str(path) for option, path in files.items()})


def test_tls():
    with tls_server("server") as server:
        ca = CERTIFICATES / "ca.pem"
        report = Report(f"tls://127.0.0.1:{server.port()}?ca={ca}", "--echo", "--listen", 0.01)
    assert report.code == 0, report.text
    assert report["TLS"].startswith("ok TLSv1.3, TLS_")
    assert report["certificate"] == f"ok for {NAMES}, by leadscomm test authority, until 2100-01-01"
    assert report["echo"].startswith("ok")


@pytest.mark.parametrize(
    ("certificate", "ca", "told", "shown"),
    [
        ("elsewhere", "ca", "mismatch", "- for elsewhere.example, by leadscomm test authority, until 2100-01-01"),
        ("expired", "ca", "expired", f"- for {NAMES}, by leadscomm test authority, until 2021-01-01"),
        ("server", "other_ca", "issuer", f"- for {NAMES}, by leadscomm test authority, until 2100-01-01"),
    ],
)
def test_a_certificate_that_does_not_fit(certificate, ca, told, shown):
    with tls_server(certificate) as server:
        report = Report(f"tls://127.0.0.1:{server.port()}?ca={CERTIFICATES / ca}.pem")
    assert report.code == 1
    assert report["TLS"].startswith("FAIL TLS with 127.0.0.1:")
    assert told in report["TLS"]
    assert "mend: ca= names its authority, server_name= its name" in report["TLS"]
    assert report.steps.get("certificate", "") == shown


def test_a_server_that_speaks_no_tls():
    with tcp_peer(saying(b"hello;")) as port:
        report = Report(f"tls://127.0.0.1:{port}?ca={CERTIFICATES / 'ca.pem'}")
    assert report.code == 1
    assert "does not speak TLS" in report["TLS"]


def test_a_server_that_wants_tls():
    with tls_server("server") as server:
        report = Report(f"tcp://127.0.0.1:{server.port()}", "--echo", "--listen", 0.01)
    assert report.code == 1
    assert report["echo"].startswith("FAIL ")


# Other schemes


def test_a_unix_socket(tmp_path):
    with create_server(f"unix://{tmp_path}/s", Echo()):
        report = Report(f"unix://{tmp_path}/s", "--echo", "--listen", 0.01)
        assert report.code == 0, report.text
    report = Report(f"unix://{tmp_path}/s")
    assert report.code == 1
    assert report["connect"].startswith("FAIL ")


def test_a_loop_cannot_be_reached_from_here():
    report = Report("loop://x")
    assert report.code == 1
    assert "inside one program" in report["connect"]


# The installation


def test_the_installation():
    report = Report()
    assert report["leadscomm"].startswith("ok 0.")
    assert report["Python"].startswith(f"ok {sys.version_info.major}.{sys.version_info.minor}")
    assert report["pyserial"].startswith("ok 3.")
    assert report["TLS"].startswith("ok 1.3")
    assert report["crcmod"].startswith(("ok with its C extension", "warn without its C extension"))
    assert report.code == 0


def test_too_few_descriptors():
    if os.name == "nt":
        pytest.skip("Windows has no ulimit")
    command = f"ulimit -n 100; exec {sys.executable} -m leadscomm doctor"
    done = subprocess.run(["bash", "-c", command], capture_output=True, cwd=ROOT, text=True, timeout=60)
    assert "warn  ulimit -n   only 100 files" in done.stdout


def test_udp():
    with create_server("udp://127.0.0.1:0", Echo()) as server:
        report = Report(server.endpoint, "--echo", "--listen", 0.01)
        assert report.code == 0, report.text
        assert report["connect"].startswith("- nobody refuses it at 127.0.0.1:")
        assert report["echo"].startswith("ok")
        endpoint = server.endpoint
    report = Report(endpoint)
    assert report.code == 1
    assert report["connect"].startswith("FAIL nobody listens on 127.0.0.1:")
    assert "no host" in Report("udp://no-such-host.invalid:1")["resolve"]


def test_a_udp_server_that_greets():
    class Greeting(Callback):
        def on_connect(self, service, connection):
            connection.send(b"welcome")

    with create_server("udp://127.0.0.1:0", Greeting()) as server:
        report = Report(server.endpoint, "--listen", 0.2)
    assert report["framing"] == "ok 1 datagram came"


def test_a_key_on_another_transport(tmp_path, key_file):
    endpoint = f"unix://{tmp_path}/s?key_file={key_file}"
    with create_server(endpoint, Echo()):
        report = Report(endpoint, "--listen", 0.01)
    assert report["key"] == "ok both sides hold the same"


def test_a_certificate_that_expires_soon():
    end = datetime.now(timezone.utc) + timedelta(days=3, hours=1)
    name = ((("commonName", "arm"),),)
    certificate = {"subject": name, "issuer": name, "notAfter": f"{end:%b %d %H:%M:%S %Y} GMT"}
    found = certificate_finding(certificate)
    assert (found.mark, found.mend) == ("warn", "renew it")
    assert found.text == f"for arm, by itself, until {end:%Y-%m-%d}: 3 days are left"
    assert certificate_finding({}).text == "for nobody, by itself"
    named = {**certificate, "issuer": ((("organizationName", "Example"),),), "notAfter": None}
    assert certificate_finding(named).text == "for arm, by Example"
    assert certificate_finding({**named, "issuer": ()}).text == "for arm, by somebody without a name"


def test_a_port_that_everybody_may_reach_without_a_key(monkeypatch):
    monkeypatch.setattr(Endpoint, "exposed", lambda self: True)
    with tcp_peer(silent) as port:
        report = Report(port, "--listen", 0.01)
    assert report["key"] == "- none is used: whoever reaches the port may talk, and listen on the way"
