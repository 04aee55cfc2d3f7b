"""How pages are read and their programs run, on pages made up here."""

from __future__ import annotations

import configparser
import subprocess
import textwrap
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.docs.blocks import BadMarkup, Block, commands_of, parse
from tests.docs.trial import look_at, run

SERVER = """
    import socket
    with socket.create_server(("127.0.0.1", 0)) as server:
        open("port", "w").write(str(server.getsockname()[1]))
        while True:
            server.accept()[0].close()
"""
CLIENT = """
    import socket
    socket.create_connection(("127.0.0.1", int(open("port").read()))).close()
    print("met")
"""


def page(*parts: str) -> list[Block]:
    """Blocks given as a directive (or ''), a language and the code, in turn."""
    text = ""
    for directive, language, code in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        text += f"<!-- test: {directive} -->\n" if directive else ""
        text += f"```{language}\n{textwrap.dedent(code).strip()}\n```\n\n"
    return list(parse(text, "page.md"))


def test_a_page_is_read() -> None:
    text = "# A\n\n```python title=x\na = 1\n\n```\n1. b\n\n   ~~~~\n   ```\n    b\n   ~~~~\n"
    text += "<!-- test: with above, blocks -->\n\n```console\n```\n"
    first, second, third = parse(text, "page.md")
    assert (first.language, first.code, first.place) == ("python", "a = 1\n\n", "page.md:4")
    assert (second.language, second.code) == ("", "```\n b\n")
    assert third.directives == {"with": "above", "blocks": ""}
    assert third.above is second


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```python\nx", "never closed"),
        ("<!-- test: nonsense -->\n```\n```", "no directive 'nonsense'"),
        ("<!-- test: skip -->\n```\n```", "says why"),
        ("<!-- test: blocks -->\nText\n```\n```", "directly in front"),
        ("<!-- test: blocks -->\n", "no block"),
    ],
)
def test_a_page_that_cannot_be_read(text: str, said: str) -> None:
    with pytest.raises(BadMarkup, match=said):
        list(parse(text, "page.md"))


def test_commands_of_a_console() -> None:
    assert commands_of("$ a \\\n> b\nout\n$ c\n# $ d\n") == ["a \\\nb", "c"]


def test_a_program_keeps_the_lines_of_its_page() -> None:
    first, second = page("", "python", "x = 1", "continues", "python", "print(x)")
    assert second.program().splitlines()[first.line - 1 :: second.line - first.line] == ["x = 1", "print(x)"]


def test_blocks_run(tmp_path: Path) -> None:
    first, second, third = page(
        "", "python", "x = 1", "continues", "python", "print(x)", "", "console", "$ echo a \\\n> b"
    )
    assert run(first, tmp_path) == ""
    assert run(second, tmp_path) == "1\n"
    assert run(third, tmp_path) == "a b\n"


@pytest.mark.parametrize(
    ("directive", "language", "code", "said"),
    [
        ("", "python", "1 / 0", "ZeroDivisionError"),
        ("", "console", "$ false\n$ true", "ended with 1"),
        ("", "python", "import threading\nthreading.Thread(target=lambda: 1 / 0).start()", "complained"),
        ("raises ValueError", "python", "1 / 0", "another error"),
        ("raises ValueError", "python", "1", "was to end with ValueError"),
        ("blocks", "python", "pass", "ended at once"),
        ("", "yam", "x", "write python"),
    ],
)
def test_blocks_that_fail(tmp_path: Path, directive: str, language: str, code: str, said: str) -> None:
    (block,) = page(directive, language, code)
    with pytest.raises(AssertionError, match=said):
        run(block, tmp_path) if language in ("python", "console") else look_at(block)


def test_an_error_that_is_meant(tmp_path: Path) -> None:
    (block,) = page("raises JSONDecodeError", "python", "import json\njson.loads('')")
    run(block, tmp_path)


def test_a_server_and_its_client(tmp_path: Path) -> None:
    server, client = page("blocks", "python", SERVER, "with above", "python", CLIENT)
    run(server, tmp_path)
    assert run(client, tmp_path) == "met\n"


def test_what_is_only_parsed() -> None:
    for language, good, bad in (
        ("json", "{}", "{"),
        ("ini", "[a]\nb=1", "b"),
        ("xml", "<a/>", "<a>"),
        ("sh", "a", "("),
    ):
        look_at(*page("", language, good))
        with pytest.raises((ValueError, configparser.Error, ElementTree.ParseError, subprocess.CalledProcessError)):
            look_at(*page("", language, bad))
