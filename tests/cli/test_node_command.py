"""`leadscomm node`: nodes from files, talking to each other and to the library."""

from __future__ import annotations

from pathlib import Path

from leadscomm import Node
from tests.cli.program import Program, run
from tests.entities.recorder import Recorder


def written(folder: Path, name: str, rest: str) -> Path:
    path = folder / f"{name}.toml"
    path.write_text(f'[node]\nname = "{name}"\n{rest}\n')
    return path


def test_two_nodes_show_who_comes_and_what_is_said(tmp_path: Path) -> None:
    with Program("node", written(tmp_path, "base", 'listen = ["tcp://127.0.0.1:0"]')) as base:
        place = base.out.see(r"^base listens on (\S+)$")[1]
        arm_file = written(tmp_path, "arm", f'connect = ["{place}"]')
        with Program("node", arm_file) as arm:
            arm.out.see("^arm runs$")
            arm.out.see(r"^\+ base$")
            arm.out.see(r"^  base \+ tcp://127\.0\.0\.1:\d+$")
            base.out.see(r"^\+ arm$")
            base.write(b"arm bend, please\n* all of you\n")
            arm.out.see("^  base: bend, please$")
            arm.out.see("^  base: all of you$")
            arm.write(b"base bent\n")
            base.out.see("^  arm: bent$")
            arm.interrupt()
            assert arm.wait() == 130
        base.out.see(r"^- arm$")
        assert str(base.err) == ""


def test_lines_from_a_pipe_wait_for_their_peer(tmp_path: Path) -> None:
    with Program("node", "--quit-on-eof", written(tmp_path, "base", 'listen = ["tcp://127.0.0.1:0"]')) as base:
        base.write(b"leg step\narm bend")
        base.end_input()
        place = base.out.see(r"^base listens on (\S+)$")[1]
        arm, leg = (Node(name, connect=[place], callback=Recorder()) for name in ("arm", "leg"))
        with arm, leg:
            assert leg.callback.wait("receive") == [b"step"]
            assert arm.callback.wait("receive") == [b"bend"]
            assert base.wait() == 0


def test_a_line_for_nobody_is_refused_after_a_while(tmp_path: Path) -> None:
    file = written(tmp_path, "base", 'listen = ["tcp://127.0.0.1:0"]')
    with Program("node", "--quit-on-eof", "--wait", "0.05", file) as base:
        place = base.out.see(r"^base listens on (\S+)$")[1]
        base.write(b"* hello\n")
        base.err.see("^not sent: nobody is here$")
        with Node("arm", connect=[place], callback=Recorder()) as arm:
            base.out.see(r"^\+ arm$")
            base.write(b"amr bend\narm bend\n")
            base.end_input()
            base.err.see("^not sent: .*amr.*arm")
            assert arm.callback.wait("receive") == [b"bend"]
            assert base.wait() == 1


def test_two_lines_of_a_peer_are_told_apart(tmp_path: Path) -> None:
    file = written(tmp_path, "base", 'listen = ["tcp://127.0.0.1:0", "udp://127.0.0.1:0"]')
    with Program("node", file) as base:
        places = base.out.see(r"^base listens on (\S+), (\S+)$").groups()
        with Node("arm", connect=list(places), callback=Recorder()) as arm:
            base.out.see(r"^  arm \+ tcp://")
            base.out.see(r"^  arm \+ udp://")
            assert sorted(arm.peers()) == ["base"]


def test_what_cannot_be_sent_is_said(tmp_path: Path) -> None:
    with Program("node", "--hex", "--quit-on-eof", written(tmp_path, "base", 'listen = ["tcp://127.0.0.1:0"]')) as base:
        place = base.out.see(r"^base listens on (\S+)$")[1]
        with Node("arm", connect=[place], callback=Recorder()) as arm:
            base.write(b"arm 00 ff\narm not hexadecimal\narm\n")
            base.end_input()
            base.err.see("^not sent: .*is not hexadecimal")
            base.err.see("^not sent: write the name of a peer .*, a space, and the message$")
            assert arm.callback.wait("receive") == [b"\0\xff"]
            assert base.wait() == 1


def test_a_file_that_is_wrong(tmp_path: Path) -> None:
    path = written(tmp_path, "arm", "listen = 1")
    code, out, err = run("node", path)
    assert (code, out) == (1, "")
    assert err.startswith(f"leadscomm: {path}, line 3: write a list of texts")


def test_a_place_that_is_taken(tmp_path: Path) -> None:
    with Node("base", ["tcp://127.0.0.1:0"]) as base:
        path = written(tmp_path, "arm", f'listen = ["tcp://127.0.0.1:{base.port()}"]')
        code, out, err = run("node", path)
    assert (code, out) == (1, "")
    assert "is in use" in err
