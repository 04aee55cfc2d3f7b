"""`leadscomm serve` and `leadscomm connect`, talking to each other and to the library."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading

import pytest

from leadscomm import Callback, Server, create_server
from tests.cli.program import PATIENCE_S, ROOT, Program, run
from tests.entities.recorder import Recorder

NEEDS_TERMINAL = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo terminals")


def listening(program: Program) -> str:
    """The endpoint that a `serve` listens on."""
    return program.out.see(r"^listening on (\S+)\r?$")[1]


class Answering(Callback):
    """Answers with the message in capitals; `bye` ends the conversation."""

    def on_receive(self, service, msg):
        if msg == b"bye":
            service.sender.close()
        else:
            service.sender.send(msg.upper())


@pytest.fixture
def server():
    with create_server(0, Answering()) as running:
        yield running


def test_serve_shows_who_comes_what_is_said_and_who_goes():
    with Program("serve", 0) as serve:
        port = listening(serve).rpartition(":")[2]
        code, out, _ = run("connect", port, "--wait", 0, stdin="one\nzwölf\n\x1b[2J\\".encode())
        assert (code, out) == (0, "")
        peer = serve.out.see(r"^\+ (\S+) connected$")[1]
        serve.out.see(rf"^- {peer} disconnected$")
        lines = str(serve.out).splitlines()[1:]
        assert lines == [
            f"+ {peer} connected",
            f"  {peer}: one",
            f"  {peer}: zwölf",
            rf"  {peer}: \x1b[2J\ ".rstrip(),
            f"- {peer} disconnected",
        ]
        serve.interrupt()
        assert serve.wait() == 130
        assert str(serve.err) == ""


def test_a_server_that_speaks_sessions_is_named():
    with create_server("tcp://127.0.0.1:0?reliable=1", Answering()) as server:
        plain = f"tcp://127.0.0.1:{server.port()}"
        code, out, err = run("connect", plain, stdin=b"one\n")
    assert (code, out) == (1, "")
    assert err == f"leadscomm: {plain} takes nothing without a session: write {plain}?reliable=1\n"


def test_a_server_that_does_not_answer_is_not_troubled():
    told = Recorder()
    with create_server(0, told) as server:
        code, out, err = run("connect", server.port(), stdin=b"one\n")
        assert (code, out, err) == (0, "", "")
        told.wait("disconnect")
    assert told.kinds() == ["initialize", "connect", "receive", "disconnect"]


def test_serve_echoes_in_hexadecimal():
    with Program("serve", "tcp://127.0.0.1:0?framing=cobs", "--echo", "--hex") as serve:
        endpoint = listening(serve)
        code, out, err = run("connect", endpoint, "--hex", stdin=b"00 ff 3b\nFACE\n0x0a, 0x0b\n")
        assert (code, out, err) == (0, "00 ff 3b\nfa ce\n0a 0b\n", "")
        serve.out.see(": 0a 0b$")


def test_lines_from_a_pipe_wait_for_the_first_connection_and_go_to_everybody():
    with Program("serve", 0) as serve:
        serve.write(b"first\n")
        endpoint = listening(serve)
        with Program("connect", endpoint) as one:
            one.out.see("^first$")
            with Program("connect", endpoint) as other:
                other.write(b"I am here\n")
                serve.out.see("I am here$")
                serve.write(b"second\nlast")
                serve.end_input()
                for client in (one, other):
                    client.out.see("^second\nlast$")
        serve.out.see(r"disconnected$[\s\S]*disconnected$")
        serve.process.terminate()
        assert serve.wait() == 143


def test_quit_on_eof_delivers_everything_first():
    with Program("serve", 0, "--quit-on-eof") as serve, Program("connect", listening(serve)) as client:
        serve.write(b"".join(b"%d\n" % i for i in range(10_000)))
        serve.end_input()
        assert serve.wait() == 0
        client.out.see("^9999$")
        assert str(client.out).split() == [str(i) for i in range(10_000)]
        assert client.wait() == 1
        assert "ended the conversation" in str(client.err)


def test_a_line_that_the_framing_cannot_carry_is_refused_and_the_others_go():
    with Program("serve", 0, "--quit-on-eof") as serve:
        with Program("connect", listening(serve), "--wait", "inf") as client:
            serve.out.see("connected")
            serve.write(b"good\nbad;\nagain\n")
            serve.end_input()
            assert serve.wait() == 1
            client.out.see("^good\nagain$")
            client.end_input()
            client.wait()
        assert str(serve.err).startswith("not sent: the payload and the separator")


def test_a_port_in_use_is_one_clear_line(server: Server):
    code, out, err = run("serve", server.port())
    assert (code, out) == (1, "")
    assert err.startswith(f"leadscomm: 127.0.0.1:{server.port()} is in use")
    assert err.count("\n") == 1


def test_nobody_listens_is_one_clear_line():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        code, out, err = run("connect", sock.getsockname()[1])
    assert (code, out) == (1, "")
    assert "nobody listens on 127.0.0.1" in err
    assert err.count("\n") == 1


def test_connect_from_a_pipe_gets_every_answer(server: Server):
    lines = "".join(f"line {i}\n" for i in range(5000))
    code, out, err = run("connect", server.port(), stdin=lines.encode())
    assert (code, err) == (0, "")
    assert out == lines.upper()


def test_connect_with_an_empty_input_ends_at_once(server: Server):
    assert run("connect", server.port()) == (0, "", "")


def test_connect_waits_in_vain_for_a_bounded_time():
    with create_server(0, Callback()) as silent:
        assert run("connect", silent.port(), stdin=b"anybody?") == (0, "", "")


def test_connect_says_what_it_could_not_send(server: Server):
    code, out, err = run("connect", server.port(), stdin=b"a;b\ndisconnect\nc")
    assert (code, out) == (1, "C\n")
    assert err.count("not sent: ") == 2
    code, out, err = run("connect", server.port(), "--hex", stdin=b"zz\n41\n")
    assert (code, out) == (1, "41\n")
    assert err == "not sent: 'zz' is not hexadecimal; write two digits a byte, such as 68 65 6c 6c 6f\n"


def test_connect_fails_if_the_peer_goes_before_everything_was_sent(server: Server):
    with Program("connect", server.port()) as client:
        client.write(b"hello\nbye\n")
        assert client.wait() == 1
        assert str(client.out) == "HELLO\n"
        assert "ended the conversation" in str(client.err)


def test_connect_goes_on_when_it_is_told_to_reconnect(server: Server):
    with Program("connect", server.port(), "--reconnect") as client:
        client.write(b"one\n")
        client.out.see("ONE")
        client.write(b"bye\n")
        client.err.see("^connected to 127.0.0.1")
        client.write(b"two\n")
        client.out.see("TWO")
        client.end_input()
        assert client.wait() == 0


def test_connect_reconnects_to_a_server_that_comes_late():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        with Program("connect", port, "--reconnect") as client:
            client.write(b"are you there\n")
            client.end_input()
            client.err.see("nobody listens on .*; trying again$")
            sock.close()
            with create_server(port, Answering()):
                assert client.wait() == 0
                assert str(client.out) == "ARE YOU THERE\n"


def test_connect_to_a_peer_that_takes_nothing_gives_up():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        endpoint = f"tcp://127.0.0.1:{deaf.getsockname()[1]}?outbox=64K&send_timeout=0.2"
        with Program("connect", endpoint) as client:
            flooding = threading.Thread(target=flood_pipe, args=(client,), daemon=True)
            flooding.start()
            assert client.wait() == 1
            flooding.join(PATIENCE_S)
            assert "send_timeout" in str(client.err)


def flood_pipe(program: Program) -> None:
    with contextlib.suppress(OSError):
        while True:
            program.write(b"x" * 65000 + b"\n")


def test_ctrl_c_ends_a_conversation(server: Server):
    with Program("connect", server.port()) as client:
        client.write(b"hello\n")
        client.out.see("HELLO")
        client.interrupt()
        assert client.wait() == 130


@NEEDS_TERMINAL
def test_a_person_types_and_reads(server: Server):
    with Program("connect", server.port(), terminal=True) as client:
        client.out.see("type lines, Ctrl-D ends")
        client.write(b"hello\n")
        client.out.see("^< HELLO\r$")
        client.write(b"a;b\n")
        client.out.see("^not sent: ")
        client.end_input()
        assert client.wait() == 0


@NEEDS_TERMINAL
def test_a_person_is_told_when_the_peer_goes(server: Server):
    with Program("connect", server.port(), terminal=True) as client:
        client.out.see("type lines")
        client.write(b"bye\n")
        client.out.see("ended the conversation")
        assert client.wait() == 0


@NEEDS_TERMINAL
def test_a_person_serves():
    with Program("serve", 0, terminal=True) as serve:
        endpoint = listening(serve)
        serve.write(b"is anybody there?\n")
        serve.out.see("^nobody is connected")
        with Program("connect", endpoint) as client:
            serve.out.see("connected\r$")
            client.write(b"I am\n")
            serve.out.see(": I am\r$")
            serve.write(b"fine\n")
            client.out.see("^fine$")
            serve.out.see("^sent to 1 connection\r$")
        serve.out.see("disconnected")
        serve.write(b"\x03")
        assert serve.wait() == 130


@NEEDS_TERMINAL
def test_a_server_in_the_background_leaves_the_terminal_to_the_shell():
    """The system stops a background job that reads the terminal; this one does not read it."""
    with Program("serve", 0, terminal=True, background=True) as serve:
        endpoint = listening(serve)
        serve.write(b"ls\n")  # for the shell
        assert run("connect", endpoint, "--wait", 0, stdin=b"hello\n")[0] == 0
        serve.out.see(": hello\r$")
        assert "ls" not in str(serve.out).split("hello")[1]
        serve.process.terminate()
        assert serve.wait() == 143


def test_the_reader_of_the_output_may_leave(server: Server):
    command = f"printf '%s\\n' a b c d | {sys.executable} -m leadscomm connect {server.port()} | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"{command}; exit ${{PIPESTATUS[1]}}"], capture_output=True, cwd=ROOT, timeout=PATIENCE_S
    )
    assert (done.stdout, done.stderr) == (b"A\n", b"")
    assert done.returncode in (0, 1)


def test_verbose_logs_to_standard_error():
    with Program("-v", "serve", "tcp://0.0.0.0:0", "-v") as serve:
        listening(serve)
        serve.err.see("WARNING .*other machines")
        serve.err.see("INFO .*listens")
        serve.interrupt()
        assert serve.wait() == 130


def flood(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            sock.sendall(b"x" * 65000 + b";")


def test_an_echo_to_a_peer_that_does_not_read_ends_the_conversation():
    with Program("serve", "tcp://127.0.0.1:0?outbox=64K", "--echo") as serve:
        port = int(listening(serve).partition("?")[0].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as deaf:
            threading.Thread(target=flood, args=(deaf,), daemon=True).start()
            serve.err.see(r"^! .*; it is disconnected$")
        serve.interrupt()
        assert serve.wait() == 130


def test_what_goes_wrong_with_one_peer_is_told(tmp_path):
    (tmp_path / "key").write_bytes(b"a key of enough bytes")
    with Program("serve", f"tcp://127.0.0.1:0?key_file={tmp_path}/key") as serve:
        port = int(listening(serve).partition("?")[0].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
            serve.err.see(r"^! .*instead of the key challenge")
        code, out, err = run("connect", f"tcp://127.0.0.1:{port}?key_file={tmp_path}/none")
        assert (code, out) == (1, "")
        assert "cannot be read" in err


def test_unix_endpoints_work_too(tmp_path):
    endpoint = f"unix://{tmp_path}/s"
    with Program("serve", endpoint, "--echo") as serve:
        assert listening(serve) == endpoint
        assert run("connect", endpoint, stdin=b"hello\n") == (0, "hello\n", "")
