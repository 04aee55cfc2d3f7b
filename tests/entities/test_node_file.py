"""Nodes from TOML files, and what is wrong with some."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from leadscomm import EndpointError, MissingExtra, Node
from leadscomm.entities.node_file import from_file
from tests.entities.recorder import Recorder, wait_until


def written(folder: Path, text: str) -> Path:
    path = folder / "arm.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_node_as_a_file_has_it(tmp_path: Path) -> None:
    (tmp_path / "base.key").write_text("a key of at least 16 bytes")
    text = """
        [node]
        name = "base"
        groups = ["bases"]
        listen = ["tcp://127.0.0.1:0"]
        key_file = "base.key"   # beside this file, wherever the program runs
        dead_after = 2
        """
    with Node.from_file(written(tmp_path, text), Recorder()) as base:
        assert (base.name, base.listens[0].options["dead_after"]) == ("base", 2)
        arm = Node("arm", connect=[f"tcp://127.0.0.1:{base.port()}"], key_file=str(tmp_path / "base.key"))
        with arm:
            wait_until(lambda: base.peers() == ("arm",))
            wait_until(lambda: arm.peers() == ("base",) and arm.groups_of("base") == {"bases"})


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_file_that_notepad_or_powershell_wrote(tmp_path: Path, coding: str) -> None:
    (tmp_path / "base.key").write_text("a key of at least 16 bytes\r\n", encoding=coding)
    path = tmp_path / "arm.toml"
    path.write_text('[node]\r\nname = "größe"\r\nlisten = ["loop://x"]\r\nkey_file = "base.key"\r\n', encoding=coding)
    node = Node.from_file(path, Recorder())
    assert node.name == "größe"
    assert node.listens[0].key() == b"a key of at least 16 bytes"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[node]\nname = arm\n", r"arm.toml is no TOML: .*line 2"),
        ("[node]\nname = '\xff'\n".encode("latin-1"), "arm.toml is no TOML: .*utf-8"),
        ("", r"arm.toml: there is no table \[node\]"),
        ("node = 1", r"line 1: there is no table \[node\]"),
        ("[node]\nname = 'a'\nlisen = ['tcp://:0']", r"line 3: lisen takes a text.*; did you mean listen\?"),
        ("name = 'arm'\n", r"line 1: 'name' means nothing here: write \[node\] above"),
        ("[node]\nlisten = []\n", "line 1: a node needs a name"),
        ("[node]\nname = 7\n", 'line 2: a node needs a name: write name = "arm"'),
        ("[node]\nname = 'arm'\nlisten = 'tcp://:0'\n", r'line 3: write a list of texts: listen = \["tcp://..."\]'),
        ("[node]\nname = 'arm'\ngroups = [1]\n", r'line 3: write a list of texts: groups = \["arms"\]'),
        ("[node]\nname = 'arm'\n[node.key_file]\n", "key_file takes a text"),
        (
            "[node]\nname = 'arm'\nlisten = ['tcp://:0']\nlisen = 1",
            "arm.toml, line 4: tcp:// has no option 'lisen'; .*it has",
        ),
        (
            "[node]\nname = 'arm'\nlisten = ['tpc://:0']\n",
            r"arm.toml, line 3: tpc:// is not known; did you mean tcp://\? there are",
        ),
        ("[node]\nname = 'a'\nlisten = ['tcp://:0']\ndead_after = 'x'", "line 4: dead_after='x' cannot be right"),
        ("[node]\nname = 'arm'\n", r"arm.toml: node 'arm' has no endpoint"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str | bytes, why: str) -> None:
    path = tmp_path / "arm.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(EndpointError, match=why):
        Node.from_file(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Node.from_file(tmp_path / "none.toml")


def test_a_python_without_a_reader_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tomllib", None)
    monkeypatch.setitem(sys.modules, "tomli", None)
    with pytest.raises(MissingExtra, match=r"pip install 'leadscomm\[toml\]'"):
        from_file(written(tmp_path, "[node]\nname = 'arm'\n"), dict)
